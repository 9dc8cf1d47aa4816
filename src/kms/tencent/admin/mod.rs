//! The actions that manage keys.

mod metadata;

use std::collections::HashSet;

use serde::{Deserialize, Serialize};

pub use metadata::{Algorithm, KeyMetadata, ListedKey, NewKey, ServiceStatus};

use super::TencentKms;
use super::actions::Answered;
use super::error::TencentError;
use super::key::TencentKey;
use super::reply::Reply;
use crate::kms::{Class, KeyUri, action};
use metadata::or_default;

/// Keys of one page of a list: the most that the API gives.
const PAGE: usize = 200;
/// More keys than an account can have in a region.
const MOST_KEYS: usize = 20_000;

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
struct Switch<'a> {
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
struct Created {
    key_id: String,
    alias: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Described {
    key_metadata: KeyMetadata,
}

/// Of `DescribeKeys`, and a page of either list.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Several {
    #[serde(default, deserialize_with = "or_default")]
    keys: Vec<KeyIdOnly>,
    #[serde(default, deserialize_with = "or_default")]
    key_metadatas: Vec<KeyMetadata>,
    /// Of all pages of a list.
    #[serde(default)]
    total_count: Option<usize>,
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
        let reply: Reply<Created> = self.kms_once(action, region, &asked).await?;
        let answered = Answered::of(action, &reply);
        let its_alias = reply.value.alias.as_deref();
        let uri = match its_alias.filter(|alias| *alias != new.alias) {
            Some(_) => Err(answered.unusable(
                Class::Configuration,
                "the answer is about a KMS key of another alias",
            )),
            None => answered.names(region, &reply.value.key_id),
        };
        uri.map_err(|error| {
            error.with_advice(
                "look for the new KMS key with its alias in the console; report this with the request id",
            )
        })
    }

    /// `DescribeKey`.
    pub async fn describe_key(&self, key: &KeyUri) -> Result<KeyMetadata, TencentError> {
        let action = action::DESCRIBE_KEY;
        let key = TencentKey::named(key, action)?;
        let reply: Reply<Described> = self.kms(action, key.region, &OneKey { key_id: key.id }).await?;
        Answered::of(action, &reply).about(key, &reply.value.key_metadata.key_id)?;
        Ok(reply.value.key_metadata)
    }

    /// `DescribeKeys`: at most 100 different keys of one region. Answers in their order.
    pub async fn describe_keys(&self, keys: &[KeyUri]) -> Result<Vec<KeyMetadata>, TencentError> {
        let action = "DescribeKeys";
        let keys = keys.iter().map(|key| TencentKey::named(key, action));
        let keys: Vec<TencentKey<'_>> = keys.collect::<Result<_, _>>()?;
        let Some(region) = keys.first().map(|key| key.region) else {
            return Ok(Vec::new());
        };
        if keys.iter().any(|key| key.region != region) {
            let message = "the KMS keys are of several regions";
            return Err(TencentError::new(Class::Configuration, action, message)
                .with_advice("ask for the KMS keys of each region by themselves"));
        }
        let asked = Keys {
            key_ids: &keys.iter().map(|key| key.id).collect::<Vec<_>>(),
        };
        let mut reply: Reply<Several> = self.kms(action, region, &asked).await?;
        let mut found = std::mem::take(&mut reply.value.key_metadatas);
        let answered = Answered::of(action, &reply);
        let mut all = Vec::with_capacity(keys.len());
        for key in keys {
            let at = found.iter().position(|found| found.key_id == key.id);
            all.push(found.swap_remove(at.ok_or_else(|| answered.lacks(key))?));
        }
        match found.first() {
            None => Ok(all),
            Some(other) => Err(answered.of_another(&other.key_id)),
        }
    }

    /// `ListKeys`: all keys of a region.
    pub async fn list_keys(&self, region: &str) -> Result<Vec<KeyUri>, TencentError> {
        let keys = self.pages("ListKeys", region, None, |page| page.keys, |key| &key.key_id);
        Ok(keys.await?.into_iter().map(|(uri, _)| uri).collect())
    }

    /// `ListKeyDetail`: all keys of a region, or those whose id or alias contains `search`.
    pub async fn list_key_details(
        &self,
        region: &str,
        search: Option<&str>,
    ) -> Result<Vec<ListedKey>, TencentError> {
        let of_page = |page: Several| page.key_metadatas;
        let keys = self.pages("ListKeyDetail", region, search, of_page, |key| &key.key_id);
        let listed = keys.await?.into_iter();
        Ok(listed
            .map(|(uri, metadata)| ListedKey { uri, metadata })
            .collect())
    }

    /// All that a list has, each with the URI of its id. The KMS may give fewer on a page than it was asked for: the
    /// list ends at the total that it tells, or with an empty page.
    async fn pages<T>(
        &self,
        action: &'static str,
        region: &str,
        search: Option<&str>,
        of_page: impl Fn(Several) -> Vec<T>,
        id: impl Fn(&T) -> &str,
    ) -> Result<Vec<(KeyUri, T)>, TencentError> {
        let (mut all, mut seen, mut offset) = (Vec::new(), HashSet::new(), 0);
        loop {
            let asked = Page {
                offset,
                limit: PAGE,
                search_key_alias: search,
            };
            let Reply { value, request_id } = self.kms::<_, Several>(action, region, &asked).await?;
            let answered = Answered::with(action, request_id.as_deref());
            let total = value.total_count;
            let page = of_page(value);
            let is_empty = page.is_empty();
            for key in page {
                offset += 1;
                let uri = answered.names(region, id(&key))?;
                // One that was made meanwhile moves others to the next page.
                if seen.insert(uri.clone()) {
                    all.push((uri, key));
                }
            }
            if is_empty || total.is_some_and(|total| offset >= total) {
                return Ok(all);
            }
            if offset > MOST_KEYS {
                let message = format!("the list does not end after {MOST_KEYS} KMS keys");
                return Err(answered.unusable(Class::Configuration, message));
            }
        }
    }

    /// `EnableKey`.
    pub async fn enable_key(&self, key: &KeyUri) -> Result<(), TencentError> {
        self.switch("EnableKey", key, None).await
    }

    /// `DisableKey`: nothing opens with it until it is enabled again.
    pub async fn disable_key(&self, key: &KeyUri) -> Result<(), TencentError> {
        self.switch("DisableKey", key, None).await
    }

    /// `EnableKeyRotation`: new material every `days` (7 to 365; `None`: the KMS's own, a year).
    pub async fn enable_rotation(&self, key: &KeyUri, days: Option<u16>) -> Result<(), TencentError> {
        self.switch("EnableKeyRotation", key, days).await
    }

    /// `DisableKeyRotation`.
    pub async fn disable_rotation(&self, key: &KeyUri) -> Result<(), TencentError> {
        self.switch("DisableKeyRotation", key, None).await
    }

    /// These answers name no key.
    async fn switch(
        &self,
        action: &'static str,
        key: &KeyUri,
        rotate_days: Option<u16>,
    ) -> Result<(), TencentError> {
        let key = TencentKey::named(key, action)?;
        let asked = Switch {
            key_id: key.id,
            rotate_days,
        };
        let _: Reply<Done> = self.kms(action, key.region, &asked).await?;
        Ok(())
    }

    /// `GetKeyRotationStatus`: whether it gets new material by itself. The answer names no key.
    pub async fn rotates(&self, key: &KeyUri) -> Result<bool, TencentError> {
        let action = "GetKeyRotationStatus";
        let key = TencentKey::named(key, action)?;
        let asked = OneKey { key_id: key.id };
        let reply: Reply<RotationStatus> = self.kms(action, key.region, &asked).await?;
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
}
