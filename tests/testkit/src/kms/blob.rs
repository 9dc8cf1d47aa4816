//! `CiphertextBlob`: three parts in standard base64, joined by `-k-`, with the lengths of published samples.
//!
//! The first part identifies the key's version. The second depends only on the encryption context. The third has
//! `4 + 16 + 16 * ceil((n + 1) / 16)` bytes for `n` bytes of plaintext: a salt, a synthetic tag over everything, and the padded plaintext,
//! combined by XOR with a key stream that is derived from the tag. Tag and stream are HMAC-SHA256 (a deterministic AEAD in the style of
//! SIV), so a change of any bit is detected.

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::account::{Version, random};

const JOINT: &str = "-k-";
const SALT: usize = 4;
const TAG: usize = 16;
const BLOCK: usize = 16;

/// The parts of a well-formed ciphertext.
pub(super) struct Parts {
    /// Identifies the version of a key.
    pub(super) version: Vec<u8>,
    context: Vec<u8>,
    body: Vec<u8>,
}

impl Parts {
    pub(super) fn parse(blob: &str) -> Option<Self> {
        let parts: Vec<&str> = blob.split(JOINT).collect();
        let [version, context, body] = parts[..] else {
            return None;
        };
        let decode = |text: &str| STANDARD.decode(text).ok();
        let parts = Parts {
            version: decode(version)?,
            context: decode(context)?,
            body: decode(body)?,
        };
        let padded = parts.body.len().checked_sub(SALT + TAG)?;
        let fits =
            parts.version.len() == 64 && parts.context.len() == 16 && padded >= BLOCK && padded % BLOCK == 0;
        fits.then_some(parts)
    }
}

pub(super) fn seal(version: &Version, context: &str, plaintext: &[u8]) -> String {
    let context = context_part(context);
    let salt = random(SALT);
    let padding = BLOCK - plaintext.len() % BLOCK;
    let mut padded = plaintext.to_vec();
    padded.extend(std::iter::repeat_n(
        u8::try_from(padding).unwrap_or_default(),
        padding,
    ));
    let tag = tag(version, &context, &salt, &padded);
    stream(version, &tag, &mut padded);
    let body = [&salt, &tag, &padded[..]].concat();
    [&version.tag.0, &context, &body]
        .map(|part| STANDARD.encode(part))
        .join(JOINT)
}

/// Decrypts. Returns `None` if the key version or the context is another, or if any part was changed.
pub(super) fn open(version: &Version, context: &str, parts: &Parts) -> Option<Vec<u8>> {
    if parts.version != version.tag.0 || parts.context != context_part(context) {
        return None;
    }
    let (salt, rest) = parts.body.split_at_checked(SALT)?;
    let (sent, hidden) = rest.split_at_checked(TAG)?;
    let mut padded = hidden.to_vec();
    stream(version, sent, &mut padded);
    if tag(version, &parts.context, salt, &padded) != sent {
        return None;
    }
    let padding = usize::from(*padded.last()?);
    padded.truncate(padded.len().checked_sub(padding)?);
    Some(padded)
}

/// The second part: equal for equal contexts with every key, as in the published samples.
fn context_part(context: &str) -> Vec<u8> {
    mac(b"envelope-secrets emulator: context", &[context.as_bytes()])[..16].to_vec()
}

fn tag(version: &Version, context: &[u8], salt: &[u8], padded: &[u8]) -> Vec<u8> {
    let key = mac(&version.material.0, &[b"tag"]);
    mac(&key, &[&version.tag.0, context, salt, padded])[..TAG].to_vec()
}

fn stream(version: &Version, tag: &[u8], data: &mut [u8]) {
    let key = mac(&version.material.0, &[b"stream"]);
    for (number, block) in (0_u32..).zip(data.chunks_mut(32)) {
        let pad = mac(&key, &[tag, &number.to_be_bytes()]);
        block.iter_mut().zip(pad).for_each(|(byte, pad)| *byte ^= pad);
    }
}

/// HMAC-SHA256 over the concatenated parts. All but the last have fixed lengths.
fn mac(key: &[u8], parts: &[&[u8]]) -> Vec<u8> {
    let mut context = hmac::Context::with_key(&hmac::Key::new(hmac::HMAC_SHA256, key));
    for part in parts {
        context.update(part);
    }
    context.sign().as_ref().to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kms::account::Bytes;

    fn version(of: u8) -> Version {
        Version {
            tag: Bytes(vec![of; 64]),
            material: Bytes(vec![of ^ 0xff; 32]),
        }
    }

    fn opened(version: &Version, context: &str, blob: &str) -> Option<Vec<u8>> {
        open(version, context, &Parts::parse(blob)?)
    }

    #[test]
    fn ciphertexts_have_the_lengths_of_the_published_sample() {
        // Encrypt of `dGVzdAo=`, 5 bytes, with a context.
        let published = "GPJUsGlmPcSjHKIktXGyzn33yestz+7NteW36M6FuL8hPfJ1xVfdO6Akr8sF69x3yBXMwto4njumJMIsi9WKow==-k-\
                         XqqalxTyNKIC1rITRePFGQ==-k-GqsANzNxvjjXhKwJAOY85vxYYm/2RtsCXRq7Q1iWbCAoeAtZ";
        let ours = seal(&version(1), "{\"key1\":\"value1\"}", b"test\n");
        let lengths = |blob: &str| blob.split(JOINT).map(str::len).collect::<Vec<_>>();
        assert_eq!(lengths(&ours), lengths(published));
        assert!(Parts::parse(published).is_some());
        assert_eq!(
            seal(&version(1), "", &[7; 32]).len(),
            210,
            "a data key of 32 bytes"
        );
        assert!(STANDARD.decode(&ours).is_err(), "the whole is not base64");
    }

    #[test]
    fn first_two_parts_depend_only_on_version_and_context() {
        let parts = |of, context| {
            let blob = seal(&version(of), context, b"x");
            blob.split(JOINT).map(str::to_owned).collect::<Vec<_>>()
        };
        let (a, b) = (parts(1, "{\"a\":\"b\"}"), parts(1, "{\"a\":\"b\"}"));
        assert_eq!(a[..2], b[..2]);
        assert_ne!(a[2], b[2], "equal plaintexts are not recognizable");
        let other = parts(2, "{\"a\":\"b\"}");
        assert_ne!(a[0], other[0]);
        assert_eq!(a[1], other[1]);
        assert_ne!(a[1], parts(1, "")[1]);
    }

    #[test]
    fn plaintexts_of_any_length_round_trip() {
        for length in (0..70).chain([1024, 4096]) {
            let plaintext = random(length);
            let blob = seal(&version(3), "", &plaintext);
            assert_eq!(opened(&version(3), "", &blob), Some(plaintext));
            let body = 4 + 16 + 16 * (length + 1).div_ceil(16);
            assert_eq!(
                Parts::parse(&blob).expect("the shape").body.len(),
                body,
                "{length}"
            );
        }
    }

    #[test]
    fn flipped_bits_mixed_parts_other_contexts_and_other_keys_are_rejected() {
        let (one, two) = (version(1), version(2));
        let context = "{\"name\":\"db\"}";
        let blob = seal(&one, context, &[7; 32]);
        assert!(opened(&one, context, &blob).is_some());
        for wrong in ["", "{\"name\":\"dB\"}", "{\"name\": \"db\"}"] {
            assert_eq!(opened(&one, wrong, &blob), None, "{wrong}");
        }
        assert_eq!(opened(&two, context, &blob), None);
        // Every bit of every part.
        let texts: Vec<&str> = blob.split(JOINT).collect();
        for part in 0..3 {
            let bytes = STANDARD.decode(texts[part]).expect("base64");
            for bit in 0..bytes.len() * 8 {
                let mut flipped = bytes.clone();
                flipped[bit / 8] ^= 1 << (bit % 8);
                let mut parts: Vec<String> = texts.iter().map(|text| (*text).to_owned()).collect();
                parts[part] = STANDARD.encode(flipped);
                assert_eq!(
                    opened(&one, context, &parts.join(JOINT)),
                    None,
                    "part {part}, bit {bit}"
                );
            }
        }
        // The last part of another ciphertext, the middle of another context.
        let other = seal(&one, "{\"name\":\"web\"}", &[8; 32]);
        let others: Vec<&str> = other.split(JOINT).collect();
        assert_eq!(
            opened(&one, context, &[texts[0], texts[1], others[2]].join(JOINT)),
            None
        );
        assert_eq!(
            opened(
                &one,
                "{\"name\":\"web\"}",
                &[texts[0], others[1], texts[2]].join(JOINT)
            ),
            None
        );
        // Not well-formed.
        for bad in [
            "",
            "-k--k-",
            "AAAA",
            "AAAA-k-AAAA-k-AAAA",
            &blob.replace('=', ""),
            &format!("{blob}-k-"),
        ] {
            assert!(Parts::parse(bad).is_none(), "{bad}");
        }
    }
}
