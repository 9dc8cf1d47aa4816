//! Creating a data key for a new document.

use super::{Capability, Class, GeneratedDataKey, KeyUri, KmsError, Registry, action, can};
use crate::envelope::{DataKey, EncryptionContext, Wrap};

/// Creates a data key with the KMS key `first`, and also wraps it under the `others`, in their order. The keys come from
/// the writer's own configuration, never from a document (format-es1 section 7). If one fails, the whole call fails.
pub async fn wrap_new_data_key(
    registry: &Registry,
    first: &KeyUri,
    others: &[KeyUri],
    context: &EncryptionContext,
) -> Result<(DataKey, Vec<Wrap>), KmsError> {
    let generated = new_data_key(registry, first, context).await?;
    let mut wraps = Vec::with_capacity(1 + others.len());
    wraps.push(Wrap {
        key: first.as_str().to_owned(),
        ciphertext: generated.ciphertext,
    });
    for key in others {
        let kms = registry.require(key, action::ENCRYPT)?;
        wraps.push(Wrap {
            key: key.as_str().to_owned(),
            ciphertext: kms.encrypt(key, &generated.data_key, context).await?,
        });
    }
    Ok((generated.data_key, wraps))
}

/// Generates a data key in the KMS, or here if the KMS cannot.
async fn new_data_key(
    registry: &Registry,
    key: &KeyUri,
    context: &EncryptionContext,
) -> Result<GeneratedDataKey, KmsError> {
    let kms = registry.require(key, action::GENERATE_DATA_KEY)?;
    if can(key, Capability::GenerateDataKey) {
        return kms.generate_data_key(key, context).await;
    }
    let data_key = random_data_key(key)?;
    let ciphertext = kms.encrypt(key, &data_key, context).await?;
    Ok(GeneratedDataKey { data_key, ciphertext })
}

/// Draws a data key from the operating system, to be encrypted with `key`.
pub fn random_data_key(key: &KeyUri) -> Result<DataKey, KmsError> {
    DataKey::random().map_err(|error| {
        let message = format!("the operating system returned no random bytes: {error}");
        KmsError::new(Class::Transient, key, action::ENCRYPT, message)
    })
}
