//! Which KMS keys a command may use: from flags, the environment and the keyring, never from a document.

use std::path::PathBuf;
use std::sync::Arc;

use super::args::{KeyArgs, KeyringArgs};
use super::env;
use super::failure::{Failure, Result};
use crate::kms::local::{self, FileRules, KeyringError, LocalKms};
use crate::kms::{self, AllowedKeys, KeyUri, Registry, tencent};

/// As the format has it.
const MAX_KEYS: usize = crate::envelope::wire::MAX_KEYS;

/// A keyring file, and how it was chosen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum KeyringFile {
    /// Named by flag or environment: it must be there.
    Named(PathBuf),
    /// The default place, whether or not there is one.
    Default(PathBuf),
    /// Not named, and no home to look in.
    None,
}

impl KeyringFile {
    /// `--keyring`, else `ENVELOPE_KEYRING`, else the default place.
    pub(super) fn choose(args: &KeyringArgs) -> Self {
        match args.keyring.clone().or_else(|| env::path(env::KEYRING)) {
            Some(path) => KeyringFile::Named(path),
            None => env::default_keyring().map_or(KeyringFile::None, KeyringFile::Default),
        }
    }

    /// The path; a failure without a home.
    pub(super) fn path(&self) -> Result<&PathBuf> {
        match self {
            KeyringFile::Named(path) | KeyringFile::Default(path) => Ok(path),
            KeyringFile::None => Err(Failure::usage(
                "no keyring is named, and there is no home folder to look in",
            )
            .help("name one with --keyring FILE")),
        }
    }

    /// The keyring; `None` where none was named and none is at the default place.
    pub(super) fn open(&self) -> std::result::Result<Option<LocalKms>, KeyringError> {
        match self {
            KeyringFile::Named(path) => Ok(Some(LocalKms::open(path, FileRules::Person)?)),
            KeyringFile::Default(path) if path.symlink_metadata().is_ok() => {
                Ok(Some(LocalKms::open(path, FileRules::Person)?))
            }
            KeyringFile::Default(_) | KeyringFile::None => Ok(None),
        }
    }
}

/// The keys to seal with, and the KMSs that hold them.
pub(super) struct Recipients {
    /// Draws the data key.
    pub(super) first: KeyUri,
    /// Wrap the same data key.
    pub(super) others: Vec<KeyUri>,
    /// Where they were chosen: `--key`, `ENVELOPE_KEY`, `keyring PATH`.
    pub(super) source: String,
    /// The KMSs.
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

    /// `--key`, else `ENVELOPE_KEY`, else the keyring's first key.
    pub(super) fn choose(args: &KeyArgs) -> Result<Self> {
        let file = KeyringFile::choose(&args.keyring);
        let (keys, source) = named(args)?;
        let mut registry = Registry::new();
        let mut keys = keys.into_iter();
        let Some(first) = keys.next() else {
            let Some(ring) = file.open()? else {
                return Err(nothing_to_seal_with(&file));
            };
            let first = ring.default_key();
            registry.insert(local::SCHEME, Arc::new(ring));
            let source = format!("keyring {}", file.path()?.display());
            return Ok(Recipients {
                first,
                others: Vec::new(),
                source,
                registry,
            });
        };
        let others: Vec<KeyUri> = keys.collect();
        let all = || std::iter::once(&first).chain(&others);
        if all().any(|key| key.scheme() == local::SCHEME)
            && let Some(ring) = file.open()?
        {
            registry.insert(local::SCHEME, Arc::new(ring));
        }
        set_up_clouds(&mut registry, args, all())?;
        Ok(Recipients {
            first,
            others,
            source: source.to_owned(),
            registry,
        })
    }
}

/// The keys that `--key`, else `ENVELOPE_KEY`, names to seal with, and which of the two; none: it is the keyring's
/// to say.
pub(super) fn named(args: &KeyArgs) -> Result<(Vec<KeyUri>, &'static str)> {
    if !args.key.is_empty() {
        let keys = parse_keys(args.key.iter().map(String::as_str), "--key")?;
        return Ok((keys, "--key"));
    }
    Ok((of_variable()?, env::KEY))
}

/// The keys of `ENVELOPE_KEY`.
fn of_variable() -> Result<Vec<KeyUri>> {
    let text = env::text(env::KEY).unwrap_or_default();
    let words = text.split(',').map(str::trim).filter(|word| !word.is_empty());
    parse_keys(words, env::KEY)
}

/// The providers of those of these keys that are in a cloud; each may use them and no others.
pub(super) fn set_up_clouds<'k>(
    registry: &mut Registry,
    args: &KeyArgs,
    keys: impl Iterator<Item = &'k KeyUri> + Clone,
) -> Result<()> {
    if keys.clone().any(|key| key.scheme() == tencent::SCHEME) {
        let allowed = AllowedKeys::exactly(keys.cloned());
        registry.insert(tencent::SCHEME, Arc::new(args.tencent.provider(allowed)?));
    }
    Ok(())
}

fn parse_keys<'a>(words: impl Iterator<Item = &'a str>, source: &str) -> Result<Vec<KeyUri>> {
    let mut keys: Vec<KeyUri> = Vec::new();
    for word in words {
        let key = KeyUri::parse(word).map_err(|error| Failure::usage(error.to_string()).about(source))?;
        let form = match key.scheme() {
            local::SCHEME if !local::is_key(&key) => Some(local::FORM),
            tencent::SCHEME if !tencent::is_key(&key) => Some(tencent::FORM),
            _ => None,
        };
        if let Some(form) = form {
            return Err(Failure::usage(format!("{key} names no KMS key"))
                .about(source)
                .help(form));
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

pub(super) fn nothing_to_seal_with(file: &KeyringFile) -> Failure {
    let place = match file.path() {
        Ok(path) => format!("there is no keyring at {}", path.display()),
        Err(_) => "there is no home folder with a keyring".to_owned(),
    };
    Failure::usage(format!("no KMS key to seal with: none is named, and {place}")).help(format!(
        "make a keyring: envelope keys create; or name a KMS key with --key URI or {}",
        env::KEY
    ))
}

/// The keys to open with.
pub(super) struct Reader {
    /// The KMSs.
    pub(super) registry: Registry,
    /// Keys of KMSs that are not lists themselves, from flags and environment.
    listed: Vec<KeyUri>,
    /// Whether a document may name further keys.
    trust_document: bool,
    file: KeyringFile,
    has_keyring: bool,
}

impl Reader {
    /// All that may be used.
    pub(super) fn choose(args: &KeyArgs, trust_document: bool) -> Result<Self> {
        let mut listed = parse_keys(args.key.iter().map(String::as_str), "--key")?;
        listed.extend(of_variable()?);
        let file = KeyringFile::choose(&args.keyring);
        let mut registry = Registry::new();
        let ring = file.open()?;
        let has_keyring = ring.is_some();
        if let Some(ring) = ring {
            registry.insert(local::SCHEME, Arc::new(ring));
        }
        if trust_document {
            let provider = args.tencent.provider(AllowedKeys::every())?;
            registry.insert(tencent::SCHEME, Arc::new(provider));
        } else {
            set_up_clouds(&mut registry, args, listed.iter())?;
        }
        Ok(Reader {
            registry,
            listed,
            trust_document,
            file,
            has_keyring,
        })
    }

    /// Whether a wrap under this key may be tried. A keyring is a list; of another KMS only keys that a person
    /// listed, or all that a document names where the person trusts it.
    pub(super) fn usable(&self, key: &str) -> bool {
        let is_listed =
            |key: KeyUri| self.trust_document || key.scheme() == local::SCHEME || self.listed.contains(&key);
        KeyUri::parse(key).is_ok_and(is_listed) && self.registry.usable(key)
    }

    /// What to do when none of `keys` may be used.
    pub(super) fn advice(&self, keys: &[String]) -> String {
        let keys = keys.iter().filter_map(|key| KeyUri::parse(key).ok());
        let keys: Vec<KeyUri> = keys.filter(kms::is_key).collect();
        if keys.is_empty() {
            return "no KMS key that this version knows is named so: compare the document with its last version in \
                    Git, or open it with the newest version of this program"
                .to_owned();
        }
        if let Some(key) = keys.iter().find(|key| key.scheme() != local::SCHEME) {
            // With --trust-document-keys it would have been used.
            return format!(
                "name the KMS key to open it with: --key {key}; or use what it names with --trust-document-keys"
            );
        }
        match (&self.file, self.has_keyring) {
            (KeyringFile::Named(path) | KeyringFile::Default(path), true) => format!(
                "the keyring in use is {}; name the one that holds such a KMS key with --keyring FILE",
                path.display()
            ),
            (KeyringFile::Default(path), false) => {
                format!(
                    "there is no keyring at {}; name the one that holds such a KMS key with --keyring FILE",
                    path.display()
                )
            }
            _ => "name the keyring that holds such a KMS key with --keyring FILE".to_owned(),
        }
    }
}
