//! `keys` of Tencent Cloud KMS: the program against the emulator.

use serde_json::{Value, json};
use testkit::kms::{Command, Effect, Fault, KeyState, Quotas, REGION};

use super::shell::Ran;
use super::tencent::Cloud;

const SECRET: &[u8] = b"apiVersion: v1\nkind: Secret\nmetadata: {name: db, namespace: prod}\n\
    stringData: {password: planted-6tz1d}\n";

fn keys(cloud: &Cloud, args: &[&str]) -> Ran {
    cloud.run(&[&["keys"], args].concat(), b"")
}

#[track_caller]
fn json(ran: &Ran) -> Value {
    serde_json::from_slice(&ran.stdout).unwrap()
}

/// The aliases of a list, sorted.
fn aliases(list: &Value) -> Vec<&str> {
    let keys = list.as_array().unwrap();
    let mut aliases: Vec<&str> = keys.iter().map(|key| key["alias"].as_str().unwrap()).collect();
    aliases.sort_unstable();
    aliases
}

#[test]
fn created_key_is_listed_described_and_seals() {
    let cloud = Cloud::new();
    let create = [
        "create",
        "--provider",
        "tencent-kms",
        "--alias",
        "prod",
        "--description",
        "secrets of prod",
    ];
    let created = keys(&cloud, &create).ok();
    let uri = created.text().strip_suffix('\n').unwrap().to_owned();
    let id = uri
        .strip_prefix(&format!("tencent-kms://{REGION}/"))
        .expect("the URI alone");
    assert!(!id.contains(char::is_whitespace), "{id:?}");
    assert_eq!(cloud.emulator.calls("CreateKey"), 1);
    for said in [
        &format!("created {uri}, alias prod"),
        &format!("--key {uri}"),
        &format!("--allow-key {uri}"),
    ] {
        assert!(created.stderr.contains(said), "{said}: {}", created.stderr);
    }

    // It is listed by its alias, next to other keys, and only in its region.
    let list = ["list", "--provider", "tencent-kms", "-o", "json"];
    assert_eq!(aliases(&json(&keys(&cloud, &list).ok())), ["emulator", "prod"]);
    let found = json(&keys(&cloud, &[&list[..], &["--alias", "pro"]].concat()).ok());
    assert_eq!((aliases(&found), &found[0]["uri"]), (vec!["prod"], &json!(uri)));
    let elsewhere = json(&keys(&cloud, &[&list[..], &["--region", "ap-beijing"]].concat()).ok());
    assert_eq!(elsewhere, json!([]));
    let table = keys(&cloud, &["list", "--provider", "tencent-kms", "--alias", "prod"]).ok();
    let lines: Vec<Vec<&str>> = table
        .text()
        .lines()
        .map(|line| line.split_whitespace().collect())
        .collect();
    assert_eq!(
        lines,
        [
            vec!["KEY", "ALIAS", "STATE", "USAGE", "ROTATES"],
            vec![&uri, "prod", "Enabled", "ENCRYPT_DECRYPT", "no"]
        ]
    );

    // The URI implies the provider; the flag may repeat it.
    let described = json(&keys(&cloud, &["describe", &uri, "-o", "json"]).ok());
    assert_eq!(described, found[0]);
    assert_eq!(described["description"], "secrets of prod");
    assert!(described["created"].as_str().unwrap().ends_with('Z'));
    assert!(described["deletion"].is_null());
    let shown = keys(&cloud, &["describe", "--provider", "tencent-kms", &uri]).ok();
    for line in [
        format!("key:              {uri}"),
        "description:      secrets of prod".to_owned(),
        "state:            Enabled".to_owned(),
        "last rotation:    never".to_owned(),
        format!("in CAM policies:  qcs::kms:{REGION}:uin/OWNER-UIN:key/creatorUin/100000000001/{id}"),
    ] {
        assert!(
            shown.text().lines().any(|it| it == line),
            "{line}\n{}",
            shown.text()
        );
    }

    let sealed = cloud.run(&["seal", "-o", "json", "--key", &uri], SECRET).ok();
    assert_eq!(json(&sealed)["spec"]["dataKeys"][0]["wraps"][0]["key"], uri);
    cloud.run(&["open", "--key", &uri], &sealed.stdout).ok();
}

#[test]
fn rotation_is_changed_and_shown() {
    let cloud = Cloud::new();
    let uri = cloud.emulator.key_uri();
    let rotates = || {
        let key = json(&keys(&cloud, &["describe", &uri, "-o", "json"]).ok());
        (
            key["rotates"].clone(),
            key["rotateDays"].clone(),
            key["nextRotation"].is_null(),
        )
    };
    assert_eq!(rotates(), (json!(false), json!(0), true));
    let ran = keys(&cloud, &["enable-rotation", &uri, "--days", "90"]).ok();
    assert!(
        ran.stdout.is_empty() && ran.stderr.contains("every 90 days"),
        "{}",
        ran.stderr
    );
    assert_eq!(rotates(), (json!(true), json!(90), false));
    let listed = keys(&cloud, &["list", "--provider", "tencent-kms"]).ok();
    assert!(listed.text().contains("  every 90 days\n"), "{}", listed.text());
    keys(&cloud, &["enable-rotation", "--provider", "tencent-kms", &uri]).ok();
    assert_eq!(rotates(), (json!(true), json!(365), false));
    let key = cloud.emulator.key().to_owned();
    cloud.emulator.order(Command::Rotate { key }).unwrap();
    let after = json(&keys(&cloud, &["describe", &uri, "-o", "json"]).ok());
    assert!(after["lastRotation"].is_string(), "{after}");
    keys(&cloud, &["disable-rotation", &uri]).ok();
    assert_eq!(rotates(), (json!(false), json!(0), true));
    for days in ["6", "366", "often"] {
        keys(&cloud, &["enable-rotation", &uri, "--days", days]).failed(2, "--days");
    }
}

/// A server or proxy whose response is about another key, or has an invalid key id.
#[test]
fn response_about_another_key_is_refused() {
    let cloud = Cloud::new();
    let uri = cloud.emulator.key_uri();
    let other = cloud.emulator.create_key(REGION, "other").unwrap();
    let list = ["list", "--provider", "tencent-kms"];
    let answer_about = |key: &str| {
        cloud.emulator.clear_faults();
        let key = key.to_owned();
        cloud.emulator.fault(Fault::new(Effect::OtherKey { key }));
    };
    answer_about(&other);
    for format in ["table", "json"] {
        let ran = keys(&cloud, &["describe", &uri, "-o", format]).failed(1, &uri);
        let said = format!("the response is about another KMS key, {other}");
        assert!(
            ran.stdout.is_empty() && ran.stderr.contains(&said),
            "{}",
            ran.stderr
        );
    }
    // `doctor` refuses it too.
    let report = json(&cloud.run(&["doctor", "-o", "json"], b""));
    let checks = report["checks"].as_array().unwrap();
    let state = checks.iter().find(|check| check["check"] == "state").unwrap();
    assert_eq!(state["result"], "fail");
    assert!(state["message"].as_str().unwrap().contains(&other), "{state}");
    answer_about("../../evil\n");
    let ran = keys(&cloud, &list).failed(2, "not a valid KMS key id");
    assert!(
        ran.stdout.is_empty() && !ran.stderr.contains("evil"),
        "{}",
        ran.stderr
    );
    let create = ["create", "--provider", "tencent-kms", "--alias", "x"];
    let ran = keys(&cloud, &create).failed(2, "not a valid KMS key id");
    assert!(
        ran.stdout.is_empty() && ran.stderr.contains("in the console"),
        "{}",
        ran.stderr
    );
}

#[test]
fn date_of_deletion_is_shown() {
    let cloud = Cloud::new();
    let uri = cloud.emulator.key_uri();
    let order = Command::KeyState {
        key: cloud.emulator.key().to_owned(),
        state: KeyState::PendingDelete,
    };
    cloud.emulator.order(order).unwrap();
    let described = json(&keys(&cloud, &["describe", &uri, "-o", "json"]).ok());
    assert_eq!(described["state"], "PendingDelete");
    let date = described["deletion"].as_str().unwrap();
    assert!(date > described["created"].as_str().unwrap(), "{described}");
    let shown = keys(&cloud, &["describe", &uri]).ok();
    let line = format!("will be deleted:  {date}");
    assert!(shown.text().lines().any(|it| it == line), "{}", shown.text());
}

#[test]
fn every_command_warns_of_clock_skew() {
    let cloud = Cloud::new();
    cloud.emulator.order(Command::Clock { ahead: 600 }).unwrap();
    let uri = cloud.emulator.key_uri();
    for args in [&["list"][..], &["describe", &uri], &["create", "--alias", "late"]] {
        let ran = keys(&cloud, &[args, &["--provider", "tencent-kms"]].concat()).ok();
        assert!(
            ran.stderr.contains("warning: this host's clock is ") && ran.stderr.contains(" s behind"),
            "{}",
            ran.stderr
        );
    }
}

#[test]
fn list_has_the_keys_of_all_pages() {
    let cloud = Cloud::new();
    let quotas = Quotas {
        keys: 1000,
        ..Quotas::default()
    };
    cloud.emulator.order(Command::Quotas(quotas)).unwrap();
    for number in 0..400 {
        cloud.emulator.create_key(REGION, &format!("k{number}")).unwrap();
    }
    let list = json(&keys(&cloud, &["list", "--provider", "tencent-kms", "-o", "json"]).ok());
    let mut all = aliases(&list);
    all.dedup();
    assert_eq!(all.len(), 401);
    assert_eq!(cloud.emulator.calls("ListKeyDetail"), 3, "200 a page");
}

#[test]
fn ambiguous_creation_is_not_retried() {
    let cloud = Cloud::new();
    let create = ["create", "--provider", "tencent-kms", "--alias", "prod"];
    cloud.emulator.fault(Fault::new(Effect::Cut).action("CreateKey"));
    keys(&cloud, &create).failed(4, "check before you repeat it");
    cloud.emulator.clear_faults();
    assert_eq!(cloud.emulator.calls("CreateKey"), 1);
    keys(&cloud, &create).failed(2, "InvalidParameterValue.AliasAlreadyExists");
    // Refused before it took effect: safe to retry.
    let throttled = Effect::Error {
        code: "RequestLimitExceeded".to_owned(),
    };
    cloud
        .emulator
        .fault(Fault::new(throttled).action("CreateKey").times(1));
    keys(
        &cloud,
        &["create", "--provider", "tencent-kms", "--alias", "next"],
    )
    .ok();
    assert_eq!(cloud.emulator.calls("CreateKey"), 4);
}

#[test]
fn impossible_requests_are_refused_before_a_call_or_with_the_error_of_the_kms() {
    let mut cloud = Cloud::new();
    let uri = cloud.emulator.key_uri();
    let tencent = ["--provider", "tencent-kms"];
    for (args, says, help) in [
        (
            &["create", "--alias", "x"][..],
            "--alias applies to KMS keys in a cloud",
            "add --provider",
        ),
        (
            &["list", "--region", REGION],
            "--region applies to KMS keys in a cloud",
            "add --provider",
        ),
        (&["create", tencent[0], tencent[1]], "needs an alias", "--alias"),
        (
            &[
                "create",
                tencent[0],
                tencent[1],
                "--alias",
                "x",
                "--region",
                "guangzhou",
            ],
            "--region: \"guangzhou\" is not a region",
            "ap-guangzhou",
        ),
        (
            &["list", tencent[0], tencent[1], "--keyring", "k"],
            "--keyring does not apply to the provider tencent-kms",
            "--provider local",
        ),
        (
            &["describe", tencent[0], tencent[1], "prod"],
            "is not a KMS key URI",
            "tencent-kms://REGION/KEY-ID",
        ),
        (
            &["describe", "tencent-kms://ap-guangzhou/prod"],
            "is not a KMS key of Tencent Cloud",
            "tencent-kms://REGION/KEY-ID",
        ),
        (
            &["describe", "tencent-kms://"],
            "is not a KMS key URI",
            "tencent-kms://REGION/KEY-ID",
        ),
        (&["promote", &uri], "only a keyring", "ENVELOPE_KEY"),
        (&["retire", &uri], "not removed from here", "disable the KMS key"),
        (
            &["enable-rotation", "local://fa1975b2"],
            "no automatic rotation",
            "envelope keys promote",
        ),
        (
            &["disable-rotation", "fa1975b2"],
            "no automatic rotation",
            "envelope keys promote",
        ),
    ] {
        let ran = keys(&cloud, args).failed(2, says);
        assert!(ran.stderr.contains(help), "{args:?}: {}", ran.stderr);
    }
    assert_eq!(cloud.emulator.all_calls(), 0);
    assert!(
        !cloud.shell.path("home").exists(),
        "no keyring was created by mistake"
    );

    let absent = format!("tencent-kms://{REGION}/23e80852-1e38-11e9-b129-5cb9019b4b01");
    let ran = keys(&cloud, &["describe", &absent]).failed(1, "ResourceUnavailable.CmkNotFound");
    assert!(ran.stderr.contains(&absent), "{}", ran.stderr);
    let create = |alias| keys(&cloud, &["create", tencent[0], tencent[1], "--alias", alias]);
    create("kms-mine").failed(2, "InvalidParameterValue.InvalidAlias");
    let key = cloud.emulator.key().to_owned();
    let order = Command::KeyState {
        key,
        state: KeyState::Disabled,
    };
    cloud.emulator.order(order).unwrap();
    keys(&cloud, &["enable-rotation", &uri]).failed(1, "ResourceUnavailable.CmkDisabled");

    // Permission to seal does not include administration.
    let sealer = json!({"credential": {"secretId": "AKIDsealer", "secretKey": "its-key",
        "actions": ["GenerateDataKey", "DescribeKey"]}});
    cloud
        .emulator
        .order(serde_json::from_value(sealer).unwrap())
        .unwrap();
    cloud.set("TENCENTCLOUD_SECRET_ID", "AKIDsealer");
    cloud.set("TENCENTCLOUD_SECRET_KEY", "its-key");
    keys(&cloud, &["describe", &uri]).ok();
    let ran = keys(&cloud, &["create", tencent[0], tencent[1], "--alias", "x"]);
    let ran = ran.failed(1, "UnauthorizedOperation");
    assert!(ran.stderr.contains("kms:CreateKey"), "{}", ran.stderr);

    cloud.set("TENCENTCLOUD_REGION", "");
    keys(&cloud, &["list", tencent[0], tencent[1]]).failed(2, "no region");
}

#[test]
fn local_key_is_described() {
    let cloud = Cloud::new();
    let created = keys(&cloud, &["create", "--keyring", "keyring"]).ok();
    let uri = created.text().trim().to_owned();
    let described = keys(&cloud, &["describe", &uri, "--keyring", "keyring", "-o", "json"]).ok();
    assert_eq!(
        json(&described),
        json!({"uri": uri, "state": "Enabled", "seals": true})
    );
    let listed = keys(&cloud, &["list", "--keyring", "keyring"]).ok();
    let described = keys(&cloud, &["describe", &uri, "--keyring", "keyring"]).ok();
    assert_eq!(described.text(), listed.text());
    keys(&cloud, &["describe", "local://00000000", "--keyring", "keyring"]).failed(1, "local://00000000");
    assert_eq!(cloud.emulator.all_calls(), 0);
}
