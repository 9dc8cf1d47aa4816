//! The KMS keys that a command may use: from flags, the environment and keyrings, never from a document.

use super::args::KeyArgs;
use super::env;
use super::failure::{Failure, Result};
use super::providers::holders;
use crate::kms::{
    self, Access, AllowedKeys, Caller, Capability, Configured, KeyUri, KeyUriError, Provider, ProviderError,
    Registry, Settings,
};

/// The limit of the format.
const MAX_KEYS: usize = crate::envelope::wire::MAX_KEYS;

/// The chosen KMS keys to seal with; possibly none.
pub(super) struct Selection {
    /// The first generates the data key. Empty if no KMS key is configured.
    pub(super) keys: Vec<KeyUri>,
    /// Where they are configured: `--key`, `ENVELOPE_KEY`, `keyring PATH`.
    pub(super) source: String,
    /// The configured providers.
    pub(super) registry: Registry,
    /// Providers that use only their configured keys, and cannot be used.
    pub(super) unusable: Vec<Unusable>,
}

/// A provider that uses only its configured keys, and cannot be used.
pub(super) struct Unusable {
    pub(super) provider: &'static dyn Provider,
    pub(super) why: Why,
}

/// Why a provider cannot be used.
pub(super) enum Why {
    /// Its keyring is broken or has unsafe permissions.
    Broken(ProviderError),
    /// It has no keyring: `there is no keyring at PATH`.
    Absent(String),
}

impl Selection {
    /// Chooses the keys of `--key`, else of `ENVELOPE_KEY`, else the first KMS key of a keyring.
    ///
    /// `caller` decides about files: [`Caller::ControllerCheck`] accepts a mounted keyring.
    pub(super) fn new(args: &KeyArgs, caller: Caller) -> Result<Self> {
        let (keys, source) = explicit_keys(args)?;
        let mut selection = Selection {
            source: source.to_owned(),
            registry: Registry::new(),
            unusable: Vec::new(),
            keys,
        };
        if selection.keys.is_empty() {
            selection.choose_default(args.providers.settings(), caller);
        } else {
            selection.configure(args.providers.settings(), caller)?;
        }
        Ok(selection)
    }

    /// Configures the providers of the chosen keys.
    fn configure(&mut self, settings: &Settings, caller: Caller) -> Result<()> {
        let allowed = AllowedKeys::exactly(self.keys.iter().cloned());
        for provider in kms::providers() {
            let scheme = provider.scheme();
            if self.keys.iter().any(|key| key.scheme() == scheme) {
                match provider.configure(settings, allowed.of_scheme(scheme), caller) {
                    Ok(Configured::Kms(kms)) => self.registry.insert(scheme, kms),
                    Ok(Configured::NotConfigured(why)) => self.unusable.push(Unusable::absent(provider, why)),
                    Err(error) if provider.can(Capability::ConfiguredKeysOnly) => {
                        self.unusable.push(Unusable::broken(provider, error));
                    }
                    Err(error) => return Err(error.into()),
                }
            }
        }
        Ok(())
    }

    /// Chooses the first key of the first keyring that exists.
    fn choose_default(&mut self, settings: &Settings, caller: Caller) {
        for provider in holders() {
            match provider.configure(settings, AllowedKeys::default(), caller) {
                Ok(Configured::Kms(kms)) => {
                    let Access::Keyring { file, keys, .. } = kms.access() else {
                        continue;
                    };
                    let Some(first) = keys.into_iter().next() else {
                        continue;
                    };
                    self.source = file.map_or_else(
                        || provider.title().to_owned(),
                        |file| format!("keyring {}", file.display()),
                    );
                    self.keys.push(first);
                    self.registry.insert(provider.scheme(), kms);
                    return;
                }
                Ok(Configured::NotConfigured(why)) => self.unusable.push(Unusable::absent(provider, why)),
                Err(error) => {
                    if let Some(file) = &error.file {
                        self.source = format!("keyring {}", file.display());
                    }
                    self.unusable.push(Unusable::broken(provider, error));
                    return;
                }
            }
        }
    }

    /// The failure if no KMS key was chosen and no provider is broken.
    pub(super) fn nothing_to_seal_with(&self) -> Failure {
        let mut reasons = vec!["none is named".to_owned()];
        reasons.extend(self.unusable.iter().filter_map(|unusable| match &unusable.why {
            Why::Absent(why) => Some(why.clone()),
            Why::Broken(_) => None,
        }));
        Failure::usage(format!("no KMS key to seal with: {}", reasons.join(", and "))).help(format!(
            "create a keyring: envelope keys create; or name a KMS key with --key URI or {}",
            env::KEY
        ))
    }
}

impl Unusable {
    fn absent(provider: &'static dyn Provider, why: String) -> Self {
        Unusable {
            provider,
            why: Why::Absent(why),
        }
    }

    fn broken(provider: &'static dyn Provider, error: ProviderError) -> Self {
        Unusable {
            provider,
            why: Why::Broken(error),
        }
    }
}

/// The KMS keys to seal with, and their providers.
pub(super) struct Recipients {
    /// The KMS key that generates the data key.
    pub(super) first: KeyUri,
    /// The KMS keys that also wrap it.
    pub(super) others: Vec<KeyUri>,
    /// See [`Selection::source`].
    pub(super) source: String,
    /// The configured providers.
    pub(super) registry: Registry,
}

impl Recipients {
    /// All keys, for messages.
    pub(super) fn list(&self) -> String {
        let keys: Vec<&str> = std::iter::once(&self.first)
            .chain(&self.others)
            .map(KeyUri::as_str)
            .collect();
        keys.join(", ")
    }

    /// Like [`Selection::new`], but fails if there is no usable KMS key.
    pub(super) fn choose(args: &KeyArgs) -> Result<Self> {
        let selection = Selection::new(args, Caller::CommandLine)?;
        for unusable in &selection.unusable {
            if let Why::Broken(error) = &unusable.why {
                return Err(error.clone().into());
            }
        }
        let mut keys = selection.keys.iter().cloned();
        let Some(first) = keys.next() else {
            return Err(selection.nothing_to_seal_with());
        };
        Ok(Recipients {
            first,
            others: keys.collect(),
            source: selection.source,
            registry: selection.registry,
        })
    }
}

/// The keys in `--key`, else in `ENVELOPE_KEY`, and the name of their source.
fn explicit_keys(args: &KeyArgs) -> Result<(Vec<KeyUri>, &'static str)> {
    if !args.key.is_empty() {
        let keys = parse_keys(args.key.iter().map(String::as_str), "--key")?;
        return Ok((keys, "--key"));
    }
    Ok((keys_in_variable()?, env::KEY))
}

/// The keys in `ENVELOPE_KEY`.
fn keys_in_variable() -> Result<Vec<KeyUri>> {
    let text = env::text(env::KEY)?.unwrap_or_default();
    let words = text.split(',').map(str::trim).filter(|word| !word.is_empty());
    parse_keys(words, env::KEY)
}

/// Shows the form of the provider's URIs if `word` begins with its scheme.
pub(super) fn invalid_key(word: &str, error: &KeyUriError) -> Failure {
    let failure = Failure::usage(error.to_string());
    let meant = |provider: &&'static dyn Provider| {
        let rest = word.trim().strip_prefix(provider.scheme());
        rest.is_some_and(|rest| rest.starts_with(':'))
    };
    match kms::providers().into_iter().find(meant) {
        Some(provider) => failure.help(provider.key_form()),
        None => failure,
    }
}

fn parse_keys<'a>(words: impl Iterator<Item = &'a str>, source: &str) -> Result<Vec<KeyUri>> {
    let mut keys: Vec<KeyUri> = Vec::new();
    for word in words {
        let key = KeyUri::parse(word).map_err(|error| invalid_key(word, &error).about(source))?;
        if let Some(provider) = kms::provider_of(&key)
            && !kms::is_key(&key)
        {
            let reason = provider
                .explain(&key)
                .map(|reason| format!(": {reason}"))
                .unwrap_or_default();
            return Err(Failure::usage(format!("{key} is not a KMS key{reason}"))
                .about(source)
                .help(provider.key_form()));
        }
        if keys.contains(&key) {
            return Err(Failure::usage(format!("{key} is named twice")).about(source));
        }
        keys.push(key);
    }
    if keys.len() > MAX_KEYS {
        return Err(Failure::usage(format!("more than {MAX_KEYS} KMS keys")).about(source));
    }
    Ok(keys)
}

/// The KMS keys to open with.
pub(super) struct Reader {
    /// The configured providers, each with the keys that it may use.
    pub(super) registry: Registry,
    /// Why providers that use only their configured keys are not configured.
    absent: Vec<String>,
}

impl Reader {
    /// Every KMS key that flags, environment and keyrings allow; with `trust_document`, also those that a document
    /// names.
    pub(super) fn choose(args: &KeyArgs, trust_document: bool) -> Result<Self> {
        let mut listed = parse_keys(args.key.iter().map(String::as_str), "--key")?;
        listed.extend(keys_in_variable()?);
        let allowed = if trust_document {
            AllowedKeys::every()
        } else {
            AllowedKeys::exactly(listed.iter().cloned())
        };
        let mut reader = Reader {
            registry: Registry::new(),
            absent: Vec::new(),
        };
        for provider in kms::providers() {
            let allowed = allowed.of_scheme(provider.scheme());
            if !provider.can(Capability::ConfiguredKeysOnly) && allowed.is_empty() {
                continue;
            }
            match provider.configure(args.providers.settings(), allowed, Caller::CommandLine)? {
                Configured::Kms(kms) => reader.registry.insert(provider.scheme(), kms),
                Configured::NotConfigured(why) => reader.absent.push(why),
            }
        }
        Ok(reader)
    }

    /// Whether a wrap under this key may be tried.
    pub(super) fn usable(&self, key: &str) -> bool {
        self.registry.usable(key)
    }

    /// What to do if none of `keys` may be used.
    pub(super) fn advice(&self, keys: &[String]) -> String {
        let keys = keys.iter().filter_map(|key| KeyUri::parse(key).ok());
        let keys: Vec<KeyUri> = keys.filter(kms::is_key).collect();
        let Some(first) = keys.first() else {
            return "this version knows no such KMS key: compare the document with its last version in Git, or open it \
                    with the newest version of envelope"
                .to_owned();
        };
        if let Some(key) = keys
            .iter()
            .find(|key| !kms::can(key, Capability::ConfiguredKeysOnly))
        {
            // --trust-document-keys would have used it.
            return format!(
                "name the KMS key to open it with: --key {key}; or trust the document's own with --trust-document-keys"
            );
        }
        let setup = kms::provider_of(first)
            .map(Provider::setup_advice)
            .unwrap_or_default();
        let access = self.registry.provider(first).map(|kms| kms.access());
        let (in_use, retired) = match access {
            Some(Access::Keyring { file, retired, .. }) => (file, retired),
            Some(Access::Service { .. }) | None => (None, Vec::new()),
        };
        if let (Some(file), Some(key)) = (&in_use, keys.iter().find(|key| retired.contains(key))) {
            return format!(
                "{key} is retired in {}; to use it again, remove the `#` and the date before it",
                file.display()
            );
        }
        match (in_use, self.absent.first()) {
            (Some(file), _) => format!("the keyring in use is {}; {setup}", file.display()),
            (None, Some(why)) => format!("{why}; {setup}"),
            (None, None) => setup.to_owned(),
        }
    }
}
