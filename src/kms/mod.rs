//! Key management services: the trait that each provider implements, and what is common to all of them.
//!
//! A provider is one folder here and one line in the registry. Nothing in this room knows Kubernetes.

mod allowed;
mod error;
pub mod local;
mod open;
mod registry;
pub mod tencent;
mod uri;
mod wrap;

pub use allowed::{AllowedKeyError, AllowedKeys};
pub use error::{Class, KmsError};
pub use open::open;
pub use registry::{Registry, is_key};
pub use uri::{KeyUri, KeyUriError};
pub use wrap::wrap_new_data_key;

use std::path::PathBuf;
use std::sync::Arc;

use futures::future::BoxFuture;

use crate::envelope::{DataKey, EncryptionContext, SecretBytes};

/// The names of KMS calls in errors, logs and metrics.
pub mod action {
    /// [`super::Kms::generate_data_key`].
    pub const GENERATE_DATA_KEY: &str = "GenerateDataKey";
    /// [`super::Kms::encrypt`].
    pub const ENCRYPT: &str = "Encrypt";
    /// [`super::Kms::decrypt`].
    pub const DECRYPT: &str = "Decrypt";
    /// [`super::Kms::re_encrypt`].
    pub const RE_ENCRYPT: &str = "ReEncrypt";
    /// [`super::Kms::describe`].
    pub const DESCRIBE_KEY: &str = "DescribeKey";
}

/// One KMS. Every call carries the encryption context; ciphertexts are the KMS's own text, verbatim.
///
/// `key` always has the provider's scheme. Implementations retry nothing but what their own page says, and
/// their errors carry no key material.
pub trait Kms: Send + Sync {
    /// A fresh data key and its wrap under `key`.
    fn generate_data_key<'a>(
        &'a self,
        key: &'a KeyUri,
        context: &'a EncryptionContext,
    ) -> BoxFuture<'a, Result<GeneratedDataKey, KmsError>>;

    /// Wraps a data key that another KMS key generated.
    fn encrypt<'a>(
        &'a self,
        key: &'a KeyUri,
        data_key: &'a DataKey,
        context: &'a EncryptionContext,
    ) -> BoxFuture<'a, Result<String, KmsError>>;

    /// The bytes that `ciphertext` wraps, of whatever length. [`Class::Integrity`] when the KMS refuses the
    /// ciphertext or answers for another key.
    fn decrypt<'a>(
        &'a self,
        key: &'a KeyUri,
        ciphertext: &'a str,
        context: &'a EncryptionContext,
    ) -> BoxFuture<'a, Result<SecretBytes, KmsError>>;

    /// Moves a wrap from `source` to `destination` (of the same provider) under the same context, without
    /// showing the data key where the KMS can do that.
    fn re_encrypt<'a>(
        &'a self,
        source: &'a KeyUri,
        ciphertext: &'a str,
        destination: &'a KeyUri,
        context: &'a EncryptionContext,
    ) -> BoxFuture<'a, Result<String, KmsError>>;

    /// What is known of a key without using it.
    fn describe<'a>(&'a self, key: &'a KeyUri) -> BoxFuture<'a, Result<KeyDescription, KmsError>>;

    /// Whether a wrap under `key` may be tried at all: on the reader's explicit list (a keyring is such a
    /// list). Costs no call.
    fn allows(&self, key: &KeyUri) -> bool;

    /// How the keys are reached, as far as the calls made so far have shown it. Makes no call.
    fn access(&self) -> Access;
}

/// What [`Kms::access`] gives. Holds no value of a credential or key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Access {
    /// The keys are on this machine: nobody is called.
    Keyring {
        /// The file that holds them, if it is one.
        file: Option<PathBuf>,
        /// All of them; the first seals when none is named.
        keys: Vec<KeyUri>,
    },
    /// A service is called.
    Service {
        /// What is held now; `None` before the first call, and where there are none.
        credentials: Option<HeldCredentials>,
        /// The service's clock less this machine's, in seconds, by its last answer that told the time.
        clock_ahead: Option<i64>,
    },
}

impl Access {
    /// The service's clock less this machine's, in seconds, if it has told its own.
    pub fn clock_ahead(&self) -> Option<i64> {
        match self {
            Access::Service { clock_ahead, .. } => *clock_ahead,
            Access::Keyring { .. } => None,
        }
    }
}

/// How this machine's clock stands beside a service's: `is 600 s behind the server's`; `ahead` as in
/// [`Access::Service`].
pub fn clock_difference(ahead: i64) -> String {
    let side = if ahead > 0 { "behind" } else { "ahead of" };
    if ahead == 0 {
        "agrees with the server's".to_owned()
    } else {
        format!("is {} s {side} the server's", ahead.unsigned_abs())
    }
}

/// Where credentials come from and how long they last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeldCredentials {
    /// The provider's word for the source that won: `environment`, `tke-oidc`.
    pub source: &'static str,
    /// Whether a role was taken with what the source gave.
    pub assumed_role: bool,
    /// The role whose rights they have, where it is known.
    pub role: Option<Arc<str>>,
    /// Their end in Unix seconds; `None`: they do not end by themselves.
    pub expires: Option<i64>,
}

/// What [`Kms::generate_data_key`] gives. No Debug: it holds a key.
pub struct GeneratedDataKey {
    /// The key in clear, used once and dropped.
    pub data_key: DataKey,
    /// Its wrap: the KMS's own text.
    pub ciphertext: String,
}

/// What [`Kms::describe`] gives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyDescription {
    /// The key.
    pub uri: KeyUri,
    /// As the KMS names it: `Enabled`, `Disabled`, `PendingDelete`; a local key is always `Enabled`.
    pub state: String,
    /// Whether this provider wraps new data keys under it when no key is named.
    pub default: bool,
    /// How it gets new material; `None` where the provider has no such thing for it.
    pub rotation: Option<Rotation>,
}

/// How a KMS gives a key new material by itself. What was sealed before still opens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rotation {
    /// Whether it does.
    pub enabled: bool,
    /// How often, in days.
    pub days: Option<i64>,
    /// When last, in Unix seconds.
    pub last: Option<i64>,
    /// When next, in Unix seconds.
    pub next: Option<i64>,
}

#[cfg(test)]
mod tests;
