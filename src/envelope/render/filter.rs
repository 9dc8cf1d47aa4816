//! The filters that need no arguments of their own, and `replace`. Each is asked for the length of its result first;
//! the caller checks the limits, then has it done into a buffer of exactly that size, so that no copy of a value is left
//! behind by a buffer that grew.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use super::RenderErrorKind;
use super::lexer::WHITE_SPACE;
use crate::envelope::SecretBytes;
use crate::envelope::encoding::to_hex;

/// Bytes of `b64encode`'s result.
pub(super) fn base64_len(bytes: usize) -> usize {
    bytes.div_ceil(3) * 4
}

pub(super) fn base64_encode(bytes: &[u8]) -> SecretBytes {
    SecretBytes::new(STANDARD.encode(bytes).into_bytes())
}

/// Bytes of `b64decode`'s result, if the text is base64 at all.
pub(super) fn base64_decoded_len(text: &str) -> usize {
    let padding = text
        .bytes()
        .rev()
        .take(2)
        .take_while(|byte| *byte == b'=')
        .count();
    (text.len() / 4 * 3).saturating_sub(padding)
}

/// Strict: padding, no white space, zero spare bits.
pub(super) fn base64_decode(text: &str) -> Result<SecretBytes, RenderErrorKind> {
    // Into a buffer of our own: the engine would drop its own unwiped where it fails half-way.
    let mut out = Zeroizing::new(vec![0; text.len().div_ceil(4) * 3]);
    // The engine's error would name a byte of the value.
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

/// Bytes of `replace`'s result; `from` is not empty. The search is linear in both lengths, whatever they hold (std's is
/// the two-way algorithm).
pub(super) fn replaced_len(text: &str, from: &str, to: &str) -> usize {
    let found = text.matches(from).count();
    (text.len() - found * from.len()).saturating_add(found.saturating_mul(to.len()))
}

/// `length` is that of [`replaced_len`].
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

/// How a character stands in a JSON string.
enum Json {
    Itself,
    /// A backslash and this.
    Short(u8),
    /// `\u` and four lower-case hex digits.
    Code,
}

fn json(character: char) -> Json {
    match character {
        '"' => Json::Short(b'"'),
        '\\' => Json::Short(b'\\'),
        '\n' => Json::Short(b'n'),
        '\r' => Json::Short(b'r'),
        '\t' => Json::Short(b't'),
        // YAML takes no control characters, ends lines at U+0085, U+2028 and U+2029, and reads U+FEFF as a byte order mark.
        '\u{0}'..='\u{1f}' | '\u{7f}'..='\u{9f}' | '\u{2028}' | '\u{2029}' | '\u{feff}' => Json::Code,
        _ => Json::Itself,
    }
}

/// Bytes of `tojson`'s result.
pub(super) fn json_len(text: &str) -> usize {
    let characters = text.chars().map(|character| match json(character) {
        Json::Itself => character.len_utf8(),
        Json::Short(_) => 2,
        Json::Code => 6,
    });
    2 + characters.sum::<usize>()
}

/// `length` is that of [`json_len`].
pub(super) fn to_json(text: &str, length: usize) -> SecretBytes {
    let mut out = Vec::with_capacity(length);
    out.push(b'"');
    for character in text.chars() {
        match json(character) {
            Json::Itself => out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes()),
            Json::Short(letter) => out.extend_from_slice(&[b'\\', letter]),
            Json::Code => {
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

fn unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~".contains(&byte)
}

/// Bytes of `urlencode`'s result.
pub(super) fn url_len(bytes: &[u8]) -> usize {
    bytes
        .iter()
        .map(|byte| if unreserved(*byte) { 1 } else { 3 })
        .sum()
}

/// `length` is that of [`url_len`].
pub(super) fn url_encode(bytes: &[u8], length: usize) -> SecretBytes {
    let mut out = Vec::with_capacity(length);
    for byte in bytes {
        if unreserved(*byte) {
            out.push(*byte);
        } else {
            let (high, low) = (usize::from(byte >> 4), usize::from(byte & 15));
            out.extend_from_slice(&[b'%', UPPER_HEX[high], UPPER_HEX[low]]);
        }
    }
    SecretBytes::new(out)
}

/// Bytes of `sha256`'s result.
pub(super) const SHA256_LEN: usize = 64;

pub(super) fn sha256(bytes: &[u8]) -> SecretBytes {
    let digest = Zeroizing::new(<[u8; 32]>::from(Sha256::digest(bytes)));
    SecretBytes::new(to_hex(digest.as_ref()).into_bytes())
}
