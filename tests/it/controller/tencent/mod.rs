//! Documents under Tencent Cloud keys: the controller on a real API server, against the KMS emulator, without a keyring.

mod broker;
mod cures;
mod refusals;

use std::sync::Arc;
use std::time::Duration;

use envelope_secrets::envelope::SealTime;
use envelope_secrets::kms::tencent::{self, Endpoint, Environment, Limits, TencentKms, TencentSettings};
use envelope_secrets::kms::{AllowedKeys, KeyUri, Registry};
use serde_json::{Value, json};
use testkit::kms::{Command, Effect, Emulator, Fault, KeyState, REGION};

use crate::support::canary::logged;
use crate::support::controller::{Running, TestNamespace, assert_stalled, condition, message};
use crate::support::crd::plane_with_crd;
use crate::support::sealing::{draft, object, seal_with};
use crate::support::until;

const FIRST: &str = "planted-tencent-3Hq";
const SECOND: &str = "planted-tencent-9Lw";
const FAR: &str = "ap-singapore";
const LIMIT: Duration = Duration::from_mins(1);

/// An emulator, providers that seal with its keys, and a namespace.
struct Cloud {
    emulator: Emulator,
    sealer: Registry,
    place: TestNamespace,
}

/// A client of the emulator that may decrypt with these keys.
fn client_of(emulator: &Emulator, allowed: AllowedKeys) -> Arc<TencentKms> {
    let variables = emulator.environment();
    let settings = TencentSettings {
        allowed,
        endpoint: Some(Endpoint::parse(&emulator.endpoint(), false).unwrap()),
        environment: Environment::from_lookup(|name| {
            let variable = variables.iter().find(|(other, _)| *other == name);
            variable.map(|(_, value)| value.clone())
        }),
        limits: Limits {
            pause: Duration::from_millis(1),
            attempts: 2,
            ..Limits::default()
        },
        ..TencentSettings::default()
    };
    Arc::new(TencentKms::new(settings).unwrap())
}

impl Cloud {
    async fn new(prefix: &str) -> Self {
        let place = TestNamespace::new(prefix).await;
        let emulator = Emulator::fresh();
        let mut sealer = Registry::new();
        sealer.insert(tencent::SCHEME, client_of(&emulator, AllowedKeys::every()));
        Cloud {
            emulator,
            sealer,
            place,
        }
    }

    /// Starts a controller with `--allow-key` for each of these.
    fn controller(&self, allow: &[&str]) -> Running {
        let allowed = AllowedKeys::parse(allow).unwrap();
        Running::start(client_of(&self.emulator, allowed), &[&self.place.namespace])
    }

    /// Starts a controller that may use all keys of the emulator's first region.
    fn controller_of_region(&self) -> Running {
        self.controller(&[&format!("tencent-kms://{REGION}/")])
    }

    async fn sealed(&self, name: &str, password: &str) -> Value {
        self.sealed_with(&[&self.emulator.key_uri()], name, password)
            .await
    }

    async fn sealed_with(&self, keys: &[&str], name: &str, password: &str) -> Value {
        self.sealed_for(&self.place.namespace, keys, name, password).await
    }

    async fn sealed_for(&self, namespace: &str, keys: &[&str], name: &str, password: &str) -> Value {
        self.place.canary.plant(password);
        let keys: Vec<KeyUri> = keys.iter().map(|key| KeyUri::parse(key).unwrap()).collect();
        let draft = draft(namespace, name, &[("password", password.as_bytes())]);
        object(&seal_with(&self.sealer, &keys, draft, SealTime::now().unwrap()).await)
    }

    fn key_state(&self, key: &str, state: KeyState) {
        let key = key.to_owned();
        self.emulator.order(Command::KeyState { key, state }).unwrap();
    }

    /// Number of Decrypt calls for this key.
    fn decrypts(&self, key: &str) -> u64 {
        self.emulator.calls_with("Decrypt", key).total
    }

    /// Waits until the Secret holds this password and the object is Ready.
    async fn ready(&self, name: &str, password: &str) {
        self.place.wait_for_secret(name, &[("password", password)]).await;
        self.place.wait_for_reason(name, "Synced").await;
    }

    async fn no_secret(&self, name: &str) {
        assert!(
            self.place.secrets().get_opt(name).await.unwrap().is_none(),
            "{name}"
        );
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

#[tokio::test(flavor = "multi_thread")]
async fn object_becomes_ready_with_one_kms_call() {
    let cloud = Cloud::new("tencent").await;
    let running = cloud.controller(&[&cloud.emulator.key_uri()]);
    cloud.place.apply(&cloud.sealed("db", FIRST).await).await;
    cloud.ready("db", FIRST).await;
    let ready = cloud.place.wait_for_reason("db", "Synced").await;
    assert_eq!(ready.data["status"]["kmsKey"], cloud.emulator.key_uri());
    assert_eq!(
        (cloud.emulator.calls("Decrypt"), cloud.emulator.all_calls()),
        (1, 2)
    );

    // A new value under the same name costs one more call, a restart none.
    cloud.place.apply(&cloud.sealed("db", SECOND).await).await;
    cloud.ready("db", SECOND).await;
    running.stop().await;
    cloud.place.apply(&cloud.sealed("last", FIRST).await).await;
    let running = cloud.controller(&[&cloud.emulator.key_uri()]);
    cloud.ready("last", FIRST).await;
    assert_eq!(cloud.emulator.calls("Decrypt"), 3);
    for (name, label) in [
        ("envelope_secrets_kms_requests_total", "provider=\"tencent-kms\""),
        ("envelope_secrets_credential_source", "source=\"environment\""),
    ] {
        assert_eq!(running.metric(name, label), 1, "{name}");
    }
    cloud.place.finish(running).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rotation_keeps_old_documents_readable_and_new_seals_use_the_new_version() {
    let cloud = Cloud::new("rotated").await;
    let running = cloud.controller_of_region();
    let key = cloud.emulator.key().to_owned();
    let mut before = cloud.sealed("before", FIRST).await;
    cloud.emulator.order(Command::Rotate { key }).unwrap();
    let mut after = cloud.sealed("after", SECOND).await;
    cloud.place.apply(&before).await;
    cloud.place.apply(&after).await;
    cloud.ready("before", FIRST).await;
    cloud.ready("after", SECOND).await;
    // The first part of a ciphertext is the key version.
    let version = |object: &mut Value| {
        let text = ciphertext(object).as_str().unwrap().to_owned();
        text.split_once("-k-").unwrap().0.to_owned()
    };
    assert_ne!(version(&mut before), version(&mut after));
    cloud.place.finish(running).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn disallowed_key_is_refused_without_a_kms_call() {
    let cloud = Cloud::new("allowed").await;
    let near = cloud.emulator.key_uri();
    let second = cloud.emulator.create_key(REGION, "second").unwrap();
    let second_uri = format!("tencent-kms://{REGION}/{second}");
    let far = cloud.emulator.create_key(FAR, "far").unwrap();
    let far_uri = format!("tencent-kms://{FAR}/{far}");
    let running = cloud.controller(&[&near]);
    let refused = [
        ("second", cloud.sealed_with(&[&second_uri], "second", FIRST).await),
        (
            "far",
            cloud.sealed_with(&[&far_uri, &second_uri], "far", FIRST).await,
        ),
    ];
    let mixed = cloud.sealed_with(&[&far_uri, &near], "mixed", FIRST).await;
    let sealing = cloud.emulator.all_calls();
    for (name, object) in &refused {
        cloud.place.apply(object).await;
        let refused = cloud.place.wait_for_reason(name, "NoUsableKey").await;
        assert_stalled(&refused);
        assert!(message(&refused).contains("--allow-key"), "{}", message(&refused));
    }
    assert_eq!(cloud.emulator.all_calls(), sealing);
    // Only the allowed key of a document is used, although another one comes first.
    cloud.place.apply(&mixed).await;
    cloud.ready("mixed", FIRST).await;
    assert_eq!(cloud.emulator.all_calls(), sealing + 1);
    for (name, _) in &refused {
        cloud.no_secret(name).await;
    }

    // With a controller that allows the region, the refused documents are opened.
    running.stop().await;
    let running = cloud.controller_of_region();
    cloud.ready("second", FIRST).await;
    cloud.ready("far", FIRST).await;
    assert_eq!((cloud.decrypts(&far), cloud.decrypts(&second)), (0, 2));
    cloud.place.finish(running).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_responses_and_changed_ciphertexts_yield_the_same_integrity_error() {
    let cloud = Cloud::new("integrity").await;
    let running = cloud.controller_of_region();
    let mut objects = Vec::new();
    // One changed character in each part of the ciphertext.
    for (name, at) in [("version", 3), ("context", 95), ("body", 140)] {
        let mut flipped = cloud.sealed(name, FIRST).await;
        let text = ciphertext(&mut flipped).as_str().unwrap().to_owned();
        let letter = if &text[at..=at] == "A" { "B" } else { "A" };
        *ciphertext(&mut flipped) = json!(format!("{}{letter}{}", &text[..at], &text[at + 1..]));
        objects.push((name, flipped));
    }
    // The ciphertext of another place, and a whole document for another place.
    let elsewhere = plane_with_crd().namespace("elsewhere").unwrap();
    let key = cloud.emulator.key_uri();
    let mut other = cloud.sealed_for(&elsewhere, &[&key], "moved", FIRST).await;
    let mut transplanted = cloud.sealed("transplanted", FIRST).await;
    *ciphertext(&mut transplanted) = ciphertext(&mut other).clone();
    other["metadata"]["namespace"] = json!(cloud.place.namespace);
    objects.extend([("transplanted", transplanted), ("moved", other)]);
    let mut messages = Vec::new();
    for (name, object) in &objects {
        cloud.place.apply(object).await;
        let refused = cloud.place.wait_for_reason(name, "IntegrityError").await;
        assert_stalled(&refused);
        messages.push(message(&refused).to_owned());
    }
    // Responses for another key, of another length, with another data key. Each recovers when the fault is cleared.
    let id = cloud.emulator.create_key(REGION, "other").unwrap();
    for (name, effect) in [
        ("other-key", Effect::OtherKey { key: id }),
        ("short", Effect::PlaintextBytes { bytes: 31 }),
        ("another", Effect::PlaintextBytes { bytes: 32 }),
    ] {
        let good = cloud.sealed(name, SECOND).await;
        cloud.emulator.fault(Fault::new(effect).action("Decrypt"));
        cloud.place.apply(&good).await;
        let refused = cloud.place.wait_for_reason(name, "IntegrityError").await;
        assert_stalled(&refused);
        messages.push(message(&refused).to_owned());
        cloud.no_secret(name).await;
        cloud.emulator.clear_faults();
        cloud.ready(name, SECOND).await;
    }
    messages.dedup();
    assert_eq!(
        messages,
        [
            "the document cannot be opened: it was changed after sealing, or sealed for another namespace, name or KMS \
             key; no secret exists yet; run envelope open on the file and re-seal it; retrying with backoff"
        ]
    );
    for (name, _) in &objects {
        cloud.no_secret(name).await;
    }
    cloud.place.finish(running).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn wrap_of_a_second_region_is_used_while_the_first_is_down() {
    let cloud = Cloud::new("regions").await;
    let far = cloud.emulator.create_key(FAR, "far").unwrap();
    let (near_uri, far_uri) = (cloud.emulator.key_uri(), format!("tencent-kms://{FAR}/{far}"));
    let running = cloud.controller(&[&near_uri, &far_uri]);
    let sealed =
        async |name: &str, password: &str| cloud.sealed_with(&[&near_uri, &far_uri], name, password).await;
    let (first, second, third) = (
        sealed("db", FIRST).await,
        sealed("db", SECOND).await,
        sealed("new", FIRST).await,
    );
    cloud.place.apply(&first).await;
    cloud.ready("db", FIRST).await;
    assert_eq!(cloud.decrypts(&far), 0, "in the order of the wraps");

    cloud
        .emulator
        .fault(Fault::new(Effect::Status { status: 503 }).region(REGION));
    cloud.place.apply(&second).await;
    cloud.ready("db", SECOND).await;
    let opened = cloud.emulator.calls_with("Decrypt", &far);
    assert_eq!((opened.total, opened.failed), (1, 0));

    // Both regions are down: a retry can succeed without human action, and does.
    cloud.emulator.fault(Fault::new(Effect::Cut).region(FAR));
    cloud.place.apply(&third).await;
    let waits = cloud.place.wait_for_reason("new", "KmsUnavailable").await;
    assert!(condition(&waits, "Stalled").is_none());
    assert_eq!(condition(&waits, "Ready").unwrap()["status"], "Unknown");
    assert!(message(&waits).contains(REGION), "{}", message(&waits));
    cloud.place.wait_for_secret("db", &[("password", SECOND)]).await;
    cloud.place.wait_for_reason("db", "Synced").await;
    cloud.emulator.clear_faults();
    cloud.ready("new", FIRST).await;
    cloud.place.finish(running).await;
}
