//! `doctor` with the emulator of Tencent Cloud.

use serde_json::json;
use testkit::kms::{Command, Effect, Fault, KeyState, SECRET_KEY};

use super::super::tencent::Cloud;
use super::{ABSENT, Report};

#[track_caller]
fn tencent(cloud: &Cloud, args: &[&str], code: i32) -> Report {
    let secrets = [SECRET_KEY, "its-key", "Plaintext"];
    Report::of(|args| cloud.run(args, b""), args, code, &secrets)
}

/// Switches to credentials with permission for these actions only.
fn restrict_to(cloud: &mut Cloud, actions: &[&str]) {
    let credential =
        json!({"credential": {"secretId": "AKIDnarrow", "secretKey": "its-key", "actions": actions}});
    let order = serde_json::from_value(credential).unwrap();
    cloud.emulator.order(order).unwrap();
    cloud.set("TENCENTCLOUD_SECRET_ID", "AKIDnarrow");
    cloud.set("TENCENTCLOUD_SECRET_KEY", "its-key");
}

#[test]
fn usable_tencent_keys_pass() {
    let cloud = Cloud::new();
    let report = tencent(&cloud, &[], 0);
    assert_eq!(
        report.results(),
        [
            "pass credentials",
            "pass clock",
            "pass state",
            "note rotation",
            "pass generate",
            "pass decrypt"
        ]
    );
    assert_eq!(report.json["keysFrom"], "ENVELOPE_KEY");
    assert_eq!(
        report.check("credentials")["facts"],
        json!({"source": "environment", "assumedRole": false, "role": null, "expires": null})
    );
    report.says(
        "rotation",
        &["off", "envelope keys enable-rotation tencent-kms://"],
    );
    // Rotation, as the KMS reports it.
    let mut saved = cloud.emulator.order(Command::Save).unwrap();
    saved["keys"][0]["rotateDays"] = 90.into();
    let order = serde_json::from_value(json!({"load": saved})).unwrap();
    cloud.emulator.order(order).unwrap();
    let report = tencent(&cloud, &["--for", "seal"], 0);
    assert_eq!(report.check("rotation")["result"], "pass");
    report.says("rotation", &["every 90 days, next 20", r#""days":90"#]);
    // The first key generates the data key, the others encrypt one; either can open.
    let other = cloud.emulator.create_key("ap-beijing", "other").unwrap();
    let uri = format!("tencent-kms://ap-beijing/{other}");
    let before = cloud.emulator.calls("GenerateDataKey");
    let report = tencent(&cloud, &["--key", &cloud.emulator.key_uri(), "--key", &uri], 0);
    assert_eq!(
        report.results()[6..],
        ["pass state", "note rotation", "pass encrypt", "pass decrypt"]
    );
    assert_eq!(cloud.emulator.calls("GenerateDataKey"), before + 2, "once a run");
    assert_eq!(cloud.emulator.calls_with("Decrypt", &other).total, 2);
}

#[test]
fn invalid_or_missing_credentials_fail() {
    let mut cloud = Cloud::new();
    cloud.set("TENCENTCLOUD_SECRET_KEY", "not-its-key");
    let report = tencent(&cloud, &[], 3);
    assert_eq!(
        report.results(),
        [
            "fail credentials",
            "pass clock",
            "note state",
            "note generate",
            "note decrypt"
        ]
    );
    report.says(
        "credentials",
        &[
            "from environment",
            "AuthFailure.SignatureFailure",
            "check that the secret key belongs",
        ],
    );
    cloud.set("TENCENTCLOUD_SECRET_ID", "AKIDunknown");
    let report = tencent(&cloud, &[], 3);
    report.says("credentials", &["AuthFailure.SecretIdNotFound"]);
    // No credentials at all.
    cloud.set("TENCENTCLOUD_SECRET_ID", "");
    cloud.set("TENCENTCLOUD_SECRET_KEY", "");
    cloud.set("ENVELOPE_TENCENT_METADATA_ENDPOINT", "http://127.0.0.1:9");
    let before = cloud.emulator.all_calls();
    let report = tencent(&cloud, &[], 3);
    assert_eq!(
        report.results(),
        [
            "fail credentials",
            "note clock",
            "note state",
            "note generate",
            "note decrypt"
        ]
    );
    report.says(
        "credentials",
        &[
            "no Tencent Cloud credentials found",
            "TENCENTCLOUD_SECRET_ID",
            r#""source":null"#,
        ],
    );
    assert_eq!(cloud.emulator.all_calls(), before);
}

#[test]
fn clock_skew_fails_even_if_calls_succeed() {
    let cloud = Cloud::new();
    for (ahead, side) in [(600, "behind"), (-600, "ahead of")] {
        cloud.emulator.order(Command::Clock { ahead }).unwrap();
        let report = tencent(&cloud, &[], 3);
        assert_eq!(
            report.results(),
            [
                "pass credentials",
                "fail clock",
                "pass state",
                "note rotation",
                "pass generate",
                "pass decrypt"
            ]
        );
        report.says("clock", &[side, "the server's", "NTP"]);
        let reported = report.check("clock")["facts"]["aheadSeconds"].as_i64().unwrap();
        assert!((reported - ahead).abs() <= 5, "{reported}");
    }
}

#[test]
fn key_in_an_unusable_state_fails() {
    let cloud = Cloud::new();
    let key = cloud.emulator.key().to_owned();
    let set = |state| {
        let order = Command::KeyState {
            key: key.clone(),
            state,
        };
        cloud.emulator.order(order).unwrap();
    };
    set(KeyState::Disabled);
    let report = tencent(&cloud, &[], 3);
    assert_eq!(
        report.results(),
        [
            "pass credentials",
            "pass clock",
            "fail state",
            "note rotation",
            "fail generate",
            "note decrypt"
        ]
    );
    report.says("state", &["Disabled", "enable the KMS key"]);
    report.says("generate", &["ResourceUnavailable.CmkDisabled"]);
    // Imported material does not rotate, so there is no such line.
    set(KeyState::PendingImport);
    let report = tencent(&cloud, &[], 3);
    assert_eq!(report.results()[2..4], ["fail state", "fail generate"]);
    // It still decrypts, which is enough for opening.
    set(KeyState::Archived);
    assert_eq!(tencent(&cloud, &[], 3).check("state")["result"], "fail");
    let report = tencent(&cloud, &["--for", "open"], 0);
    assert_eq!(
        report.results()[2..],
        ["note state", "note rotation", "note generate", "note decrypt"]
    );
    report.says("decrypt", &["cannot be checked"]);
}

#[test]
fn missing_key_fails() {
    let cloud = Cloud::new();
    let elsewhere = cloud.emulator.key_uri().replace("ap-guangzhou", "ap-beijing");
    for uri in [ABSENT, &elsewhere] {
        let report = tencent(&cloud, &["--key", uri], 3);
        assert_eq!(
            report.results(),
            [
                "pass credentials",
                "pass clock",
                "fail state",
                "note generate",
                "note decrypt"
            ]
        );
        report.says("state", &["ResourceUnavailable.CmkNotFound", "typing error", uri]);
    }
    let nowhere = cloud.emulator.key_uri().replace("ap-guangzhou", "ap-nowhere");
    let report = tencent(&cloud, &["--key", &nowhere], 3);
    report.says("state", &["UnsupportedRegion", "check the region"]);
}

#[test]
fn missing_permission_of_the_other_duty_is_a_note() {
    let mut cloud = Cloud::new();
    restrict_to(&mut cloud, &["GenerateDataKey"]);
    let report = tencent(&cloud, &["--for", "seal"], 0);
    assert_eq!(
        report.results(),
        [
            "pass credentials",
            "pass clock",
            "note state",
            "pass generate",
            "note decrypt"
        ]
    );
    report.says("state", &["affects neither", "kms:DescribeKey"]);
    report.says("decrypt", &["which is fine for sealing", "UnauthorizedOperation"]);
    let advised = |report: &Report, name| report.check(name)["advice"].is_string();
    assert!(!advised(&report, "decrypt"), "no advice to grant it");
    for duty in [&["--for", "open"][..], &[]] {
        let report = tencent(&cloud, duty, 3);
        assert_eq!(report.results()[3..], ["pass generate", "fail decrypt"]);
        report.says("decrypt", &["grant kms:Decrypt", "UnauthorizedOperation"]);
    }
    restrict_to(&mut cloud, &["Decrypt"]);
    let report = tencent(&cloud, &["--for", "open"], 0);
    assert_eq!(
        report.results(),
        [
            "pass credentials",
            "pass clock",
            "note state",
            "note generate",
            "note decrypt"
        ]
    );
    report.says(
        "generate",
        &["which is fine for opening", "UnauthorizedOperation"],
    );
    assert!(!advised(&report, "generate"), "no advice to grant it");
    report.says("decrypt", &["cannot be checked", "nothing to decrypt"]);
    for duty in [&["--for", "seal"][..], &[]] {
        let report = tencent(&cloud, duty, 3);
        assert_eq!(report.results()[3..], ["fail generate", "note decrypt"]);
        report.says("generate", &["grant kms:GenerateDataKey"]);
    }
    assert_eq!(
        cloud.emulator.calls("Decrypt"),
        6,
        "only what was generated is decrypted"
    );
}

#[test]
fn unreachable_or_wrong_kms_fails() {
    let mut cloud = Cloud::new();
    let lie = Fault::new(Effect::PlaintextBytes { bytes: 32 });
    cloud.emulator.fault(lie.action("Decrypt"));
    let report = tencent(&cloud, &[], 3);
    assert_eq!(report.results()[4..], ["pass generate", "fail decrypt"]);
    report.says("decrypt", &["other bytes", "check the endpoint"]);
    cloud.set("ENVELOPE_TENCENT_ENDPOINT", "http://127.0.0.1:9");
    let report = tencent(&cloud, &[], 3);
    assert_eq!(
        report.results(),
        [
            "note credentials",
            "note clock",
            "fail state",
            "note generate",
            "note decrypt"
        ]
    );
    report.says("credentials", &["from environment", "did not respond"]);
    report.says("state", &["127.0.0.1:9", "transient"]);
}
