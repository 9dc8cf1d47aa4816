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
            Err(error) => return Found::Unusable(for_now(format!("failed: {error}"))),
        };
        if answer.status == 404 {
            return Found::Absent("the machine has no role".to_owned());
        }
        match self.role(answer.status, &answer.body).await {
            Ok(fetched) => {
                self.gave.store(true, Ordering::Relaxed);
                Found::Credentials(fetched)
            }
            Err(trouble) => Found::Unusable(trouble),
        }
    }

    async fn role(&self, status: u16, name: &[u8]) -> Result<Fetched, Trouble> {
        if status != 200 {
            return Err(of_status(status, ""));
        }
        let name = std::str::from_utf8(name).map(str::trim).unwrap_or_default();
        let fits = |b: u8| b.is_ascii_alphanumeric() || b"_+=,.@-".contains(&b);
        if name.is_empty() || name.len() > 128 || name.starts_with('.') || !name.bytes().all(fits) {
            return Err(for_good("names no role"));
        }
        let path = format!("{PATH}{name}");
        let answer = self.rpc.http().get_metadata(&self.endpoint, &path).await;
        let answer = answer.map_err(|error| for_now(format!("failed: {error}")))?;
        if answer.status != 200 {
            return Err(of_status(answer.status, &format!(" for role {name}")));
        }
        let read = read(&answer.body).map(|fetched| fetched.of_role(name));
        read.map_err(|trouble| Trouble {
            why: format!("{} for role {name}", trouble.why),
            ..trouble
        })
    }
}

/// Only another role, or another binding of it, helps.
fn for_good(why: impl std::fmt::Display) -> Trouble {
    Trouble::new(
        format!("the metadata service {why}"),
        "check the role that is bound to this machine",
    )
}

/// The service may answer otherwise the next time.
fn for_now(why: impl std::fmt::Display) -> Trouble {
    Trouble {
        retryable: true,
        ..Trouble::new(
            format!("the metadata service {why}"),
            "try again; if it lasts, look at the machine's metadata service",
        )
    }
}

fn of_status(status: u16, about: &str) -> Trouble {
    let why = format!("answered{about} with HTTP status {status}");
    if status == 429 || status >= 500 {
        for_now(why)
    } else {
        for_good(why)
    }
}

fn read(body: &Zeroizing<Vec<u8>>) -> Result<Fetched, Trouble> {
    let unreadable = || for_now("did not answer with credentials");
    let given: Given = serde_json::from_slice(body).map_err(|_| unreadable())?;
    if given.code != "Success" {
        return Err(for_good(format!("answered {}", word(&given.code))));
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
        credentials: Credentials::new(id, key.0, Some(token.0)).map_err(for_good)?,
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
