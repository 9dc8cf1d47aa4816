//! The provider interface: everything that the command line and the controller need to know about one KMS.
//!
//! A provider is one directory under `kms/` and one entry in the [registry](super::registry). No other module names a
//! provider; `tests/it/provider_seam.rs` proves it with a provider that is defined in a single file.

use std::fmt;
use std::sync::Arc;

use super::settings::{Setting, Settings, Variable};
use super::{AllowedKeys, KeyManager, KeyUri, Kms, ProviderError};

/// What a KMS can do. Callers ask for a capability; they never compare schemes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Capability {
    /// It generates data keys ([`Kms::generate_data_key`]). Without it, `seal` draws the data key from the operating
    /// system's random number generator and has it encrypted.
    GenerateDataKey,
    /// It moves a wrapped key to another KMS key without revealing the data key ([`Kms::re_encrypt`]).
    ReEncrypt,
    /// It authenticates the encryption context, so a wrapped key decrypts only under the context that it was created with.
    BindContext,
    /// Only identities with a separate permission can create a wrapped key, so it proves who sealed.
    ProveOrigin,
    /// It creates and describes KMS keys ([`Provider::key_manager`]).
    ManageKeys,
    /// The provider's own configuration is the list of usable KMS keys, as with a keyring: no allow list applies, and
    /// its first key seals when no KMS key is named.
    ConfiguredKeysOnly,
}

/// The kind of a key URI, by its provider's grammar.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UriKind {
    /// One KMS key, which may or may not exist.
    Key,
    /// All KMS keys whose URIs start with this text. It ends at `/`.
    Prefix,
    /// Neither a key nor a prefix: it can never match.
    Nothing,
}

/// The program that uses a provider. It decides how strictly files are checked, and which defaults apply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Caller {
    /// A command that a person or a pipeline runs.
    CommandLine,
    /// A command that checks, with the controller's identity, what the controller would use. Files that are named may be mounted;
    /// defaults and limits are those of a command.
    ControllerCheck,
    /// The controller. Files are mounted and reloaded; there are no default files.
    Controller,
}

/// The result of [`Provider::configure`].
pub enum Configured {
    /// A KMS that can be called.
    Kms(Arc<dyn Kms>),
    /// Nothing is configured, which is not an error. The text says what is missing: `there is no keyring at PATH`.
    NotConfigured(String),
}

/// One KMS, before it is configured. Implementations are stateless statics.
pub trait Provider: Send + Sync {
    /// What precedes `://` in the URIs of its KMS keys.
    fn scheme(&self) -> &'static str;

    /// The service as messages name it: `Tencent Cloud KMS`.
    fn title(&self) -> &'static str;

    /// What this KMS can do.
    fn capabilities(&self) -> &'static [Capability];

    /// Classifies a URI of this scheme.
    fn classify_uri(&self, uri: &KeyUri) -> UriKind;

    /// Why a URI names nothing, where the provider can tell: `the region is missing`.
    fn explain(&self, _uri: &KeyUri) -> Option<String> {
        None
    }

    /// How a key URI is written, as advice.
    fn key_form(&self) -> &'static str;

    /// The region of a KMS key or prefix, where the service has regions.
    fn region<'k>(&self, _uri: &'k KeyUri) -> Option<&'k str> {
        None
    }

    /// How to configure this provider, as advice.
    fn setup_advice(&self) -> &'static str;

    /// What to do when the controller may use none of a document's KMS keys, all of this provider.
    fn allow_advice(&self) -> &'static str {
        "allow one with --allow-key, or re-seal with an allowed KMS key"
    }

    /// The flags that configure it, each with its environment variable.
    fn settings(&self) -> &'static [Setting];

    /// Environment variables that it reads besides those of its flags, for the reference.
    fn variables(&self) -> &'static [Variable] {
        &[]
    }

    /// Configures the provider. Reads files; does not call the KMS.
    ///
    /// Documents open only with the `allowed` keys, unless the provider uses [only its configured keys](Capability::ConfiguredKeysOnly).
    /// Sealing uses the keys that it is given.
    fn configure(
        &self,
        settings: &Settings,
        allowed: AllowedKeys,
        caller: Caller,
    ) -> Result<Configured, ProviderError>;

    /// Parses a KMS key as a user writes it: by default a URI, but a provider may accept a short form.
    fn parse_key(&self, text: &str) -> Result<KeyUri, ProviderError> {
        let wrong = |message: String| ProviderError::configuration(message, self.key_form());
        let uri = KeyUri::parse(text).map_err(|error| wrong(error.to_string()))?;
        if uri.scheme() == self.scheme() && self.classify_uri(&uri) == UriKind::Key {
            Ok(uri)
        } else {
            let reason = self
                .explain(&uri)
                .map(|reason| format!(": {reason}"))
                .unwrap_or_default();
            Err(wrong(format!(
                "{uri} is not a KMS key of {}{reason}",
                self.title()
            )))
        }
    }

    /// The commands under `envelope keys`. Only called with [`Capability::ManageKeys`].
    fn key_manager(&self, _settings: &Settings) -> Result<Box<dyn KeyManager>, ProviderError> {
        let message = format!("KMS keys of {} are not managed with this command", self.title());
        Err(ProviderError::configuration(
            message,
            "use the service's own console or command line",
        ))
    }
}

impl dyn Provider {
    /// Whether it has a capability.
    pub fn can(&self, capability: Capability) -> bool {
        self.capabilities().contains(&capability)
    }
}

impl fmt::Debug for dyn Provider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.scheme())
    }
}
