//! Tencent Cloud KMS (service `kms`, API 2019-01-18), called directly.

mod actions;
mod admin;
mod codes;
mod credentials;
mod endpoint;
mod error;
mod http;
mod key;
mod manage;
mod provider;
#[cfg(feature = "live-tests")]
mod raw;
mod reply;
mod rpc;
mod secret_text;
mod settings;
mod sign;

use std::sync::Arc;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use serde::Serialize;
use serde::de::DeserializeOwned;

pub use admin::{Algorithm, KeyMetadata, ListedKey, NewKey, ServiceStatus};
pub use credentials::{AssumedRole, CredentialStatus, Environment, Source};
pub use endpoint::{Endpoint, EndpointError, Site};
pub use error::TencentError;
pub use http::HttpSetupError as SetupError;
pub use key::is_region;
#[cfg(feature = "live-tests")]
pub use provider::from_variables;
pub use provider::{PROVIDER, TencentProvider};
pub use settings::{Limits, TencentSettings};

use super::{
    Access, AllowedKeys, Change, Class, GeneratedDataKey, HeldCredentials, KeyDescription, KeyUri, Kms,
    KmsError, action,
};
use crate::envelope::{DataKey, EncryptionContext, SecretBytes};
use credentials::Chain;
use http::Http;
use key::TencentKey;
use reply::Reply;
use rpc::{Call, Nature, Rpc, Service};

/// What stands before `://` in the URI of a key.
pub const SCHEME: &str = "tencent-kms";

/// How a key's URI is written, as advice.
pub const FORM: &str = "write it as tencent-kms://REGION/KEY-ID, the key id in lower case";

/// Whether `uri` has the form of a key of this provider. It may still name none that exists.
pub fn is_key(uri: &KeyUri) -> bool {
    TencentKey::of_uri(uri).is_some()
}

/// Tencent Cloud KMS as a [`Kms`]. No Debug: it holds credentials.
pub struct TencentKms {
    allowed: AllowedKeys,
    site: Site,
    endpoint: Option<Endpoint>,
    rpc: Arc<Rpc>,
    chain: Chain,
}

impl TencentKms {
    /// Reads the file of certificate authorities, makes no call.
    pub fn new(settings: TencentSettings) -> Result<Self, SetupError> {
        let http = Http::new(settings.limits, settings.ca_file.as_deref())?;
        let rpc = Arc::new(Rpc::new(http, settings.limits));
        Ok(TencentKms {
            chain: Chain::new(&settings, &rpc),
            allowed: settings.allowed,
            site: settings.site,
            endpoint: settings.endpoint,
            rpc,
        })
    }

    /// The keys that documents may be opened with.
    pub fn allowed(&self) -> &AllowedKeys {
        &self.allowed
    }

    /// Which credentials are held now, for the log and metrics. `None` before the first call.
    pub fn credentials(&self) -> Option<CredentialStatus> {
        self.chain.status()
    }

    /// Whether, since the last look, there are credentials again after a time without, or others by a change of their
    /// file. Looks for them where it is time.
    pub async fn credentials_revived(&self) -> bool {
        self.chain.revived().await
    }

    /// A call of KMS.
    async fn kms<P: Serialize, T: DeserializeOwned>(
        &self,
        action: &'static str,
        region: &str,
        parameters: &P,
    ) -> Result<Reply<T>, TencentError> {
        self.kms_with(action, region, parameters, &[], Nature::Repeatable)
            .await
    }

    /// A call of KMS that must not be made twice.
    async fn kms_once<P: Serialize, T: DeserializeOwned>(
        &self,
        action: &'static str,
        region: &str,
        parameters: &P,
    ) -> Result<Reply<T>, TencentError> {
        self.kms_with(action, region, parameters, &[], Nature::Once).await
    }

    /// Any call of KMS; `secrets` are texts in the request that no error may repeat.
    async fn kms_with<P: Serialize, T: DeserializeOwned>(
        &self,
        action: &'static str,
        region: &str,
        parameters: &P,
        secrets: &[&str],
        nature: Nature,
    ) -> Result<Reply<T>, TencentError> {
        let service = Service::Kms;
        let endpoint = self
            .site
            .endpoint_unless(self.endpoint.as_ref(), service.as_str(), region);
        let call = Call {
            service,
            action,
            region,
            endpoint: &endpoint,
            body: rpc::parameters(action, parameters)?,
            secrets,
            nature,
        };
        let answer = self.rpc.call(&call, &self.chain).await;
        answer.map_err(|error| self.name_subject(error))
    }

    /// Whose credentials were refused, or who may not, where the call itself did not say.
    fn name_subject(&self, error: TencentError) -> TencentError {
        let subject = match (&error.subject, error.class) {
            (None, Class::Credentials) => self.chain.status().map(|held| held.source.to_string()),
            (None, Class::Denied) => self.chain.status().map(|held| held.identity()),
            _ => return error,
        };
        TencentError {
            subject: subject.map(Into::into),
            ..error
        }
    }
}

/// The key that `uri` names, or the error that says how to write one.
fn named<'a>(uri: &'a KeyUri, action: &'static str) -> Result<TencentKey<'a>, KmsError> {
    TencentKey::named(uri, action).map_err(|error| error.about(uri))
}

impl Kms for TencentKms {
    fn generate_data_key<'a>(
        &'a self,
        key: &'a KeyUri,
        context: &'a EncryptionContext,
    ) -> BoxFuture<'a, Result<GeneratedDataKey, KmsError>> {
        async move {
            let named = named(key, action::GENERATE_DATA_KEY)?;
            let generated = self.do_generate(named, context).await;
            generated.map_err(|error| error.about(key))
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
            let named = named(key, action::ENCRYPT)?;
            let encrypted = self.do_encrypt(named, data_key, context).await;
            encrypted.map_err(|error| error.about(key))
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
            let named = named(key, action::DECRYPT)?;
            let decrypted = self.do_decrypt(named, ciphertext, context).await;
            decrypted.map_err(|error| error.about(key))
        }
        .boxed()
    }

    /// Within a region the data key stays in the KMS; to another one it is decrypted and encrypted.
    fn re_encrypt<'a>(
        &'a self,
        source: &'a KeyUri,
        ciphertext: &'a str,
        destination: &'a KeyUri,
        context: &'a EncryptionContext,
    ) -> BoxFuture<'a, Result<String, KmsError>> {
        async move {
            let from = named(source, action::RE_ENCRYPT)?;
            let to = named(destination, action::RE_ENCRYPT)?;
            if from.region == to.region {
                let moved = self.do_re_encrypt(from, ciphertext, to, context).await;
                return moved.map_err(|error| error.about(source));
            }
            let plaintext = self.do_decrypt(from, ciphertext, context).await;
            let plaintext = plaintext.map_err(|error| error.about(source))?;
            let data_key = DataKey::from_slice(plaintext.expose()).ok_or_else(|| {
                let message = "the ciphertext does not hold 32 bytes";
                KmsError::new(Class::Integrity, source, action::RE_ENCRYPT, message)
            })?;
            let moved = self.do_encrypt(to, &data_key, context).await;
            moved.map_err(|error| error.about(destination))
        }
        .boxed()
    }

    fn describe<'a>(&'a self, key: &'a KeyUri) -> BoxFuture<'a, Result<KeyDescription, KmsError>> {
        async move {
            let metadata = self.describe_key(key).await;
            let metadata = metadata.map_err(|error| error.about(key))?;
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
        is_key(key) && self.allowed.allows(key)
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
            clock_ahead: self.rpc.ahead(),
        }
    }

    fn usable_keys(&self) -> Vec<String> {
        self.allowed.iter().map(str::to_owned).collect()
    }

    fn poll_change(&self) -> BoxFuture<'_, Change> {
        async move {
            if self.credentials_revived().await {
                let source = self
                    .credentials()
                    .map_or("an unknown source", |held| held.source.as_str());
                Change::Renewed(format!("credentials are available again, from {source}"))
            } else {
                Change::None
            }
        }
        .boxed()
    }
}

#[cfg(test)]
mod tests;
