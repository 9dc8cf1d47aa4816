//! Encryption of one value: framing and AES-256-GCM under a key derived for its name (docs/format-es1.md#5-values).

use aes_gcm::aead::AeadInOut as _;
use aes_gcm::{Aes256Gcm, KeyInit as _};
use zeroize::Zeroizing;

use super::keys::{KEY_LEN, KeySchedule};
use super::secret_bytes::SecretBytes;

const NONCE_LEN: usize = 12;
const TAG_LEN: usize = 16;
const LENGTH_PREFIX: usize = 4;
const BLOCK: usize = 64;

/// Frames a value: `u32be(length) || value || zero bytes` up to a multiple of 64.
///
/// The buffer reserves `spare` more bytes, so that appending the tag does not reallocate and leave plaintext behind.
pub(super) fn frame(value: &[u8], spare: usize) -> Zeroizing<Vec<u8>> {
    let size = (LENGTH_PREFIX + value.len()).next_multiple_of(BLOCK);
    let mut frame = Zeroizing::new(Vec::with_capacity(size + spare));
    #[expect(
        clippy::cast_possible_truncation,
        reason = "writers seal at most 1 MiB in all"
    )]
    frame.extend_from_slice(&(value.len() as u32).to_be_bytes());
    frame.extend_from_slice(value);
    frame.resize(size, 0);
    frame
}

/// Reverses [`frame`]; returns `None` for any other length or padding.
fn unframe(frame: &[u8]) -> Option<SecretBytes> {
    let (length, rest) = frame.split_first_chunk::<LENGTH_PREFIX>()?;
    let length = usize::try_from(u32::from_be_bytes(*length)).ok()?;
    let (value, padding) = rest.split_at_checked(length)?;
    let canonical = frame.len() == (LENGTH_PREFIX + length).next_multiple_of(BLOCK);
    (canonical && padding.iter().all(|byte| *byte == 0)).then(|| SecretBytes::new(value.to_vec()))
}

/// Encrypts the value of the entry `name` with a fresh random nonce; returns the payload.
pub(super) fn encrypt(
    schedule: &KeySchedule<'_>,
    name: &str,
    value: &SecretBytes,
) -> Result<Vec<u8>, getrandom::Error> {
    let mut nonce = [0; NONCE_LEN];
    getrandom::fill(&mut nonce)?;
    let (key, info) = schedule.value_key(name);
    Ok(encrypt_frame(&key, &nonce, &info, frame(value.expose(), TAG_LEN)))
}

/// Encrypts a frame. Callers other than the tests use [`encrypt`], which never reuses a nonce.
pub(super) fn encrypt_frame(
    key: &[u8; KEY_LEN],
    nonce: &[u8; NONCE_LEN],
    info: &[u8],
    mut frame: Zeroizing<Vec<u8>>,
) -> Vec<u8> {
    #[expect(
        clippy::expect_used,
        reason = "AES-GCM fails only for more than 64 GiB, and a Vec can grow"
    )]
    Aes256Gcm::new(key.into())
        .encrypt_in_place(nonce.into(), info, &mut *frame)
        .expect("a frame is shorter than 64 GiB");
    let mut payload = Vec::with_capacity(NONCE_LEN + frame.len());
    payload.extend_from_slice(nonce);
    payload.extend_from_slice(&frame);
    payload
}

/// Decrypts the payload of the entry `name`.
///
/// Returns `None` for a payload that is too short, an invalid tag, a length that does not fit, or padding of the
/// wrong size or with a non-zero byte.
pub(super) fn decrypt(schedule: &KeySchedule<'_>, name: &str, payload: &[u8]) -> Option<SecretBytes> {
    if payload.len() < NONCE_LEN + BLOCK + TAG_LEN {
        return None;
    }
    let (nonce, ciphertext) = payload.split_first_chunk::<NONCE_LEN>()?;
    let (key, info) = schedule.value_key(name);
    unframe(&decrypt_frame(&key, nonce, &info, ciphertext)?)
}

/// Reverses [`encrypt_frame`]. `ciphertext` is the payload without its nonce.
pub(super) fn decrypt_frame(
    key: &[u8; KEY_LEN],
    nonce: &[u8; NONCE_LEN],
    info: &[u8],
    ciphertext: &[u8],
) -> Option<Zeroizing<Vec<u8>>> {
    let mut frame = Zeroizing::new(ciphertext.to_vec());
    Aes256Gcm::new(key.into())
        .decrypt_in_place(nonce.into(), info, &mut *frame)
        .ok()?;
    Some(frame)
}
