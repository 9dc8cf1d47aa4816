//! Wraps of the local provider: `esl1.` + base64url(salt || AES-256-GCM) (format-es1 section 10).

use aes_gcm::aead::{Aead as _, Payload};
use aes_gcm::{Aes256Gcm, KeyInit as _};
use hkdf::Hkdf;
use sha2::Sha256;
use zeroize::Zeroizing;

use super::key::LocalKey;
use crate::envelope::encoding::{from_base64url, pae, to_base64url};
use crate::envelope::{DataKey, EncryptionContext, SecretBytes};

const PREFIX: &str = "esl1.";
const SALT_LEN: usize = 16;

/// Why a data key was not wrapped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum WrapError {
    #[error("the operating system returned no random bytes: {0}")]
    Random(getrandom::Error),
}

/// Why a ciphertext was not unwrapped. Both reasons are permanent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum UnwrapError {
    #[error("the ciphertext is not of the form {PREFIX}<base64url>")]
    Malformed,
    #[error("the ciphertext does not belong to this KMS key and encryption context, or was modified")]
    Refused,
}

pub(super) fn wrap(
    key: &LocalKey,
    data_key: &DataKey,
    context: &EncryptionContext,
) -> Result<String, WrapError> {
    let mut salt = [0; SALT_LEN];
    getrandom::fill(&mut salt).map_err(WrapError::Random)?;
    Ok(wrap_with_salt(key, data_key, context, salt))
}

pub(super) fn wrap_with_salt(
    key: &LocalKey,
    data_key: &DataKey,
    context: &EncryptionContext,
    salt: [u8; SALT_LEN],
) -> String {
    let (cipher, nonce) = cipher(key, &salt);
    let payload = Payload {
        msg: data_key.expose(),
        aad: context.as_str().as_bytes(),
    };
    #[expect(
        clippy::expect_used,
        reason = "AES-GCM refuses only messages of 64 GiB and more"
    )]
    let sealed = cipher
        .encrypt(&nonce.into(), payload)
        .expect("32 bytes are within the limit");
    format!("{PREFIX}{}", to_base64url(&[salt.as_slice(), &sealed].concat()))
}

/// Returns the wrapped bytes, of any length; the caller checks that they are 32.
pub(super) fn unwrap(
    key: &LocalKey,
    ciphertext: &str,
    context: &EncryptionContext,
) -> Result<SecretBytes, UnwrapError> {
    let encoded = ciphertext.strip_prefix(PREFIX).ok_or(UnwrapError::Malformed)?;
    let bytes = from_base64url(encoded).ok_or(UnwrapError::Malformed)?;
    let (salt, sealed) = bytes
        .split_first_chunk::<SALT_LEN>()
        .ok_or(UnwrapError::Malformed)?;
    let (cipher, nonce) = cipher(key, salt);
    let payload = Payload {
        msg: sealed,
        aad: context.as_str().as_bytes(),
    };
    cipher
        .decrypt(&nonce.into(), payload)
        .map(SecretBytes::new)
        .map_err(|_| UnwrapError::Refused)
}

/// `K || N = HKDF-SHA256(ikm = key, salt, info = PAE("envelope-secret/local-wrap/1", KID), 44)`: key and nonce
/// are used for one wrap only, so a nonce is never reused with a key.
fn cipher(key: &LocalKey, salt: &[u8; SALT_LEN]) -> (Aes256Gcm, [u8; 12]) {
    let info = pae(&["envelope-secret/local-wrap/1", &key.kid().to_string()]);
    let mut okm = Zeroizing::new([0; 44]);
    #[expect(
        clippy::expect_used,
        reason = "HKDF-SHA256 expands up to 8160 bytes; 44 are requested"
    )]
    Hkdf::<Sha256>::new(Some(salt), key.expose())
        .expand(&info, okm.as_mut())
        .expect("44 bytes are within the limit");
    let mut nonce = [0; 12];
    nonce.copy_from_slice(&okm[32..]);
    #[expect(clippy::expect_used, reason = "32 bytes are the key size of AES-256")]
    let cipher = Aes256Gcm::new_from_slice(&okm[..32]).expect("a key of 32 bytes");
    (cipher, nonce)
}

/// The salt of a wrap, for reproducing the wrap.
#[cfg(test)]
pub(super) fn salt_of(ciphertext: &str) -> [u8; SALT_LEN] {
    let bytes = ciphertext
        .strip_prefix(PREFIX)
        .and_then(from_base64url)
        .expect("a wrap");
    *bytes.first_chunk().expect("a salt")
}
