//! Checks of a successful response: it must be about the requested key, and usable.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

use crate::envelope::SecretBytes;
use crate::envelope::names::is_graphic;
use crate::envelope::wire::MAX_CIPHERTEXT;
use crate::kms::tencent::error::TencentError;
use crate::kms::tencent::key::TencentKey;
use crate::kms::tencent::server_text::identifier;
use crate::kms::{Class, KeyUri};

/// The response that is checked, as its errors name it.
pub(super) struct ResponseCheck<'a> {
    action: &'static str,
    request_id: Option<&'a str>,
}

impl<'a> ResponseCheck<'a> {
    pub(super) fn new(action: &'static str, request_id: Option<&'a str>) -> Self {
        ResponseCheck { action, request_id }
    }

    /// Returns the error for a response that cannot be used.
    pub(super) fn unusable(&self, class: Class, message: impl Into<Box<str>>) -> TencentError {
        TencentError::new(class, self.action, message)
            .with_request_id(self.request_id)
            .with_advice("check the endpoint and any proxy in front of it; report this with the request id")
    }

    /// Checks that the response is about `key`. Decrypt takes no key id, the ciphertext selects the key: only this check
    /// rejects a ciphertext under another key of the account.
    pub(super) fn expect_key(&self, key: TencentKey<'_>, key_id: &str) -> Result<(), TencentError> {
        if key_id == key.id {
            return Ok(());
        }
        let message = format!("the response is about another KMS key, {}", identifier(key_id));
        Err(self.unusable(Class::Integrity, message))
    }

    /// Returns the URI of a key that only the response names.
    pub(super) fn key_uri(&self, region: &str, key_id: &str) -> Result<KeyUri, TencentError> {
        TencentKey::uri(region, key_id).ok_or_else(|| {
            let message = "the response contains an id that is not a valid KMS key id";
            self.unusable(Class::Configuration, message)
        })
    }

    /// Checks that a ciphertext fits into a document (docs/format-es1.md, section 2).
    pub(super) fn ciphertext(&self, blob: String) -> Result<String, TencentError> {
        if is_graphic(&blob, MAX_CIPHERTEXT) {
            return Ok(blob);
        }
        let message = format!(
            "the ciphertext in the response ({} bytes) does not fit into a sealed document",
            blob.len()
        );
        Err(self.unusable(Class::Configuration, message))
    }

    /// Decodes a plaintext from standard base64.
    pub(super) fn plaintext(&self, base64: &Zeroizing<String>) -> Result<SecretBytes, TencentError> {
        let mut bytes = Zeroizing::new(vec![0; base64.len() / 4 * 3 + 3]);
        let length = STANDARD
            .decode_slice(base64.as_bytes(), &mut bytes)
            .map_err(|_| {
                let message = "the plaintext in the response is not valid base64";
                self.unusable(Class::Transient, message)
            })?;
        bytes.truncate(length);
        Ok(SecretBytes::new(std::mem::take(&mut *bytes)))
    }
}
