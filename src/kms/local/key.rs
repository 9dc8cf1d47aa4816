//! One key of a keyring: its name, its line, its bytes (format-es1 section 10).

use std::fmt;

use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use crate::envelope::encoding::{base64url_into, pae, to_base64url, to_hex};
use crate::kms::KeyUri;

/// What precedes `://` in the URI of a local key.
pub const SCHEME: &str = "local";

/// How a key URI is written, as advice.
pub(super) const KEY_FORM: &str = "write it as local://KEY-ID; the key id has 8 lower-case hex digits";

/// The first word of a key's line; secret scanners can look for it.
const MAGIC: &str = "ES-LOCAL-KEY-1";
/// Bytes of a local key.
const KEY_LEN: usize = 32;

/// The public name of a local key: the first 4 bytes of a hash of it, shown as 8 lower-case hex digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Kid([u8; 4]);

impl Kid {
    /// Parses 8 lower-case hex digits.
    pub fn parse(text: &str) -> Option<Kid> {
        if text.len() != 8 || !text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')) {
            return None;
        }
        u32::from_str_radix(text, 16).ok().map(|n| Kid(n.to_be_bytes()))
    }

    /// The key that a `local://` URI names; `None` for another scheme or rest.
    pub fn of_uri(uri: &KeyUri) -> Option<Kid> {
        (uri.scheme() == SCHEME).then(|| Kid::parse(uri.rest())).flatten()
    }

    /// `local://<kid>`.
    #[expect(
        clippy::expect_used,
        clippy::missing_panics_doc,
        reason = "a scheme and 8 hex digits are of the grammar of key URIs"
    )]
    pub fn uri(self) -> KeyUri {
        KeyUri::parse(&format!("{SCHEME}://{self}")).expect("a key URI")
    }

    /// `hex(SHA-256(PAE("envelope-secret/local-kid/1", key))[0:4])`.
    fn of_key(key: &[u8; KEY_LEN]) -> Kid {
        let hashed = Zeroizing::new(pae(&[b"envelope-secret/local-kid/1".as_slice(), key]));
        let digest = Sha256::digest(&hashed);
        Kid([digest[0], digest[1], digest[2], digest[3]])
    }
}

impl fmt::Display for Kid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&to_hex(&self.0))
    }
}

/// One key of a keyring. Wiped on drop; no Debug.
pub struct LocalKey {
    kid: Kid,
    // Boxed, so that neither a move nor a growing Vec leaves a copy behind.
    key: Box<Zeroizing<[u8; KEY_LEN]>>,
}

impl LocalKey {
    /// Generates a key with the OS RNG.
    pub fn random() -> Result<Self, getrandom::Error> {
        let mut key = Box::new(Zeroizing::new([0; KEY_LEN]));
        getrandom::fill(&mut key[..])?;
        Ok(LocalKey {
            kid: Kid::of_key(&key),
            key,
        })
    }

    /// Its id.
    pub fn kid(&self) -> Kid {
        self.kid
    }

    pub(super) fn expose(&self) -> &[u8; KEY_LEN] {
        &self.key
    }

    /// Its line in a keyring, without the line ending. Holds the key.
    pub(super) fn line(&self) -> Zeroizing<String> {
        let encoded = Zeroizing::new(to_base64url(self.expose()));
        let mut line = Zeroizing::new(String::with_capacity(MAGIC.len() + 8 + encoded.len() + 2));
        line.push_str(MAGIC);
        line.push(' ');
        line.push_str(&self.kid.to_string());
        line.push(' ');
        line.push_str(&encoded);
        line
    }

    /// Parses a line without its line ending. Errors never contain the key.
    pub(super) fn from_line(line: &[u8]) -> Result<Self, LineError> {
        let text = str::from_utf8(line).map_err(|_| LineError::NotText)?;
        let mut fields = text.split(' ');
        let (Some(magic), Some(kid), Some(encoded), None) =
            (fields.next(), fields.next(), fields.next(), fields.next())
        else {
            return Err(LineError::Fields);
        };
        if magic != MAGIC {
            return Err(LineError::Magic);
        }
        let kid = Kid::parse(kid).ok_or(LineError::Kid)?;
        let mut key = Box::new(Zeroizing::new([0; KEY_LEN]));
        if !base64url_into(encoded, &mut key[..]) {
            return Err(LineError::Key);
        }
        if Kid::of_key(&key) != kid {
            return Err(LineError::Mismatch(kid));
        }
        Ok(LocalKey { kid, key })
    }
}

/// What is wrong with a line of a keyring.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LineError {
    /// Not UTF-8.
    #[error("not UTF-8 text")]
    NotText,
    /// A byte order mark before the first line.
    #[error("begins with a byte order mark; save the file without one")]
    ByteOrderMark,
    /// Not three fields with one space between each.
    #[error("not `{MAGIC} KID KEY` with one space between the fields and none around them")]
    Fields,
    /// Another first word.
    #[error("does not begin with {MAGIC}")]
    Magic,
    /// The second field.
    #[error("the second field is not 8 lower-case hex digits")]
    Kid,
    /// The third field.
    #[error("the third field is not 32 bytes as base64url (43 characters)")]
    Key,
    /// A typing or copying error in either field.
    #[error("{0} is not the id of the KMS key on this line; one of the two was changed or truncated")]
    Mismatch(Kid),
    /// The key is already on an earlier line.
    #[error("{0} is already on an earlier line")]
    Duplicate(Kid),
}

#[cfg(test)]
mod tests {
    use std::marker::PhantomData;

    use super::super::{Keyring, LocalKms};
    use super::*;

    #[test]
    fn only_eight_lower_case_hex_digits_after_local_are_a_key_id() {
        assert_eq!(
            Kid::parse("0000000a").map(|kid| kid.to_string()).as_deref(),
            Some("0000000a")
        );
        for bad in [
            "local://fa1975b",
            "local://FA1975B2",
            "local://fa1975b2/",
            "locals://fa1975b2",
        ] {
            assert_eq!(
                Kid::of_uri(&KeyUri::parse(bad).expect("a key URI")),
                None,
                "{bad}"
            );
        }
    }

    #[test]
    fn types_that_hold_keys_have_no_debug() {
        trait Hidden {
            const SHOWN: bool = false;
        }
        struct Probe<T>(PhantomData<T>);
        impl<T> Hidden for Probe<T> {}
        // An inherent constant takes precedence over a trait's if its bound holds.
        impl<T: fmt::Debug> Probe<T> {
            const SHOWN: bool = true;
        }
        let shown = [
            Probe::<Kid>::SHOWN, // not a key: shows that the probe detects Debug
            Probe::<LocalKey>::SHOWN,
            Probe::<Keyring>::SHOWN,
            Probe::<LocalKms>::SHOWN,
        ];
        assert_eq!(shown, [true, false, false, false]);
    }
}
