//! Who calls: a secret id with its key, for some time or for good.

mod chain;
mod env;

use std::sync::Arc;

use futures::future::BoxFuture;
use zeroize::Zeroizing;

pub(super) use chain::Chain;
pub use env::Environment;

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
}

/// Where the credentials of a call come from.
pub(super) trait Identity: Send + Sync {
    /// Those to sign with now; `None` for a call that is not signed.
    fn current(&self) -> BoxFuture<'_, Result<Option<Arc<Credentials>>, TencentError>>;

    /// The API refused these. Whether there are others now.
    fn refused<'a>(&'a self, which: &'a Arc<Credentials>) -> BoxFuture<'a, bool>;
}
