//! Sealing and opening with KMS keys of Tencent Cloud: the program against the emulator, over HTTP.

use serde_json::{Value, json};
use testkit::kms::{Command, Effect, Emulator, Fault, KeyState, Options, REGION};

use super::shell::{Ran, Shell, value};

pub(super) const SECRET: &[u8] = b"apiVersion: v1\nkind: Secret\nmetadata: {name: db, namespace: prod}\n\
    stringData: {password: planted-9f2kq}\n";
/// The error for a document that does not open, whatever the reason.
const DOES_NOT_OPEN: &str = "the document cannot be opened: it was changed after sealing, or sealed for another namespace, name or KMS key";

/// An emulator, and a shell with the environment that it prints.
pub(super) struct Cloud {
    pub(super) emulator: Emulator,
    pub(super) shell: Shell,
    environment: Vec<(&'static str, String)>,
}

impl Cloud {
    pub(super) fn new() -> Self {
        Cloud::with(&Options::default())
    }

    pub(super) fn with(options: &Options) -> Self {
        let emulator = Emulator::start(options).unwrap();
        Cloud {
            environment: emulator.environment(),
            emulator,
            shell: Shell::without_keyring(),
        }
    }

    pub(super) fn run(&self, args: &[&str], stdin: &[u8]) -> Ran {
        let environment: Vec<(&str, &str)> = self
            .environment
            .iter()
            .map(|(name, value)| (*name, value.as_str()))
            .collect();
        self.shell.run_with(args, stdin, &environment)
    }

    pub(super) fn set(&mut self, name: &'static str, value: &str) {
        self.unset(name);
        self.environment.push((name, value.to_owned()));
    }

    pub(super) fn unset(&mut self, name: &str) {
        self.environment.retain(|(other, _)| *other != name);
    }

    /// The sealed Secret as an object.
    pub(super) fn sealed(&self) -> Value {
        let ran = self.run(&["seal", "-o", "json"], SECRET).ok();
        serde_json::from_slice(&ran.stdout).unwrap()
    }

    fn open(&self, object: &Value) -> Ran {
        self.open_with(&[], object)
    }

    /// Opens with these keys in addition to that of the environment.
    fn open_with(&self, keys: &[&str], object: &Value) -> Ran {
        let text = serde_json::to_vec(object).unwrap();
        let mut args = vec!["open", "-o", "json"];
        args.extend(keys.iter().flat_map(|key| ["--key", key]));
        self.run(&args, &text)
    }

    #[track_caller]
    pub(super) fn opens(&self, object: &Value) {
        self.opens_with(&[], object);
    }

    #[track_caller]
    fn opens_with(&self, keys: &[&str], object: &Value) {
        let opened = self.open_with(keys, object).ok();
        let secret: Value = serde_json::from_slice(&opened.stdout).unwrap();
        assert_eq!(value(&secret, "password"), b"planted-9f2kq");
    }

    fn total(&self, action: &str) -> u64 {
        self.emulator.calls_with(action, self.emulator.key()).total
    }
}

fn ciphertext(object: &mut Value) -> &mut Value {
    &mut object["spec"]["dataKeys"][0]["wraps"][0]["ciphertext"]
}

fn error(code: &str) -> Effect {
    Effect::Error {
        code: code.to_owned(),
    }
}

#[test]
fn environment_of_the_emulator_is_enough_to_seal_and_open() {
    let cloud = Cloud::new();
    let sealed = cloud.sealed();
    assert_eq!(
        sealed["spec"]["dataKeys"][0]["wraps"][0]["key"],
        cloud.emulator.key_uri()
    );
    cloud.opens(&sealed);
    assert_eq!((cloud.total("GenerateDataKey"), cloud.total("Decrypt")), (1, 1));
    assert_eq!(cloud.emulator.all_calls(), 2, "no other call is made");
    // A key by its flag, and a document sealed with an older version of the key.
    let other = cloud.emulator.create_key("ap-beijing", "other").unwrap();
    let uri = format!("tencent-kms://ap-beijing/{other}");
    let by_flag = cloud.run(&["seal", "-o", "json", "--key", &uri], SECRET).ok();
    let by_flag: Value = serde_json::from_slice(&by_flag.stdout).unwrap();
    let key = cloud.emulator.key().to_owned();
    cloud.emulator.order(Command::Rotate { key }).unwrap();
    cloud.opens(&sealed);
    // A document does not choose the KMS key: the user names it, or trusts the document.
    let refused = cloud.open(&by_flag).failed(1, "may be used here");
    assert!(
        refused.stderr.contains(&format!("--key {uri}")),
        "{}",
        refused.stderr
    );
    assert_eq!(cloud.emulator.calls_with("Decrypt", &other).total, 0);
    cloud.opens_with(&[&uri], &by_flag);
    let text = serde_json::to_vec(&by_flag).unwrap();
    cloud.run(&["open", "--trust-document-keys"], &text).ok();
    assert_eq!(cloud.emulator.calls_with("Decrypt", &other).total, 2);
}

#[test]
fn only_the_named_certificate_authority_is_trusted() {
    let mut cloud = Cloud::with(&Options {
        tls: true,
        ..Options::default()
    });
    assert!(cloud.emulator.endpoint().starts_with("https://"));
    let sealed = cloud.sealed();
    cloud.opens(&sealed);
    cloud.unset("ENVELOPE_TENCENT_CA_FILE");
    let before = cloud.emulator.all_calls();
    let refused = cloud.open(&sealed).failed(2, "certificate");
    assert!(refused.stderr.contains("--tencent-ca-file"), "{}", refused.stderr);
    assert_eq!(
        cloud.emulator.all_calls(),
        before,
        "nothing is sent to an unknown server"
    );
    let plain = Cloud::new();
    let spoken = plain.emulator.endpoint().replace("http:", "https:");
    cloud.set("ENVELOPE_TENCENT_ENDPOINT", &spoken);
    cloud.open(&sealed).failed(2, "does not speak TLS");
}

#[test]
fn second_region_opens_while_the_first_is_down() {
    let cloud = Cloud::new();
    let far = cloud.emulator.create_key("ap-singapore", "far").unwrap();
    let uri = format!("tencent-kms://ap-singapore/{far}");
    let near = cloud.emulator.key_uri();
    let ran = cloud
        .run(&["seal", "-o", "json", "--key", &near, "--key", &uri], SECRET)
        .ok();
    let sealed: Value = serde_json::from_slice(&ran.stdout).unwrap();
    assert_eq!(
        cloud.emulator.calls_with("Encrypt", &far).total,
        1,
        "the same data key under the second"
    );
    cloud
        .emulator
        .fault(Fault::new(Effect::Status { status: 503 }).region(REGION));
    let both: &[&str] = &[&near, &uri];
    cloud.opens_with(both, &sealed);
    let opened = cloud.emulator.calls_with("Decrypt", &far);
    assert_eq!((opened.total, opened.failed), (1, 0));
    let tried = cloud.emulator.calls_with("Decrypt", cloud.emulator.key());
    assert!(
        tried.total > 0 && tried.failed == tried.total,
        "in the order of the wraps"
    );
    // And the first alone, while the second is cut off.
    cloud.emulator.clear_faults();
    cloud
        .emulator
        .fault(Fault::new(Effect::Cut).region("ap-singapore"));
    cloud.opens_with(both, &sealed);
    // Both down: worth another try later.
    cloud.emulator.fault(Fault::new(Effect::Cut).region(REGION));
    let down = cloud.open_with(both, &sealed);
    assert_eq!((down.code, down.stdout.len()), (Some(4), 0), "{}", down.stderr);
}

#[test]
fn transient_failures_are_retried_and_clock_skew_is_corrected() {
    let cloud = Cloud::new();
    let throttled = Fault::new(error("RequestLimitExceeded"));
    cloud.emulator.fault(throttled.action("GenerateDataKey").times(2));
    let sealed = cloud.sealed();
    let count = cloud.emulator.calls_with("GenerateDataKey", cloud.emulator.key());
    assert_eq!((count.total, count.failed), (3, 2));
    for effect in [
        Effect::Status { status: 500 },
        Effect::Cut,
        Effect::CutBody,
        Effect::Truncated,
        error("InternalError"),
    ] {
        let before = cloud.emulator.calls("Decrypt");
        cloud.emulator.fault(Fault::new(effect.clone()).times(1));
        cloud.opens(&sealed);
        assert_eq!(cloud.emulator.calls("Decrypt"), before + 2, "{effect:?}");
    }
    for effect in [
        Effect::SlowBody { ms: 100 },
        Effect::Latency { ms: 100 },
        Effect::ContentType {
            value: "text/plain".to_owned(),
        },
    ] {
        let before = cloud.emulator.calls("Decrypt");
        cloud.emulator.fault(Fault::new(effect.clone()).times(1));
        cloud.opens(&sealed);
        assert_eq!(cloud.emulator.calls("Decrypt"), before + 1, "{effect:?}");
    }
    for ahead in [600, -600] {
        let before = cloud.emulator.all_calls();
        cloud.emulator.order(Command::Clock { ahead }).unwrap();
        let ran = cloud.open(&sealed).ok();
        assert!(
            ran.stderr.contains("warning: this host's clock is "),
            "{}",
            ran.stderr
        );
        assert_eq!(cloud.emulator.all_calls(), before + 2, "{ahead}");
        let ran = cloud.run(&["seal"], SECRET).ok();
        assert!(ran.stderr.contains("synchronize it (NTP)"), "{}", ran.stderr);
    }
}

#[test]
fn wrong_responses_and_modified_ciphertexts_have_the_same_public_error() {
    let cloud = Cloud::new();
    let sealed = cloud.sealed();
    let texts = [(); 4].map(|()| cloud.sealed());
    let mut objects = texts.to_vec();
    // A flip in each part of the ciphertext, and that of another place.
    for (object, at) in objects.iter_mut().zip([3, 95, 140]) {
        let text = ciphertext(object).as_str().unwrap().to_owned();
        let letter = if &text[at..=at] == "A" { "B" } else { "A" };
        *ciphertext(object) = format!("{}{letter}{}", &text[..at], &text[at + 1..]).into();
    }
    let elsewhere = String::from_utf8(SECRET.to_vec())
        .unwrap()
        .replace("prod", "stage");
    let ran = cloud.run(&["seal", "-o", "json"], elsewhere.as_bytes()).ok();
    let mut elsewhere: Value = serde_json::from_slice(&ran.stdout).unwrap();
    *ciphertext(&mut objects[3]) = ciphertext(&mut elsewhere).take();
    // The whole document, moved.
    let mut moved = sealed.clone();
    moved["metadata"]["namespace"] = "stage".into();
    objects.push(moved);
    for (number, object) in objects.iter().enumerate() {
        let before = cloud.emulator.calls("Decrypt");
        cloud.open(object).failed(1, DOES_NOT_OPEN);
        assert_eq!(
            cloud.emulator.calls("Decrypt"),
            before + 1,
            "{number}: not retried"
        );
    }
    let other = cloud.emulator.create_key(REGION, "other").unwrap();
    for effect in [
        Effect::OtherKey { key: other },
        Effect::PlaintextBytes { bytes: 31 },
        Effect::PlaintextBytes { bytes: 32 },
    ] {
        cloud
            .emulator
            .fault(Fault::new(effect).action("Decrypt").times(1));
        cloud.open(&sealed).failed(1, DOES_NOT_OPEN);
    }
    cloud.opens(&sealed);
    // Nothing is sealed with such a data key.
    cloud
        .emulator
        .fault(Fault::new(Effect::PlaintextBytes { bytes: 31 }).action("GenerateDataKey"));
    cloud.run(&["seal"], SECRET).failed(1, "31 bytes, not 32");
}

#[test]
fn common_setup_errors_are_reported_with_advice() {
    let mut cloud = Cloud::new();
    let sealed = cloud.sealed();
    let key = cloud.emulator.key().to_owned();
    let seal = |cloud: &Cloud, uri: &str| cloud.run(&["seal", "--key", uri], SECRET);

    let absent = "tencent-kms://ap-guangzhou/23e80852-1e38-11e9-b129-5cb9019b4b01";
    let ran = seal(&cloud, absent).failed(1, "ResourceUnavailable.CmkNotFound");
    assert!(
        ran.stderr.contains(absent) && ran.stderr.contains("help: "),
        "{}",
        ran.stderr
    );
    let in_another = format!("tencent-kms://ap-beijing/{key}");
    seal(&cloud, &in_another).failed(1, "ResourceUnavailable.CmkNotFound");
    seal(&cloud, &format!("tencent-kms://ap-nowhere/{key}")).failed(2, "UnsupportedRegion");

    let state = |cloud: &Cloud, state| {
        let order = Command::KeyState {
            key: key.clone(),
            state,
        };
        cloud.emulator.order(order).unwrap();
    };
    state(&cloud, KeyState::Disabled);
    let ran = cloud.open(&sealed);
    assert!(
        ran.stderr.contains("ResourceUnavailable.CmkDisabled"),
        "{}",
        ran.stderr
    );
    assert!(ran.stderr.contains("enable the KMS key"), "{}", ran.stderr);
    state(&cloud, KeyState::Enabled);
    cloud.opens(&sealed);

    let granted = json!({"credential": {"secretId": "AKIDsealer", "secretKey": "its-key", "actions": ["GenerateDataKey"]}});
    cloud
        .emulator
        .order(serde_json::from_value(granted).unwrap())
        .unwrap();
    cloud.set("TENCENTCLOUD_SECRET_ID", "AKIDsealer");
    cloud.set("TENCENTCLOUD_SECRET_KEY", "its-key");
    let by_sealer = cloud.sealed();
    let ran = cloud.open(&by_sealer);
    assert!(
        ran.stderr.contains("UnauthorizedOperation") && ran.stderr.contains("kms:Decrypt"),
        "{}",
        ran.stderr
    );

    cloud.set("TENCENTCLOUD_SECRET_KEY", "not-its-key");
    let ran = cloud
        .run(&["seal"], SECRET)
        .failed(1, "AuthFailure.SignatureFailure");
    assert!(!ran.stderr.contains("not-its-key"), "{}", ran.stderr);
    cloud.set("TENCENTCLOUD_SECRET_ID", "AKIDunknown");
    cloud
        .run(&["seal"], SECRET)
        .failed(1, "AuthFailure.SecretIdNotFound");

    let calls = cloud.emulator.all_calls();
    cloud
        .environment
        .retain(|(name, _)| !name.starts_with("TENCENTCLOUD_SECRET"));
    cloud.set("ENVELOPE_TENCENT_METADATA_ENDPOINT", "http://127.0.0.1:9");
    let ran = cloud.run(&["seal"], SECRET);
    assert!(
        ran.code != Some(0) && ran.stderr.contains("TENCENTCLOUD_SECRET_ID"),
        "{}",
        ran.stderr
    );
    cloud.set("TENCENTCLOUD_SECRET_ID", "AKIDsealer");
    cloud.set("TENCENTCLOUD_SECRET_KEY", "its-key");
    cloud.set("ENVELOPE_TENCENT_ENDPOINT", "http://127.0.0.1:9");
    cloud.run(&["seal"], SECRET).failed(4, "127.0.0.1:9");
    assert_eq!(cloud.emulator.all_calls(), calls);
}
