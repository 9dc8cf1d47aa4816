//! The crate's zeroizing byte buffer.

use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

/// Secret bytes: a decrypted value, a rendered text, or an unwrapped data key of any length.
///
/// The buffer is zeroized on drop. The type implements neither `Debug` nor `Display` nor `Serialize`, so secret bytes
/// cannot reach a log, an error or a file by accident; [`expose`](Self::expose) makes each access visible.
///
/// ```
/// use envelope_secrets::envelope::SecretBytes;
///
/// let password = SecretBytes::new(b"hunter2".to_vec());
/// assert_eq!(password.len(), 7);
/// assert_eq!(password.expose(), b"hunter2");
/// assert!(password.ct_eq(&SecretBytes::new(b"hunter2".to_vec())));
/// ```
#[derive(Clone)]
pub struct SecretBytes(Zeroizing<Vec<u8>>);

impl SecretBytes {
    /// Takes ownership of a buffer without copying it.
    pub fn new(bytes: Vec<u8>) -> Self {
        SecretBytes(Zeroizing::new(bytes))
    }

    /// Returns the plaintext.
    pub fn expose(&self) -> &[u8] {
        &self.0
    }

    /// Returns the number of bytes.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Returns whether the buffer has no bytes.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Compares in constant time. Buffers of different lengths return early: lengths are not secret here.
    pub fn ct_eq(&self, other: &SecretBytes) -> bool {
        self.expose().ct_eq(other.expose()).into()
    }
}
