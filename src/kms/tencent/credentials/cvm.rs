//! The role of the machine, from the metadata service of Tencent Cloud.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use futures::FutureExt as _;
use futures::future::BoxFuture;
use serde::Deserialize;
use zeroize::Zeroizing;

use super::{Credentials, Fetched, Found, Provide, Source, Trouble};
use crate::kms::tencent::endpoint::Endpoint;
use crate::kms::tencent::error::word;
use crate::kms::tencent::http::HttpError;
use crate::kms::tencent::rpc::Rpc;
use crate::kms::tencent::secret_text::SecretText;

const PATH: &str = "/latest/meta-data/cam/security-credentials/";

/// The metadata service.
pub(super) struct CvmRole {
    pub(super) rpc: Arc<Rpc>,
    pub(super) endpoint: Endpoint,
    /// Whether it has given a role.
    pub(super) gave: AtomicBool,
}

/// Without the fields that only a success has.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Given {
    code: String,
    tmp_secret_id: Option<String>,
    tmp_secret_key: Option<SecretText>,
    token: Option<SecretText>,
    expired_time: Option<i64>,
}

impl CvmRole {
    async fn ask(&self) -> Found {
        let http = self.rpc.http();
        let answer = match http.get_metadata(&self.endpoint, PATH).await {
            Ok(answer) => answer,
            // Off Tencent Cloud there is no such host; where it gave a role before, it is only out of reach.
            Err(error @ HttpError::Connect { .. }) if !self.gave.load(Ordering::Relaxed) => {
                return Found::Absent(format!("no metadata service: {error}"));
            }
            Err(error) => return NoRole::for_now(format!("failed: {error}")).found(),
        };
        if answer.status == 404 {
            return Found::Absent("the machine has no role".to_owned());
        }
        match self.role(answer.status, &answer.body).await {
            Ok(fetched) => {
                self.gave.store(true, Ordering::Relaxed);
                Found::Credentials(fetched)
            }
            Err(no) => no.found(),
        }
    }

    async fn role(&self, status: u16, name: &[u8]) -> Result<Fetched, NoRole> {
        if status != 200 {
            return Err(NoRole::status(status, ""));
        }
        let name = std::str::from_utf8(name).map(str::trim).unwrap_or_default();
        let fits = |b: u8| b.is_ascii_alphanumeric() || b"_+=,.@-".contains(&b);
        if name.is_empty() || name.len() > 128 || name.starts_with('.') || !name.bytes().all(fits) {
            return Err(NoRole::for_good("names no role"));
        }
        let path = format!("{PATH}{name}");
        let answer = self.rpc.http().get_metadata(&self.endpoint, &path).await;
        let answer = answer.map_err(|error| NoRole::for_now(format!("failed: {error}")))?;
        if answer.status != 200 {
            return Err(NoRole::status(answer.status, &format!(" for role {name}")));
        }
        let read = read(&answer.body).map(|fetched| fetched.of_role(name));
        read.map_err(|no| NoRole {
            why: format!("{} for role {name}", no.why),
            ..no
        })
    }
}

/// Why the metadata service gave no credentials.
struct NoRole {
    why: String,
    /// The service may answer otherwise the next time.
    temporary: bool,
}

impl NoRole {
    fn found(self) -> Found {
        let advice = if self.temporary {
            "try again; if it lasts, look at the machine's metadata service"
        } else {
            "check the role that is bound to this machine"
        };
        Found::Unusable(Trouble {
            temporary: self.temporary,
            ..Trouble::new(format!("the metadata service {}", self.why), advice)
        })
    }

    fn for_good(why: impl Into<String>) -> Self {
        NoRole {
            why: why.into(),
            temporary: false,
        }
    }

    fn for_now(why: impl Into<String>) -> Self {
        NoRole {
            why: why.into(),
            temporary: true,
        }
    }

    fn status(status: u16, about: &str) -> Self {
        NoRole {
            why: format!("answered{about} with HTTP status {status}"),
            temporary: status == 429 || status >= 500,
        }
    }
}

fn read(body: &Zeroizing<Vec<u8>>) -> Result<Fetched, NoRole> {
    let unreadable = || NoRole::for_now("did not answer with credentials");
    let given: Given = serde_json::from_slice(body).map_err(|_| unreadable())?;
    if given.code != "Success" {
        return Err(NoRole::for_good(format!("answered {}", word(&given.code))));
    }
    let Given {
        tmp_secret_id: Some(id),
        tmp_secret_key: Some(key),
        token: Some(token),
        expired_time: Some(expires),
        ..
    } = given
    else {
        return Err(unreadable());
    };
    Ok(Fetched {
        credentials: Credentials::new(id, key.0, Some(token.0)).map_err(NoRole::for_good)?,
        role: None,
        expires: Some(expires),
    })
}

impl Provide for CvmRole {
    fn source(&self) -> Source {
        Source::CvmRole
    }

    fn fetch(&self) -> BoxFuture<'_, Found> {
        self.ask().boxed()
    }
}
