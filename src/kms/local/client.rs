//! A keyring that serves KMS calls.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, RwLock};

use futures::FutureExt as _;
use futures::future::{BoxFuture, ready};

use super::error::{KeyringError, Problem, RESTORE};
use super::file::{self, FileRules};
use super::key::{Kid, LocalKey};
use super::keyring::Keyring;
use super::wrap;
use crate::envelope::{DataKey, EncryptionContext, SecretBytes};
use crate::files::FileVersion;
use crate::kms::{
    Access, Change, Class, Cures, Evidence, Finding, KeyDescription, KeyUri, Kms, KmsError, Severity, action,
};
use crate::sync;

/// A keyring as a KMS. Cheap to clone. No Debug: it holds keys.
#[derive(Clone)]
pub struct LocalKms(Arc<State>);

struct State {
    ring: RwLock<Arc<Keyring>>,
    source: Option<Source>,
}

struct Source {
    path: PathBuf,
    rules: FileRules,
    /// The state of the file that `ring` was loaded from.
    loaded: Mutex<FileVersion>,
}

/// The result of [`LocalKms::refresh_if_changed`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refresh {
    /// The file has not changed, or the keyring has no file.
    Unchanged,
    /// The file was reloaded.
    Reloaded {
        /// The keys held now; the first one wraps.
        held: Vec<Kid>,
        /// Those that were not held before. An id is a hash of its key, so a changed key has another id.
        added: Vec<Kid>,
    },
    /// The file changed and cannot be used. The previous keys stay; the next call tries again.
    Failed(KeyringError),
}

impl LocalKms {
    /// Reads a keyring file, which [`LocalKms::refresh_if_changed`] reloads.
    pub fn open(path: &Path, rules: FileRules) -> Result<Self, KeyringError> {
        let (ring, version) = load(path, rules).map_err(|problem| problem.at(path))?;
        let source = Source {
            path: path.to_owned(),
            rules,
            loaded: Mutex::new(version),
        };
        Ok(LocalKms::new(ring, Some(source)))
    }

    /// A keyring without a file.
    pub fn from_keyring(ring: Keyring) -> Self {
        LocalKms::new(ring, None)
    }

    fn new(ring: Keyring, source: Option<Source>) -> Self {
        LocalKms(Arc::new(State {
            ring: RwLock::new(Arc::new(ring)),
            source,
        }))
    }

    /// Checks with one `stat` whether the file changed, and reloads it if so. Blocks on the file system.
    pub fn refresh_if_changed(&self) -> Refresh {
        let Some(source) = &self.0.source else {
            return Refresh::Unchanged;
        };
        let mut loaded = sync::lock(&source.loaded);
        if FileVersion::of(&source.path).is_ok_and(|now| now == *loaded) {
            return Refresh::Unchanged;
        }
        match load(&source.path, source.rules) {
            Ok((ring, version)) => {
                let held = ring.kids();
                let before = std::mem::replace(&mut *sync::write(&self.0.ring), Arc::new(ring));
                *loaded = version;
                let added = held.iter().copied().filter(|kid| before.key(*kid).is_none());
                Refresh::Reloaded {
                    added: added.collect(),
                    held,
                }
            }
            Err(problem) => Refresh::Failed(problem.at(&source.path)),
        }
    }

    /// The ids of the keys held now, in the order of the file. Ids are public.
    pub fn kids(&self) -> Vec<Kid> {
        self.ring().kids()
    }

    /// The key that wraps when no KMS key is named.
    pub fn default_key(&self) -> KeyUri {
        self.ring().default_kid().uri()
    }

    fn ring(&self) -> Arc<Keyring> {
        Arc::clone(&sync::read(&self.0.ring))
    }

    /// Runs `work` with the key of `uri`.
    fn with_key<T>(
        &self,
        uri: &KeyUri,
        action: &'static str,
        work: impl FnOnce(&LocalKey) -> Result<T, KmsError>,
    ) -> Result<T, KmsError> {
        let ring = self.ring();
        let kid = Kid::of_uri(uri).ok_or_else(|| {
            let message = "the id of a local KMS key is 8 lower-case hex digits";
            KmsError::new(Class::NotFound, uri, action, message)
        })?;
        match ring.key(kid) {
            Some(key) => work(key),
            None if ring.retired().contains(&kid) => {
                let message = "the KMS key is retired in the keyring";
                Err(KmsError::new(Class::NotFound, uri, action, message).with_advice(RESTORE))
            }
            None => Err(KmsError::new(
                Class::NotFound,
                uri,
                action,
                "the keyring does not hold this KMS key",
            )
            .with_advice("use the keyring that holds it, or restore it from a backup")),
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
}

fn load(path: &Path, rules: FileRules) -> Result<(Keyring, FileVersion), Problem> {
    let (bytes, version) = file::read(&file::open(path)?, rules)?;
    Ok((Keyring::parse(&bytes)?, version))
}

impl Kms for LocalKms {
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
            file: self.0.source.as_ref().map(|source| source.path.clone()),
            keys: self.kids().into_iter().map(Kid::uri).collect(),
            retired: self.ring().retired().iter().map(|kid| kid.uri()).collect(),
        }
    }

    fn usable_keys(&self) -> Vec<String> {
        self.kids().iter().map(ToString::to_string).collect()
    }

    fn poll_change(&self) -> BoxFuture<'_, Change> {
        let keyring = self.clone();
        async move {
            // Off the runtime's threads: a keyring on a network file system may block.
            let refreshed = tokio::task::spawn_blocking(move || keyring.refresh_if_changed()).await;
            match refreshed {
                Ok(Refresh::Unchanged) | Err(_) => Change::None,
                Ok(Refresh::Reloaded { held, added }) => {
                    let held: Vec<String> = held.iter().map(ToString::to_string).collect();
                    Change::Renewed {
                        cures: Cures::Keys(added.into_iter().map(Kid::uri).collect()),
                        what: format!("keyring reloaded with the KMS keys {}", held.join(", ")),
                    }
                }
                Ok(Refresh::Failed(error)) => Change::Rejected(format!(
                    "the keyring changed and cannot be used; the previous KMS keys stay in use: {error}"
                )),
            }
        }
        .boxed()
    }

    fn diagnose(&self, _evidence: &Evidence<'_>) -> Vec<Finding> {
        let file = self.0.source.as_ref().map(|source| source.path.clone());
        let location = file
            .as_ref()
            .map_or_else(|| "in memory".to_owned(), |file| file.display().to_string());
        let uris: Vec<String> = self.kids().into_iter().map(|kid| kid.uri().to_string()).collect();
        let holds = match uris.split_first() {
            None => "it holds no KMS key".to_owned(),
            Some((first, [])) => format!("its KMS key is {first}"),
            Some((first, others)) => {
                format!("{first} seals by default, {} can open too", others.join(", "))
            }
        };
        let access = match self.0.source.as_ref().map(|source| source.rules) {
            Some(FileRules::Mounted) => "readable by its owner and at most a group",
            Some(FileRules::Person) | None => "readable by its owner only",
        };
        let message = format!("{location}: {access}; {holds}");
        let mut finding = Finding::new("keyring", Severity::Pass, message)
            .fact("file", location)
            .fact("keys", uris);
        finding.file = file;
        vec![finding]
    }
}
