//! The commands under `envelope keys`, as each provider implements them.

use std::path::Path;

use futures::FutureExt as _;
use futures::future::{BoxFuture, ready};
use serde_json::Value;

use super::{KeyUri, ProviderError};

/// What `keys create` was asked for. A provider refuses what it cannot honour.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NewKey {
    /// `--region`.
    pub region: Option<String>,
    /// `--alias`.
    pub alias: Option<String>,
    /// `--description`.
    pub description: Option<String>,
}

/// What `keys list` was asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeyFilter {
    /// `--region`.
    pub region: Option<String>,
    /// `--alias`: only keys whose alias or id contains this.
    pub alias: Option<String>,
}

/// A new KMS key, and what its owner should know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CreatedKey {
    /// The key.
    pub uri: KeyUri,
    /// Lines for standard error: what was created, and the next steps.
    pub notes: Vec<String>,
}

/// What a provider shows of a KMS key, in the order in which it is shown. Holds no key material.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyInfo {
    /// One cell for each of [`KeyManager::headings`].
    pub cells: Vec<String>,
    /// Label and value of each line of `keys describe`; empty to show the cells.
    pub details: Vec<(&'static str, String)>,
    /// Name and value of each member with `-o json`.
    pub members: Vec<(&'static str, Value)>,
}

/// Automatic rotation: how often a KMS key gets new material. What was sealed before still opens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RotationChange {
    /// Every so many days; `None` for the provider's default.
    Every(Option<u16>),
    /// Never.
    Off,
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

    /// Makes a key the one that seals when none is named.
    fn promote<'a>(&'a self, _key: &'a KeyUri) -> BoxFuture<'a, Result<Notes, ProviderError>> {
        unsupported(
            "only a keyring has a KMS key that seals when none is named",
            "name the KMS key when sealing: --key URI, or ENVELOPE_KEY",
        )
    }

    /// Fails if [`KeyManager::retire`] cannot succeed, so that no search for documents is made in vain.
    fn can_retire(&self, _key: &KeyUri) -> Result<(), ProviderError> {
        Err(ProviderError::configuration(
            "KMS keys of this provider are not removed from here",
            "disable the KMS key in the service's console; schedule its deletion only when nothing uses it",
        ))
    }

    /// Removes a key for good. The caller has checked that no document uses it.
    fn retire<'a>(&'a self, key: &'a KeyUri) -> BoxFuture<'a, Result<Notes, ProviderError>> {
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
