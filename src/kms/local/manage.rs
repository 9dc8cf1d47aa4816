//! `envelope keys` for a keyring file.

use std::path::{Path, PathBuf};

use futures::FutureExt as _;
use futures::future::{BoxFuture, ready};
use serde_json::Value;

use super::client::LocalKms;
use super::edit::{self, Created};
use super::error::{KeyringError, shell_path};
use super::file::FileRules;
use super::key::{KEY_FORM, Kid};
use crate::kms::{
    CreatedKey, Disposal, KeyDescription, KeyFilter, KeyInfo, KeyManager, KeyUri, Kms as _, KmsError, NewKey,
    Notes, ProviderError,
};

/// Manages the keys of one keyring file, which need not exist yet.
pub(super) struct KeyringManager {
    path: PathBuf,
}

impl KeyringManager {
    pub(super) fn new(path: PathBuf) -> Self {
        KeyringManager { path }
    }

    fn open(&self) -> Result<LocalKms, KeyringError> {
        LocalKms::open(&self.path, FileRules::Person)
    }

    fn create_key(&self, new: &NewKey) -> Result<CreatedKey, ProviderError> {
        refuse_cloud_flags(&[
            ("--region", &new.region),
            ("--alias", &new.alias),
            ("--description", &new.description),
        ])?;
        let Created { uri, is_first } = edit::create(&self.path)?;
        let shown = self.path.display();
        let mut notes = if is_first {
            vec![
                format!("created {uri} in a new keyring, {shown}"),
                "Anyone with this file can open everything that it seals, and seal anything in your name."
                    .to_owned(),
            ]
        } else {
            vec![
                format!("created {uri} in {shown}; it opens, but does not seal yet"),
                format!(
                    "Once every controller has the new keyring: envelope keys promote {uri} --keyring {}",
                    shell_path(&self.path)
                ),
            ]
        };
        notes.push("Back up the keyring now: nothing that it seals can be opened without it.".to_owned());
        Ok(CreatedKey { uri, notes })
    }

    async fn list_keys(&self, filter: &KeyFilter) -> Result<Vec<KeyInfo>, ProviderError> {
        refuse_cloud_flags(&[("--region", &filter.region), ("--alias", &filter.alias)])?;
        let ring = self.open()?;
        let mut keys = Vec::new();
        for kid in ring.kids() {
            keys.push(info(
                &ring.describe(&kid.uri()).await.map_err(|error| failed(&error))?,
            ));
        }
        Ok(keys)
    }

    fn promote_key(&self, key: &KeyUri) -> Result<Notes, ProviderError> {
        let kid = kid(key)?;
        let done = if edit::promote(&self.path, kid)? {
            "now seals by default"
        } else {
            "already seals by default"
        };
        Ok(vec![format!("{key} {done}")])
    }

    fn retire_key(&self, key: &KeyUri, disposal: Disposal) -> Result<Notes, ProviderError> {
        let first = edit::retire(&self.path, kid(key)?, disposal)?;
        let shown = self.path.display();
        let mut notes = vec![format!(
            "removed {key} from {shown}; {first} now seals by default"
        )];
        if disposal == Disposal::Comment {
            notes.push(format!(
                "The key is kept in {shown} as a comment; remove the `#` and the date to restore it."
            ));
        }
        Ok(notes)
    }
}

impl KeyManager for KeyringManager {
    fn file(&self) -> Option<&Path> {
        Some(&self.path)
    }

    fn headings(&self) -> &'static [&'static str] {
        &["KEY", "STATE", "SEALS"]
    }

    fn create<'a>(&'a self, new: &'a NewKey) -> BoxFuture<'a, Result<CreatedKey, ProviderError>> {
        ready(self.create_key(new)).boxed()
    }

    fn list<'a>(&'a self, filter: &'a KeyFilter) -> BoxFuture<'a, Result<Vec<KeyInfo>, ProviderError>> {
        self.list_keys(filter).boxed()
    }

    fn describe<'a>(&'a self, key: &'a KeyUri) -> BoxFuture<'a, Result<KeyInfo, ProviderError>> {
        async move {
            let described = self.open()?.describe(key).await.map_err(|error| failed(&error))?;
            Ok(info(&described))
        }
        .boxed()
    }

    fn promote<'a>(&'a self, key: &'a KeyUri) -> BoxFuture<'a, Result<Notes, ProviderError>> {
        ready(self.promote_key(key)).boxed()
    }

    fn can_retire(&self, key: &KeyUri) -> Result<(), ProviderError> {
        Ok(edit::can_retire(&self.path, kid(key)?)?)
    }

    fn retire<'a>(
        &'a self,
        key: &'a KeyUri,
        disposal: Disposal,
    ) -> BoxFuture<'a, Result<Notes, ProviderError>> {
        ready(self.retire_key(key, disposal)).boxed()
    }
}

fn kid(key: &KeyUri) -> Result<Kid, ProviderError> {
    Kid::of_uri(key).ok_or_else(|| {
        let message = format!("{key} is not a local KMS key");
        ProviderError::configuration(message, KEY_FORM)
    })
}

fn info(key: &KeyDescription) -> KeyInfo {
    let seals = if key.default { "yes" } else { "no" };
    KeyInfo {
        cells: vec![key.uri.to_string(), key.state.clone(), seals.to_owned()],
        details: Vec::new(),
        members: vec![
            ("uri", Value::from(key.uri.as_str())),
            ("state", Value::from(key.state.as_str())),
            ("seals", Value::from(key.default)),
        ],
    }
}

fn failed(error: &KmsError) -> ProviderError {
    ProviderError {
        class: error.class,
        message: error.to_string(),
        advice: error.advice().to_owned(),
        retryable: error.retryable,
        file: None,
    }
}

/// Anyone who passes these flags wants a key in a cloud KMS.
fn refuse_cloud_flags(flags: &[(&str, &Option<String>)]) -> Result<(), ProviderError> {
    match flags.iter().find(|(_, value)| value.is_some()) {
        None => Ok(()),
        Some((flag, _)) => Err(ProviderError::configuration(
            format!("{flag} applies to KMS keys in a cloud, and the provider is local"),
            "add --provider with the provider of the cloud",
        )),
    }
}
