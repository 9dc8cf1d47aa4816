//! Tencent Cloud KMS as a [`Kms`].

use std::sync::Arc;

use futures::FutureExt as _;
use futures::future::BoxFuture;

use super::client::TencentKms;
use super::key::{TencentKey, is_key};
use super::transport::http::Reload;
use crate::envelope::{DataKey, EncryptionContext, SecretBytes};
use crate::kms::client::decrypt_and_encrypt;
use crate::kms::{
    Access, Change, Cures, GeneratedDataKey, HeldCredentials, KeyDescription, KeyUri, Kms, KmsError, action,
};

/// Returns the key that `uri` names, or the error that explains the form of a key.
fn require<'a>(uri: &'a KeyUri, action: &'static str) -> Result<TencentKey<'a>, KmsError> {
    TencentKey::require(uri, action).map_err(|error| error.into_kms_error(uri))
}

impl TencentKms {
    /// Reloads the file of certificate authorities if it changed.
    async fn poll_authorities(&self) -> Change {
        let api = Arc::clone(&self.api);
        // Off the runtime's threads: the file system may block.
        let reload = tokio::task::spawn_blocking(move || api.http().reload_authorities()).await;
        match reload {
            Ok(Reload::Unchanged) | Err(_) => Change::None,
            Ok(Reload::Reloaded(path)) => Change::Renewed {
                cures: Cures::Calls,
                what: format!("certificate authorities reloaded from {}", path.display()),
            },
            Ok(Reload::Failed(error)) => Change::Rejected(format!(
                "the certificate authorities changed and cannot be used; the previous ones stay in use: {error}"
            )),
        }
    }
}

impl Kms for TencentKms {
    fn generate_data_key<'a>(
        &'a self,
        key: &'a KeyUri,
        context: &'a EncryptionContext,
    ) -> BoxFuture<'a, Result<GeneratedDataKey, KmsError>> {
        async move {
            let tencent_key = require(key, action::GENERATE_DATA_KEY)?;
            let generated = self.call_generate_data_key(tencent_key, context).await;
            generated.map_err(|error| error.into_kms_error(key))
        }
        .boxed()
    }

    fn encrypt<'a>(
        &'a self,
        key: &'a KeyUri,
        data_key: &'a DataKey,
        context: &'a EncryptionContext,
    ) -> BoxFuture<'a, Result<String, KmsError>> {
        async move {
            let tencent_key = require(key, action::ENCRYPT)?;
            let encrypted = self.call_encrypt(tencent_key, data_key, context).await;
            encrypted.map_err(|error| error.into_kms_error(key))
        }
        .boxed()
    }

    fn decrypt<'a>(
        &'a self,
        key: &'a KeyUri,
        ciphertext: &'a str,
        context: &'a EncryptionContext,
    ) -> BoxFuture<'a, Result<SecretBytes, KmsError>> {
        async move {
            let tencent_key = require(key, action::DECRYPT)?;
            let decrypted = self.call_decrypt(tencent_key, ciphertext, context).await;
            decrypted.map_err(|error| error.into_kms_error(key))
        }
        .boxed()
    }

    /// Within a region the data key does not leave the KMS; between regions it is decrypted and encrypted.
    fn re_encrypt<'a>(
        &'a self,
        source: &'a KeyUri,
        ciphertext: &'a str,
        destination: &'a KeyUri,
        context: &'a EncryptionContext,
    ) -> BoxFuture<'a, Result<String, KmsError>> {
        async move {
            let from = require(source, action::RE_ENCRYPT)?;
            let to = require(destination, action::RE_ENCRYPT)?;
            if from.region == to.region {
                let moved = self.call_re_encrypt(from, ciphertext, to, context).await;
                return moved.map_err(|error| error.into_kms_error(source));
            }
            decrypt_and_encrypt(self, source, ciphertext, destination, context).await
        }
        .boxed()
    }

    fn describe<'a>(&'a self, key: &'a KeyUri) -> BoxFuture<'a, Result<KeyDescription, KmsError>> {
        async move {
            let metadata = self.describe_key(key).await;
            let metadata = metadata.map_err(|error| error.into_kms_error(key))?;
            Ok(KeyDescription {
                uri: key.clone(),
                rotation: metadata.rotation(),
                state: metadata.key_state,
                default: false,
            })
        }
        .boxed()
    }

    fn allows(&self, key: &KeyUri) -> bool {
        is_key(key) && self.allowed().allows(key)
    }

    fn access(&self) -> Access {
        let held = self.credentials();
        Access::Service {
            credentials: held.map(|held| HeldCredentials {
                source: held.source.as_str(),
                assumed_role: held.assumed_role,
                role: held.role,
                expires: held.expires,
            }),
            clock_ahead: self.api.clock().skew(),
        }
    }

    fn usable_keys(&self) -> Vec<String> {
        self.allowed().iter().map(str::to_owned).collect()
    }

    fn poll_change(&self) -> BoxFuture<'_, Change> {
        async move {
            if self.credentials_revived().await {
                let source = self
                    .credentials()
                    .map_or("an unknown source", |held| held.source.as_str());
                Change::Renewed {
                    cures: Cures::Calls,
                    what: format!("credentials are available again, from {source}"),
                }
            } else {
                self.poll_authorities().await
            }
        }
        .boxed()
    }
}
