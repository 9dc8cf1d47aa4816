//! The client of Tencent Cloud KMS.

use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::credentials::chain::CredentialChain;
use super::credentials::source::CredentialStatus;
use super::error::TencentError;
use super::settings::TencentSettings;
use super::transport::call::ApiClient;
use super::transport::endpoint::{Endpoint, Site};
use super::transport::http::Http;
use super::transport::request::{self, Call, Idempotency};
use super::transport::response::Reply;
use super::transport::service::Service;
use super::transport::setup::SetupError;
use crate::kms::{AllowedKeys, Class};

/// Tencent Cloud KMS. No Debug: it holds credentials.
pub struct TencentKms {
    allowed: AllowedKeys,
    site: Site,
    endpoint: Option<Endpoint>,
    pub(super) api: Arc<ApiClient>,
    pub(super) credentials: CredentialChain,
}

/// A call of KMS.
pub(super) struct Request<'a, P> {
    pub(super) action: &'static str,
    pub(super) region: &'a str,
    pub(super) parameters: &'a P,
    /// Texts in the parameters that no error may repeat.
    pub(super) secrets: &'a [&'a str],
    pub(super) idempotency: Idempotency,
    /// The action takes a ciphertext, which the KMS may refuse.
    pub(super) reads_ciphertext: bool,
}

impl<'a, P> Request<'a, P> {
    /// An idempotent call without secrets or ciphertext.
    pub(super) fn new(action: &'static str, region: &'a str, parameters: &'a P) -> Self {
        Request {
            action,
            region,
            parameters,
            secrets: &[],
            idempotency: Idempotency::Idempotent,
            reads_ciphertext: false,
        }
    }
}

impl TencentKms {
    /// Creates a client. Reads the file of certificate authorities, but makes no request.
    ///
    /// # Errors
    /// The file of certificate authorities, TLS or the proxy configuration is not usable.
    pub fn new(settings: TencentSettings) -> Result<Self, SetupError> {
        let http = Http::new(settings.limits, settings.ca_file.as_deref())?;
        let api = Arc::new(ApiClient::new(http, settings.limits));
        Ok(TencentKms {
            credentials: CredentialChain::new(&settings, &api),
            allowed: settings.allowed,
            site: settings.site,
            endpoint: settings.endpoint,
            api,
        })
    }

    /// Returns the keys that may open documents.
    pub(super) fn allowed(&self) -> &AllowedKeys {
        &self.allowed
    }

    /// Returns the status of the held credentials, for logs and metrics. `None` before the first call.
    pub fn credentials(&self) -> Option<CredentialStatus> {
        self.credentials.status()
    }

    /// Whether, since the last call of this method, credentials have become available after a failure, or have changed
    /// with their file: calls that lacked credentials may succeed now. Requests credentials if that is due.
    pub async fn credentials_revived(&self) -> bool {
        self.credentials.revived().await
    }

    /// Makes a call of KMS, with retries.
    pub(super) async fn call<P: Serialize, T: DeserializeOwned>(
        &self,
        request: &Request<'_, P>,
    ) -> Result<Reply<T>, TencentError> {
        let service = Service::Kms;
        let endpoint = self
            .site
            .endpoint_unless(self.endpoint.as_ref(), service, request.region);
        let call = Call {
            service,
            action: request.action,
            region: request.region,
            endpoint: &endpoint,
            body: request::body(request.action, request.parameters)?,
            secrets: request.secrets,
            idempotency: request.idempotency,
            reads_ciphertext: request.reads_ciphertext,
        };
        let reply = self.api.call(&call, &self.credentials).await;
        reply.map_err(|error| self.with_subject(error))
    }

    /// Adds the source of rejected credentials, or the identity that was denied, unless the call itself has named it.
    fn with_subject(&self, error: TencentError) -> TencentError {
        let subject = match (&error.subject, error.class) {
            (None, Class::Credentials) => self.credentials().map(|held| held.source.to_string()),
            (None, Class::Denied) => self.credentials().map(|held| held.identity()),
            _ => return error,
        };
        TencentError {
            subject: subject.map(Into::into),
            ..error
        }
    }
}
