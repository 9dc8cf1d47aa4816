//! The encodings of format-es1 sections 2 and 3: PAE and strict base64url.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// PASETO's pre-authentication encoding: LE64(n), then LE64(length) and bytes for each piece. Injective:
/// two lists of pieces have the same encoding only if they are equal.
///
/// Source: paseto-spec `Common.md`, "PAE Definition".
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

/// RFC 4648 section 5 without padding.
pub fn to_base64url(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// The strict inverse of [`to_base64url`]: no padding, no line breaks, zero spare bits, so that one text
/// stands for each byte string. `None` for anything else.
pub fn from_base64url(text: &str) -> Option<Vec<u8>> {
    // The engine refuses padding, characters outside the alphabet and non-zero trailing bits by default.
    URL_SAFE_NO_PAD.decode(text).ok()
}

/// [`from_base64url`] of exactly 32 bytes (43 characters).
pub fn from_base64url_32(text: &str) -> Option<[u8; 32]> {
    from_base64url(text)?.try_into().ok()
}

/// [`from_base64url`] of exactly `out.len()` bytes, into a buffer that the caller wipes: keys leave no copy
/// behind. On `false` the buffer may hold a part.
pub fn base64url_into(text: &str, out: &mut [u8]) -> bool {
    URL_SAFE_NO_PAD.decode_slice(text, out) == Ok(out.len())
}

/// Lower-case hex.
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
    fn base64url_takes_one_text_for_each_byte_string() {
        assert_eq!(from_base64url("AA"), Some(vec![0]));
        for bad in ["AB", "AA==", "AA\n", "A", "A+", "A/", " AA", "AAA=", "AAB"] {
            assert_eq!(from_base64url(bad), None, "{bad:?}");
        }
        assert_eq!(from_base64url(""), Some(vec![]));
        assert_eq!(to_base64url(&[0xfb, 0xff]), "-_8");
    }

    #[test]
    fn base64url_into_takes_the_exact_length_only() {
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
    fn pae_of_nothing_and_of_an_empty_piece_differ() {
        assert_eq!(to_hex(&pae::<&[u8]>(&[])), "0000000000000000");
        assert_eq!(to_hex(&pae(&[""])), "01000000000000000000000000000000");
    }
}
