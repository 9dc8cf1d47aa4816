//! The keyring's grammar (format-es1 section 10).

use super::key::{Kid, LineError, LocalKey};

/// Why a text is not a keyring. Names the line, never a key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GrammarError {
    /// A line is invalid.
    #[error("line {line}: {what}")]
    Line {
        /// From 1.
        line: usize,
        /// What is wrong with it.
        what: LineError,
    },
    /// No line holds a key.
    #[error("it holds no KMS key")]
    NoKey,
}

/// The content of a line of a keyring.
pub(super) enum Line {
    /// Empty, or a comment.
    Blank,
    /// A key.
    Key(LocalKey),
}

/// The lines of a keyring: number (from 1), bytes with line ending, and content. Line endings are LF or CRLF; the last
/// one is optional.
pub(super) fn lines(bytes: &[u8]) -> impl Iterator<Item = (usize, &[u8], Result<Line, LineError>)> {
    bytes
        .split_inclusive(|b| *b == b'\n')
        .enumerate()
        .map(|(index, raw)| {
            let line = match raw.strip_suffix(b"\n") {
                Some(line) => line.strip_suffix(b"\r").unwrap_or(line),
                None => raw,
            };
            let content = match line {
                [] | [b'#', ..] => Ok(Line::Blank),
                [0xef, 0xbb, 0xbf, ..] if index == 0 => Err(LineError::ByteOrderMark),
                line => LocalKey::from_line(line).map(Line::Key),
            };
            (index + 1, raw, content)
        })
}

/// What precedes the line of a retired key: this and the date.
pub(super) const RETIRED: &str = "# retired ";

/// The id of the retired key on this line, if it is the line of one.
fn retired(line: &[u8]) -> Option<Kid> {
    let line = std::str::from_utf8(line).ok()?;
    let (_, key) = line.strip_prefix(RETIRED)?.split_once(": ")?;
    Kid::parse(key.split(' ').nth(1)?)
}

/// The keys of a keyring file, in file order; at least one. No Debug: it holds keys.
pub struct Keyring {
    keys: Vec<LocalKey>,
    /// Retired keys, which are comments.
    retired: Vec<Kid>,
}

impl Keyring {
    /// Parses a keyring. One invalid line makes the whole file invalid.
    pub fn parse(bytes: &[u8]) -> Result<Self, GrammarError> {
        let mut keys: Vec<LocalKey> = Vec::new();
        for (line, _, content) in lines(bytes) {
            let key = match content {
                Ok(Line::Blank) => continue,
                Ok(Line::Key(key)) => key,
                Err(what) => return Err(GrammarError::Line { line, what }),
            };
            if keys.iter().any(|known| known.kid() == key.kid()) {
                return Err(GrammarError::Line {
                    line,
                    what: LineError::Duplicate(key.kid()),
                });
            }
            keys.push(key);
        }
        if keys.is_empty() {
            Err(GrammarError::NoKey)
        } else {
            let retired = bytes.split(|b| *b == b'\n').filter_map(retired).collect();
            Ok(Keyring { keys, retired })
        }
    }

    /// The ids of keys that were retired, and whose lines were kept as comments.
    pub fn retired(&self) -> &[Kid] {
        &self.retired
    }

    /// The ids of the keys, in file order.
    pub fn kids(&self) -> Vec<Kid> {
        self.keys.iter().map(LocalKey::kid).collect()
    }

    /// The id of the key that seals by default: the first.
    pub fn default_kid(&self) -> Kid {
        self.keys[0].kid() // a keyring has at least one key
    }

    /// The key with this id.
    pub fn key(&self, kid: Kid) -> Option<&LocalKey> {
        self.keys.iter().find(|key| key.kid() == kid)
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
        format!("ES-LOCAL-KEY-1 {} {}", KIDS[n], KEYS[n])
    }

    fn kids(text: impl AsRef<[u8]>) -> Result<Vec<String>, GrammarError> {
        Keyring::parse(text.as_ref()).map(|ring| ring.kids().iter().map(Kid::to_string).collect())
    }

    #[test]
    fn keys_keep_file_order_and_the_first_is_the_default() {
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
    fn comments_empty_lines_and_both_line_endings_are_accepted() {
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
    fn invalid_line_is_reported_by_number_without_its_key() {
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
            let message = error.to_string();
            assert!(
                message.starts_with(&format!("line {number}: ")) && !message.contains(&key[..6]),
                "{message}"
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

    proptest! {
        #[test]
        fn parsing_any_bytes_never_panics(bytes: Vec<u8>) {
            let _ = Keyring::parse(&bytes);
        }

        #[test]
        fn damaged_keyring_never_yields_other_keys(at in 0..220_usize, byte: u8) {
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
        fn printed_keys_parse_back(count in 1..6_usize, crlf: bool, last: bool) {
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
