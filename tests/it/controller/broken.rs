//! A KMS client that panics: a failure like any other, retried with backoff.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use envelope_secrets::envelope::{DataKey, EncryptionContext, SecretBytes};
use envelope_secrets::kms::local::{self, FileRules, LocalKms};
use envelope_secrets::kms::{Access, KeyDescription, KeyUri, Kms, KmsError, Registry};
use futures::future::BoxFuture;

use crate::support::canary::logged;
use crate::support::controller::{Keys, Running, TestNamespace, timings};
use crate::support::crd::plane_with_crd;

/// A keyring that panics in every call while `broken`.
struct Panicking {
    keyring: LocalKms,
    broken: AtomicBool,
    calls: AtomicUsize,
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
            !self.broken.load(Ordering::SeqCst),
            "a bug in the client of the KMS"
        );
        self.keyring.decrypt(key, ciphertext, context)
    }

    fn describe<'a>(&'a self, key: &'a KeyUri) -> BoxFuture<'a, Result<KeyDescription, KmsError>> {
        self.keyring.describe(key)
    }

    fn allows(&self, key: &KeyUri) -> bool {
        self.keyring.allows(key)
    }

    fn access(&self) -> Access {
        self.keyring.access()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn panic_while_opening_is_reported_and_retried_with_backoff() {
    let place = TestNamespace::new("broken").await;
    let kms = Arc::new(Panicking {
        keyring: LocalKms::open(&place.sealer.keyring(), FileRules::Mounted).unwrap(),
        broken: AtomicBool::new(true),
        calls: AtomicUsize::new(0),
    });
    let mut registry = Registry::new();
    registry.insert(local::SCHEME, kms.clone());
    let kubeconfig = plane_with_crd().kubeconfig();
    let running = Running::start_with(Keys(registry), &[&place.namespace], &[], kubeconfig, timings());
    place
        .apply(&place.sealed("db", &[("password", "planted-broken-1")]))
        .await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    let calls = kms.calls.load(Ordering::SeqCst);
    assert!(
        (2..60).contains(&calls),
        "{calls} calls in 3 s; the backoff is at most 0.5 s"
    );
    place.wait_for_reason("db", "KmsUnavailable").await;
    assert!(!logged(&[&place.namespace, "opening the document panicked", "ERROR"]).is_empty());
    assert!(running.metric("envelope_secrets_opens_total", "broken") >= 2);

    kms.broken.store(false, Ordering::SeqCst);
    place
        .wait_for_secret("db", &[("password", "planted-broken-1")])
        .await;
    place.wait_for_reason("db", "Synced").await;
    place.finish(running).await;
}
