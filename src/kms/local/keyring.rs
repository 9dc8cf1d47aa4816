//! The keyring's grammar and the keys in it (format-es1 section 10).

use std::fmt;

use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use super::SCHEME;
use crate::envelope::encoding::{base64url_into, pae, to_base64url, to_hex};
use crate::kms::KeyUri;

/// The first word of a key's line; secret scanners can look for it.
const MAGIC: &str = "ES-LOCAL-KEY-1";
/// Bytes of a local key.
pub(super) const KEY_LEN: usize = 32;

/// The public name of a local key: the first 4 bytes of a hash of it, shown as 8 lower-case hex digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Kid([u8; 4]);

impl Kid {
    /// 8 lower-case hex digits, nothing else.
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

/// One key of a keyring: wiped on drop, without Debug.
pub struct LocalKey {
    kid: Kid,
    // Boxed, so that a move or a growing Vec leaves no copy behind.
    key: Box<Zeroizing<[u8; KEY_LEN]>>,
}

impl LocalKey {
    /// Draws a key from the OS RNG.
    pub fn random() -> Result<Self, getrandom::Error> {
        let mut key = Box::new(Zeroizing::new([0; KEY_LEN]));
        getrandom::fill(&mut key[..])?;
        Ok(LocalKey {
            kid: Kid::of_key(&key),
            key,
        })
    }

    /// Its public name.
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

    /// The key in one line, or what is wrong with the line; never the key.
    fn from_line(line: &[u8]) -> Result<Self, LineError> {
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

/// Why a text is no keyring. Names the line, never a key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GrammarError {
    /// A line is wrong.
    #[error("line {line}: {what}")]
    Line {
        /// From 1.
        line: usize,
        /// What is wrong with it.
        what: LineError,
    },
    /// No line holds a key.
    #[error("it holds no key")]
    NoKey,
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
    #[error("{0} is not the id of the key beside it; one of the two was changed or cut")]
    Mismatch(Kid),
    /// The key stands twice.
    #[error("{0} stands on an earlier line already")]
    Duplicate(Kid),
}

/// What a line of a keyring is.
pub(super) enum Line {
    /// Empty, or a comment.
    Blank,
    /// A key.
    Key(LocalKey),
}

/// The lines of a keyring: number (from 1), the bytes with their line ending, and what they say. Ends are LF or
/// CRLF, the last one optional.
pub(super) fn lines(bytes: &[u8]) -> impl Iterator<Item = (usize, &[u8], Result<Line, LineError>)> {
    bytes
        .split_inclusive(|b| *b == b'\n')
        .enumerate()
        .map(|(index, whole)| {
            let line = match whole.strip_suffix(b"\n") {
                Some(line) => line.strip_suffix(b"\r").unwrap_or(line),
                None => whole,
            };
            let said = match line {
                [] | [b'#', ..] => Ok(Line::Blank),
                [0xef, 0xbb, 0xbf, ..] if index == 0 => Err(LineError::ByteOrderMark),
                line => LocalKey::from_line(line).map(Line::Key),
            };
            (index + 1, whole, said)
        })
}

/// The keys of a keyring file, in its order; at least one. No Debug: it holds keys.
pub struct Keyring {
    keys: Vec<LocalKey>,
}

impl Keyring {
    /// Reads a keyring. One bad line refuses the whole file.
    pub fn parse(bytes: &[u8]) -> Result<Self, GrammarError> {
        let mut keys: Vec<LocalKey> = Vec::new();
        for (line, _, said) in lines(bytes) {
            let key = match said {
                Ok(Line::Blank) => continue,
                Ok(Line::Key(key)) => key,
                Err(what) => return Err(GrammarError::Line { line, what }),
            };
            if keys.iter().any(|known| known.kid == key.kid) {
                return Err(GrammarError::Line {
                    line,
                    what: LineError::Duplicate(key.kid),
                });
            }
            keys.push(key);
        }
        if keys.is_empty() {
            Err(GrammarError::NoKey)
        } else {
            Ok(Keyring { keys })
        }
    }

    /// The ids, in the file's order; the first wraps when no key is named.
    pub fn kids(&self) -> Vec<Kid> {
        self.keys.iter().map(LocalKey::kid).collect()
    }

    /// The key that wraps when none is named: the first.
    pub fn default_kid(&self) -> Kid {
        self.keys[0].kid // a keyring has at least one key
    }

    /// The key of this name.
    pub fn key(&self, kid: Kid) -> Option<&LocalKey> {
        self.keys.iter().find(|key| key.kid == kid)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The public keys of tests/vectors/es1.json, and their ids.
    pub(crate) const KIDS: [&str; 3] = ["fa1975b2", "41f313f6", "44b00f6a"];
    const KEYS: [&str; 3] = [
        "8kkJ6xAXYHTqbWLyZxcWEVoQPzEPOE0pgF7AeCH6z1I",
        "dmYXfhPJQ1Ml9-f5RM0nBthLYIYanrN8w7N75qw8JnI",
        "gak0MfdUWFHUfi1aiOUijl_4RtSSJTWr5JD2Qip6A-w",
    ];

    /// Line `n` of a keyring with the keys of the vectors, without a line ending.
    pub(crate) fn line(n: usize) -> String {
        format!("{MAGIC} {} {}", KIDS[n], KEYS[n])
    }

    fn kids(text: impl AsRef<[u8]>) -> Result<Vec<String>, GrammarError> {
        Keyring::parse(text.as_ref()).map(|ring| ring.kids().iter().map(Kid::to_string).collect())
    }

    #[test]
    fn keys_stand_in_the_files_order_and_the_first_is_the_default() {
        let ring = Keyring::parse(format!("{}\n{}\n", line(1), line(0)).as_bytes());
        let ring = ring.expect("a keyring");
        assert_eq!(
            ring.kids().iter().map(Kid::to_string).collect::<Vec<_>>(),
            [KIDS[1], KIDS[0]]
        );
        assert_eq!(ring.default_kid().uri().as_str(), "local://41f313f6");
        let first = ring
            .key(Kid::parse(KIDS[0]).expect("a kid"))
            .expect("in the ring");
        assert_eq!(*first.line(), line(0));
        assert!(ring.key(Kid::parse(KIDS[2]).expect("a kid")).is_none());
    }

    #[test]
    fn line_ends_comments_and_empty_lines_as_the_format_says() {
        let a = line(0);
        for good in [
            a.clone(),
            format!("{a}\n"),
            format!("{a}\r\n"),
            format!("\n\r\n# note\n#\n{a}\n\n# caf\u{e9} {a}\r\n"),
            format!("#{a}\n{a}"),
        ] {
            assert_eq!(kids(&good), Ok(vec![KIDS[0].to_owned()]), "{good:?}");
        }
        assert_eq!(kids(format!("{a}\r\n{}", line(1))).map(|kids| kids.len()), Ok(2));
        assert_eq!(
            kids([b"# \xff\n", a.as_bytes()].concat()),
            Ok(vec![KIDS[0].to_owned()])
        );
    }

    #[test]
    fn one_bad_line_refuses_the_whole_file_and_is_named_without_its_key() {
        let a = line(0);
        let (_, key) = a.rsplit_once(' ').expect("three fields");
        let kid = Kid::parse(KIDS[0]).expect("a kid");
        let table = [
            (format!("\u{feff}{a}\n"), 1, LineError::ByteOrderMark),
            (format!("{a}\n\u{feff}{a}\n"), 2, LineError::Magic),
            (format!(" {a}"), 1, LineError::Fields),
            (format!("{a} "), 1, LineError::Fields),
            (format!("{a}\r"), 1, LineError::Key),
            (format!("{a}\r\r\n"), 1, LineError::Key),
            (format!("\n{a} # mine\n"), 2, LineError::Fields),
            (format!(" # note\n{a}"), 1, LineError::Magic),
            (format!("\r{a}"), 1, LineError::Magic),
            (a.replacen(' ', "  ", 1), 1, LineError::Fields),
            (a.replacen(' ', "\t", 1), 1, LineError::Fields),
            (" \n".to_owned(), 1, LineError::Fields),
            (a.replace("KEY-1", "KEY-2"), 1, LineError::Magic),
            (a.to_lowercase(), 1, LineError::Magic),
            (a.replace("fa1975b2", "FA1975B2"), 1, LineError::Kid),
            (a.replace("fa1975b2", "fa1975b"), 1, LineError::Kid),
            (a.replace("fa1975b2", "+a1975b2"), 1, LineError::Kid),
            (
                a.replace("fa1975b2", "fa1975b3"),
                1,
                LineError::Mismatch(Kid::parse("fa1975b3").expect("a kid")),
            ),
            (a.replace("8kkJ", "8kkK"), 1, LineError::Mismatch(kid)),
            (a[..a.len() - 1].to_owned(), 1, LineError::Key),
            (format!("{a}="), 1, LineError::Key),
            (format!("{a}A"), 1, LineError::Key),
            (format!("{}J", &a[..a.len() - 1]), 1, LineError::Key), // a spare bit
            (format!("{a}\n{}\n{a}\n", line(1)), 3, LineError::Duplicate(kid)),
        ];
        for (text, number, what) in table {
            let error = kids(&text).expect_err("a bad line");
            assert_eq!(error, GrammarError::Line { line: number, what }, "{text:?}");
            let said = error.to_string();
            assert!(
                said.starts_with(&format!("line {number}: ")) && !said.contains(&key[..6]),
                "{said}"
            );
        }
        assert_eq!(
            kids([a.as_bytes(), b"\n\xff\n"].concat()),
            Err(GrammarError::Line {
                line: 2,
                what: LineError::NotText
            })
        );
        for empty in ["", "\n", "# only a note\n"] {
            assert_eq!(kids(empty), Err(GrammarError::NoKey), "{empty:?}");
        }
    }

    #[test]
    fn a_kid_is_eight_lower_case_hex_digits_behind_local() {
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

    proptest! {
        #[test]
        fn any_bytes_are_a_keyring_or_an_error(bytes: Vec<u8>) {
            let _ = Keyring::parse(&bytes);
        }

        #[test]
        fn a_damaged_keyring_is_an_error_or_the_same_keys(at in 0..220_usize, byte: u8) {
            let text = format!("{}\n{}\n{}\n", line(0), line(1), line(2));
            let mut damaged = text.clone().into_bytes();
            let at = at % damaged.len();
            damaged[at] = byte;
            if let Ok(ring) = Keyring::parse(&damaged) {
                // A key's line that became a comment is gone; no key can have changed.
                for kid in ring.kids() {
                    prop_assert!(text.contains(ring.key(kid).expect("its own").line().as_str()));
                }
            }
        }

        #[test]
        fn printed_keys_read_back(count in 1..6_usize, crlf: bool, last: bool) {
            let end = if crlf { "\r\n" } else { "\n" };
            let keys: Vec<LocalKey> = (0..count).map(|_| LocalKey::random().expect("the OS RNG")).collect();
            let mut text = keys.iter().map(|key| key.line().to_string()).collect::<Vec<_>>().join(end);
            if last {
                text.push_str(end);
            }
            let ring = Keyring::parse(text.as_bytes()).map_err(|e| TestCaseError::fail(e.to_string()))?;
            prop_assert_eq!(ring.kids(), keys.iter().map(LocalKey::kid).collect::<Vec<_>>());
            for key in &keys {
                prop_assert_eq!(ring.key(key.kid()).map(LocalKey::expose), Some(key.expose()));
            }
        }
    }
}
