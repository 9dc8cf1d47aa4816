//! What is known of a key, and of the service in a region.

use serde::{Deserialize, Deserializer};

use crate::kms::tencent::key::TencentKey;
use crate::kms::{KeyUri, Rotation};

/// What is asked of a new key.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NewKey {
    /// 1 to 60 letters, digits, `-` and `_`; unique in its region.
    pub alias: String,
    /// At most 1024 bytes.
    pub description: Option<String>,
}

/// `KeyMetadata` of the API, the fields that are used. What the API leaves out or answers as null is empty.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct KeyMetadata {
    /// A UUID.
    pub key_id: String,
    /// `Enabled`, `Disabled`, `PendingDelete`, `PendingImport`, `Archived`.
    pub key_state: String,
    /// Unique in its region.
    #[serde(default, deserialize_with = "or_default")]
    pub alias: String,
    /// `ENCRYPT_DECRYPT` for keys that seal.
    #[serde(default, deserialize_with = "or_default")]
    pub key_usage: String,
    /// For people.
    #[serde(default, deserialize_with = "or_default")]
    pub description: String,
    /// Unix seconds.
    #[serde(default, deserialize_with = "or_default")]
    pub create_time: i64,
    /// Whether it gets new material by itself.
    #[serde(default, deserialize_with = "or_default")]
    pub key_rotation_enabled: bool,
    /// When next, in Unix seconds; 0: never.
    #[serde(default, deserialize_with = "or_default")]
    pub next_rotate_time: i64,
    /// When last, in Unix seconds; 0: never.
    #[serde(default, deserialize_with = "or_default")]
    pub last_rotate_time: i64,
    /// How often, in days; 0 where it does not.
    #[serde(default, deserialize_with = "or_default")]
    pub rotate_days: i64,
    /// When it will be deleted, in Unix seconds; 0: not.
    #[serde(default, deserialize_with = "or_default")]
    pub deletion_date: i64,
    /// `TENCENT_KMS` or `EXTERNAL`.
    #[serde(default, deserialize_with = "or_default")]
    pub origin: String,
    /// `user`, or the product that made it.
    #[serde(default, deserialize_with = "or_default")]
    pub owner: String,
    /// The end of its name in a CAM policy: `creatorUin/<uin>/<key id>`.
    #[serde(default, deserialize_with = "or_default")]
    pub resource_id: String,
}

impl KeyMetadata {
    /// Its name in a CAM policy, the account's owner left to be filled in: another may have made the key. `key` is the
    /// key that this is of.
    pub fn in_policies(&self, key: &KeyUri) -> Option<String> {
        let region = TencentKey::of_uri(key)?.region;
        let resource = Some(&self.resource_id).filter(|resource| !resource.is_empty())?;
        Some(format!("qcs::kms:{region}:uin/OWNER-UIN:key/{resource}"))
    }

    /// `None` for imported material, which the API cannot turn over.
    pub(in crate::kms::tencent) fn rotation(&self) -> Option<Rotation> {
        let known = |number: i64| Some(number).filter(|number| *number > 0);
        let enabled = self.key_rotation_enabled;
        (self.origin != "EXTERNAL").then(|| Rotation {
            enabled,
            days: known(self.rotate_days).filter(|_| enabled),
            last: known(self.last_rotate_time),
            next: known(self.next_rotate_time).filter(|_| enabled),
        })
    }
}

/// A key of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedKey {
    /// Of its id and the list's region.
    pub uri: KeyUri,
    /// What is known of it.
    pub metadata: KeyMetadata,
}

/// Whether KMS can be used in an account and region.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ServiceStatus {
    /// Whether it is switched on.
    pub service_enabled: bool,
    /// 0 not bought, 1 normal, 2 suspended for arrears, 3 released.
    #[serde(default, deserialize_with = "or_default")]
    pub invalid_type: i64,
    /// Calls a second.
    #[serde(default, deserialize_with = "or_default")]
    pub qps_limit: i64,
    /// How many keys there may be.
    #[serde(default, deserialize_with = "or_default")]
    pub cmk_limit: i64,
}

/// A use of keys with its algorithm: `ENCRYPT_DECRYPT`, `SM4` or `AES_256`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Algorithm {
    /// As in [`KeyMetadata::key_usage`].
    pub key_usage: String,
    /// What stands behind it in this region.
    pub algorithm: String,
}

/// The API answers null for what it has not.
pub(super) fn or_default<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(
    from: D,
) -> Result<T, D::Error> {
    Option::<T>::deserialize(from).map(Option::unwrap_or_default)
}
