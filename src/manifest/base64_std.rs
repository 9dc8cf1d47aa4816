//! Base64 as Kubernetes reads `data`: Go's `base64.StdEncoding`.

use base64::Engine as _;
use base64::alphabet;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig, STANDARD};
use zeroize::Zeroizing;

use crate::envelope::SecretBytes;

/// Go's decoder requires padding and ignores the spare bits.
const GO: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_allow_trailing_bits(true)
        .with_decode_padding_mode(DecodePaddingMode::RequireCanonical),
);

/// Decodes exactly what the API server accepts: CR and LF are allowed anywhere, other white space nowhere, and padding
/// must be complete (Go, `encoding/base64`, `Encoding.Decode`). Returns `None` for anything else.
pub fn from_base64(text: &str) -> Option<SecretBytes> {
    let mut packed = Zeroizing::new(Vec::with_capacity(text.len()));
    packed.extend(text.bytes().filter(|b| !matches!(b, b'\r' | b'\n')));
    let mut out = Zeroizing::new(vec![0; packed.len() / 4 * 3 + 3]);
    let len = GO.decode_slice(packed.as_slice(), out.as_mut_slice()).ok()?;
    out.truncate(len);
    Some(SecretBytes::new(std::mem::take(&mut *out)))
}

/// Standard base64 with padding, on one line.
pub fn to_base64(bytes: &[u8]) -> Zeroizing<String> {
    // Allocated once: a string that grows would leave unwiped copies behind.
    let mut out = Zeroizing::new(String::with_capacity(bytes.len().div_ceil(3) * 4));
    STANDARD.encode_string(bytes, &mut out);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_accepted_exactly_as_go_accepts_it() {
        let read = |text: &str| from_base64(text).map(|s| s.expose().to_vec());
        for (text, bytes) in [
            ("", &b""[..]),
            ("aGk=", b"hi"),
            ("aGk=\n", b"hi"),
            ("aG\r\nk=\n\n", b"hi"),
            ("aGk\n=", b"hi"),
            ("aGl=", b"hi"), // spare bits
            ("+/+/", &[0xfb, 0xff, 0xbf]),
        ] {
            assert_eq!(read(text).as_deref(), Some(bytes), "{text:?}");
        }
        for bad in [
            "aGk", "aGk==", "aGk =", " aGk=", "aGk=\t", "-_-_", "a", "=", "aGk=aGk=", "ä", "aGk=x",
        ] {
            assert_eq!(read(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn encoding_and_decoding_round_trip() {
        for len in 0..70_u8 {
            let bytes: Vec<u8> = (0..len).map(|n| n.wrapping_mul(37)).collect();
            let back = from_base64(&to_base64(&bytes));
            assert!(back.is_some_and(|b| b.expose() == bytes), "{len}");
        }
    }
}
