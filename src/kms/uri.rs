//! Key URIs, parsed once at the edge.

use std::fmt;

use crate::envelope::names::is_key_uri;

/// The name of a KMS key: `<scheme>://<rest>`, by the grammar of format-es1 section 2. Whether the scheme is known and the
/// rest is valid is for the provider to decide. Compared bytewise.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyUri(Box<str>);

impl KeyUri {
    /// Parses a URI. There is no other way to create one.
    ///
    /// ```
    /// use envelope_secrets::kms::KeyUri;
    ///
    /// let key = KeyUri::parse("tencent-kms://ap-guangzhou/23e80852-1e38-11e9-b129-5cb9019b4b01")?;
    /// assert_eq!(key.scheme(), "tencent-kms");
    /// assert_eq!(key.rest(), "ap-guangzhou/23e80852-1e38-11e9-b129-5cb9019b4b01");
    /// assert!(KeyUri::parse("fa1975b2").is_err(), "no scheme");
    /// # Ok::<(), envelope_secrets::kms::KeyUriError>(())
    /// ```
    pub fn parse(text: &str) -> Result<Self, KeyUriError> {
        if is_key_uri(text) {
            Ok(KeyUri(text.into()))
        } else {
            Err(KeyUriError::of(text))
        }
    }

    /// The whole URI.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The part before `://`.
    pub fn scheme(&self) -> &str {
        self.0.split_once("://").map_or("", |(scheme, _)| scheme)
    }

    /// The part after `://`.
    pub fn rest(&self) -> &str {
        self.0.split_once("://").map_or("", |(_, rest)| rest)
    }
}

impl fmt::Display for KeyUri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Why a string is not a key URI. It may be key material that was pasted in the wrong place, so only a string too short
/// to be a key is repeated.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyUriError {
    /// A key URI with blanks before or after it: the URI.
    #[error("{0:?} has a blank before or after it")]
    Blank(String),
    /// Shorter than any key: the string.
    #[error("{0:?} is not a KMS key URI; write it like local://fa1975b2")]
    Short(String),
    /// Long enough to be a key: its length in bytes.
    #[error("a string of {0} bytes is not a KMS key URI; write it like local://fa1975b2")]
    Long(usize),
}

impl KeyUriError {
    /// 32 bytes are 43 characters of base64url, 64 hex digits.
    const SHORTEST_KEY: usize = 43;

    fn of(text: &str) -> Self {
        if text.trim() != text && is_key_uri(text.trim()) {
            KeyUriError::Blank(text.to_owned())
        } else if text.len() < Self::SHORTEST_KEY {
            KeyUriError::Short(text.to_owned())
        } else {
            KeyUriError::Long(text.len())
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn uri_is_split_at_the_first_separator() {
        let uri = KeyUri::parse("tencent-kms://ap-guangzhou/23e8").expect("a key URI");
        assert_eq!((uri.scheme(), uri.rest()), ("tencent-kms", "ap-guangzhou/23e8"));
        assert_eq!(uri.to_string(), "tencent-kms://ap-guangzhou/23e8");
        let twice = KeyUri::parse("ab://cd://ef").expect("a key URI");
        assert_eq!((twice.scheme(), twice.rest()), ("ab", "cd://ef"));
    }

    #[test]
    fn error_repeats_short_input_but_never_possible_key_material() {
        let error = KeyUri::parse("fa1975b2").expect_err("no scheme");
        assert_eq!(
            error.to_string(),
            "\"fa1975b2\" is not a KMS key URI; write it like local://fa1975b2"
        );
        for pasted in [
            "8kkJ6xAXYHTqbWLyZxcWEVoQPzEPOE0pgF7AeCH6z1I",
            "ES-LOCAL-KEY-1 fa1975b2 8kkJ6xAXYHTqbWLyZxcWEVoQPzEPOE0pgF7AeCH6z1I",
        ] {
            let error = KeyUri::parse(pasted).expect_err("a key");
            assert!(!format!("{error} {error:?}").contains("8kkJ"), "{error}");
        }
    }

    #[test]
    fn blank_around_a_uri_is_reported_as_such() {
        let error = KeyUri::parse("local://fa1975b2 ").expect_err("a blank");
        assert_eq!(
            error.to_string(),
            "\"local://fa1975b2 \" has a blank before or after it"
        );
    }

    proptest! {
        #[test]
        fn any_string_is_a_uri_or_an_error(text: String) {
            if let Ok(uri) = KeyUri::parse(&text) {
                prop_assert_eq!(uri.as_str(), text);
            }
        }

        #[test]
        fn printed_uri_parses_back(text in "[a-z][a-z0-9-]{1,31}://[!-~]{1,990}") {
            let uri = KeyUri::parse(&text).map_err(|error| TestCaseError::fail(error.to_string()))?;
            prop_assert_eq!(KeyUri::parse(&uri.to_string()), Ok(uri.clone()));
            prop_assert_eq!(format!("{}://{}", uri.scheme(), uri.rest()), text);
        }
    }
}
