//! A new data key under every KMS key that shall open the document.

use super::{KeyUri, KmsError, Registry, action};
use crate::envelope::{DataKey, EncryptionContext, Wrap};

/// Draws a data key with the KMS key `first` and wraps it under the `others` too, in their order. The keys come
/// from the writer's own configuration, never from a document (format-es1 section 7); one that fails, fails all.
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
        let provider = registry.require(key, action::ENCRYPT)?;
        wraps.push(Wrap {
            key: key.as_str().to_owned(),
            ciphertext: provider.encrypt(key, &generated.data_key, context).await?,
        });
    }
    Ok((generated.data_key, wraps))
}
