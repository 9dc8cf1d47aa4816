//! The actions that sealing and opening are made of.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::TencentKms;
use super::error::{TencentError, word};
use super::key::TencentKey;
use super::reply::Reply;
use super::rpc::Nature;
use super::secret_text::SecretText;
use crate::envelope::names::is_graphic;
use crate::envelope::wire::MAX_CIPHERTEXT;
use crate::envelope::{DataKey, EncryptionContext, SecretBytes};
use crate::kms::{Class, GeneratedDataKey, KeyUri, action};

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct GenerateDataKey<'a> {
    key_id: &'a str,
    key_spec: &'a str,
    encryption_context: &'a str,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Generated {
    key_id: String,
    plaintext: SecretText,
    ciphertext_blob: String,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Encrypt<'a> {
    key_id: &'a str,
    plaintext: &'a str,
    encryption_context: &'a str,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Encrypted {
    key_id: String,
    ciphertext_blob: String,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Decrypt<'a> {
    ciphertext_blob: &'a str,
    encryption_context: &'a str,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Decrypted {
    key_id: String,
    plaintext: SecretText,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct ReEncrypt<'a> {
    ciphertext_blob: &'a str,
    destination_key_id: &'a str,
    source_encryption_context: &'a str,
    destination_encryption_context: &'a str,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ReEncrypted {
    ciphertext_blob: String,
    key_id: String,
    source_key_id: String,
}

/// What every answer about a key is checked for.
pub(super) struct Answered<'a> {
    action: &'static str,
    request_id: Option<&'a str>,
}

impl<'a> Answered<'a> {
    pub(super) fn of<T>(action: &'static str, reply: &'a Reply<T>) -> Self {
        Answered::with(action, reply.request_id.as_deref())
    }

    pub(super) fn with(action: &'static str, request_id: Option<&'a str>) -> Self {
        Answered { action, request_id }
    }

    pub(super) fn unusable(&self, class: Class, message: impl Into<Box<str>>) -> TencentError {
        TencentError::new(class, self.action, message)
            .of_request(self.request_id)
            .with_advice("check the endpoint and what stands between; report this with the request id")
    }

    /// Decrypt takes no key id, the ciphertext chooses the key: only this comparison keeps a wrap under another key
    /// of the account from being used.
    pub(super) fn about(&self, key: TencentKey<'_>, answered: &str) -> Result<(), TencentError> {
        if answered == key.id {
            Ok(())
        } else {
            Err(self.of_another(answered))
        }
    }

    pub(super) fn of_another(&self, answered: &str) -> TencentError {
        let other = word(answered);
        let message = format!("the answer is about another KMS key, {other}");
        self.unusable(Class::Integrity, message)
    }

    pub(super) fn lacks(&self, key: TencentKey<'_>) -> TencentError {
        self.unusable(
            Class::Integrity,
            format!("the answer says nothing about KMS key {}", key.id),
        )
    }

    /// The key that an answer names where no certain one was asked for.
    pub(super) fn names(&self, region: &str, id: &str) -> Result<KeyUri, TencentError> {
        TencentKey::uri(region, id).ok_or_else(|| {
            let message = "the answer names a KMS key by what is no key id";
            self.unusable(Class::Configuration, message)
        })
    }

    fn ciphertext(&self, blob: String) -> Result<String, TencentError> {
        if is_graphic(&blob, MAX_CIPHERTEXT) {
            return Ok(blob);
        }
        let message = format!(
            "its ciphertext ({} bytes) does not fit into a sealed document",
            blob.len()
        );
        Err(self.unusable(Class::Configuration, message))
    }

    fn plaintext(&self, text: &SecretText) -> Result<SecretBytes, TencentError> {
        let mut bytes = Zeroizing::new(vec![0; text.0.len() / 4 * 3 + 3]);
        let length = STANDARD
            .decode_slice(text.0.as_bytes(), &mut bytes)
            .map_err(|_| self.unusable(Class::Transient, "the plaintext in its answer is no base64"))?;
        bytes.truncate(length);
        Ok(SecretBytes::new(std::mem::take(&mut *bytes)))
    }
}

impl TencentKms {
    pub(super) async fn do_generate(
        &self,
        key: TencentKey<'_>,
        context: &EncryptionContext,
    ) -> Result<GeneratedDataKey, TencentError> {
        let action = action::GENERATE_DATA_KEY;
        let asked = GenerateDataKey {
            key_id: key.id,
            key_spec: "AES_256",
            encryption_context: context.as_str(),
        };
        let reply: Reply<Generated> = self.kms(action, key.region, &asked).await?;
        let answered = Answered::of(action, &reply);
        answered.about(key, &reply.value.key_id)?;
        let plaintext = answered.plaintext(&reply.value.plaintext)?;
        let data_key = DataKey::from_slice(plaintext.expose()).ok_or_else(|| {
            let message = format!("its data key has {} bytes, not 32", plaintext.len());
            answered.unusable(Class::Integrity, message)
        })?;
        let ciphertext = answered.ciphertext(reply.value.ciphertext_blob.clone())?;
        Ok(GeneratedDataKey { data_key, ciphertext })
    }

    pub(super) async fn do_encrypt(
        &self,
        key: TencentKey<'_>,
        data_key: &DataKey,
        context: &EncryptionContext,
    ) -> Result<String, TencentError> {
        let action = action::ENCRYPT;
        let mut text = Zeroizing::new(String::with_capacity(64)); // 44 are used: it does not grow
        STANDARD.encode_string(data_key.expose(), &mut text);
        let asked = Encrypt {
            key_id: key.id,
            plaintext: &text,
            encryption_context: context.as_str(),
        };
        let reply: Reply<Encrypted> = self
            .kms_with(action, key.region, &asked, &[&text], Nature::Repeatable)
            .await?;
        let answered = Answered::of(action, &reply);
        answered.about(key, &reply.value.key_id)?;
        answered.ciphertext(reply.value.ciphertext_blob.clone())
    }

    pub(super) async fn do_decrypt(
        &self,
        key: TencentKey<'_>,
        ciphertext: &str,
        context: &EncryptionContext,
    ) -> Result<SecretBytes, TencentError> {
        let action = action::DECRYPT;
        let asked = Decrypt {
            ciphertext_blob: ciphertext,
            encryption_context: context.as_str(),
        };
        let reply: Reply<Decrypted> = self
            .kms_with(action, key.region, &asked, &[], Nature::OnCiphertext)
            .await?;
        let answered = Answered::of(action, &reply);
        answered.about(key, &reply.value.key_id)?;
        answered.plaintext(&reply.value.plaintext)
    }

    /// Both keys are of one region: KMS has no way across.
    pub(super) async fn do_re_encrypt(
        &self,
        source: TencentKey<'_>,
        ciphertext: &str,
        destination: TencentKey<'_>,
        context: &EncryptionContext,
    ) -> Result<String, TencentError> {
        let action = action::RE_ENCRYPT;
        let asked = ReEncrypt {
            ciphertext_blob: ciphertext,
            destination_key_id: destination.id,
            source_encryption_context: context.as_str(),
            destination_encryption_context: context.as_str(),
        };
        let reply: Reply<ReEncrypted> = self
            .kms_with(action, source.region, &asked, &[], Nature::OnCiphertext)
            .await?;
        let answered = Answered::of(action, &reply);
        answered.about(source, &reply.value.source_key_id)?;
        answered.about(destination, &reply.value.key_id)?;
        answered.ciphertext(reply.value.ciphertext_blob.clone())
    }
}
