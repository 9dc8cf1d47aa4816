//! How the `local` provider is configured.

use std::path::PathBuf;
use std::sync::Arc;

use super::client::LocalKms;
use super::file::FileRules;
use super::key::{KEY_FORM, Kid, SCHEME};
use super::manage::KeyringManager;
use crate::kms::{
    AllowedKeys, Caller, Capability, Configured, KeyManager, KeyUri, Provider, ProviderError, Setting,
    SettingKind, Settings, UriKind, Variable,
};

/// The one instance.
pub static PROVIDER: LocalProvider = LocalProvider;

/// The flag of the keyring file.
pub const KEYRING: Setting = Setting {
    flag: "keyring",
    variable: "ENVELOPE_KEYRING",
    kind: SettingKind::Path("FILE"),
    help: "The keyring file that holds local KMS keys",
    details: "Commands fall back to ~/.config/envelope-secrets/keyring if it exists. The controller has no default, and \
              reloads the file when it changes.",
    advanced: false,
};

/// The provider of keyring files.
#[derive(Clone, Copy, Debug, Default)]
pub struct LocalProvider;

impl Provider for LocalProvider {
    fn scheme(&self) -> &'static str {
        SCHEME
    }

    fn title(&self) -> &'static str {
        "the local keyring"
    }

    fn capabilities(&self) -> &'static [Capability] {
        &[
            Capability::GenerateDataKey,
            Capability::BindContext,
            Capability::ManageKeys,
            Capability::ConfiguredKeysOnly,
        ]
    }

    fn classify_uri(&self, uri: &KeyUri) -> UriKind {
        if Kid::of_uri(uri).is_some() {
            UriKind::Key
        } else {
            UriKind::Nothing
        }
    }

    fn key_form(&self) -> &'static str {
        KEY_FORM
    }

    fn setup_advice(&self) -> &'static str {
        "name the keyring that holds the KMS key with --keyring FILE or ENVELOPE_KEYRING"
    }

    fn allow_advice(&self) -> &'static str {
        "add one to the controller's keyring, or re-seal with a KMS key that it holds"
    }

    fn settings(&self) -> &'static [Setting] {
        &[KEYRING]
    }

    fn variables(&self) -> &'static [Variable] {
        &[Variable {
            names: &[XDG_CONFIG_HOME],
            meaning: "the default keyring is `envelope-secrets/keyring` in this directory; if unset, in `~/.config`",
        }]
    }

    /// Without `--keyring`, a command uses the default file if it exists; the controller uses none.
    fn configure(
        &self,
        settings: &Settings,
        _allowed: AllowedKeys,
        caller: Caller,
    ) -> Result<Configured, ProviderError> {
        let named = match caller {
            Caller::CommandLine => FileRules::Person,
            Caller::ControllerCheck | Caller::Controller => FileRules::Mounted,
        };
        let (path, rules) = match KeyringFile::choose(settings, caller)? {
            KeyringFile::Named(path) => (path, named),
            // In the home directory of a person, whose rules apply to it.
            KeyringFile::Default(path) if path.symlink_metadata().is_ok() => (path, FileRules::Person),
            KeyringFile::Default(path) => {
                return Ok(Configured::NotConfigured(format!(
                    "there is no keyring at {}",
                    path.display()
                )));
            }
            KeyringFile::None => return Ok(Configured::NotConfigured("no keyring is configured".to_owned())),
        };
        Ok(Configured::Kms(Arc::new(LocalKms::open(&path, rules)?)))
    }

    /// A URI, or the key id alone.
    fn parse_key(&self, text: &str) -> Result<KeyUri, ProviderError> {
        let kid = match KeyUri::parse(text) {
            Ok(uri) => Kid::of_uri(&uri),
            Err(_) => Kid::parse(text),
        };
        kid.map(Kid::uri).ok_or_else(|| {
            ProviderError::configuration(
                "not a local KMS key; write it as local://fa1975b2 or fa1975b2",
                "list the KMS keys of the keyring: envelope keys list",
            )
        })
    }

    fn key_manager(&self, settings: &Settings) -> Result<Box<dyn KeyManager>, ProviderError> {
        match KeyringFile::choose(settings, Caller::CommandLine)? {
            KeyringFile::Named(path) | KeyringFile::Default(path) => Ok(Box::new(KeyringManager::new(path))),
            KeyringFile::None => Err(ProviderError::configuration(
                "no keyring is named, and there is no home directory to look for one",
                "name one with --keyring FILE",
            )),
        }
    }
}

/// The user's configuration directory; an absolute path (XDG Base Directory Specification 0.8).
const XDG_CONFIG_HOME: &str = "XDG_CONFIG_HOME";
const HOME: &str = "HOME";

/// A keyring file, and how it was chosen.
enum KeyringFile {
    /// By flag or variable: it must exist.
    Named(PathBuf),
    /// The default location, whether or not a file exists there.
    Default(PathBuf),
    /// Neither named nor a default location.
    None,
}

impl KeyringFile {
    fn choose(settings: &Settings, caller: Caller) -> Result<Self, ProviderError> {
        Ok(match (settings.path(KEYRING.flag)?, caller) {
            (Some(path), _) => KeyringFile::Named(path),
            (None, Caller::CommandLine | Caller::ControllerCheck) => {
                default_path().map_or(KeyringFile::None, KeyringFile::Default)
            }
            (None, Caller::Controller) => KeyringFile::None,
        })
    }
}

/// `${XDG_CONFIG_HOME:-~/.config}/envelope-secrets/keyring`; `None` without a home directory.
fn default_path() -> Option<PathBuf> {
    let variable = |name| {
        let value = std::env::var_os(name).filter(|value| !value.is_empty())?;
        Some(PathBuf::from(value))
    };
    let configuration = variable(XDG_CONFIG_HOME)
        .filter(|path| path.is_absolute())
        .or_else(|| Some(variable(HOME)?.join(".config")))?;
    Some(configuration.join("envelope-secrets").join("keyring"))
}
