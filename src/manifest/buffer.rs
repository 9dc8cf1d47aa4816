use std::io;

use zeroize::Zeroize as _;

use crate::envelope::SecretBytes;

/// A growing buffer for plaintext. Every allocation is wiped when it is released.
#[derive(Default)]
pub struct SecretBuffer(Vec<u8>);

impl SecretBuffer {
    /// Returns an empty buffer that holds `capacity` bytes without growing.
    pub fn with_capacity(capacity: usize) -> Self {
        SecretBuffer(Vec::with_capacity(capacity))
    }

    /// Appends `bytes`.
    pub fn push(&mut self, bytes: &[u8]) {
        let wanted = self.0.len() + bytes.len();
        if wanted > self.0.capacity() {
            // `Vec` would free the old allocation without wiping it.
            let mut larger = Vec::with_capacity(wanted.max(self.0.capacity() * 2).max(256));
            larger.extend_from_slice(&self.0);
            self.0.zeroize();
            self.0 = larger;
        }
        self.0.extend_from_slice(bytes);
    }

    /// The bytes written so far.
    pub fn expose(&self) -> &[u8] {
        &self.0
    }

    /// Converts the buffer into a secret value without copying.
    pub fn into_secret(mut self) -> SecretBytes {
        SecretBytes::new(std::mem::take(&mut self.0))
    }
}

impl Drop for SecretBuffer {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl io::Write for SecretBuffer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.push(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn growing_keeps_the_content() {
        let mut buffer = SecretBuffer::with_capacity(1);
        for chunk in [&b"a"[..], &[7; 1000], b"z"] {
            buffer.push(chunk);
        }
        let secret = buffer.into_secret();
        assert_eq!(secret.len(), 1002);
        assert_eq!((secret.expose()[0], secret.expose()[1001]), (b'a', b'z'));
    }
}
