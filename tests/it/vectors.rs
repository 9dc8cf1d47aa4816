//! The vectors through the public API: every document opens to exactly its plaintext, or fails at the expected stage
//! after the expected number of KMS calls. `src/envelope/tests/vectors.rs` checks the intermediate values.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use envelope_secrets::envelope::encoding::to_base64url;
use envelope_secrets::envelope::{
    DataKey, Document, EncryptionContext, OpenError, Opened, Place, ReaderPolicy, Refusal, SealTime,
    SecretBytes, Stage, StructureError,
};
use envelope_secrets::kms::local::{Keyring, LocalKms};
use envelope_secrets::kms::{
    self, Access, GeneratedDataKey, KeyDescription, KeyUri, Kms, KmsError, Registry,
};
use futures::future::BoxFuture;
use testkit::vectors::{Case, Vectors, hex, load};

/// The local provider with a counter of decrypt calls.
struct Counting {
    inner: LocalKms,
    calls: AtomicUsize,
}

impl Kms for Counting {
    fn generate_data_key<'a>(
        &'a self,
        key: &'a KeyUri,
        context: &'a EncryptionContext,
    ) -> BoxFuture<'a, Result<GeneratedDataKey, KmsError>> {
        self.inner.generate_data_key(key, context)
    }

    fn encrypt<'a>(
        &'a self,
        key: &'a KeyUri,
        data_key: &'a DataKey,
        context: &'a EncryptionContext,
    ) -> BoxFuture<'a, Result<String, KmsError>> {
        self.inner.encrypt(key, data_key, context)
    }

    fn decrypt<'a>(
        &'a self,
        key: &'a KeyUri,
        ciphertext: &'a str,
        context: &'a EncryptionContext,
    ) -> BoxFuture<'a, Result<SecretBytes, KmsError>> {
        self.calls.fetch_add(1, Ordering::Relaxed);
        self.inner.decrypt(key, ciphertext, context)
    }

    fn re_encrypt<'a>(
        &'a self,
        source: &'a KeyUri,
        ciphertext: &'a str,
        destination: &'a KeyUri,
        context: &'a EncryptionContext,
    ) -> BoxFuture<'a, Result<String, KmsError>> {
        self.inner.re_encrypt(source, ciphertext, destination, context)
    }

    fn describe<'a>(&'a self, key: &'a KeyUri) -> BoxFuture<'a, Result<KeyDescription, KmsError>> {
        self.inner.describe(key)
    }

    fn allows(&self, key: &KeyUri) -> bool {
        self.inner.allows(key)
    }

    fn access(&self) -> Access {
        self.inner.access()
    }
}

/// The keyring of the vectors.
pub(crate) fn keyring(vectors: &Vectors) -> Keyring {
    let lines: Vec<String> = vectors
        .local_keyring
        .iter()
        .map(|key| {
            let kid = key.uri.strip_prefix("local://").expect("a local key");
            let bytes = to_base64url(&hex(&key.key).expect("hex"));
            format!("ES-LOCAL-KEY-1 {kid} {bytes}\n")
        })
        .collect();
    Keyring::parse(lines.concat().as_bytes())
        .map_err(|error| error.to_string())
        .expect("a valid keyring")
}

/// Result of opening one case.
struct Outcome {
    result: Result<Opened, Failed>,
    calls: usize,
}

enum Failed {
    /// Opening failed at this stage.
    At(Stage, String),
    /// The case itself is malformed.
    Malformed(String),
}

async fn open(vectors: &Vectors, case: &Case) -> Outcome {
    let kms = Arc::new(Counting {
        inner: LocalKms::from_keyring(keyring(vectors)),
        calls: AtomicUsize::new(0),
    });
    let result = open_with(vectors, case, &kms).await;
    Outcome {
        result,
        calls: kms.calls.load(Ordering::Relaxed),
    }
}

async fn open_with(vectors: &Vectors, case: &Case, kms: &Arc<Counting>) -> Result<Opened, Failed> {
    let now = case.now.as_ref().unwrap_or(&vectors.now);
    let now =
        SealTime::parse(now).ok_or_else(|| Failed::Malformed(format!("{now:?} is not a valid time")))?;
    let spec = case
        .spec()
        .map_err(|error| Failed::Malformed(error.to_string()))?;
    let policy = ReaderPolicy::controller(case.accepted_audiences.iter().cloned(), now);
    let structure_failure = |error: StructureError| Failed::At(Stage::Structure, error.to_string());
    let place = Place::new(case.namespace.as_deref(), &case.object_name).map_err(structure_failure)?;
    let document = Document::from_spec_json(spec.as_bytes(), place).map_err(structure_failure)?;
    let mut registry = Registry::new();
    let provider: Arc<dyn Kms> = Arc::clone(kms) as _;
    registry.insert("local", provider);
    let accepted =
        document
            .accept(&policy, &|key| registry.usable(key))
            .map_err(|refusal| match refusal {
                Refusal::Policy(error) => Failed::At(Stage::Policy, error.to_string()),
                Refusal::NoUsableWrap(error) => Failed::At(Stage::Unwrap, error.to_string()),
            })?;
    kms::open(accepted, &registry)
        .await
        .map_err(|error: OpenError<KmsError>| Failed::At(error.stage(), error.to_string()))
}

#[tokio::test]
async fn vector_positive_cases_open_to_exactly_their_plaintext() {
    let vectors = load().expect("vectors");
    let mut failures = Vec::new();
    for case in &vectors.positive {
        let outcome = open(&vectors, case).await;
        let opened = match outcome.result {
            Ok(opened) => opened,
            Err(Failed::At(stage, error)) => {
                failures.push(format!("{}: {stage}: {error}", case.name));
                continue;
            }
            Err(Failed::Malformed(error)) => {
                failures.push(format!("{}: {error}", case.name));
                continue;
            }
        };
        let entries: BTreeMap<String, String> = opened
            .entries()
            .iter()
            .map(|(name, value)| (name.clone(), STANDARD.encode(value.expose())))
            .collect();
        if Some(&entries) != case.plaintext.as_ref() {
            failures.push(format!("{}: opened to {entries:?}", case.name));
        }
        let data_keys = opened.document().spec().data_keys.len();
        if outcome.calls != case.kms_calls.unwrap_or(data_keys) {
            failures.push(format!("{}: took {} KMS calls", case.name, outcome.calls));
        }
        failures.extend(
            round_trip(opened.document())
                .err()
                .map(|error| format!("{}: {error}", case.name)),
        );
    }
    report(&failures);
}

/// Writes a document, reads it again, and returns an error if anything changed.
fn round_trip(document: &Document) -> Result<(), String> {
    let text = serde_json::to_vec(document.spec()).map_err(|error| error.to_string())?;
    let reread =
        Document::from_spec_json(&text, document.place().clone()).map_err(|error| error.to_string())?;
    if reread.spec() != document.spec() || reread.digest() != document.digest() {
        return Err("changes when it is written and read again".to_owned());
    }
    Ok(())
}

#[tokio::test]
async fn vector_negative_cases_fail_at_the_expected_stage_and_number_of_calls() {
    let vectors = load().expect("vectors");
    let mut failures = Vec::new();
    for case in &vectors.negative {
        let expected = case.error.as_deref().unwrap_or("an unstated stage");
        let outcome = open(&vectors, case).await;
        match outcome.result {
            Ok(_) => failures.push(format!("{}: opened instead of failing at {expected}", case.name)),
            Err(Failed::At(stage, error)) if stage.as_str() != expected => {
                failures.push(format!(
                    "{}: failed at {stage} instead of {expected}: {error}",
                    case.name
                ));
            }
            Err(Failed::At(..)) => {}
            Err(Failed::Malformed(error)) => failures.push(format!("{}: {error}", case.name)),
        }
        if case.kms_calls.is_some_and(|calls| calls != outcome.calls) {
            failures.push(format!(
                "{}: took {} KMS calls instead of {:?}",
                case.name, outcome.calls, case.kms_calls
            ));
        }
    }
    report(&failures);
}

fn report(failures: &[String]) {
    assert!(
        failures.is_empty(),
        "{} failures:\n{}",
        failures.len(),
        failures.join("\n")
    );
}
