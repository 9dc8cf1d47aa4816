//! What is known of the credentials in use.

use std::sync::Arc;

/// The source of credentials and their lifetime.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeldCredentials {
    /// The source that supplied them, in the provider's terms: `environment`, `tke-oidc`.
    pub source: &'static str,
    /// Whether a role was assumed with the source's credentials.
    pub assumed_role: bool,
    /// The role whose permissions they carry, if it is known.
    pub role: Option<Arc<str>>,
    /// When they expire, in Unix seconds; `None` for long-term credentials.
    pub expires: Option<i64>,
}
