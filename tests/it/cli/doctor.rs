//! `doctor`: its report, with a keyring and with the emulator of Tencent Cloud.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use serde_json::{Value, json};
use testkit::kms::{Command, Effect, Fault, KeyState, SECRET_KEY};

use super::shell::{Ran, Shell};
use super::tencent::Cloud;

const ABSENT: &str = "tencent-kms://ap-guangzhou/23e80852-1e38-11e9-b129-5cb9019b4b01";

/// A report: its checks by name.
struct Report {
    json: Value,
}

impl Report {
    /// Runs both formats; they agree, and neither contains any of `secrets`.
    #[track_caller]
    fn of(run: impl Fn(&[&str]) -> Ran, args: &[&str], code: i32, secrets: &[&str]) -> Self {
        let ran = run(&[&["doctor", "-o", "json"], args].concat());
        assert_eq!(ran.code, Some(code), "{}\n{}", ran.text(), ran.stderr);
        let text = run(&[&["doctor"], args].concat());
        assert_eq!(text.code, Some(code), "{}", text.stderr);
        for secret in secrets {
            for place in [ran.text(), &ran.stderr, text.text(), &text.stderr] {
                assert!(!place.contains(secret), "{place}");
            }
        }
        let report = Report {
            json: serde_json::from_slice(&ran.stdout).unwrap(),
        };
        assert_eq!(report.json["ok"], json!(code == 0));
        for check in report.checks() {
            let line = format!("  {}  {}", text_of(check, "result"), text_of(check, "check"));
            assert!(text.text().contains(&line), "{line:?} in\n{}", text.text());
            assert!(text.text().contains(text_of(check, "subject")), "{}", text.text());
            let failed = check["result"] == "fail";
            assert!(!failed || check["advice"].is_string(), "no advice: {check}");
        }
        assert_eq!(
            text.stderr.contains("checks failed"),
            code == 3,
            "{}",
            text.stderr
        );
        report
    }

    fn checks(&self) -> &Vec<Value> {
        self.json["checks"].as_array().unwrap()
    }

    /// All checks in order, as `pass state`.
    fn results(&self) -> Vec<String> {
        let line = |check| format!("{} {}", text_of(check, "result"), text_of(check, "check"));
        self.checks().iter().map(line).collect()
    }

    #[track_caller]
    fn check(&self, name: &str) -> &Value {
        let found = self.checks().iter().find(|check| check["check"] == name);
        found.unwrap_or_else(|| panic!("no {name} in {}", self.json))
    }

    /// Asserts that this check contains all of `texts`, in its message or advice.
    #[track_caller]
    fn says(&self, name: &str, texts: &[&str]) {
        let check = self.check(name).to_string();
        for text in texts {
            assert!(check.contains(text), "{text:?} in {check}");
        }
    }
}

fn text_of<'a>(check: &'a Value, field: &str) -> &'a str {
    check[field].as_str().unwrap()
}

#[track_caller]
fn local(shell: &Shell, args: &[&str], code: i32) -> Report {
    Report::of(|args| shell.run(args, b""), args, code, &["ES-LOCAL-KEY"])
}

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
fn usable_keyring_passes() {
    let shell = Shell::new();
    let report = local(&shell, &["--keyring", "keyring"], 0);
    assert_eq!(
        report.results(),
        ["pass keyring", "pass state", "pass generate", "pass decrypt"]
    );
    assert_eq!(report.json["keysFrom"], "keyring keyring");
    assert_eq!(report.json["for"], json!(["seal", "open"]));
    assert_eq!(
        report.json["context"],
        r#"{"es:aud":"envelope-doctor","es:scope":"cluster-wide","es:v":"es1"}"#
    );
    assert_eq!(
        report.check("state")["facts"],
        json!({"state": "Enabled", "default": true})
    );
    // Every key is listed, and a named one is examined even if another one seals by default.
    let created = shell.run(&["keys", "create", "--keyring", "keyring"], b"").ok();
    let second = created.text().trim();
    let report = local(
        &shell,
        &["--keyring", "keyring", "--key", second, "--for", "open"],
        0,
    );
    let held = report.check("keyring")["facts"]["keys"].as_array().unwrap();
    assert_eq!((held.len(), &held[1]), (2, &json!(second)));
    report.says("state", &[second, r#""default":false"#]);
    assert_eq!(report.json["for"], json!(["open"]));
    // The default location.
    fs::create_dir_all(shell.path("home/.config/envelope-secrets")).unwrap();
    fs::rename(
        shell.path("keyring"),
        shell.path("home/.config/envelope-secrets/keyring"),
    )
    .unwrap();
    local(&shell, &[], 0);
}

#[test]
fn unusable_keyring_fails_with_advice() {
    let shell = Shell::new();
    let args = ["--keyring", "keyring"];
    fs::set_permissions(shell.path("keyring"), fs::Permissions::from_mode(0o644)).unwrap();
    let report = local(&shell, &args, 3);
    assert_eq!(report.results(), ["fail keyring"]);
    report.says("keyring", &["its mode is 0644", "chmod 600 keyring"]);
    // A key that the keyring does not hold.
    fs::set_permissions(shell.path("keyring"), fs::Permissions::from_mode(0o600)).unwrap();
    let report = local(&shell, &["--keyring", "keyring", "--key", "local://00000000"], 3);
    assert_eq!(
        report.results(),
        ["pass keyring", "fail state", "note generate", "note decrypt"]
    );
    report.says("state", &["does not hold this KMS key", "not_found"]);
    // In a repository that would commit it.
    fs::create_dir(shell.path(".git")).unwrap();
    let report = local(&shell, &args, 3);
    report.says("keyring", &["Git work tree", ".gitignore"]);
    assert_eq!(
        report.check("decrypt")["result"],
        "pass",
        "the other checks still run"
    );
    fs::remove_dir(shell.path(".git")).unwrap();
    // An invalid line is reported by number, without its text.
    shell.write("keyring", "ES-LOCAL-KEY-1 fa1975b2 planted-9f2kq\n");
    let ran = shell.run(&["doctor", "--keyring", "keyring"], b"");
    assert_eq!(ran.code, Some(3));
    assert!(ran.text().contains("line 1"), "{}", ran.text());
    assert!(!format!("{}{}", ran.text(), ran.stderr).contains("planted-9f2kq"));
    // There is no keyring.
    let report = local(&shell, &["--keyring", "nowhere"], 3);
    report.says("keyring", &["no such file", "envelope keys create"]);
    let report = local(&shell, &["--key", "local://fa1975b2"], 3);
    report.says("keyring", &["there is no keyring at", "--keyring FILE"]);
}

#[test]
fn invalid_arguments_and_configuration_exit_with_2() {
    let shell = Shell::new();
    let run = |args: &[&str]| shell.run(&[&["doctor"], args].concat(), b"");
    run(&[]).failed(2, "no KMS key to seal with");
    run(&["--key", "nokms://k"]).failed(2, "no provider nokms");
    run(&["--key", "tencent-kms://ap-guangzhou/KEY"]).failed(2, "is not a KMS key");
    run(&["--key", ABSENT, "--tencent-site", "moon"]).failed(2, "is not a site");
    run(&["--keyring", "keyring", "--for", "both"]).failed(2, "invalid value 'both'");
    run(&["--key", ABSENT, "--tencent-ca-file", "nowhere.pem"]).failed(2, "nowhere.pem");
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
