//! The role of the CVM instance, from Tencent Cloud's metadata service.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use futures::FutureExt as _;
use futures::future::BoxFuture;
use serde::Deserialize;
use zeroize::Zeroizing;

use super::source::{CredentialSource, Fetched, Lookup, Source};
use crate::kms::tencent::error::{SendProgress, TencentError};
use crate::kms::tencent::server_text::identifier;
use crate::kms::tencent::transport::call::ApiClient;
use crate::kms::tencent::transport::credentials_provider::Credentials;
use crate::kms::tencent::transport::endpoint::Endpoint;

const PATH: &str = "/latest/meta-data/cam/security-credentials/";
/// The longest name of a role, in bytes.
const MAX_ROLE_NAME: usize = 128;

/// The metadata service.
pub(super) struct CvmRole {
    pub(super) api: Arc<ApiClient>,
    pub(super) endpoint: Endpoint,
    /// Whether it has returned credentials before.
    pub(super) has_succeeded: AtomicBool,
}

/// The service's response about a role. A failure has only a code.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct RoleCredentials {
    code: String,
    tmp_secret_id: Option<String>,
    tmp_secret_key: Option<Zeroizing<String>>,
    token: Option<Zeroizing<String>>,
    expired_time: Option<i64>,
}

impl CvmRole {
    async fn lookup(&self) -> Lookup {
        let response = match self.api.http().get_metadata(&self.endpoint, PATH).await {
            Ok(response) => response,
            // Outside Tencent Cloud this host does not exist. Where it has worked before, it is only unreachable.
            Err(error)
                if error.progress == SendProgress::NotConnected
                    && !self.has_succeeded.load(Ordering::Relaxed) =>
            {
                return Lookup::NotConfigured(format!("no metadata service: {}", error.message));
            }
            Err(error) => return Lookup::Failed(transient(format!("failed: {}", error.message))),
        };
        if response.status == 404 {
            return Lookup::NotConfigured("the instance has no role".to_owned());
        }
        match self.fetch_role(response.status, &response.body).await {
            Ok(fetched) => {
                self.has_succeeded.store(true, Ordering::Relaxed);
                Lookup::Found(fetched)
            }
            Err(error) => Lookup::Failed(error),
        }
    }

    /// Fetches the credentials of the role that the first response names.
    async fn fetch_role(&self, status: u16, name: &[u8]) -> Result<Fetched, TencentError> {
        if status != 200 {
            return Err(unexpected_status(status, ""));
        }
        let name = std::str::from_utf8(name).map(str::trim).unwrap_or_default();
        if !is_role_name(name) {
            return Err(permanent("did not return the name of a role"));
        }
        let path = format!("{PATH}{name}");
        let response = self.api.http().get_metadata(&self.endpoint, &path).await;
        let response = response.map_err(|error| transient(format!("failed: {}", error.message)))?;
        if response.status != 200 {
            return Err(unexpected_status(response.status, &format!(" for role {name}")));
        }
        match read(&response.body) {
            Ok(fetched) => Ok(fetched.with_role(name)),
            Err(error) => Err(TencentError {
                message: format!("{} for role {name}", error.message).into(),
                ..error
            }),
        }
    }
}

/// Whether `name` can be a role, and so the last segment of a path.
fn is_role_name(name: &str) -> bool {
    let is_valid = |b: u8| b.is_ascii_alphanumeric() || b"_+=,.@-".contains(&b);
    (1..=MAX_ROLE_NAME).contains(&name.len()) && !name.starts_with('.') && name.bytes().all(is_valid)
}

/// A failure that lasts until the instance's role is changed.
fn permanent(why: impl std::fmt::Display) -> TencentError {
    TencentError::credentials(
        format!("the metadata service {why}"),
        "check the role that is bound to this instance",
    )
}

/// A failure that the next request may not have.
fn transient(why: impl std::fmt::Display) -> TencentError {
    TencentError::credentials(
        format!("the metadata service {why}"),
        "try again; if the error persists, check the instance's metadata service",
    )
    .mark_retryable()
}

fn unexpected_status(status: u16, about: &str) -> TencentError {
    let why = format!("responded{about} with HTTP status {status}");
    if status == 429 || status >= 500 {
        transient(why)
    } else {
        permanent(why)
    }
}

fn read(body: &Zeroizing<Vec<u8>>) -> Result<Fetched, TencentError> {
    let unreadable = || transient("did not return credentials");
    let response: RoleCredentials = serde_json::from_slice(body).map_err(|_| unreadable())?;
    if response.code != "Success" {
        return Err(permanent(format!("responded {}", identifier(&response.code))));
    }
    let RoleCredentials {
        tmp_secret_id: Some(id),
        tmp_secret_key: Some(key),
        token: Some(token),
        expired_time: Some(expires),
        ..
    } = response
    else {
        return Err(unreadable());
    };
    let credentials = Credentials::new(id, key, Some(token));
    let credentials =
        credentials.map_err(|why| permanent(format!("returned unusable credentials: {why}")))?;
    Ok(Fetched {
        credentials,
        role: None,
        expires: Some(expires),
    })
}

impl CredentialSource for CvmRole {
    fn source(&self) -> Source {
        Source::CvmRole
    }

    fn fetch(&self) -> BoxFuture<'_, Lookup> {
        self.lookup().boxed()
    }
}
