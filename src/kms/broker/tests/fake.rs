//! A KMS and a host for tests on paused time.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::{BoxFuture, ready};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::super::request::{ObjectName, Request};
use super::super::settings::BrokerSettings;
use super::super::{Answer, Asked, Broker, Document, Host, Note};
use super::support::request;
use crate::envelope::{
    DataKey, Draft, EncryptionContext, Place, ReaderPolicy, Scope, SealTime, SecretBytes, Template, Wrap,
};
use crate::kms::{Access, Class, KeyDescription, KeyUri, Kms, KmsError, Registry, action};
use crate::sync::lock;

const SCHEME: &str = "nokms";
/// The namespace whose documents are sealed when they are requested, because there are thousands of them.
pub(super) const SEALED_LATE: &str = "big";

/// The class and code of a failure.
type Failure = (Class, Option<&'static str>);
/// The uid, generation and spec of an object.
type Stored = (String, i64, Vec<u8>);

/// A KMS that decrypts the ciphertexts it has made.
#[derive(Default)]
pub(super) struct FakeKms {
    data_keys: Mutex<HashMap<String, DataKey>>,
    /// Failures of the next calls with a key: class and code.
    failures: Mutex<HashMap<KeyUri, VecDeque<Failure>>>,
    calls: Mutex<Vec<String>>,
    latency: Mutex<Duration>,
    /// The number of next calls that fail with corrected credentials.
    corrected: Mutex<usize>,
}

impl FakeKms {
    /// Makes the next calls with `key` fail.
    pub(super) fn fail(&self, key: &KeyUri, class: Class, code: Option<&'static str>, times: usize) {
        let mut failures = lock(&self.failures);
        let queue = failures.entry(key.clone()).or_default();
        queue.extend(std::iter::repeat_n((class, code), times));
    }

    /// Makes all calls succeed again.
    pub(super) fn recover(&self) {
        lock(&self.failures).clear();
    }

    /// Makes the next calls fail because of credentials that are renewed.
    pub(super) fn renew_credentials(&self, times: usize) {
        *lock(&self.corrected) = times;
    }

    pub(super) fn set_latency(&self, latency: Duration) {
        *lock(&self.latency) = latency;
    }

    /// The ciphertexts of the calls since the last time.
    pub(super) fn ciphertexts(&self) -> Vec<String> {
        std::mem::take(&mut *lock(&self.calls))
    }

    /// The number of calls since the last time.
    pub(super) fn calls(&self) -> usize {
        self.ciphertexts().len()
    }

    fn wrap(&self, key: &KeyUri, data_key: &DataKey) -> Wrap {
        let mut data_keys = lock(&self.data_keys);
        let ciphertext = format!("ciphertext-{}", data_keys.len());
        data_keys.insert(ciphertext.clone(), data_key.clone());
        Wrap {
            key: key.to_string(),
            ciphertext,
        }
    }
}

impl Kms for FakeKms {
    fn encrypt<'a>(
        &'a self,
        key: &'a KeyUri,
        _: &'a DataKey,
        _: &'a EncryptionContext,
    ) -> BoxFuture<'a, Result<String, KmsError>> {
        ready(Err(KmsError::new(Class::Denied, key, action::ENCRYPT, "no"))).boxed()
    }

    fn decrypt<'a>(
        &'a self,
        key: &'a KeyUri,
        ciphertext: &'a str,
        _: &'a EncryptionContext,
    ) -> BoxFuture<'a, Result<SecretBytes, KmsError>> {
        async move {
            lock(&self.calls).push(ciphertext.to_owned());
            let latency = *lock(&self.latency);
            tokio::time::sleep(latency).await;
            assert_ne!(ciphertext, "panics", "a bug");
            {
                let mut corrected = lock(&self.corrected);
                if *corrected > 0 {
                    *corrected -= 1;
                    let mut error = KmsError::new(Class::Credentials, key, action::DECRYPT, "expired");
                    error.repeat_now = true;
                    return Err(error);
                }
            }
            let failure = lock(&self.failures).get_mut(key).and_then(VecDeque::pop_front);
            if let Some((class, code)) = failure {
                let mut error = KmsError::new(class, key, action::DECRYPT, "made to fail");
                error.code = code.map(Into::into);
                return Err(error);
            }
            let found = lock(&self.data_keys).get(ciphertext).cloned();
            let refused = || KmsError::new(Class::Integrity, key, action::DECRYPT, "refused");
            found
                .map(|data_key| SecretBytes::new(data_key.expose().to_vec()))
                .ok_or_else(refused)
        }
        .boxed()
    }

    fn describe<'a>(&'a self, key: &'a KeyUri) -> BoxFuture<'a, Result<KeyDescription, KmsError>> {
        ready(Err(KmsError::new(Class::Denied, key, action::DESCRIBE_KEY, "no"))).boxed()
    }

    fn allows(&self, _: &KeyUri) -> bool {
        true
    }

    fn access(&self) -> Access {
        Access::Service {
            credentials: None,
            clock_ahead: None,
        }
    }
}

/// Why the fake host refuses a document.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Refused;

/// A host with documents in memory.
pub(super) struct FakeHost {
    kms: Arc<FakeKms>,
    documents: Mutex<HashMap<ObjectName, Stored>>,
    pub(super) notes: Mutex<Vec<Note>>,
    /// The keys whose breakers have closed.
    pub(super) reached: Mutex<Vec<KeyUri>>,
    answered: watch::Sender<()>,
}

impl Host for FakeHost {
    type Refusal = Refused;

    fn document<'a>(&'a self, request: &'a Request) -> BoxFuture<'a, Document<Refused>> {
        if *request.object.namespace == *SEALED_LATE {
            let data_key = DataKey::random().expect("random bytes");
            let wraps = vec![self.kms.wrap(&request.keys[0], &data_key)];
            let spec = seal(&request.object, Scope::Strict, &data_key, wraps);
            let sealed = (request.uid.to_string(), request.generation, spec);
            lock(&self.documents).insert(request.object.clone(), sealed);
        }
        let found = lock(&self.documents).get(&request.object).cloned();
        let current = found.filter(|(uid, generation, _)| request.is_same(uid, *generation));
        let document = current.map_or(Document::Gone, |(_, _, spec)| {
            let place = Place::new(Some(&request.object.namespace), &request.object.name);
            let document = crate::envelope::Document::from_spec_json(&spec, place.expect("valid"));
            let Ok(document) = document else {
                return Document::Refused(Refused);
            };
            let policy = ReaderPolicy::command_line(SealTime::now().expect("a time"));
            match document.accept(&policy, &|_| true) {
                Ok(accepted) => Document::Accepted(Box::new(accepted), None),
                Err(_) => Document::Refused(Refused),
            }
        });
        ready(document).boxed()
    }

    fn answered(&self, _: &Request) {
        self.answered.send_replace(());
    }

    fn reached(&self, key: &KeyUri) {
        lock(&self.reached).push(key.clone());
    }

    fn note(&self, note: Note) {
        lock(&self.notes).push(note);
    }
}

/// Returns the spec of a document of one value.
fn seal(object: &ObjectName, scope: Scope, data_key: &DataKey, wraps: Vec<Wrap>) -> Vec<u8> {
    let draft = Draft {
        place: Place::new(Some(&object.namespace), &object.name).expect("valid"),
        scope,
        audience: None,
        values: [("password".to_owned(), SecretBytes::new(b"hunter2".to_vec()))].into(),
        template: Template::default(),
    };
    let now = SealTime::now().expect("a time");
    let document = draft
        .check()
        .expect("valid")
        .seal(data_key, wraps, now)
        .expect("sealed");
    serde_json::to_vec(document.spec()).expect("JSON")
}

/// A running broker.
pub(super) struct Fixture {
    pub(super) kms: Arc<FakeKms>,
    pub(super) host: Arc<FakeHost>,
    pub(super) broker: Arc<Broker<Refused>>,
    stop: CancellationToken,
}

impl Drop for Fixture {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl Fixture {
    pub(super) fn new(settings: BrokerSettings) -> Self {
        let kms = Arc::new(FakeKms::default());
        let host = Arc::new(FakeHost {
            kms: kms.clone(),
            documents: Mutex::default(),
            notes: Mutex::default(),
            reached: Mutex::default(),
            answered: watch::Sender::new(()),
        });
        let broker = Arc::new(Broker::new(settings));
        let mut registry = Registry::new();
        registry.insert(SCHEME, kms.clone());
        let stop = CancellationToken::new();
        let (running, run_host, run_stop) = (broker.clone(), host.clone(), stop.clone());
        tokio::spawn(async move { running.run(run_host, registry, run_stop).await });
        Fixture {
            kms,
            host,
            broker,
            stop,
        }
    }

    /// Seals a document with one wrap for each key and stores it. Returns the request to open it.
    pub(super) fn seal(&self, namespace: &str, name: &str, generation: i64, keys: &[KeyUri]) -> Request {
        let data_key = DataKey::random().expect("random bytes");
        let wraps = keys.iter().map(|key| self.kms.wrap(key, &data_key)).collect();
        self.store(namespace, name, generation, Scope::Strict, &data_key, wraps)
    }

    /// Stores a document with these wraps of `data_key`.
    pub(super) fn store(
        &self,
        namespace: &str,
        name: &str,
        generation: i64,
        scope: Scope,
        data_key: &DataKey,
        wraps: Vec<Wrap>,
    ) -> Request {
        let keys = wraps
            .iter()
            .map(|wrap| KeyUri::parse(&wrap.key).expect("a key URI"))
            .collect();
        let object = ObjectName::new(namespace, name);
        let spec = seal(&object, scope, data_key, wraps);
        lock(&self.host.documents).insert(object, ("u".to_owned(), generation, spec));
        Request {
            keys,
            ..request(namespace, name, "u", generation)
        }
    }

    /// A document of one wrap that the KMS refuses.
    pub(super) fn bad(&self, namespace: &str, name: &str, generation: i64, key: &KeyUri) -> Request {
        let wrap = Wrap {
            key: key.to_string(),
            ciphertext: format!("tampered-{generation}"),
        };
        let data_key = DataKey::random().expect("random bytes");
        self.store(namespace, name, generation, Scope::Strict, &data_key, vec![wrap])
    }

    /// Wraps a data key with the key `k`.
    pub(super) fn kms_wrap(&self, data_key: &DataKey) -> Wrap {
        self.kms_wrap_with(&super::support::key("k"), data_key)
    }

    /// Wraps a data key.
    pub(super) fn kms_wrap_with(&self, key: &KeyUri, data_key: &DataKey) -> Wrap {
        self.kms.wrap(key, data_key)
    }

    /// Deletes the document.
    pub(super) fn delete(&self, request: &Request) {
        lock(&self.host.documents).remove(&request.object);
    }

    /// Asks until there is an answer.
    pub(super) async fn open(&self, request: &Request) -> Answer<Refused> {
        let mut answered = self.host.answered.subscribe();
        loop {
            if let Asked::Answer(answer) = self.broker.ask(request) {
                return answer;
            }
            answered.changed().await.expect("the host exists");
        }
    }

    /// The outcome of opening.
    pub(super) async fn outcome(&self, request: &Request) -> &'static str {
        self.open(request).await.as_str()
    }

    pub(super) fn noted(&self, note: Note) -> usize {
        lock(&self.host.notes)
            .iter()
            .filter(|seen| **seen == note)
            .count()
    }
}
