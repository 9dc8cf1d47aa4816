//! Sealing and opening with several KMSs, one of which is scripted.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use futures::FutureExt as _;
use futures::future::{BoxFuture, ready};

use super::local::{self, Keyring, LocalKms, keyring_line};
use super::{
    Access, Class, GeneratedDataKey, KeyDescription, KeyUri, Kms, KmsError, Registry, open, wrap_new_data_key,
};
use crate::envelope::{
    DataKey, Document, Draft, EncryptionContext, OpenError, Opened, Place, ReaderPolicy, Scope, SealTime,
    SecretBytes, Stage, Template,
};

/// A KMS of the scheme `fake` whose responses depend on the rest of the key URI. `ok...` wraps by encoding the key.
#[derive(Default)]
struct Fake {
    calls: Mutex<Vec<String>>,
}

impl Fake {
    fn respond<T>(&self, key: &KeyUri, action: &'static str, good: T) -> Result<T, KmsError> {
        self.calls
            .lock()
            .expect("no panic")
            .push(format!("{action} {}", key.rest()));
        let class = match key.rest().split('-').next() {
            Some("ok") => return Ok(good),
            Some("throttled") => Class::Throttled,
            Some("denied") => Class::Denied,
            _ => Class::Integrity,
        };
        Err(KmsError::new(class, key, action, "as scripted"))
    }

    fn calls(&self) -> Vec<String> {
        std::mem::take(&mut *self.calls.lock().expect("no panic"))
    }
}

fn encoded(key: &DataKey) -> String {
    crate::envelope::encoding::to_base64url(key.expose())
}

impl Kms for Fake {
    fn generate_data_key<'a>(
        &'a self,
        key: &'a KeyUri,
        _context: &'a EncryptionContext,
    ) -> BoxFuture<'a, Result<GeneratedDataKey, KmsError>> {
        let data_key = DataKey::random().expect("the OS RNG");
        let ciphertext = encoded(&data_key);
        ready(self.respond(key, "GenerateDataKey", GeneratedDataKey { data_key, ciphertext })).boxed()
    }

    fn encrypt<'a>(
        &'a self,
        key: &'a KeyUri,
        data_key: &'a DataKey,
        _context: &'a EncryptionContext,
    ) -> BoxFuture<'a, Result<String, KmsError>> {
        // Encrypting always works, so that a document can have wraps that do not open.
        let _ = self.respond(key, "Encrypt", ());
        ready(Ok(encoded(data_key))).boxed()
    }

    fn decrypt<'a>(
        &'a self,
        key: &'a KeyUri,
        ciphertext: &'a str,
        _context: &'a EncryptionContext,
    ) -> BoxFuture<'a, Result<SecretBytes, KmsError>> {
        let bytes = crate::envelope::encoding::from_base64url(ciphertext).expect("as encoded");
        ready(self.respond(key, "Decrypt", SecretBytes::new(bytes))).boxed()
    }

    fn re_encrypt<'a>(
        &'a self,
        source: &'a KeyUri,
        ciphertext: &'a str,
        _destination: &'a KeyUri,
        _context: &'a EncryptionContext,
    ) -> BoxFuture<'a, Result<String, KmsError>> {
        ready(self.respond(source, "ReEncrypt", ciphertext.to_owned())).boxed()
    }

    fn describe<'a>(&'a self, key: &'a KeyUri) -> BoxFuture<'a, Result<KeyDescription, KmsError>> {
        let description = KeyDescription {
            uri: key.clone(),
            state: "Enabled".to_owned(),
            default: false,
            rotation: None,
        };
        ready(self.respond(key, "DescribeKey", description)).boxed()
    }

    fn allows(&self, key: &KeyUri) -> bool {
        !key.rest().starts_with("unlisted")
    }

    fn access(&self) -> Access {
        Access::Service {
            credentials: None,
            clock_ahead: None,
        }
    }
}

fn registry() -> (Registry, Arc<Fake>) {
    let fake = Arc::new(Fake::default());
    let ring = Keyring::parse(keyring_line(0).as_bytes()).expect("a keyring");
    let mut registry = Registry::new();
    registry.insert("fake", Arc::clone(&fake) as Arc<dyn Kms>);
    registry.insert(local::SCHEME, Arc::new(LocalKms::from_keyring(ring)));
    (registry, fake)
}

fn time() -> SealTime {
    SealTime::parse("2026-11-23T17:00:00Z").expect("a time")
}

/// A document whose one value is `v`, sealed for these keys.
async fn sealed(registry: &Registry, keys: &[&str]) -> Result<Document, KmsError> {
    let draft = Draft {
        place: Place::new(Some("prod"), "db").expect("a place"),
        scope: Scope::Strict,
        audience: None,
        values: BTreeMap::from([("password".to_owned(), SecretBytes::new(b"v".to_vec()))]),
        template: Template::default(),
    };
    let checked = draft.check().expect("a good draft");
    let keys: Vec<KeyUri> = keys
        .iter()
        .map(|key| KeyUri::parse(key).expect("a key URI"))
        .collect();
    let (first, others) = keys.split_first().expect("a key");
    let (key, wraps) = wrap_new_data_key(registry, first, others, &checked.binding().context()).await?;
    assert_eq!(
        wraps.iter().map(|wrap| wrap.key.as_str()).collect::<Vec<_>>(),
        keys.iter().map(KeyUri::as_str).collect::<Vec<_>>()
    );
    Ok(checked.seal(&key, wraps, time()).expect("sealed"))
}

fn copy(document: &Document) -> Document {
    let spec = serde_json::to_vec(document.spec()).expect("JSON");
    Document::from_spec_json(&spec, document.place().clone()).expect("a document")
}

async fn opened(registry: &Registry, document: Document) -> Result<Opened, OpenError<KmsError>> {
    let policy = ReaderPolicy::command_line(time());
    let accepted = document.accept(&policy, &|key| registry.usable(key));
    open(accepted.expect("accepted"), registry).await
}

fn value(opened: &Opened) -> &[u8] {
    opened.entries()["password"].expose()
}

#[tokio::test]
async fn first_key_generates_the_data_key_and_each_key_opens() {
    let (registry, fake) = registry();
    let keys = ["fake://ok-1", "local://fa1975b2", "fake://ok-2"];
    let document = sealed(&registry, &keys).await.expect("sealed");
    assert_eq!(fake.calls(), ["GenerateDataKey ok-1", "Encrypt ok-2"]);
    for (key, calls) in keys.iter().zip([&["Decrypt ok-1"][..], &[], &["Decrypt ok-2"]]) {
        let policy = ReaderPolicy::command_line(time());
        let accepted = copy(&document).accept(&policy, &|usable| usable == *key);
        let found = open(accepted.expect("accepted"), &registry).await;
        assert_eq!(value(&found.expect("opened")), b"v", "{key}");
        assert_eq!(fake.calls(), calls, "{key}");
    }
}

#[tokio::test]
async fn local_key_opens_without_a_call_of_another_kms() {
    let (registry, fake) = registry();
    let document = sealed(&registry, &["local://fa1975b2"]).await.expect("sealed");
    assert_eq!(value(&opened(&registry, document).await.expect("opened")), b"v");
    assert!(fake.calls().is_empty());
}

#[tokio::test]
async fn sealing_fails_if_one_key_cannot_wrap() {
    let (registry, _) = registry();
    for (keys, class, named) in [
        (&["fake://denied"][..], Class::Denied, "fake://denied"),
        (&["nokms://k"], Class::Configuration, "nokms://k"),
        (&["fake://ok", "nokms://k"], Class::Configuration, "nokms://k"),
        (
            &["fake://ok", "local://00000000"],
            Class::NotFound,
            "local://00000000",
        ),
    ] {
        let error = sealed(&registry, keys).await.expect_err("refused");
        assert_eq!((error.class, error.key.as_str()), (class, named));
    }
}

/// Opened, or the deciding class (`None`: an integrity failure) and the number of permanently refused wraps.
type Outcome = Result<(), (Option<Class>, usize)>;

#[tokio::test]
async fn only_a_refused_ciphertext_is_permanent_and_other_wraps_are_tried() {
    let (registry, fake) = registry();
    // (wraps after a first one that is not usable here, calls, outcome)
    let table: [(&[&str], &[&str], Outcome); 6] = [
        (&["throttled", "ok"], &["throttled", "ok"], Ok(())),
        (&["refused", "ok"], &["refused", "ok"], Ok(())),
        (
            &["refused", "refused-2", "ok"],
            &["refused", "refused-2"],
            Err((None, 2)),
        ),
        (
            &["throttled", "denied"],
            &["throttled", "denied"],
            Err((Some(Class::Throttled), 0)),
        ),
        (
            &["denied", "refused", "throttled"],
            &["denied", "refused", "throttled"],
            Err((Some(Class::Throttled), 1)),
        ),
        (&["refused"], &["refused"], Err((None, 1))),
    ];
    for (wraps, called, outcome) in table {
        let mut keys = vec!["fake://ok-first".to_owned()];
        keys.extend(wraps.iter().map(|rest| format!("fake://{rest}")));
        let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
        let document = sealed(&registry, &keys).await.expect("sealed");
        fake.calls();
        let policy = ReaderPolicy::command_line(time());
        let accepted = document.accept(&policy, &|key| key != "fake://ok-first" && registry.usable(key));
        let found = open(accepted.expect("accepted"), &registry).await;
        let wanted: Vec<String> = called.iter().map(|rest| format!("Decrypt {rest}")).collect();
        assert_eq!(fake.calls(), wanted, "{wraps:?}");
        match (found, outcome) {
            (Ok(found), Ok(())) => assert_eq!(value(&found), b"v"),
            (Err(OpenError::Integrity { stage, refusals }), Err((None, refused))) => {
                assert_eq!((stage, refusals.len()), (Stage::Unwrap, refused), "{wraps:?}");
            }
            (
                Err(OpenError::Unavailable {
                    failures, refused, ..
                }),
                Err((Some(class), count)),
            ) => {
                let deciding = KmsError::deciding(&failures).expect("a failure");
                assert_eq!((deciding.class, refused), (class, count), "{wraps:?}");
            }
            (found, wanted) => panic!("{wraps:?}: {:?} instead of {wanted:?}", found.err()),
        }
    }
}

#[tokio::test]
async fn provider_removed_after_acceptance_is_not_an_integrity_failure() {
    let (registry, _) = registry();
    let document = sealed(&registry, &["local://fa1975b2"]).await.expect("sealed");
    let policy = ReaderPolicy::command_line(time());
    let accepted = document
        .accept(&policy, &|key| registry.usable(key))
        .expect("accepted");
    let error = open(accepted, &Registry::new()).await.err().expect("no provider");
    let OpenError::Unavailable { failures, .. } = error else {
        panic!("{error}");
    };
    assert_eq!(failures[0].class, Class::Configuration);
}

#[test]
fn opening_is_send() {
    fn is_send<T: Send>(_: &T) {}
    let (registry, _) = registry();
    let document = sealed(&registry, &["local://fa1975b2"])
        .now_or_never()
        .expect("ready")
        .expect("sealed");
    is_send(&opened(&registry, document));
}
