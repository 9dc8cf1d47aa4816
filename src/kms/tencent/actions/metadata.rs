//! What the API knows of a key.

use serde::{Deserialize, Deserializer};

use crate::kms::tencent::key::TencentKey;
use crate::kms::{KeyUri, Rotation};

/// The parameters of a new key.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NewKey {
    /// 1 to 60 letters, digits, `-` and `_`; unique in its region.
    pub alias: String,
    /// At most 1024 bytes.
    pub description: Option<String>,
}

/// The fields of the API's `KeyMetadata` that are used. A field that the API omits or returns as null is empty or 0.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct KeyMetadata {
    /// A UUID.
    pub key_id: String,
    /// `Enabled`, `Disabled`, `PendingDelete`, `PendingImport` or `Archived`.
    pub key_state: String,
    /// Unique in its region.
    #[serde(default, deserialize_with = "null_as_default")]
    pub alias: String,
    /// `ENCRYPT_DECRYPT` for keys that can seal.
    #[serde(default, deserialize_with = "null_as_default")]
    pub key_usage: String,
    /// Free text.
    #[serde(default, deserialize_with = "null_as_default")]
    pub description: String,
    /// The time of creation, in Unix seconds.
    #[serde(default, deserialize_with = "null_as_default")]
    pub create_time: i64,
    /// Whether the key is rotated automatically.
    #[serde(default, deserialize_with = "null_as_default")]
    pub key_rotation_enabled: bool,
    /// The time of the next rotation, in Unix seconds; 0 if there is none.
    #[serde(default, deserialize_with = "null_as_default")]
    pub next_rotate_time: i64,
    /// The time of the last rotation, in Unix seconds; 0 if there was none.
    #[serde(default, deserialize_with = "null_as_default")]
    pub last_rotate_time: i64,
    /// The rotation period in days; 0 without automatic rotation.
    #[serde(default, deserialize_with = "null_as_default")]
    pub rotate_days: i64,
    /// The time of the scheduled deletion, in Unix seconds; 0 if none is scheduled.
    #[serde(default, deserialize_with = "null_as_default")]
    pub deletion_date: i64,
    /// `TENCENT_KMS`, or `EXTERNAL` for imported key material.
    #[serde(default, deserialize_with = "null_as_default")]
    pub origin: String,
    /// `user`, or the cloud product that created the key.
    #[serde(default, deserialize_with = "null_as_default")]
    pub owner: String,
    /// The last part of the key's resource name in CAM policies: `creatorUin/<uin>/<key id>`.
    #[serde(default, deserialize_with = "null_as_default")]
    pub resource_id: String,
}

impl KeyMetadata {
    /// Returns the resource name for CAM policies of `key`, the key that this metadata is about. The account's owner
    /// (`OWNER-UIN`) remains to be filled in: it is not always the creator.
    pub fn in_policies(&self, key: &KeyUri) -> Option<String> {
        let region = TencentKey::of_uri(key)?.region;
        let resource = Some(&self.resource_id).filter(|resource| !resource.is_empty())?;
        Some(format!("qcs::kms:{region}:uin/OWNER-UIN:key/{resource}"))
    }

    /// Returns `None` for imported key material, which the API cannot rotate.
    pub(in crate::kms::tencent) fn rotation(&self) -> Option<Rotation> {
        let non_zero = |number: i64| Some(number).filter(|number| *number > 0);
        let enabled = self.key_rotation_enabled;
        (self.origin != "EXTERNAL").then(|| Rotation {
            enabled,
            days: non_zero(self.rotate_days).filter(|_| enabled),
            last: non_zero(self.last_rotate_time),
            next: non_zero(self.next_rotate_time).filter(|_| enabled),
        })
    }
}

/// A key in a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedKey {
    /// The URI, from the key's id and the region of the list.
    pub uri: KeyUri,
    /// The key's metadata.
    pub metadata: KeyMetadata,
}

/// Deserializes null as the default value.
pub(super) fn null_as_default<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(
    deserializer: D,
) -> Result<T, D::Error> {
    Option::<T>::deserialize(deserializer).map(Option::unwrap_or_default)
}
