//! Who calls: a secret id with its key, for some time or for good, and where they come from.

mod chain;
mod cvm;
mod env;
mod file;
mod sts;

use std::sync::Arc;

use futures::future::BoxFuture;
use zeroize::Zeroizing;

pub(super) use chain::Chain;
pub use env::Environment;
pub use sts::AssumedRole;

use super::error::TencentError;

/// A secret id and its key, with a session token where they are temporary. No Debug: it holds keys.
pub(super) struct Credentials {
    pub(super) secret_id: String,
    pub(super) secret_key: Zeroizing<String>,
    pub(super) token: Option<Zeroizing<String>>,
}

impl Credentials {
    /// `Err` says what is wrong, without a value.
    pub(super) fn new(
        secret_id: String,
        secret_key: Zeroizing<String>,
        token: Option<Zeroizing<String>>,
    ) -> Result<Self, &'static str> {
        let plain = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_graphic());
        if !plain(&secret_id) {
            return Err("the secret id is empty or has blanks or other stray characters");
        }
        if !plain(&secret_key) {
            return Err("the secret key is empty or has blanks or other stray characters");
        }
        if token.as_deref().is_some_and(|token| !plain(token)) {
            return Err("the session token is empty or has blanks or other stray characters");
        }
        Ok(Credentials {
            secret_id,
            secret_key,
            token,
        })
    }

    fn same_as(&self, other: &Credentials) -> bool {
        self.secret_id == other.secret_id && self.secret_key == other.secret_key && self.token == other.token
    }
}

/// Where credentials come from, in the order in which they are looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Source {
    /// A file or folder that was named.
    File,
    /// The process's variables.
    Environment,
    /// The pod's own identity: its token, exchanged at STS.
    TkeOidc,
    /// A profile file at one of its usual places.
    Profile,
    /// The role of the machine, from its metadata service.
    CvmRole,
}

impl Source {
    /// All of them, in their order.
    pub const ALL: [Source; 5] = [
        Source::File,
        Source::Environment,
        Source::TkeOidc,
        Source::Profile,
        Source::CvmRole,
    ];

    /// One word for logs and metric labels.
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

/// Which credentials are held, without any of their values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CredentialStatus {
    /// Which source won.
    pub source: Source,
    /// Whether a role was taken with what the source gave.
    pub assumed_role: bool,
    /// The role whose rights they have, where it is known: its ARN, or the name of the machine's role.
    pub role: Option<Arc<str>>,
    /// When they end, in Unix seconds; `None`: not by themselves.
    pub expires: Option<i64>,
}

impl CredentialStatus {
    /// Who calls, as a message names it.
    pub(super) fn identity(&self) -> String {
        let source = self.source;
        match &self.role {
            Some(role) => format!("{role} ({source})"),
            None => format!("the identity of the credentials from {source}"),
        }
    }
}

/// What a source gives: credentials and their end in Unix seconds, `None` when they have none.
pub(super) struct Fetched {
    pub(super) credentials: Credentials,
    /// As [`CredentialStatus::role`].
    pub(super) role: Option<Arc<str>>,
    pub(super) expires: Option<i64>,
}

impl Fetched {
    /// With the rights of this role.
    fn of_role(self, role: &str) -> Self {
        Fetched {
            role: Some(role.into()),
            ..self
        }
    }

    fn for_good(credentials: Credentials) -> Self {
        Fetched {
            credentials,
            role: None,
            expires: None,
        }
    }
}

/// What a source says when it is asked.
pub(super) enum Found {
    Credentials(Fetched),
    /// It is not set up here, and why it is thought so: the next source is asked.
    Absent(String),
    /// It is set up and gives none: nothing behind it is asked, or a pod would act with its machine's rights.
    Unusable(Trouble),
}

impl Found {
    fn unusable(why: impl Into<String>, advice: impl Into<String>) -> Self {
        Found::Unusable(Trouble::new(why, advice))
    }
}

/// Why there are no credentials. Holds no value.
#[derive(Clone, Debug)]
pub(super) struct Trouble {
    pub(super) why: String,
    pub(super) advice: String,
    /// The source that should have given them; `None`: none is set up.
    pub(super) source: Option<Source>,
    /// The code of STS, if it answered with one.
    pub(super) code: Option<Box<str>>,
    /// The id of the request to STS.
    pub(super) request_id: Option<Box<str>>,
    /// It may pass without a change by anybody.
    pub(super) retryable: bool,
}

impl Trouble {
    /// Whether it is no news after `other`: request ids change from try to try.
    fn repeats(&self, other: &Trouble) -> bool {
        (self.source, &self.code) == (other.source, &other.code)
            && (self.code.is_some() || self.why == other.why)
    }

    /// Of a source that is yet to be named.
    fn new(why: impl Into<String>, advice: impl Into<String>) -> Self {
        Trouble {
            why: why.into(),
            advice: advice.into(),
            source: None,
            code: None,
            request_id: None,
            retryable: false,
        }
    }
}

/// A call of STS that failed. What it says goes on as text, its names go on as they are.
impl From<TencentError> for Trouble {
    fn from(error: TencentError) -> Self {
        let why = format!("{}: {}", error.action, error.message);
        Trouble {
            retryable: error.class.is_retryable(),
            code: error.code,
            request_id: error.request_id,
            ..Trouble::new(why, error.advice)
        }
    }
}

/// A source of credentials.
pub(super) trait Provide: Send + Sync {
    fn source(&self) -> Source;

    fn fetch(&self) -> BoxFuture<'_, Found>;

    /// Whether something else would be found than the last time. Costs no request.
    fn changed(&self) -> bool {
        false
    }
}

/// Where the credentials of a call come from.
pub(super) trait Identity: Send + Sync {
    /// Those to sign with now; `None` for a call that is not signed.
    fn current(&self) -> BoxFuture<'_, Result<Option<Arc<Credentials>>, TencentError>>;

    /// The API refused these. Whether there are others now; an error where asking for them failed.
    fn refused<'a>(&'a self, which: &'a Arc<Credentials>) -> BoxFuture<'a, Result<bool, TencentError>>;
}
