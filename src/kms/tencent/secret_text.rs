//! Texts of answers that are secrets.

use serde::{Deserialize, Deserializer};
use zeroize::Zeroizing;

/// A text that is wiped: `Plaintext` in base64, a key, a token. No Debug: it holds one.
pub(super) struct SecretText(pub(super) Zeroizing<String>);

impl<'de> Deserialize<'de> for SecretText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(|text| SecretText(Zeroizing::new(text)))
    }
}
