//! Counts and times the calls of a KMS.

use std::sync::Arc;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use tokio::time::Instant;

use crate::envelope::{DataKey, EncryptionContext, SecretBytes};
use crate::kms::{Access, GeneratedDataKey, KeyDescription, KeyUri, Kms, KmsError, action};
use crate::metrics::Metrics;

/// A provider whose calls are counted. The controller only ever decrypts; the rest is passed on all the same.
pub(super) struct Metered {
    inner: Arc<dyn Kms>,
    provider: &'static str,
    metrics: Arc<Metrics>,
}

impl Metered {
    pub(super) fn new(provider: &'static str, inner: Arc<dyn Kms>, metrics: Arc<Metrics>) -> Self {
        Metered {
            inner,
            provider,
            metrics,
        }
    }

    fn measured<'a, T>(
        &'a self,
        action: &'static str,
        call: BoxFuture<'a, Result<T, KmsError>>,
    ) -> BoxFuture<'a, Result<T, KmsError>>
    where
        T: Send + 'a,
    {
        async move {
            let started = Instant::now();
            let answer = call.await;
            let outcome = answer
                .as_ref()
                .map_or_else(|error| error.class.as_str(), |_| "ok");
            self.metrics
                .kms_called(self.provider, action, outcome, started.elapsed());
            answer
        }
        .boxed()
    }
}

impl Kms for Metered {
    fn generate_data_key<'a>(
        &'a self,
        key: &'a KeyUri,
        context: &'a EncryptionContext,
    ) -> BoxFuture<'a, Result<GeneratedDataKey, KmsError>> {
        self.measured(
            action::GENERATE_DATA_KEY,
            self.inner.generate_data_key(key, context),
        )
    }

    fn encrypt<'a>(
        &'a self,
        key: &'a KeyUri,
        data_key: &'a DataKey,
        context: &'a EncryptionContext,
    ) -> BoxFuture<'a, Result<String, KmsError>> {
        self.measured(action::ENCRYPT, self.inner.encrypt(key, data_key, context))
    }

    fn decrypt<'a>(
        &'a self,
        key: &'a KeyUri,
        ciphertext: &'a str,
        context: &'a EncryptionContext,
    ) -> BoxFuture<'a, Result<SecretBytes, KmsError>> {
        self.measured(action::DECRYPT, self.inner.decrypt(key, ciphertext, context))
    }

    fn re_encrypt<'a>(
        &'a self,
        source: &'a KeyUri,
        ciphertext: &'a str,
        destination: &'a KeyUri,
        context: &'a EncryptionContext,
    ) -> BoxFuture<'a, Result<String, KmsError>> {
        self.measured(
            action::RE_ENCRYPT,
            self.inner.re_encrypt(source, ciphertext, destination, context),
        )
    }

    fn describe<'a>(&'a self, key: &'a KeyUri) -> BoxFuture<'a, Result<KeyDescription, KmsError>> {
        self.measured(action::DESCRIBE_KEY, self.inner.describe(key))
    }

    fn allows(&self, key: &KeyUri) -> bool {
        self.inner.allows(key)
    }

    fn access(&self) -> Access {
        self.inner.access()
    }
}
