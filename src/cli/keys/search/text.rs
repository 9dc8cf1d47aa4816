//! Finds a KMS key and documents in text.

use memchr::{memchr, memmem, memrchr};

use crate::envelope::wire;

/// How a text names the KMS key. The later, the stronger.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Naming {
    /// As a line of a keyring: a copy of the KMS key itself.
    Copy,
    /// On a line that is a comment in YAML, shell and most configuration files.
    Comment,
    /// Anywhere else, so that something may use it.
    Value,
}

/// What a text contains.
#[expect(clippy::struct_excessive_bools, reason = "independent findings")]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Traits {
    /// How it names the KMS key, if it does.
    pub(super) naming: Option<Naming>,
    /// The kind of a document.
    names_kind: bool,
    /// A ciphertext of a local KMS key.
    has_local_wrap: bool,
    /// The URI of any local KMS key.
    names_local_key: bool,
    /// A ciphertext of any KMS key.
    has_ciphertext: bool,
}

impl Traits {
    /// Whether the file certainly holds a document: not only a page or a schema that describes one.
    pub(super) fn is_document(self) -> bool {
        self.names_kind && self.has_ciphertext
    }

    /// Whether the file may hold a document that uses the KMS key.
    pub(super) fn uses_key(self) -> bool {
        self.naming >= Some(Naming::Comment) && (self.names_kind || self.has_local_wrap)
    }

    /// Whether it holds ciphertexts of a local KMS key that is named elsewhere, such as the values of a chart.
    pub(super) fn is_template(self) -> bool {
        self.has_local_wrap && !self.names_local_key
    }

    /// Adds the findings in `text`. Returns the offset where it names the KMS key, if it does.
    pub(super) fn add(&mut self, text: &[u8], id: &[u8]) -> Option<usize> {
        let strongest = namings(text, id).max_by_key(|(naming, at)| (*naming, std::cmp::Reverse(*at)));
        self.naming = self.naming.max(strongest.map(|(naming, _)| naming));
        self.names_kind = self.names_kind || memmem::find(text, wire::KIND.as_bytes()).is_some();
        self.has_local_wrap = self.has_local_wrap || contains_local_wrap(text);
        self.names_local_key = self.names_local_key || contains_local_key(text);
        self.has_ciphertext = self.has_ciphertext || contains_ciphertext(text);
        strongest.map(|(_, at)| at)
    }
}

/// Every place that names the KMS key with this id: not as a part of a longer hexadecimal number.
fn namings<'t>(text: &'t [u8], id: &'t [u8]) -> impl Iterator<Item = (Naming, usize)> + 't {
    let is_hex = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_hexdigit);
    memmem::find_iter(text, id).filter_map(move |at| {
        let before = &text[..at];
        let is_escaped = before.len() >= 3 && before[at - 3..].eq_ignore_ascii_case(b"%2f");
        if (is_hex(before.last()) && !is_escaped) || is_hex(text.get(at + id.len())) {
            return None;
        }
        Some((naming(before), at))
    })
}

fn naming(before: &[u8]) -> Naming {
    const KEYRING_LINE: &[u8] = b"ES-LOCAL-KEY-1";
    if before.trim_ascii_end().ends_with(KEYRING_LINE) {
        return Naming::Copy;
    }
    let line = memrchr(b'\n', before).map_or(before, |end| &before[end + 1..]);
    if line.trim_ascii_start().starts_with(b"#") {
        Naming::Comment
    } else {
        Naming::Value
    }
}

/// `esl1.` and the ciphertext: pages only name the prefix.
fn contains_local_wrap(text: &[u8]) -> bool {
    const SHORTEST: usize = 40;
    memmem::find_iter(text, b"esl1.").any(|at| {
        let after = text[at + b"esl1.".len()..].iter();
        let is_base64url = |byte: &&u8| byte.is_ascii_alphanumeric() || b"_-".contains(byte);
        after.take_while(is_base64url).count() >= SHORTEST
    })
}

/// `local://` and eight hexadecimal digits.
fn contains_local_key(text: &[u8]) -> bool {
    memmem::find_iter(text, b"local://").any(|at| {
        let id = text.get(at + 8..at + 16);
        id.is_some_and(|id| id.iter().all(u8::is_ascii_hexdigit))
    })
}

/// Whether a field `ciphertext` has a value: pages and schemas only name the field.
fn contains_ciphertext(text: &[u8]) -> bool {
    const SHORTEST: usize = 40;
    let is_syntax = |byte: &u8| byte.is_ascii_whitespace() || b"\"':\\|>-".contains(byte);
    let is_base64 = |byte: &u8| byte.is_ascii_alphanumeric() || b"+/=._-".contains(byte);
    memmem::find_iter(text, b"ciphertext").any(|at| {
        let after = &text[at + b"ciphertext".len()..];
        let start = after.iter().take_while(|byte| is_syntax(byte)).count();
        start > 0 && after[start..].iter().take_while(|byte| is_base64(byte)).count() >= SHORTEST
    })
}

/// Turns UTF-16 and UTF-32 of ASCII characters into ASCII, whatever the byte order.
pub(super) fn without_nul(bytes: &[u8]) -> Vec<u8> {
    bytes.iter().copied().filter(|byte| *byte != 0).collect()
}

/// Resolves JSON and double-quoted YAML escape sequences for ASCII characters, and escaped line ends. `None` without a
/// backslash.
pub(super) fn unescaped(text: &[u8]) -> Option<Vec<u8>> {
    memchr(b'\\', text)?;
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((&byte, after)) = rest.split_first() {
        let escaped = (byte == b'\\').then(|| escape(after)).flatten();
        if let Some((character, length)) = escaped {
            out.extend(character);
            rest = &after[length..];
        } else {
            out.push(byte);
            rest = after;
        }
    }
    Some(out)
}

/// The character of the sequence after a backslash (`None` for a line end), and the length of the sequence.
fn escape(after: &[u8]) -> Option<(Option<u8>, usize)> {
    let digits = match *after.first()? {
        b'/' => return Some((Some(b'/'), 1)),
        b'n' | b'r' => return Some((Some(b'\n'), 1)),
        b't' | b'b' | b'f' | b'a' | b'e' | b'v' | b'0' => return Some((Some(b' '), 1)),
        b'\n' | b'\r' => {
            let blank = after.iter().take_while(|byte| byte.is_ascii_whitespace()).count();
            return Some((None, blank));
        }
        b'x' => 2,
        b'u' => 4,
        b'U' => 8,
        _ => return None,
    };
    let text = std::str::from_utf8(after.get(1..=digits)?).ok()?;
    let code = u32::from_str_radix(text, 16).ok()?;
    let character = u8::try_from(code).ok().filter(u8::is_ascii)?;
    Some((Some(character), 1 + digits))
}

/// Calls `found` with everything that is base64 or base64url in `text`, decoded. The beginning of an encoded text may be
/// unknown (words before it on the line above, a piece of a file), so each run of base64 is decoded four times.
pub(super) fn decode_base64(text: &[u8], mut found: impl FnMut(&[u8])) {
    /// The id of a KMS key has 8 bytes: at least 11 characters, and others around it.
    const SHORTEST: usize = 16;
    let (mut run, mut rest) = (Vec::new(), text);
    while !rest.is_empty() || !run.is_empty() {
        let length = rest.iter().map_while(|byte| sextet(*byte)).count();
        run.extend(rest[..length].iter().filter_map(|byte| sextet(*byte)));
        rest = &rest[length..];
        let is_gap = |byte: &&u8| byte.is_ascii_whitespace() || **byte == b'\\';
        let gap = rest.iter().take_while(is_gap).count();
        let goes_on = rest.get(gap).is_some_and(|byte| sextet(*byte).is_some());
        if goes_on && rest[..gap].contains(&b'\n') {
            rest = &rest[gap..];
            continue;
        }
        if run.len() >= SHORTEST {
            (0..4).for_each(|start| found(&joined(&run[start..])));
        }
        run.clear();
        rest = rest.get(gap.max(1)..).unwrap_or_default();
    }
}

/// The value of a character of base64 or base64url.
fn sextet(byte: u8) -> Option<u8> {
    match byte {
        b'A'..=b'Z' => Some(byte - b'A'),
        b'a'..=b'z' => Some(byte - b'a' + 26),
        b'0'..=b'9' => Some(byte - b'0' + 52),
        b'+' | b'-' => Some(62),
        b'/' | b'_' => Some(63),
        _ => None,
    }
}

/// The bytes of groups of 6 bits; the rest of the last byte is dropped.
fn joined(sextets: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(sextets.len() / 4 * 3 + 3);
    for group in sextets.chunks(4) {
        let bits = group
            .iter()
            .fold(0, |bits, sextet| bits << 6 | u32::from(*sextet));
        let bits = bits << (6 * (4 - group.len()));
        bytes.extend_from_slice(&bits.to_be_bytes()[1..][..group.len() * 6 / 8]);
    }
    bytes
}
