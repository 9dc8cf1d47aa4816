//! The encodings of the format (docs/format-es1.md#3-encodings): PAE, strict base64url and hex.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// Encodes a list of byte strings with PASETO's pre-authentication encoding.
///
/// The encoding is LE64(n), followed by LE64(length) and the bytes of each piece. It is injective: two lists have the
/// same encoding only if they are equal, so bytes cannot move from one piece to the next.
///
/// Source: paseto-spec `Common.md`, "PAE Definition".
///
/// ```
/// use envelope_secrets::envelope::encoding::{pae, to_hex};
///
/// assert_eq!(to_hex(&pae(&["a"])), "0100000000000000010000000000000061");
/// assert_ne!(pae(&["a", "bc"]), pae(&["ab", "c"]));
/// ```
pub fn pae<P: AsRef<[u8]>>(pieces: &[P]) -> Vec<u8> {
    let size = 8 + pieces.iter().map(|p| 8 + p.as_ref().len()).sum::<usize>();
    let mut out = Vec::with_capacity(size);
    out.extend_from_slice(&(pieces.len() as u64).to_le_bytes());
    for piece in pieces {
        let piece = piece.as_ref();
        out.extend_from_slice(&(piece.len() as u64).to_le_bytes());
        out.extend_from_slice(piece);
    }
    out
}

/// Encodes bytes as RFC 4648 section 5 base64url without padding.
pub fn to_base64url(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// Decodes the output of [`to_base64url`], and nothing else.
///
/// Padding, line breaks and non-zero spare bits return `None`, so every byte string has exactly one encoding.
///
/// ```
/// use envelope_secrets::envelope::encoding::{from_base64url, to_base64url};
///
/// assert_eq!(to_base64url(&[0xfb, 0xff]), "-_8");
/// assert_eq!(from_base64url("-_8"), Some(vec![0xfb, 0xff]));
/// assert_eq!(from_base64url("-_8="), None); // padding
/// assert_eq!(from_base64url("-_9"), None); // non-zero spare bits
/// ```
pub fn from_base64url(text: &str) -> Option<Vec<u8>> {
    // The engine refuses padding, characters outside the alphabet and non-zero trailing bits by default.
    URL_SAFE_NO_PAD.decode(text).ok()
}

/// Decodes exactly 32 bytes (43 characters) with [`from_base64url`].
pub fn from_base64url_32(text: &str) -> Option<[u8; 32]> {
    from_base64url(text)?.try_into().ok()
}

/// Decodes exactly `out.len()` bytes of base64url into a buffer that the caller zeroizes, so that no copy of a key
/// remains in memory.
///
/// Returns whether it succeeded; after a failure the buffer may be partially written.
pub fn base64url_into(text: &str, out: &mut [u8]) -> bool {
    URL_SAFE_NO_PAD.decode_slice(text, out) == Ok(out.len())
}

/// Encodes bytes as lower-case hex.
pub fn to_hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes
        .iter()
        .fold(String::with_capacity(bytes.len() * 2), |mut out, byte| {
            let _ = write!(out, "{byte:02x}"); // writing to a String cannot fail
            out
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64url_decodes_only_the_canonical_encoding() {
        assert_eq!(from_base64url("AA"), Some(vec![0]));
        for bad in ["AB", "AA==", "AA\n", "A", "A+", "A/", " AA", "AAA=", "AAB"] {
            assert_eq!(from_base64url(bad), None, "{bad:?}");
        }
        assert_eq!(from_base64url(""), Some(vec![]));
        assert_eq!(to_base64url(&[0xfb, 0xff]), "-_8");
    }

    #[test]
    fn base64url_into_refuses_other_lengths() {
        let mut out = [0; 32];
        assert!(base64url_into(&to_base64url(&[7; 32]), &mut out));
        assert_eq!(out, [7; 32]);
        for bad in [
            to_base64url(&[7; 31]),
            to_base64url(&[7; 33]),
            "B".repeat(43),
            format!("{}=", "A".repeat(43)),
        ] {
            assert!(!base64url_into(&bad, &mut out), "{bad:?}");
        }
    }

    #[test]
    fn pae_distinguishes_no_piece_from_an_empty_piece() {
        assert_eq!(to_hex(&pae::<&[u8]>(&[])), "0000000000000000");
        assert_eq!(to_hex(&pae(&[""])), "01000000000000000000000000000000");
    }
}
