//! Parsing entries of [`AllowedKeys`] by the grammar of their providers.

use super::allowed::{AllowedKeys, Entry};
use super::provider::UriKind;
use super::registry;
use super::uri::{KeyUri, KeyUriError};

impl AllowedKeys {
    /// Parses entries: key URIs, or prefixes that end at `/` and name at least the region
    /// (`tencent-kms://ap-guangzhou/`). An entry that could never match is an error.
    ///
    /// ```
    /// use envelope_secrets::kms::{AllowedKeys, KeyUri};
    ///
    /// let allowed = AllowedKeys::parse(["tencent-kms://ap-guangzhou/", "local://fa1975b2"])?;
    /// let key = KeyUri::parse("tencent-kms://ap-guangzhou/23e80852-1e38-11e9-b129-5cb9019b4b01")?;
    /// assert!(allowed.allows(&key));
    /// assert!(AllowedKeys::parse(["tencent-kms://"]).is_err(), "every KMS key of the provider");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn parse<S: AsRef<str>>(entries: impl IntoIterator<Item = S>) -> Result<Self, AllowedKeyError> {
        let entries = entries.into_iter().map(|entry| Entry::parse(entry.as_ref()));
        entries.collect::<Result<_, _>>().map(AllowedKeys)
    }
}

impl Entry {
    fn parse(text: &str) -> Result<Self, AllowedKeyError> {
        let uri = match KeyUri::parse(text) {
            Ok(uri) => uri,
            // A bare scheme gets a better error: it would allow every key that the credentials reach.
            Err(_) if text.ends_with("://") => return Err(AllowedKeyError::TooWide(text.to_owned())),
            Err(error) => return Err(AllowedKeyError::NotUri(error)),
        };
        let Some(provider) = registry::provider_of(&uri) else {
            return Err(AllowedKeyError::UnknownScheme(uri.scheme().to_owned()));
        };
        match provider.classify_uri(&uri) {
            UriKind::Key => Ok(Entry::Exact(uri)),
            UriKind::Prefix => Ok(Entry::Prefix(uri)),
            UriKind::Nothing => {
                let key = text.strip_suffix('/').and_then(|text| KeyUri::parse(text).ok());
                let reason = match key {
                    Some(key) if provider.classify_uri(&key) == UriKind::Key => {
                        Some("a KMS key has no / at its end".to_owned())
                    }
                    _ => provider.explain(&uri),
                };
                let reason = reason.map(|reason| format!(": {reason}")).unwrap_or_default();
                Err(if text.ends_with('/') {
                    AllowedKeyError::NoPrefix(uri, reason)
                } else {
                    AllowedKeyError::NoKey(uri, reason)
                })
            }
        }
    }
}

/// Why a text is not an entry of [`AllowedKeys`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AllowedKeyError {
    /// Not a key URI.
    #[error("{0}")]
    NotUri(#[from] KeyUriError),
    /// Would allow every key of a provider.
    #[error("{0:?} would allow every KMS key of the provider")]
    TooWide(String),
    /// No provider has this scheme.
    #[error("this version has no provider {0}")]
    UnknownScheme(String),
    /// The provider has no keys of this form, so the entry could never match. With the reason after a colon, or nothing.
    #[error("{0} is not a KMS key{1}")]
    NoKey(KeyUri, String),
    /// The provider has no prefixes of this form. With the reason after a colon, or nothing.
    #[error("{0} is not a prefix of KMS keys that can be allowed{1}")]
    NoPrefix(KeyUri, String),
}

impl AllowedKeyError {
    /// What to do.
    pub fn advice(&self) -> &'static str {
        match self {
            AllowedKeyError::TooWide(_) | AllowedKeyError::NoPrefix(..) => {
                "name the KMS key, or a region: tencent-kms://ap-guangzhou/"
            }
            AllowedKeyError::NotUri(_) | AllowedKeyError::NoKey(..) => {
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
    fn entries_match_exactly_or_by_region() {
        assert_eq!(allowed(&[]), Vec::<&str>::new());
        assert_eq!(allowed(&[KEY]), [KEY]);
        assert_eq!(allowed(&["tencent-kms://ap-guangzhou/"]), [KEY, NEXT]);
        assert_eq!(allowed(&["local://fa1975b2", FAR]), [FAR, "local://fa1975b2"]);
    }

    #[test]
    fn entries_that_are_too_wide_or_can_never_match_are_refused() {
        for (entry, refused) in [
            ("tencent-kms://", "would allow every KMS key"),
            ("tencent-kms:///", "is not a prefix"),
            (
                "tencent-kms://ap-guangzhou",
                "is not a KMS key: the key id is missing",
            ),
            (
                "tencent-kms://ap-guangzhou/23e80852",
                "is not a KMS key: the key id is not a UUID",
            ),
            (
                "tencent-kms://ap-guangzhou-3/23e80852-1e38-11e9-b129-5cb9019b4b01",
                "is not a KMS key: ap-guangzhou-3 is a zone, not a region",
            ),
            (
                "tencent-kms://ap-guangzhou-3/",
                "can be allowed: ap-guangzhou-3 is a zone, not a region",
            ),
            (
                "tencent-kms://23e80852-1e38-11e9-b129-5cb9019b4b01",
                "is not a KMS key: the region is missing",
            ),
            (
                "tencent-kms://ap-guangzhou/23e80852-1e38-11e9-b129-5cb9019b4b01/",
                "can be allowed: a KMS key has no / at its end",
            ),
            (
                "tencent-kms://guangzhou/",
                "can be allowed: guangzhou is not a region",
            ),
            ("tencent-kms://ap-guangzhou/23e80852/", "is not a prefix"),
            ("tencent-kms://ap/", "is not a prefix"),
            ("tencent-kms://*/", "is not a prefix"),
            ("local://", "would allow every KMS key"),
            ("local://fa/", "is not a prefix"),
            ("local://FA1975B2", "is not a KMS key"),
            ("nokms://k", "this version has no provider nokms"),
            ("*", "is not a KMS key URI"),
            ("", "is not a KMS key URI"),
        ] {
            let error = AllowedKeys::parse([entry]).expect_err(entry);
            assert!(error.to_string().contains(refused), "{entry}: {error}");
            assert!(!error.advice().is_empty());
        }
    }

    #[test]
    fn combined_lists_keep_the_text_of_their_entries() {
        let uri = KeyUri::parse(NEXT).expect("a key URI");
        let both = AllowedKeys::parse([KEY])
            .expect("a list")
            .and(AllowedKeys::exactly([uri]));
        assert_eq!(both.iter().collect::<Vec<_>>(), [KEY, NEXT]);
        assert!(!both.is_empty() && AllowedKeys::default().is_empty());
        assert_eq!(both.of_scheme("tencent-kms"), both);
        assert!(both.of_scheme("tencent").is_empty());
        assert_eq!(AllowedKeys::every().of_scheme("local"), AllowedKeys::every());
    }
}
