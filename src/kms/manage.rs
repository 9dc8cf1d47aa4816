//! The commands under `envelope keys`, as each provider implements them.

use std::path::Path;

use futures::FutureExt as _;
use futures::future::{BoxFuture, ready};
use serde_json::Value;

use super::{KeyUri, ProviderError};

/// The arguments of `keys create`. A provider refuses those that it does not support.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NewKey {
    /// `--region`.
    pub region: Option<String>,
    /// `--alias`.
    pub alias: Option<String>,
    /// `--description`.
    pub description: Option<String>,
}

/// The arguments of `keys list`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeyFilter {
    /// `--region`.
    pub region: Option<String>,
    /// `--alias`: only keys whose alias or id contains this.
    pub alias: Option<String>,
}

/// A new KMS key, with notes for its owner.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CreatedKey {
    /// The key.
    pub uri: KeyUri,
    /// Lines for standard error: what was created, and the next steps.
    pub notes: Vec<String>,
}

/// The description of a KMS key, in display order. Holds no key material.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyInfo {
    /// One cell for each of [`KeyManager::headings`].
    pub cells: Vec<String>,
    /// Label and value of each line of `keys describe`; empty to show the cells.
    pub details: Vec<(&'static str, String)>,
    /// Name and value of each member with `-o json`.
    pub members: Vec<(&'static str, Value)>,
}

/// A change of automatic rotation. Documents sealed with older material still open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RotationChange {
    /// Rotate with this period in days; `None` for the provider's default.
    Every(Option<u16>),
    /// Do not rotate.
    Off,
}

/// What becomes of the material of a removed key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Disposal {
    /// It stays in its file as a comment with the date, and can be restored by hand.
    Comment,
    /// It is erased.
    Erase,
}

/// The result of a command that changes a KMS key: lines for standard error.
pub type Notes = Vec<String>;

/// Manages the KMS keys of one configured provider.
pub trait KeyManager: Send + Sync {
    /// The file that holds the keys, if one does. It must not be committed to Git.
    fn file(&self) -> Option<&Path> {
        None
    }

    /// The service's clock minus this host's, in seconds, if a response carried its time.
    fn clock_ahead(&self) -> Option<i64> {
        None
    }

    /// The headings of `keys list`.
    fn headings(&self) -> &'static [&'static str];

    /// Creates a key.
    fn create<'a>(&'a self, new: &'a NewKey) -> BoxFuture<'a, Result<CreatedKey, ProviderError>>;

    /// Lists the keys.
    fn list<'a>(&'a self, filter: &'a KeyFilter) -> BoxFuture<'a, Result<Vec<KeyInfo>, ProviderError>>;

    /// Describes a key.
    fn describe<'a>(&'a self, key: &'a KeyUri) -> BoxFuture<'a, Result<KeyInfo, ProviderError>>;

    /// Makes a key the one that seals by default.
    fn promote<'a>(&'a self, _key: &'a KeyUri) -> BoxFuture<'a, Result<Notes, ProviderError>> {
        unsupported(
            "only a keyring has a KMS key that seals by default",
            "name the KMS key when sealing: --key URI, or ENVELOPE_KEY",
        )
    }

    /// Fails if [`KeyManager::retire`] cannot succeed. Called before documents are searched.
    fn can_retire(&self, _key: &KeyUri) -> Result<(), ProviderError> {
        Err(ProviderError::configuration(
            "KMS keys of this provider cannot be removed with this command",
            "disable the KMS key in the service's console; schedule its deletion only when nothing uses it",
        ))
    }

    /// Removes a key permanently. The caller has checked that no document uses it.
    fn retire<'a>(
        &'a self,
        key: &'a KeyUri,
        _disposal: Disposal,
    ) -> BoxFuture<'a, Result<Notes, ProviderError>> {
        ready(self.can_retire(key).map(|()| Notes::new())).boxed()
    }

    /// Changes the automatic rotation of a key.
    fn rotate<'a>(
        &'a self,
        _key: &'a KeyUri,
        _change: RotationChange,
    ) -> BoxFuture<'a, Result<Notes, ProviderError>> {
        unsupported(
            "KMS keys of this provider have no automatic rotation",
            "create a new KMS key and promote it: envelope keys create, envelope keys promote",
        )
    }
}

fn unsupported<T: Send + 'static>(
    message: &str,
    advice: &str,
) -> BoxFuture<'static, Result<T, ProviderError>> {
    ready(Err(ProviderError::configuration(message, advice))).boxed()
}
