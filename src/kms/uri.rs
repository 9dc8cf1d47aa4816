//! Key URIs, parsed once at the edge.

use std::fmt;

use crate::envelope::names::is_key_uri;

/// A KMS key's name: `<scheme>://<rest>`, of the grammar of format-es1 section 2. Whether the scheme is known
/// and the rest makes sense to it is the provider's question. Compared bytewise.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyUri(String);

impl KeyUri {
    /// The only way to make one.
    pub fn parse(text: &str) -> Result<Self, KeyUriError> {
        if is_key_uri(text) {
            Ok(KeyUri(text.to_owned()))
        } else {
            Err(KeyUriError {
                text: text.to_owned(),
            })
        }
    }

    /// The whole text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What stands before `://`.
    pub fn scheme(&self) -> &str {
        self.0.split_once("://").map_or("", |(scheme, _)| scheme)
    }

    /// What stands behind `://`.
    pub fn rest(&self) -> &str {
        self.0.split_once("://").map_or("", |(_, rest)| rest)
    }
}

impl fmt::Display for KeyUri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Why a text is no key URI.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is no KMS key URI; write it like local://fa1975b2")]
pub struct KeyUriError {
    /// What was given.
    pub text: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_uri_is_split_once() {
        let uri = KeyUri::parse("tencent-kms://ap-guangzhou/23e8").expect("a key URI");
        assert_eq!((uri.scheme(), uri.rest()), ("tencent-kms", "ap-guangzhou/23e8"));
        assert_eq!(uri.to_string(), "tencent-kms://ap-guangzhou/23e8");
        let error = KeyUri::parse("fa1975b2").expect_err("no scheme");
        assert!(error.to_string().contains("local://"), "{error}");
    }
}
