//! Bearer tokens.

use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

/// The longest token, in bytes. A token of a `ServiceAccount` has about 1 KiB.
const MAX_LEN: usize = 16 << 10;

/// The bearer token of a request (RFC 6750): a credential of another client. Wiped when dropped; no Debug.
pub struct BearerToken(Zeroizing<String>);

/// The SHA-256 of a token, which stands for it in the cache.
pub(super) type TokenDigest = [u8; 32];

impl BearerToken {
    /// Reads the value of an `Authorization` header. `None` if it is not a well-formed bearer token, so that no request to
    /// the API server is spent on it.
    pub fn from_header(value: &[u8]) -> Option<Self> {
        let value = std::str::from_utf8(value).ok()?;
        let (scheme, token) = value.split_once(' ')?;
        let token = token.trim_matches(' ');
        let is_token = !token.is_empty() && token.len() <= MAX_LEN && token.bytes().all(is_token_byte);
        (scheme.eq_ignore_ascii_case("bearer") && is_token)
            .then(|| BearerToken(Zeroizing::new(token.to_owned())))
    }

    /// Reveals the token, for the request to the API server.
    pub fn reveal(&self) -> &str {
        &self.0
    }

    pub(super) fn digest(&self) -> TokenDigest {
        Sha256::digest(self.0.as_bytes()).into()
    }
}

/// The alphabet of `b64token` (RFC 6750 section 2.1).
fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~+/=".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_well_formed_bearer_token_is_accepted() {
        let read =
            |text: &str| BearerToken::from_header(text.as_bytes()).map(|token| token.reveal().to_owned());
        assert_eq!(read("Bearer aA0-._~+/="), Some("aA0-._~+/=".to_owned()));
        assert_eq!(read("bearer  x "), Some("x".to_owned()));
        for bad in [
            "",
            "Bearer",
            "Bearer ",
            "Basic eDp5",
            "Bearer a b",
            "Bearer a,b",
            "Bearer \u{e9}",
            "Bearerx",
        ] {
            assert_eq!(read(bad), None, "{bad:?}");
        }
        assert_eq!(BearerToken::from_header(b"Bearer \xff").map(|_| ()), None);
        assert!(read(&format!("Bearer {}", "a".repeat(MAX_LEN))).is_some());
        assert!(read(&format!("Bearer {}", "a".repeat(MAX_LEN + 1))).is_none());
    }
}
