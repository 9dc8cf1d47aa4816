//! Who signs a call.

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
    /// Checks that every part is non-empty printable ASCII.
    ///
    /// # Errors
    /// Says which part is not valid, without its value.
    pub(in crate::kms::tencent) fn new(
        secret_id: String,
        secret_key: Zeroizing<String>,
        token: Option<Zeroizing<String>>,
    ) -> Result<Self, &'static str> {
        let is_valid = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_graphic());
        if !is_valid(&secret_id) {
            return Err("the secret id is empty or contains whitespace or other invalid characters");
        }
        if !is_valid(&secret_key) {
            return Err("the secret key is empty or contains whitespace or other invalid characters");
        }
        if token.as_deref().is_some_and(|token| !is_valid(token)) {
            return Err("the session token is empty or contains whitespace or other invalid characters");
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

/// The identity that signs calls.
pub(in crate::kms::tencent) trait Identity: Send + Sync {
    /// Returns the credentials to sign with, or `None` for a call that is not signed.
    fn current(&self) -> BoxFuture<'_, Result<Option<Arc<Credentials>>, TencentError>>;

    /// Refreshes credentials that the API rejected. Returns whether there are different ones now.
    fn refresh_rejected<'a>(
        &'a self,
        rejected: &'a Arc<Credentials>,
    ) -> BoxFuture<'a, Result<bool, TencentError>>;
}
