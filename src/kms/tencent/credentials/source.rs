//! What a source of credentials is, and what it returns.

use std::sync::Arc;

use futures::future::BoxFuture;

use crate::kms::tencent::error::TencentError;
use crate::kms::tencent::transport::credentials_provider::Credentials;

/// A source of credentials. The order is the order of precedence.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Source {
    /// The file or directory that the configuration names.
    File,
    /// The environment variables of the process.
    Environment,
    /// The pod's identity in TKE: its token, exchanged at STS.
    TkeOidc,
    /// A profile file in a default location.
    Profile,
    /// The role of the CVM instance, from its metadata service.
    CvmRole,
}

impl Source {
    /// The name in logs, messages and metric labels.
    pub fn as_str(self) -> &'static str {
        match self {
            Source::File => "file",
            Source::Environment => "environment",
            Source::TkeOidc => "tke-oidc",
            Source::Profile => "profile",
            Source::CvmRole => "cvm-role",
        }
    }
}

impl std::fmt::Display for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The credentials that are held, without their values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CredentialStatus {
    /// The source that won.
    pub source: Source,
    /// Whether a role was assumed with the source's credentials.
    pub assumed_role: bool,
    /// The role that the credentials act as, if known: an ARN, or the name of the instance's role.
    pub role: Option<Arc<str>>,
    /// When they expire, in Unix seconds; `None` if they do not.
    pub expires: Option<i64>,
}

impl CredentialStatus {
    /// Returns the calling identity as messages name it.
    pub(in crate::kms::tencent) fn identity(&self) -> String {
        let source = self.source;
        match &self.role {
            Some(role) => format!("{role} ({source})"),
            None => format!("the identity of the credentials from {source}"),
        }
    }
}

/// Credentials from a source.
pub(super) struct Fetched {
    pub(super) credentials: Credentials,
    /// See [`CredentialStatus::role`].
    pub(super) role: Option<Arc<str>>,
    /// See [`CredentialStatus::expires`].
    pub(super) expires: Option<i64>,
}

impl Fetched {
    /// Credentials that do not expire.
    pub(super) fn permanent(credentials: Credentials) -> Self {
        Fetched {
            credentials,
            role: None,
            expires: None,
        }
    }

    /// Sets the role that the credentials act as.
    pub(super) fn with_role(self, role: &str) -> Self {
        Fetched {
            role: Some(role.into()),
            ..self
        }
    }
}

/// The result of asking a source.
pub(super) enum Lookup {
    Found(Fetched),
    /// The source is not configured; holds the reason. The next source is asked.
    NotConfigured(String),
    /// The source is configured but failed. No further source is asked: a pod must not fall back to the permissions of its
    /// node.
    Failed(TencentError),
}

impl Lookup {
    pub(super) fn failed(message: impl Into<Box<str>>, advice: impl Into<Box<str>>) -> Self {
        Lookup::Failed(TencentError::credentials(message, advice))
    }
}

/// A source of credentials.
pub(super) trait CredentialSource: Send + Sync {
    fn source(&self) -> Source;

    fn fetch(&self) -> BoxFuture<'_, Lookup>;

    /// Whether [`CredentialSource::fetch`] would read a file that has changed since the last time. Makes no request.
    fn has_changed(&self) -> bool {
        false
    }
}
