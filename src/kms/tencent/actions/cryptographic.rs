//! The actions that seal and open data keys.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::response_check::ResponseCheck;
use crate::envelope::{DataKey, EncryptionContext, SecretBytes};
use crate::kms::tencent::client::{Request, TencentKms};
use crate::kms::tencent::error::TencentError;
use crate::kms::tencent::key::TencentKey;
use crate::kms::tencent::transport::response::Reply;
use crate::kms::{Class, GeneratedDataKey, action};

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
    plaintext: Zeroizing<String>,
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
    plaintext: Zeroizing<String>,
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

/// One call of the API each. The trait [`Kms`](crate::kms::Kms) is implemented with them.
impl TencentKms {
    pub(in crate::kms::tencent) async fn call_generate_data_key(
        &self,
        key: TencentKey<'_>,
        context: &EncryptionContext,
    ) -> Result<GeneratedDataKey, TencentError> {
        let action = action::GENERATE_DATA_KEY;
        let parameters = GenerateDataKey {
            key_id: key.id,
            key_spec: "AES_256",
            encryption_context: context.as_str(),
        };
        let request = Request::new(action, key.region, &parameters);
        let Reply { value, request_id } = self.call::<_, Generated>(&request).await?;
        let check = ResponseCheck::new(action, request_id.as_deref());
        check.expect_key(key, &value.key_id)?;
        let plaintext = check.plaintext(&value.plaintext)?;
        let data_key = DataKey::from_slice(plaintext.expose()).ok_or_else(|| {
            let message = format!(
                "the data key in the response has {} bytes, not 32",
                plaintext.len()
            );
            check.unusable(Class::Integrity, message)
        })?;
        let ciphertext = check.ciphertext(value.ciphertext_blob)?;
        Ok(GeneratedDataKey { data_key, ciphertext })
    }

    pub(in crate::kms::tencent) async fn call_encrypt(
        &self,
        key: TencentKey<'_>,
        data_key: &DataKey,
        context: &EncryptionContext,
    ) -> Result<String, TencentError> {
        let action = action::ENCRYPT;
        let plaintext = Zeroizing::new(STANDARD.encode(data_key.expose()));
        let parameters = Encrypt {
            key_id: key.id,
            plaintext: &plaintext,
            encryption_context: context.as_str(),
        };
        let secrets = [plaintext.as_str()];
        let request = Request {
            secrets: &secrets,
            ..Request::new(action, key.region, &parameters)
        };
        let Reply { value, request_id } = self.call::<_, Encrypted>(&request).await?;
        let check = ResponseCheck::new(action, request_id.as_deref());
        check.expect_key(key, &value.key_id)?;
        check.ciphertext(value.ciphertext_blob)
    }

    pub(in crate::kms::tencent) async fn call_decrypt(
        &self,
        key: TencentKey<'_>,
        ciphertext: &str,
        context: &EncryptionContext,
    ) -> Result<SecretBytes, TencentError> {
        let action = action::DECRYPT;
        let parameters = Decrypt {
            ciphertext_blob: ciphertext,
            encryption_context: context.as_str(),
        };
        let request = Request {
            reads_ciphertext: true,
            ..Request::new(action, key.region, &parameters)
        };
        let Reply { value, request_id } = self.call::<_, Decrypted>(&request).await?;
        let check = ResponseCheck::new(action, request_id.as_deref());
        check.expect_key(key, &value.key_id)?;
        check.plaintext(&value.plaintext)
    }

    /// Both keys must be in the same region: the API does not work across regions.
    pub(in crate::kms::tencent) async fn call_re_encrypt(
        &self,
        source: TencentKey<'_>,
        ciphertext: &str,
        destination: TencentKey<'_>,
        context: &EncryptionContext,
    ) -> Result<String, TencentError> {
        let action = action::RE_ENCRYPT;
        let parameters = ReEncrypt {
            ciphertext_blob: ciphertext,
            destination_key_id: destination.id,
            source_encryption_context: context.as_str(),
            destination_encryption_context: context.as_str(),
        };
        let request = Request {
            reads_ciphertext: true,
            ..Request::new(action, source.region, &parameters)
        };
        let Reply { value, request_id } = self.call::<_, ReEncrypted>(&request).await?;
        let check = ResponseCheck::new(action, request_id.as_deref());
        check.expect_key(source, &value.source_key_id)?;
        check.expect_key(destination, &value.key_id)?;
        check.ciphertext(value.ciphertext_blob)
    }
}
