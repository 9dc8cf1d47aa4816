//! The credentials that sign a call, and where a call gets them.

use std::sync::Arc;

use futures::future::BoxFuture;
use zeroize::Zeroizing;

use crate::kms::tencent::error::TencentError;

/// A secret id and its secret key, with a session token if they are temporary. No Debug: it holds keys.
pub(in crate::kms::tencent) struct Credentials {
    pub(in crate::kms::tencent) secret_id: String,
    pub(in crate::kms::tencent) secret_key: Zeroizing<String>,
    pub(in crate::kms::tencent) token: Option<Zeroizing<String>>,
}

impl Credentials {
    /// Checks that every part is non-empty printable ASCII without quotes around it.
    ///
    /// # Errors
    /// The part that is not valid, and its fault.
    pub(in crate::kms::tencent) fn new(
        secret_id: String,
        secret_key: Zeroizing<String>,
        token: Option<Zeroizing<String>>,
    ) -> Result<Self, InvalidCredential> {
        let check = |part, text: &str| match Fault::of(text) {
            None => Ok(()),
            Some(fault) => Err(InvalidCredential { part, fault }),
        };
        check(Part::SecretId, &secret_id)?;
        check(Part::SecretKey, &secret_key)?;
        if let Some(token) = &token {
            check(Part::Token, token)?;
        }
        Ok(Credentials {
            secret_id,
            secret_key,
            token,
        })
    }

    /// Whether both have the same values.
    pub(in crate::kms::tencent) fn is_same(&self, other: &Credentials) -> bool {
        self.secret_id == other.secret_id && self.secret_key == other.secret_key && self.token == other.token
    }
}

/// A part of credentials.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::kms::tencent) enum Part {
    SecretId,
    SecretKey,
    Token,
}

/// What is wrong with a part of credentials. Display completes a sentence; it never contains the value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(in crate::kms::tencent) enum Fault {
    #[error("is empty")]
    Empty,
    /// `docker run --env-file` keeps them, for example.
    #[error("has quotes around it")]
    Quotes,
    #[error("contains a blank")]
    Blank,
    #[error("contains a control character, such as a line break")]
    Control,
    #[error("contains a character that is not ASCII")]
    NotAscii,
}

impl Fault {
    fn of(text: &str) -> Option<Self> {
        let is_quote = |c: char| matches!(c, '"' | '\'' | '`');
        if text.is_empty() {
            Some(Fault::Empty)
        } else if text.starts_with(is_quote) || text.ends_with(is_quote) {
            Some(Fault::Quotes)
        } else if text.chars().any(char::is_control) {
            Some(Fault::Control)
        } else if text.chars().any(char::is_whitespace) {
            Some(Fault::Blank)
        } else if !text.is_ascii() {
            Some(Fault::NotAscii)
        } else {
            None
        }
    }
}

/// A part of credentials that is not valid.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{} {fault}", .part.name())]
pub(in crate::kms::tencent) struct InvalidCredential {
    pub(in crate::kms::tencent) part: Part,
    pub(in crate::kms::tencent) fault: Fault,
}

impl Part {
    fn name(self) -> &'static str {
        match self {
            Part::SecretId => "the secret id",
            Part::SecretKey => "the secret key",
            Part::Token => "the session token",
        }
    }
}

/// The source of the credentials that sign calls.
pub(in crate::kms::tencent) trait CredentialsProvider: Send + Sync {
    /// Returns the credentials to sign with, or `None` for a call that is not signed.
    fn credentials(&self) -> BoxFuture<'_, Result<Option<Arc<Credentials>>, TencentError>>;

    /// Refreshes credentials that the API rejected. Returns whether there are different ones now.
    fn refresh_rejected<'a>(
        &'a self,
        rejected: &'a Arc<Credentials>,
    ) -> BoxFuture<'a, Result<bool, TencentError>>;
}
