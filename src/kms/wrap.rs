//! Creating a data key for a new document.

use super::{KeyUri, KmsError, Registry, action};
use crate::envelope::{DataKey, EncryptionContext, Wrap};

/// Creates a data key with the KMS key `first`, and also wraps it under the `others`, in their order. The keys come from
/// the writer's own configuration, never from a document (format-es1 section 7). If one fails, the whole call fails.
pub async fn wrap_new_data_key(
    registry: &Registry,
    first: &KeyUri,
    others: &[KeyUri],
    context: &EncryptionContext,
) -> Result<(DataKey, Vec<Wrap>), KmsError> {
    let generated = registry
        .require(first, action::GENERATE_DATA_KEY)?
        .generate_data_key(first, context)
        .await?;
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
