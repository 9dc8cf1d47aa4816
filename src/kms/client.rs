//! The calls of a configured KMS.

use std::path::PathBuf;

use futures::FutureExt as _;
use futures::future::{BoxFuture, ready};

use super::credentials::HeldCredentials;
use super::diagnosis::{Evidence, Finding, diagnose_service};
use super::error::{Class, KmsError};
use super::uri::KeyUri;
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

/// A configured KMS. Every call carries the encryption context; ciphertexts are the KMS's own text, verbatim.
///
/// `key` always has the provider's scheme. Implementations document what they retry; their errors carry no key
/// material.
pub trait Kms: Send + Sync {
    /// Generates a data key and returns it with its wrap under `key`. By default, for a KMS without
    /// [`Capability::GenerateDataKey`](super::Capability::GenerateDataKey), draws the data key from the operating system
    /// and has it encrypted.
    fn generate_data_key<'a>(
        &'a self,
        key: &'a KeyUri,
        context: &'a EncryptionContext,
    ) -> BoxFuture<'a, Result<GeneratedDataKey, KmsError>> {
        async move {
            let data_key = random_data_key(key)?;
            let ciphertext = self.encrypt(key, &data_key, context).await?;
            Ok(GeneratedDataKey { data_key, ciphertext })
        }
        .boxed()
    }

    /// Wraps a data key that was generated elsewhere, and returns the ciphertext.
    fn encrypt<'a>(
        &'a self,
        key: &'a KeyUri,
        data_key: &'a DataKey,
        context: &'a EncryptionContext,
    ) -> BoxFuture<'a, Result<String, KmsError>>;

    /// Unwraps `ciphertext` and returns its bytes, of whatever length. Fails with
    /// [`Class::Integrity`](super::Class::Integrity) if the KMS refuses the ciphertext or responds for another key.
    fn decrypt<'a>(
        &'a self,
        key: &'a KeyUri,
        ciphertext: &'a str,
        context: &'a EncryptionContext,
    ) -> BoxFuture<'a, Result<SecretBytes, KmsError>>;

    /// Moves a wrap from `source` to `destination` (of the same provider) under the same context. With
    /// [`Capability::ReEncrypt`](super::Capability::ReEncrypt) the data key never leaves the KMS; by default it is
    /// decrypted and encrypted.
    fn re_encrypt<'a>(
        &'a self,
        source: &'a KeyUri,
        ciphertext: &'a str,
        destination: &'a KeyUri,
        context: &'a EncryptionContext,
    ) -> BoxFuture<'a, Result<String, KmsError>> {
        decrypt_and_encrypt(self, source, ciphertext, destination, context).boxed()
    }

    /// Describes a key without using it.
    fn describe<'a>(&'a self, key: &'a KeyUri) -> BoxFuture<'a, Result<KeyDescription, KmsError>>;

    /// Whether a wrap under `key` may be tried: the key is on the reader's allow list (a keyring is one). Makes no call.
    fn allows(&self, key: &KeyUri) -> bool;

    /// The keys that may be used, or prefixes of them, for the log.
    fn usable_keys(&self) -> Vec<String> {
        Vec::new()
    }

    /// How the keys are reached, as far as the calls made so far have shown. Makes no call.
    fn access(&self) -> Access;

    /// Checks for new keys or credentials. Calls that failed for lack of them may succeed after [`Change::Renewed`].
    /// The controller polls it every 30 s or so; it may read files and request credentials.
    fn poll_change(&self) -> BoxFuture<'_, Change> {
        ready(Change::None).boxed()
    }

    /// What `envelope doctor` reports about the provider itself, after its keys have been examined. Makes no call. By
    /// default, the credentials and the clock of a service.
    fn diagnose(&self, evidence: &Evidence<'_>) -> Vec<Finding> {
        match self.access() {
            Access::Service {
                credentials,
                clock_ahead,
            } => diagnose_service(credentials.as_ref(), clock_ahead, evidence),
            Access::Keyring { .. } => Vec::new(),
        }
    }
}

/// Moves a wrap with two calls: the default of [`Kms::re_encrypt`], and what a KMS does between its regions.
pub(super) async fn decrypt_and_encrypt<K: Kms + ?Sized>(
    kms: &K,
    source: &KeyUri,
    ciphertext: &str,
    destination: &KeyUri,
    context: &EncryptionContext,
) -> Result<String, KmsError> {
    let here = |error| KmsError {
        action: action::RE_ENCRYPT,
        ..error
    };
    let plaintext = kms.decrypt(source, ciphertext, context).await.map_err(here)?;
    let data_key = DataKey::from_slice(plaintext.expose()).ok_or_else(|| {
        let message = "the ciphertext does not hold 32 bytes";
        KmsError::new(Class::Integrity, source, action::RE_ENCRYPT, message)
    })?;
    kms.encrypt(destination, &data_key, context).await.map_err(here)
}

/// The result of [`Kms::poll_change`]. Texts name public things only: files, key ids, credential sources.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// Nothing changed.
    None,
    /// Other keys or credentials are in use now.
    Renewed {
        /// What may succeed that failed before.
        cures: Cures,
        /// What happened, for the log.
        what: String,
    },
    /// A change cannot be used, and the previous keys or credentials stay in use: what is wrong, for the log.
    Rejected(String),
}

/// The failures that new keys or credentials may cure.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cures {
    /// Any failed call: credentials or trusted authorities changed.
    Calls,
    /// Those of documents with a wrap under one of these keys.
    Keys(Vec<KeyUri>),
}

/// The result of [`Kms::access`]. Holds no value of a credential or key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Access {
    /// The keys are on this host; no service is called.
    Keyring {
        /// The file that holds them, if it is one.
        file: Option<PathBuf>,
        /// All keys; the first one seals by default.
        keys: Vec<KeyUri>,
        /// Keys that are kept but not used, until someone restores them.
        retired: Vec<KeyUri>,
    },
    /// A service is called.
    Service {
        /// The credentials in use; `None` before the first call and if there are none.
        credentials: Option<HeldCredentials>,
        /// The service's clock minus this host's, in seconds, by the last response that carried a time.
        clock_ahead: Option<i64>,
    },
}

impl Access {
    /// The service's clock minus this host's, in seconds, if a response carried its time.
    pub fn clock_ahead(&self) -> Option<i64> {
        match self {
            Access::Service { clock_ahead, .. } => *clock_ahead,
            Access::Keyring { .. } => None,
        }
    }
}

/// The result of [`Kms::generate_data_key`]. No Debug: it holds a key.
pub struct GeneratedDataKey {
    /// The plaintext data key, used once and dropped.
    pub data_key: DataKey,
    /// Its wrap, in the KMS's own text form.
    pub ciphertext: String,
}

/// The result of [`Kms::describe`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyDescription {
    /// The key.
    pub uri: KeyUri,
    /// As the KMS names it: `Enabled`, `Disabled`, `PendingDelete`; a local key is always `Enabled`.
    pub state: String,
    /// Whether this provider seals with it by default.
    pub default: bool,
    /// Its automatic rotation; `None` if the provider has none for it.
    pub rotation: Option<Rotation>,
}

/// Automatic rotation of a key's material. Documents sealed with older material still open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rotation {
    /// Whether it is on.
    pub enabled: bool,
    /// The period in days.
    pub days: Option<i64>,
    /// The last rotation, in Unix seconds.
    pub last: Option<i64>,
    /// The next rotation, in Unix seconds.
    pub next: Option<i64>,
}

/// Draws a data key from the operating system, to be encrypted with `key`.
pub fn random_data_key(key: &KeyUri) -> Result<DataKey, KmsError> {
    DataKey::random().map_err(|error| {
        let message = format!("the operating system returned no random bytes: {error}");
        KmsError::new(Class::Transient, key, action::ENCRYPT, message)
    })
}
