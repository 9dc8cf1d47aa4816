//! The classes that every provider's failures fall into.

use super::KeyUri;

/// What a failure means for the caller: whether to retry, and whom to call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Class {
    /// Network, 5xx, timeout: the same call may succeed later.
    Transient,
    /// The KMS limits calls.
    Throttled,
    /// No credentials, or the KMS refuses them.
    Credentials,
    /// The identity may not do this.
    Denied,
    /// Disabled, pending deletion.
    KeyUnusable,
    /// The key does not exist.
    NotFound,
    /// Arrears, an unsupported region, a keyring that cannot be read.
    Configuration,
    /// The KMS refuses this ciphertext under this context, or answers for another key. Permanent.
    Integrity,
}

/// A failed KMS call. Display carries what failed and why, never key material; `advice` says what to do.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{action} with {key}: {message}")]
pub struct KmsError {
    /// What it means.
    pub class: Class,
    /// The key that was to be used.
    pub key: KeyUri,
    /// `GenerateDataKey`, `Decrypt`, ...
    pub action: &'static str,
    /// The KMS's own error code, if it answered with one.
    pub code: Option<String>,
    /// Why, in one line.
    pub message: String,
    /// The KMS's id of the request, for its support and audit log.
    pub request_id: Option<String>,
    /// What a person can do about it.
    pub advice: Option<String>,
}
