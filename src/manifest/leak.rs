//! Whether a text that stays readable holds a value that is to be sealed.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use zeroize::Zeroizing;

use crate::envelope::SecretBytes;
use crate::envelope::encoding::to_hex;

/// Shorter values occur by chance.
pub const MIN_LEN: usize = 8;

/// A readable text and what it is: `label "app"`.
pub struct Readable<'a> {
    /// For the message.
    pub what: String,
    /// The text.
    pub text: &'a str,
}

/// The first text that holds a value of at least [`MIN_LEN`] bytes as it is, in base64, base64url (also in the
/// middle of something longer that was encoded as one) or hex; and the name of that value's entry.
pub fn find<'a, 'v>(
    texts: &'a [Readable<'a>],
    values: &'v BTreeMap<String, SecretBytes>,
) -> Option<(&'a Readable<'a>, &'v str)> {
    let longest = texts.iter().map(|t| t.text.len()).max().unwrap_or(0);
    values
        .iter()
        .filter(|(_, value)| (MIN_LEN..=longest).contains(&value.len()))
        .find_map(|(name, value)| {
            let forms = forms(value.expose());
            texts
                .iter()
                .find(|readable| forms.iter().any(|form| contains(readable.text, form)))
                .map(|readable| (readable, name.as_str()))
        })
}

fn contains(text: &str, form: &Zeroizing<String>) -> bool {
    !form.is_empty() && text.contains(form.as_str())
}

fn forms(value: &[u8]) -> Vec<Zeroizing<String>> {
    let hex = Zeroizing::new(to_hex(value));
    let mut forms = vec![Zeroizing::new(hex.to_uppercase()), hex];
    if let Ok(text) = std::str::from_utf8(value) {
        forms.push(Zeroizing::new(text.to_owned()));
    }
    for before in 0..3 {
        let mut shifted = Zeroizing::new(vec![0; before]);
        shifted.extend_from_slice(value);
        // Characters at the ends also hold bits of what stands before and after the value.
        let first = (before * 8).div_ceil(6);
        let last = shifted.len() * 8 / 6;
        for engine in [STANDARD_NO_PAD, URL_SAFE_NO_PAD] {
            let whole = Zeroizing::new(engine.encode(shifted.as_slice()));
            forms.push(Zeroizing::new(whole[first..last].to_owned()));
        }
    }
    forms
}

#[cfg(test)]
mod tests {
    use base64::engine::general_purpose::{STANDARD, URL_SAFE};

    use super::*;

    fn found(text: &str, value: &[u8]) -> bool {
        let values = BTreeMap::from([("password".to_owned(), SecretBytes::new(value.to_vec()))]);
        let texts = [
            Readable {
                what: "label".into(),
                text: "x",
            },
            Readable {
                what: "annotation".into(),
                text,
            },
        ];
        match find(&texts, &values) {
            Some((readable, entry)) => {
                assert_eq!((readable.what.as_str(), entry), ("annotation", "password"));
                true
            }
            None => false,
        }
    }

    #[test]
    fn every_form_at_every_alignment() {
        let value = b"hunter2?\xc3\xbf\xc3\xbe>>";
        assert!(found("x hunter2?ÿþ>> y", value));
        assert!(found(&format!("0x{}", to_hex(value)), value));
        assert!(found(&to_hex(value).to_uppercase(), value));
        for before in 0..4 {
            for after in 0..4 {
                let whole = [&b"{{{{"[..before], value, &b"}}}}"[..after]].concat();
                assert!(found(&STANDARD.encode(&whole), value), "{before} {after}");
                assert!(found(&URL_SAFE.encode(&whole), value), "{before} {after}");
            }
        }
        assert!(!found("something else entirely", value));
    }

    #[test]
    fn short_values_are_left_alone() {
        assert!(!found("postgre", b"postgre"));
        assert!(found("postgres", b"postgres"));
        assert!(found("\u{1}/////////////////////w==", &[255; 16]));
        assert!(!found("", b"12345678"));
    }
}
