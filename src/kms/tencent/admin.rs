//! The actions that manage keys.

use serde::{Deserialize, Deserializer, Serialize};

use super::error::TencentError;
use super::key::is_key_id;
use super::reply::Reply;
use super::{SCHEME, TencentKms};
use crate::kms::{Class, KeyUri, Rotation, action};

/// Keys of one page of a list: the most that the API gives.
const PAGE: usize = 200;
/// More pages than an account can have keys.
const MOST_PAGES: usize = 100;

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
    /// `None` for imported material, which the API cannot turn over.
    pub(super) fn rotation(&self) -> Option<Rotation> {
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
fn or_default<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(from: D) -> Result<T, D::Error> {
    Option::<T>::deserialize(from).map(Option::unwrap_or_default)
}

#[derive(Serialize)]
struct NoParameters {}

#[derive(Deserialize)]
struct Done {}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct OneKey<'a> {
    key_id: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Keys<'a> {
    key_ids: &'a [&'a str],
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct EnableRotation<'a> {
    key_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    rotate_days: Option<u16>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Create<'a> {
    alias: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<&'a str>,
    key_usage: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Page<'a> {
    offset: usize,
    limit: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    search_key_alias: Option<&'a str>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct KeyIdOnly {
    key_id: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Described {
    key_metadata: KeyMetadata,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Details {
    #[serde(default, deserialize_with = "or_default")]
    key_metadatas: Vec<KeyMetadata>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Listed {
    #[serde(default, deserialize_with = "or_default")]
    keys: Vec<KeyIdOnly>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct RotationStatus {
    key_rotation_enabled: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Regions {
    #[serde(default, deserialize_with = "or_default")]
    regions: Vec<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Algorithms {
    #[serde(default, deserialize_with = "or_default")]
    symmetric_algorithms: Vec<Algorithm>,
}

impl TencentKms {
    /// `CreateKey`: a symmetric key whose material the KMS makes. Not tried again where it may have been done.
    pub async fn create_key(&self, region: &str, new: &NewKey) -> Result<KeyUri, TencentError> {
        let action = "CreateKey";
        let asked = Create {
            alias: &new.alias,
            description: new.description.as_deref(),
            key_usage: "ENCRYPT_DECRYPT",
        };
        let reply: Reply<KeyIdOnly> = self.kms_once(action, region, &asked).await?;
        let id = reply.value.key_id;
        let uri = KeyUri::parse(&format!("{SCHEME}://{region}/{id}"));
        uri.ok().filter(|_| is_key_id(&id)).ok_or_else(|| {
            TencentError::new(Class::Configuration, action, "the answer names no KMS key")
                .of_request(reply.request_id.as_deref())
                .with_advice(
                    "look for the new key with its alias in the console; report this with the request id",
                )
        })
    }

    /// `DescribeKey`.
    pub async fn describe_key(&self, region: &str, key_id: &str) -> Result<KeyMetadata, TencentError> {
        let action = action::DESCRIBE_KEY;
        let reply: Reply<Described> = self.kms(action, region, &OneKey { key_id }).await?;
        Ok(reply.value.key_metadata)
    }

    /// `DescribeKeys`: at most 100.
    pub async fn describe_keys(
        &self,
        region: &str,
        key_ids: &[&str],
    ) -> Result<Vec<KeyMetadata>, TencentError> {
        let reply: Reply<Details> = self.kms("DescribeKeys", region, &Keys { key_ids }).await?;
        Ok(reply.value.key_metadatas)
    }

    /// `ListKeys`: the ids of all keys of a region.
    pub async fn list_keys(&self, region: &str) -> Result<Vec<String>, TencentError> {
        let mut all = Vec::new();
        for page in 0..MOST_PAGES {
            let asked = Page::number(page, None);
            let reply: Reply<Listed> = self.kms("ListKeys", region, &asked).await?;
            let keys = reply.value.keys;
            let last = keys.len() < PAGE;
            all.extend(keys.into_iter().map(|key| key.key_id));
            if last {
                break;
            }
        }
        Ok(all)
    }

    /// `ListKeyDetail`: all keys of a region, or those whose id or alias contains `search`.
    pub async fn list_key_details(
        &self,
        region: &str,
        search: Option<&str>,
    ) -> Result<Vec<KeyMetadata>, TencentError> {
        let mut all = Vec::new();
        for page in 0..MOST_PAGES {
            let asked = Page::number(page, search);
            let reply: Reply<Details> = self.kms("ListKeyDetail", region, &asked).await?;
            let keys = reply.value.key_metadatas;
            let last = keys.len() < PAGE;
            all.extend(keys);
            if last {
                break;
            }
        }
        Ok(all)
    }

    /// `EnableKey`.
    pub async fn enable_key(&self, region: &str, key_id: &str) -> Result<(), TencentError> {
        self.done("EnableKey", region, &OneKey { key_id }).await
    }

    /// `DisableKey`: nothing opens with it until it is enabled again.
    pub async fn disable_key(&self, region: &str, key_id: &str) -> Result<(), TencentError> {
        self.done("DisableKey", region, &OneKey { key_id }).await
    }

    /// `EnableKeyRotation`: new material every `days` (7 to 365; `None`: the KMS's own, a year).
    pub async fn enable_rotation(
        &self,
        region: &str,
        key_id: &str,
        days: Option<u16>,
    ) -> Result<(), TencentError> {
        let asked = EnableRotation {
            key_id,
            rotate_days: days,
        };
        self.done("EnableKeyRotation", region, &asked).await
    }

    /// `DisableKeyRotation`.
    pub async fn disable_rotation(&self, region: &str, key_id: &str) -> Result<(), TencentError> {
        self.done("DisableKeyRotation", region, &OneKey { key_id }).await
    }

    /// `GetKeyRotationStatus`: whether it gets new material by itself.
    pub async fn rotates(&self, region: &str, key_id: &str) -> Result<bool, TencentError> {
        let action = "GetKeyRotationStatus";
        let reply: Reply<RotationStatus> = self.kms(action, region, &OneKey { key_id }).await?;
        Ok(reply.value.key_rotation_enabled)
    }

    /// `GetServiceStatus`.
    pub async fn service_status(&self, region: &str) -> Result<ServiceStatus, TencentError> {
        let reply = self.kms("GetServiceStatus", region, &NoParameters {}).await?;
        Ok(reply.value)
    }

    /// `GetRegions`: where KMS is. Asked in `region`.
    pub async fn regions(&self, region: &str) -> Result<Vec<String>, TencentError> {
        let reply: Reply<Regions> = self.kms("GetRegions", region, &NoParameters {}).await?;
        Ok(reply.value.regions)
    }

    /// `ListAlgorithms`: those of symmetric keys.
    pub async fn algorithms(&self, region: &str) -> Result<Vec<Algorithm>, TencentError> {
        let reply: Reply<Algorithms> = self.kms("ListAlgorithms", region, &NoParameters {}).await?;
        Ok(reply.value.symmetric_algorithms)
    }

    async fn done<P: Serialize + Sync>(
        &self,
        action: &'static str,
        region: &str,
        parameters: &P,
    ) -> Result<(), TencentError> {
        let _: Reply<Done> = self.kms(action, region, parameters).await?;
        Ok(())
    }
}

impl<'a> Page<'a> {
    fn number(page: usize, search: Option<&'a str>) -> Self {
        Page {
            offset: page * PAGE,
            limit: PAGE,
            search_key_alias: search,
        }
    }
}
