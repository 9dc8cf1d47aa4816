//! A KMS client that panics: a failure like any other, retried with backoff, wherever it panics.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use envelope_secrets::controller::Timings;
use envelope_secrets::envelope::{DataKey, EncryptionContext, SecretBytes};
use envelope_secrets::kms::local::{self, FileRules, LocalKms};
use envelope_secrets::kms::{Access, Class, KeyDescription, KeyUri, Kms, KmsError, Registry};
use futures::future::BoxFuture;
use kube::api::{Patch, PatchParams};
use serde_json::json;

use crate::support::canary::logged;
use crate::support::controller::{Keys, Running, TestNamespace, assert_stalled, message, timings};
use crate::support::crd::plane_with_crd;
use crate::support::until;

const LIMIT: Duration = Duration::from_mins(1);

/// A keyring that panics or fails on request.
struct Panicking {
    keyring: LocalKms,
    /// Whether decrypting panics.
    decrypt_panics: AtomicBool,
    /// Whether decrypting is throttled.
    throttled: AtomicBool,
    /// Whether it panics when it is asked, during planning, if a KMS key may be used.
    allows_panics: AtomicBool,
    calls: AtomicUsize,
}

impl Panicking {
    fn new(place: &TestNamespace) -> Arc<Self> {
        Arc::new(Panicking {
            keyring: LocalKms::open(&place.sealer.keyring(), FileRules::Mounted).unwrap(),
            decrypt_panics: AtomicBool::new(false),
            throttled: AtomicBool::new(false),
            allows_panics: AtomicBool::new(false),
            calls: AtomicUsize::new(0),
        })
    }

    fn calls(&self) -> usize {
        self.calls.load(Ordering::SeqCst)
    }

    /// Starts a controller whose retries are due after at most `retry`.
    fn controller(self: &Arc<Self>, place: &TestNamespace, retry: Duration) -> Running {
        let mut registry = Registry::new();
        registry.insert(local::SCHEME, self.clone());
        let kubeconfig = plane_with_crd().kubeconfig();
        let timings = Timings {
            retry_min: retry,
            retry_max: retry,
            ..timings()
        };
        Running::start_with(Keys(registry), &[&place.namespace], &[], kubeconfig, timings)
    }
}

/// Longer than any test, even with jitter.
const NEVER: Duration = Duration::from_hours(24 * 365);

/// Causes a reconcile, by an annotation without meaning.
async fn touch(place: &TestNamespace, value: &str) {
    let patch = json!({"metadata": {"annotations": {"example.com/touched": value}}});
    place
        .objects()
        .patch("db", &PatchParams::default(), &Patch::Merge(patch))
        .await
        .unwrap();
}

/// Causes a reconcile, and waits for one that finds that the retry is not due.
async fn touch_and_wait(place: &TestNamespace, running: &Running, value: &str) {
    let waited = || running.metric("envelope_secrets_reconcile_total", "outcome=\"waiting\"");
    let before = waited();
    touch(place, value).await;
    until(LIMIT, "it is reconciled", async || waited() > before).await;
}

impl Kms for Panicking {
    fn encrypt<'a>(
        &'a self,
        key: &'a KeyUri,
        data_key: &'a DataKey,
        context: &'a EncryptionContext,
    ) -> BoxFuture<'a, Result<String, KmsError>> {
        self.keyring.encrypt(key, data_key, context)
    }

    fn decrypt<'a>(
        &'a self,
        key: &'a KeyUri,
        ciphertext: &'a str,
        context: &'a EncryptionContext,
    ) -> BoxFuture<'a, Result<SecretBytes, KmsError>> {
        self.calls.fetch_add(1, Ordering::SeqCst);
        assert!(
            !self.decrypt_panics.load(Ordering::SeqCst),
            "a bug in the client of the KMS"
        );
        if self.throttled.load(Ordering::SeqCst) {
            let error = KmsError::new(Class::Throttled, key, "Decrypt", "too many requests");
            return Box::pin(std::future::ready(Err(error)));
        }
        self.keyring.decrypt(key, ciphertext, context)
    }

    fn describe<'a>(&'a self, key: &'a KeyUri) -> BoxFuture<'a, Result<KeyDescription, KmsError>> {
        self.keyring.describe(key)
    }

    fn allows(&self, key: &KeyUri) -> bool {
        assert!(
            !self.allows_panics.load(Ordering::SeqCst),
            "a bug in the client of the KMS"
        );
        self.keyring.allows(key)
    }

    fn access(&self) -> Access {
        self.keyring.access()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn panic_while_opening_is_reported_and_retried_with_backoff() {
    let place = TestNamespace::new("broken").await;
    let kms = Panicking::new(&place);
    kms.decrypt_panics.store(true, Ordering::SeqCst);
    let running = kms.controller(&place, Duration::from_millis(200));
    place
        .apply(&place.sealed("db", &[("password", "planted-broken-1")]))
        .await;
    let failed = place.wait_for_reason("db", "UnsupportedDocument").await;
    assert_stalled(&failed);
    assert_eq!(
        message(&failed),
        format!(
            "a bug in controller {} prevents it from opening the document; no secret exists yet; see the controller's log and \
             upgrade the controller",
            env!("CARGO_PKG_VERSION")
        ),
        "it neither blames the KMS nor quotes the panic"
    );
    until(LIMIT, "it is retried", async || kms.calls() >= 3).await;
    assert!(!logged(&[&place.namespace, "opening the document panicked", "ERROR"]).is_empty());
    assert!(running.metric("envelope_secrets_opens_total", "broken") >= 2);

    kms.decrypt_panics.store(false, Ordering::SeqCst);
    place
        .wait_for_secret("db", &[("password", "planted-broken-1")])
        .await;
    place.wait_for_reason("db", "Synced").await;
    place.finish(running).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn panic_while_opening_causes_no_call_before_its_retry_is_due() {
    let place = TestNamespace::new("loop").await;
    let kms = Panicking::new(&place);
    kms.decrypt_panics.store(true, Ordering::SeqCst);
    let running = kms.controller(&place, NEVER);
    place
        .apply(&place.sealed("db", &[("password", "planted-loop-1")]))
        .await;
    place.wait_for_reason("db", "UnsupportedDocument").await;
    for value in ["1", "2", "3"] {
        touch_and_wait(&place, &running, value).await;
    }
    assert_eq!(kms.calls(), 1);
    place.finish(running).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn panic_in_a_reconcile_does_not_reset_the_backoff() {
    let place = TestNamespace::new("amnesia").await;
    let kms = Panicking::new(&place);
    kms.throttled.store(true, Ordering::SeqCst);
    let running = kms.controller(&place, NEVER);
    place
        .apply(&place.sealed("db", &[("password", "planted-amnesia-1")]))
        .await;
    place.wait_for_reason("db", "KmsThrottled").await;
    assert_eq!(kms.calls(), 1);

    kms.allows_panics.store(true, Ordering::SeqCst);
    touch(&place, "1").await;
    until(LIMIT, "the reconcile panics", async || {
        !logged(&[&place.namespace, "reconcile panicked", "ERROR"]).is_empty()
    })
    .await;
    let counted = || running.metric("envelope_secrets_reconcile_total", "outcome=\"broken\"");
    until(LIMIT, "it is counted", async || counted() > 0).await;
    kms.allows_panics.store(false, Ordering::SeqCst);
    touch_and_wait(&place, &running, "2").await;
    assert_eq!(kms.calls(), 1);

    // A new generation is tried immediately.
    kms.throttled.store(false, Ordering::SeqCst);
    place
        .apply_synced("db", &[("password", "planted-amnesia-2")])
        .await;
    place.finish(running).await;
}
