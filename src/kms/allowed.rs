//! Which KMS keys a reader may use: one list with one meaning, for `--allow-key` and for the controller's policy.

use super::{KeyUri, KeyUriError, registry};

/// A list of KMS keys, each named exactly or by a prefix. Empty allows nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AllowedKeys(Vec<Entry>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Entry {
    Exact(KeyUri),
    /// Ends at `/` and names at least the region.
    Prefix(KeyUri),
    /// No text stands for it.
    Every,
}

impl AllowedKeys {
    /// Reads entries as people write them: a key's URI, or a prefix that ends at `/` and names at least the region
    /// (`tencent-kms://ap-guangzhou/`). An entry that could never match is an error.
    pub fn parse<S: AsRef<str>>(entries: impl IntoIterator<Item = S>) -> Result<Self, AllowedKeyError> {
        let entries = entries.into_iter().map(|entry| Entry::parse(entry.as_ref()));
        entries.collect::<Result<_, _>>().map(AllowedKeys)
    }

    /// Exactly these keys: those that somebody chose on the command line.
    pub fn exactly(keys: impl IntoIterator<Item = KeyUri>) -> Self {
        AllowedKeys(keys.into_iter().map(Entry::Exact).collect())
    }

    /// Whatever a document names: for a person who says so on the command line. No entry that is read means this.
    pub fn every() -> Self {
        AllowedKeys(vec![Entry::Every])
    }

    /// Whether `key` is on the list. Compared bytewise; whether it is a key of its provider is the provider's question.
    pub fn allows(&self, key: &KeyUri) -> bool {
        self.0.iter().any(|entry| match entry {
            Entry::Exact(allowed) => allowed == key,
            Entry::Prefix(prefix) => key.as_str().starts_with(prefix.as_str()),
            Entry::Every => true,
        })
    }

    /// Whether nothing is allowed.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The entries as they were written.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|entry| match entry {
            Entry::Exact(uri) | Entry::Prefix(uri) => uri.as_str(),
            Entry::Every => "every key",
        })
    }

    /// The first entry for this scheme, a key or a prefix.
    pub fn of_scheme(&self, scheme: &str) -> Option<&KeyUri> {
        let mut uris = self.0.iter().filter_map(|entry| match entry {
            Entry::Exact(uri) | Entry::Prefix(uri) => Some(uri),
            Entry::Every => None,
        });
        uris.find(|uri| uri.scheme() == scheme)
    }

    /// This list, then the other.
    #[must_use]
    pub fn and(mut self, other: AllowedKeys) -> Self {
        self.0.extend(other.0);
        self
    }
}

impl Entry {
    fn parse(text: &str) -> Result<Self, AllowedKeyError> {
        let uri = match KeyUri::parse(text) {
            Ok(uri) => uri,
            // A bare scheme is worth a better answer: it would allow every key that its credentials reach.
            Err(_) if text.ends_with("://") => return Err(AllowedKeyError::TooWide(text.to_owned())),
            Err(error) => return Err(AllowedKeyError::NotUri(error)),
        };
        let names = registry::names(&uri);
        match names {
            None => Err(AllowedKeyError::UnknownScheme(uri.scheme().to_owned())),
            Some(registry::Names::Key) => Ok(Entry::Exact(uri)),
            Some(registry::Names::Prefix) => Ok(Entry::Prefix(uri)),
            Some(registry::Names::Nothing) if text.ends_with('/') => Err(AllowedKeyError::NoPrefix(uri)),
            Some(registry::Names::Nothing) => Err(AllowedKeyError::NoKey(uri)),
        }
    }
}

/// Why an entry of [`AllowedKeys`] is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AllowedKeyError {
    /// No key URI at all.
    #[error("{0}")]
    NotUri(#[from] KeyUriError),
    /// It would allow every key of a provider.
    #[error("{0:?} would allow every KMS key of the provider")]
    TooWide(String),
    /// No provider has this scheme.
    #[error("this version has no provider {0}")]
    UnknownScheme(String),
    /// The provider has no keys of such a name, so it could never match.
    #[error("{0} names no KMS key: its provider has no keys of that form")]
    NoKey(KeyUri),
    /// The provider has no such prefixes.
    #[error("{0} is no prefix of KMS keys that can be allowed")]
    NoPrefix(KeyUri),
}

impl AllowedKeyError {
    /// What a person can do.
    pub fn advice(&self) -> &'static str {
        match self {
            AllowedKeyError::TooWide(_) | AllowedKeyError::NoPrefix(_) => {
                "name the key, or a region: tencent-kms://ap-guangzhou/"
            }
            AllowedKeyError::NotUri(_) | AllowedKeyError::NoKey(_) => {
                "write a KMS key as tencent-kms://REGION/KEY-ID or local://ID, a prefix with / at its end"
            }
            AllowedKeyError::UnknownScheme(_) => "use a KMS key of a provider that this version has",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "tencent-kms://ap-guangzhou/23e80852-1e38-11e9-b129-5cb9019b4b01";
    const NEXT: &str = "tencent-kms://ap-guangzhou/23e80852-1e38-11e9-b129-5cb9019b4b02";
    const FAR: &str = "tencent-kms://ap-guangzhou-open/23e80852-1e38-11e9-b129-5cb9019b4b01";

    fn allowed(entries: &[&str]) -> Vec<&'static str> {
        let list = AllowedKeys::parse(entries).expect("a list");
        let uri = |text: &str| KeyUri::parse(text).expect("a key URI");
        let all = [KEY, NEXT, FAR, "local://fa1975b2"];
        all.into_iter().filter(|key| list.allows(&uri(key))).collect()
    }

    #[test]
    fn exact_or_a_region_as_prefix() {
        assert_eq!(allowed(&[]), Vec::<&str>::new());
        assert_eq!(allowed(&[KEY]), [KEY]);
        assert_eq!(allowed(&["tencent-kms://ap-guangzhou/"]), [KEY, NEXT]);
        assert_eq!(allowed(&["local://fa1975b2", FAR]), [FAR, "local://fa1975b2"]);
    }

    #[test]
    fn what_is_too_wide_or_never_matches_is_refused() {
        for (entry, refused) in [
            ("tencent-kms://", "would allow every KMS key"),
            ("tencent-kms:///", "is no prefix"),
            ("tencent-kms://ap-guangzhou", "names no KMS key"),
            ("tencent-kms://ap-guangzhou/23e80852", "names no KMS key"),
            ("tencent-kms://ap-guangzhou/23e80852/", "is no prefix"),
            ("tencent-kms://ap/", "is no prefix"),
            ("tencent-kms://*/", "is no prefix"),
            ("local://", "would allow every KMS key"),
            ("local://fa/", "is no prefix"),
            ("local://FA1975B2", "names no KMS key"),
            ("nokms://k", "this version has no provider nokms"),
            ("*", "is no KMS key URI"),
            ("", "is no KMS key URI"),
        ] {
            let error = AllowedKeys::parse([entry]).expect_err(entry);
            assert!(error.to_string().contains(refused), "{entry}: {error}");
            assert!(!error.advice().is_empty());
        }
    }

    #[test]
    fn lists_add_up_and_are_printed_as_they_were_written() {
        let uri = KeyUri::parse(NEXT).expect("a key URI");
        let both = AllowedKeys::parse([KEY])
            .expect("a list")
            .and(AllowedKeys::exactly([uri]));
        assert_eq!(both.iter().collect::<Vec<_>>(), [KEY, NEXT]);
        assert!(!both.is_empty() && AllowedKeys::default().is_empty());
        assert_eq!(both.of_scheme("tencent-kms").map(KeyUri::as_str), Some(KEY));
        assert_eq!(both.of_scheme("tencent"), None);
    }
}
