//! All filters except `default`.
//!
//! Each filter first computes the length of its result. After the caller has checked the limits, it writes into a
//! buffer of exactly that size: a buffer that grows would leave copies of the value in memory.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use super::super::encoding::to_hex;
use super::super::secret_bytes::SecretBytes;
use super::error::RenderErrorKind;
use super::lexer::WHITE_SPACE;

/// Returns the length of the result of `b64encode`.
pub(super) fn base64_len(bytes: usize) -> usize {
    bytes.div_ceil(3) * 4
}

pub(super) fn base64_encode(bytes: &[u8]) -> SecretBytes {
    SecretBytes::new(STANDARD.encode(bytes).into_bytes())
}

/// Returns the length of the result of `b64decode`, provided that the text is base64.
pub(super) fn base64_decoded_len(text: &str) -> usize {
    let padding = text
        .bytes()
        .rev()
        .take(2)
        .take_while(|byte| *byte == b'=')
        .count();
    (text.len() / 4 * 3).saturating_sub(padding)
}

/// Decodes strictly: with padding, without white space, with zero spare bits.
pub(super) fn base64_decode(text: &str) -> Result<SecretBytes, RenderErrorKind> {
    // Not `decode`: on an error in the middle, the engine would drop its buffer without zeroizing it.
    let mut out = Zeroizing::new(vec![0; text.len().div_ceil(4) * 3]);
    // The error of the engine is discarded, because it contains a byte of the value.
    let length = STANDARD
        .decode_slice(text, &mut out)
        .map_err(|_| RenderErrorKind::NotBase64)?;
    out.truncate(length);
    Ok(SecretBytes::new(std::mem::take(&mut *out)))
}

pub(super) fn upper(text: &str) -> SecretBytes {
    let mut out = text.as_bytes().to_vec();
    out.make_ascii_uppercase();
    SecretBytes::new(out)
}

pub(super) fn lower(text: &str) -> SecretBytes {
    let mut out = text.as_bytes().to_vec();
    out.make_ascii_lowercase();
    SecretBytes::new(out)
}

pub(super) fn trim(text: &str) -> &str {
    text.trim_matches(WHITE_SPACE)
}

/// Returns the length of the result of `replace`; `from` must not be empty.
///
/// The search is linear in both lengths for any input: std implements the two-way algorithm.
pub(super) fn replaced_len(text: &str, from: &str, to: &str) -> usize {
    let found = text.matches(from).count();
    (text.len() - found * from.len()).saturating_add(found.saturating_mul(to.len()))
}

/// Replaces; `length` comes from [`replaced_len`].
pub(super) fn replace(text: &str, from: &str, to: &str, length: usize) -> SecretBytes {
    let mut out = Vec::with_capacity(length);
    let mut copied = 0;
    for (found, _) in text.match_indices(from) {
        out.extend_from_slice(&text.as_bytes()[copied..found]);
        out.extend_from_slice(to.as_bytes());
        copied = found + from.len();
    }
    out.extend_from_slice(&text.as_bytes()[copied..]);
    SecretBytes::new(out)
}

/// How `tojson` writes one character.
enum JsonEscape {
    /// Unescaped.
    None,
    /// A backslash and this letter.
    Short(u8),
    /// `\u` and four lower-case hex digits.
    Hex,
}

fn json_escape(character: char) -> JsonEscape {
    match character {
        '"' => JsonEscape::Short(b'"'),
        '\\' => JsonEscape::Short(b'\\'),
        '\n' => JsonEscape::Short(b'n'),
        '\r' => JsonEscape::Short(b'r'),
        '\t' => JsonEscape::Short(b't'),
        // YAML forbids control characters, treats U+0085, U+2028 and U+2029 as line breaks, and U+FEFF as a byte
        // order mark.
        '\u{0}'..='\u{1f}' | '\u{7f}'..='\u{9f}' | '\u{2028}' | '\u{2029}' | '\u{feff}' => JsonEscape::Hex,
        _ => JsonEscape::None,
    }
}

/// Returns the length of the result of `tojson`.
pub(super) fn json_len(text: &str) -> usize {
    let characters = text.chars().map(|character| match json_escape(character) {
        JsonEscape::None => character.len_utf8(),
        JsonEscape::Short(_) => 2,
        JsonEscape::Hex => 6,
    });
    2 + characters.sum::<usize>()
}

/// Encodes as a JSON string; `length` comes from [`json_len`].
pub(super) fn to_json(text: &str, length: usize) -> SecretBytes {
    let mut out = Vec::with_capacity(length);
    out.push(b'"');
    for character in text.chars() {
        match json_escape(character) {
            JsonEscape::None => out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes()),
            JsonEscape::Short(letter) => out.extend_from_slice(&[b'\\', letter]),
            JsonEscape::Hex => {
                out.extend_from_slice(b"\\u");
                let code = u32::from(character); // at most U+FEFF
                out.extend([12, 8, 4, 0].map(|shift| LOWER_HEX[(code >> shift) as usize & 15]));
            }
        }
    }
    out.push(b'"');
    SecretBytes::new(out)
}

const LOWER_HEX: &[u8; 16] = b"0123456789abcdef";
const UPPER_HEX: &[u8; 16] = b"0123456789ABCDEF";

fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~".contains(&byte)
}

/// Returns the length of the result of `urlencode`.
pub(super) fn url_len(bytes: &[u8]) -> usize {
    bytes
        .iter()
        .map(|byte| if is_unreserved(*byte) { 1 } else { 3 })
        .sum()
}

/// Percent-encodes; `length` comes from [`url_len`].
pub(super) fn url_encode(bytes: &[u8], length: usize) -> SecretBytes {
    let mut out = Vec::with_capacity(length);
    for byte in bytes {
        if is_unreserved(*byte) {
            out.push(*byte);
        } else {
            let (high, low) = (usize::from(byte >> 4), usize::from(byte & 15));
            out.extend_from_slice(&[b'%', UPPER_HEX[high], UPPER_HEX[low]]);
        }
    }
    SecretBytes::new(out)
}

/// Length of the result of `sha256`.
pub(super) const SHA256_LEN: usize = 64;

pub(super) fn sha256(bytes: &[u8]) -> SecretBytes {
    let digest = Zeroizing::new(<[u8; 32]>::from(Sha256::digest(bytes)));
    SecretBytes::new(to_hex(digest.as_ref()).into_bytes())
}
