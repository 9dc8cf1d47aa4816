//! The `local` provider: keys in a keyring file (format-es1 section 10). For a first try, for clusters without a
//! cloud, and for tests. Sealing and opening share one key, so it separates no duties.

mod edit;
mod error;
mod file;
mod key;
mod keyring;
mod wrap;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use futures::FutureExt as _;
use futures::future::{BoxFuture, ready};

pub use edit::{create_key, promote, retire};
pub use error::{KeyringError, Problem};
pub use file::FileRules;
pub use key::{Kid, LineError, LocalKey};
pub use keyring::{GrammarError, Keyring};

use super::registry::Names;
use super::{Access, Class, GeneratedDataKey, KeyDescription, KeyUri, Kms, KmsError, action};
use crate::envelope::{DataKey, EncryptionContext, SecretBytes};
use crate::files::Stamp;

/// What stands before `://` in the URI of a local key.
pub const SCHEME: &str = "local";

/// What it takes to use this provider.
pub(super) const SETUP: &str = "give the keyring with --keyring FILE or ENVELOPE_KEYRING";

/// How a key's URI is written, as advice.
pub const FORM: &str = "write it as local://KID, the key id as 8 lower-case hex digits";

/// What a `local://` URI names. A keyring is a list of keys: there are no prefixes.
pub(super) fn names(uri: &KeyUri) -> Names {
    if is_key(uri) { Names::Key } else { Names::Nothing }
}

/// Whether `uri` has the form of a key of this provider. It may still name none that exists.
pub fn is_key(uri: &KeyUri) -> bool {
    Kid::of_uri(uri).is_some()
}

/// A keyring as a KMS. No Debug: it holds keys.
pub struct LocalKms {
    ring: RwLock<Arc<Keyring>>,
    source: Option<Source>,
}

struct Source {
    path: PathBuf,
    rules: FileRules,
    /// The state of the file that `ring` came from.
    loaded: Mutex<Stamp>,
}

/// What [`LocalKms::refresh_if_changed`] found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refresh {
    /// The file is as it was loaded, or there is none behind this keyring.
    Unchanged,
    /// Other contents; these keys are held now, the first wraps.
    Reloaded(Vec<Kid>),
    /// The file changed and cannot be used. The keys held before stay; the next call looks again.
    Failed(KeyringError),
}

impl LocalKms {
    /// Reads a keyring file, which [`LocalKms::refresh_if_changed`] then follows.
    pub fn open(path: &Path, rules: FileRules) -> Result<Self, KeyringError> {
        let (ring, stamp) = load(path, rules).map_err(|problem| problem.at(path))?;
        let source = Source {
            path: path.to_owned(),
            rules,
            loaded: Mutex::new(stamp),
        };
        Ok(LocalKms {
            ring: RwLock::new(Arc::new(ring)),
            source: Some(source),
        })
    }

    /// A keyring that stands in no file.
    pub fn from_keyring(ring: Keyring) -> Self {
        LocalKms {
            ring: RwLock::new(Arc::new(ring)),
            source: None,
        }
    }

    /// Looks whether the file changed, with one `stat`, and reads it again if so. Blocks for the file system's time;
    /// when to call it is the caller's (every 30 s is often enough for a Secret volume).
    pub fn refresh_if_changed(&self) -> Refresh {
        let Some(source) = &self.source else {
            return Refresh::Unchanged;
        };
        let mut loaded = source.loaded.lock().unwrap_or_else(PoisonError::into_inner);
        if Stamp::of(&source.path).is_ok_and(|now| now == *loaded) {
            return Refresh::Unchanged;
        }
        match load(&source.path, source.rules) {
            Ok((ring, stamp)) => {
                let kids = ring.kids();
                *self.ring.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(ring);
                *loaded = stamp;
                Refresh::Reloaded(kids)
            }
            Err(problem) => Refresh::Failed(problem.at(&source.path)),
        }
    }

    /// The ids of the keys held now, in the file's order. Public.
    pub fn kids(&self) -> Vec<Kid> {
        self.ring().kids()
    }

    /// The key that wraps when none is named.
    pub fn default_key(&self) -> KeyUri {
        self.ring().default_kid().uri()
    }

    fn ring(&self) -> Arc<Keyring> {
        Arc::clone(&self.ring.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Runs `work` with the key that `uri` names.
    fn with_key<T>(
        &self,
        uri: &KeyUri,
        action: &'static str,
        work: impl FnOnce(&LocalKey) -> Result<T, KmsError>,
    ) -> Result<T, KmsError> {
        let ring = self.ring();
        let kid = Kid::of_uri(uri).ok_or_else(|| {
            let message = "a local KMS key is named by 8 lower-case hex digits";
            KmsError::new(Class::NotFound, uri, action, message)
        })?;
        match ring.key(kid) {
            Some(key) => work(key),
            None => Err(
                KmsError::new(Class::NotFound, uri, action, "the keyring has no such KMS key")
                    .with_advice("give the keyring that holds it, or restore it from its backup"),
            ),
        }
    }

    fn wrap(
        &self,
        uri: &KeyUri,
        action: &'static str,
        data_key: &DataKey,
        context: &EncryptionContext,
    ) -> Result<String, KmsError> {
        self.with_key(uri, action, |key| {
            wrap::wrap(key, data_key, context)
                .map_err(|error| KmsError::new(Class::Transient, uri, action, error.to_string()))
        })
    }

    fn unwrap(
        &self,
        uri: &KeyUri,
        action: &'static str,
        ciphertext: &str,
        context: &EncryptionContext,
    ) -> Result<SecretBytes, KmsError> {
        self.with_key(uri, action, |key| {
            wrap::unwrap(key, ciphertext, context)
                .map_err(|error| KmsError::new(Class::Integrity, uri, action, error.to_string()))
        })
    }

    fn generate(&self, uri: &KeyUri, context: &EncryptionContext) -> Result<GeneratedDataKey, KmsError> {
        let action = action::GENERATE_DATA_KEY;
        let data_key = DataKey::random().map_err(|error| {
            let message = format!("the operating system gave no random bytes: {error}");
            KmsError::new(Class::Transient, uri, action, message)
        })?;
        let ciphertext = self.wrap(uri, action, &data_key, context)?;
        Ok(GeneratedDataKey { data_key, ciphertext })
    }

    fn rewrap(
        &self,
        source: &KeyUri,
        ciphertext: &str,
        destination: &KeyUri,
        context: &EncryptionContext,
    ) -> Result<String, KmsError> {
        let action = action::RE_ENCRYPT;
        let bytes = self.unwrap(source, action, ciphertext, context)?;
        let data_key = DataKey::from_slice(bytes.expose()).ok_or_else(|| {
            KmsError::new(
                Class::Integrity,
                source,
                action,
                "the ciphertext does not hold 32 bytes",
            )
        })?;
        self.wrap(destination, action, &data_key, context)
    }
}

fn load(path: &Path, rules: FileRules) -> Result<(Keyring, Stamp), Problem> {
    let (bytes, stamp) = file::read(&file::open(path)?, rules)?;
    Ok((Keyring::parse(&bytes)?, stamp))
}

impl Kms for LocalKms {
    fn generate_data_key<'a>(
        &'a self,
        key: &'a KeyUri,
        context: &'a EncryptionContext,
    ) -> BoxFuture<'a, Result<GeneratedDataKey, KmsError>> {
        ready(self.generate(key, context)).boxed()
    }

    fn encrypt<'a>(
        &'a self,
        key: &'a KeyUri,
        data_key: &'a DataKey,
        context: &'a EncryptionContext,
    ) -> BoxFuture<'a, Result<String, KmsError>> {
        ready(self.wrap(key, action::ENCRYPT, data_key, context)).boxed()
    }

    fn decrypt<'a>(
        &'a self,
        key: &'a KeyUri,
        ciphertext: &'a str,
        context: &'a EncryptionContext,
    ) -> BoxFuture<'a, Result<SecretBytes, KmsError>> {
        ready(self.unwrap(key, action::DECRYPT, ciphertext, context)).boxed()
    }

    fn re_encrypt<'a>(
        &'a self,
        source: &'a KeyUri,
        ciphertext: &'a str,
        destination: &'a KeyUri,
        context: &'a EncryptionContext,
    ) -> BoxFuture<'a, Result<String, KmsError>> {
        ready(self.rewrap(source, ciphertext, destination, context)).boxed()
    }

    fn describe<'a>(&'a self, key: &'a KeyUri) -> BoxFuture<'a, Result<KeyDescription, KmsError>> {
        let described = self.with_key(key, action::DESCRIBE_KEY, |found| {
            Ok(KeyDescription {
                uri: key.clone(),
                state: "Enabled".to_owned(),
                default: found.kid() == self.ring().default_kid(),
                rotation: None,
            })
        });
        ready(described).boxed()
    }

    fn allows(&self, key: &KeyUri) -> bool {
        Kid::of_uri(key).is_some_and(|kid| self.ring().key(kid).is_some())
    }

    fn access(&self) -> Access {
        Access::Keyring {
            file: self.source.as_ref().map(|source| source.path.clone()),
            keys: self.kids().into_iter().map(Kid::uri).collect(),
        }
    }
}

#[cfg(test)]
pub(super) use keyring::tests::line as keyring_line;
#[cfg(test)]
mod tests;
