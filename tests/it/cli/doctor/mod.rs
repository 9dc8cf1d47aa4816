//! `doctor`: its report, and the checks of a keyring.

mod tencent;

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};

use serde_json::{Value, json};

use super::shell::{Ran, Shell};

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
fn mounted_keyring_is_checked_as_by_the_controller() {
    let shell = Shell::new();
    // As kubelet lays out a Secret volume with fsGroup.
    fs::create_dir_all(shell.path("mount/..one")).unwrap();
    fs::rename(shell.path("keyring"), shell.path("mount/..one/keyring")).unwrap();
    symlink("..one", shell.path("mount/..data")).unwrap();
    symlink("..data/keyring", shell.path("mount/keyring")).unwrap();
    let set_mode = |mode| {
        fs::set_permissions(
            shell.path("mount/..one/keyring"),
            fs::Permissions::from_mode(mode),
        )
        .unwrap();
    };
    let open = ["--keyring", "mount/keyring", "--for", "open"];
    set_mode(0o440);
    let report = local(&shell, &open, 0);
    report.says("keyring", &["readable by its owner and at most a group"]);
    let report = local(&shell, &["--keyring", "mount/keyring"], 3);
    report.says("keyring", &["its mode is 0440"]);
    let report = local(&shell, &["--keyring", "mount/keyring", "--for", "seal"], 3);
    report.says("keyring", &["its mode is 0440"]);
    set_mode(0o444);
    let report = local(&shell, &open, 3);
    report.says("keyring", &["its mode is 0444", "a reading group"]);
    // The default file is a person's, and `--for open` still finds it.
    set_mode(0o440);
    fs::create_dir_all(shell.path("home/.config/envelope-secrets")).unwrap();
    let default = shell.path("home/.config/envelope-secrets/keyring");
    fs::rename(shell.path("mount/..one/keyring"), &default).unwrap();
    let report = local(&shell, &["--for", "open"], 3);
    report.says("keyring", &["its mode is 0440"]);
    fs::set_permissions(&default, fs::Permissions::from_mode(0o600)).unwrap();
    local(&shell, &["--for", "open"], 0);
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
