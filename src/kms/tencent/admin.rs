//! The actions that manage keys.

use serde::{Deserialize, Serialize};

use super::TencentKms;
use super::error::TencentError;
use crate::kms::action;

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct OneKey<'a> {
    key_id: &'a str,
}

/// `KeyMetadata` of the API, the fields that are used.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct KeyMetadata {
    /// A UUID.
    pub key_id: String,
    /// `Enabled`, `Disabled`, `PendingDelete`, `PendingImport`, `Archived`.
    pub key_state: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Described {
    key_metadata: KeyMetadata,
}

impl TencentKms {
    /// `DescribeKey`.
    pub async fn describe_key(&self, region: &str, key_id: &str) -> Result<KeyMetadata, TencentError> {
        let reply = self
            .kms::<_, Described>(action::DESCRIBE_KEY, region, &OneKey { key_id })
            .await?;
        Ok(reply.value.key_metadata)
    }
}
