//! One value: frame, AES-256-GCM under the key of its name (format-es1 section 5).

use aes_gcm::aead::AeadInOut as _;
use aes_gcm::{Aes256Gcm, KeyInit as _};
use zeroize::Zeroizing;

use super::keys::{KEY_LEN, KeySchedule, SecretBytes};

const NONCE: usize = 12;
const TAG: usize = 16;
const LENGTH: usize = 4;
const BLOCK: usize = 64;

/// `u32be(length) || value || zero bytes` up to a multiple of 64. `room` more bytes are kept free behind it, so
/// that the tag fits without moving the plaintext.
pub(super) fn frame(value: &[u8], room: usize) -> Zeroizing<Vec<u8>> {
    let size = (LENGTH + value.len()).next_multiple_of(BLOCK);
    let mut frame = Zeroizing::new(Vec::with_capacity(size + room));
    #[expect(
        clippy::cast_possible_truncation,
        reason = "writers seal at most 1 MiB in all"
    )]
    frame.extend_from_slice(&(value.len() as u32).to_be_bytes());
    frame.extend_from_slice(value);
    frame.resize(size, 0);
    frame
}

/// The inverse of [`frame`]; `None` for any other length or padding.
fn unframe(frame: &[u8]) -> Option<SecretBytes> {
    let (length, rest) = frame.split_first_chunk::<LENGTH>()?;
    let length = usize::try_from(u32::from_be_bytes(*length)).ok()?;
    let (value, padding) = rest.split_at_checked(length)?;
    let fits = frame.len() == (LENGTH + length).next_multiple_of(BLOCK);
    (fits && padding.iter().all(|byte| *byte == 0)).then(|| SecretBytes::new(value.to_vec()))
}

/// The payload of `value` under `name`, with a nonce from the OS RNG.
pub(super) fn encrypt(
    schedule: &KeySchedule<'_>,
    name: &str,
    value: &SecretBytes,
) -> Result<Vec<u8>, getrandom::Error> {
    let mut nonce = [0; NONCE];
    getrandom::fill(&mut nonce)?;
    let (key, info) = schedule.value_key(name);
    Ok(seal_frame(&key, &nonce, &info, frame(value.expose(), TAG)))
}

/// `frame`, encrypted. Not for a caller that chooses nonces: [`encrypt`] draws them.
pub(super) fn seal_frame(
    key: &[u8; KEY_LEN],
    nonce: &[u8; NONCE],
    info: &[u8],
    mut frame: Zeroizing<Vec<u8>>,
) -> Vec<u8> {
    #[expect(
        clippy::expect_used,
        reason = "AES-GCM refuses only more than 64 GiB, and a Vec grows"
    )]
    Aes256Gcm::new(key.into())
        .encrypt_in_place(nonce.into(), info, &mut *frame)
        .expect("a frame is no longer than 64 GiB");
    let mut payload = Vec::with_capacity(NONCE + frame.len());
    payload.extend_from_slice(nonce);
    payload.extend_from_slice(&frame);
    payload
}

/// The value that `payload` holds under `name`; `None` for a payload that is too short, a bad tag, a length that
/// does not fit, a padding of another size or with a byte that is not zero.
pub(super) fn decrypt(schedule: &KeySchedule<'_>, name: &str, payload: &[u8]) -> Option<SecretBytes> {
    if payload.len() < NONCE + BLOCK + TAG {
        return None;
    }
    let (nonce, sealed) = payload.split_first_chunk::<NONCE>()?;
    let (key, info) = schedule.value_key(name);
    unframe(&open_frame(&key, nonce, &info, sealed)?)
}

/// The inverse of [`seal_frame`], for what stands behind the nonce.
pub(super) fn open_frame(
    key: &[u8; KEY_LEN],
    nonce: &[u8; NONCE],
    info: &[u8],
    sealed: &[u8],
) -> Option<Zeroizing<Vec<u8>>> {
    let mut frame = Zeroizing::new(sealed.to_vec());
    Aes256Gcm::new(key.into())
        .decrypt_in_place(nonce.into(), info, &mut *frame)
        .ok()?;
    Some(frame)
}
