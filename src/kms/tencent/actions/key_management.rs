//! The actions that manage keys.

use std::collections::HashSet;

use serde::{Deserialize, Serialize};

use super::metadata::{KeyMetadata, ListedKey, NewKey, null_as_default};
use super::response_check::ResponseCheck;
use crate::kms::tencent::client::{Request, TencentKms};
use crate::kms::tencent::error::TencentError;
use crate::kms::tencent::key::TencentKey;
use crate::kms::tencent::transport::request::Idempotency;
use crate::kms::tencent::transport::response::Reply;
use crate::kms::{Class, KeyUri, action};

/// The size of a page of a list: the API's maximum.
const PAGE_SIZE: usize = 200;
/// More keys than an account can have in a region. A list that is longer is broken.
const MAX_LISTED: usize = 20_000;

/// The response of an action that returns nothing.
#[derive(Deserialize)]
struct NoFields {}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct DescribeKey<'a> {
    key_id: &'a str,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Described {
    key_metadata: KeyMetadata,
}

/// The parameters of `EnableKeyRotation` and `DisableKeyRotation`.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct SetRotation<'a> {
    key_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    rotate_days: Option<u16>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct CreateKey<'a> {
    alias: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<&'a str>,
    key_usage: &'a str,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Created {
    key_id: String,
    alias: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct ListKeyDetail<'a> {
    offset: usize,
    limit: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    search_key_alias: Option<&'a str>,
}

/// A page of a list.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Page {
    #[serde(default, deserialize_with = "null_as_default")]
    key_metadatas: Vec<KeyMetadata>,
    /// The number of keys on all pages.
    #[serde(default)]
    total_count: Option<usize>,
}

impl TencentKms {
    /// Creates a symmetric key with key material that the KMS generates (`CreateKey`).
    ///
    /// # Errors
    /// The call is not retried if the key may have been created; the advice says so.
    pub async fn create_key(&self, region: &str, new: &NewKey) -> Result<KeyUri, TencentError> {
        let action = "CreateKey";
        let parameters = CreateKey {
            alias: &new.alias,
            description: new.description.as_deref(),
            key_usage: "ENCRYPT_DECRYPT",
        };
        let request = Request {
            idempotency: Idempotency::NotIdempotent,
            ..Request::new(action, region, &parameters)
        };
        let Reply { value, request_id } = self.call::<_, Created>(&request).await?;
        let check = ResponseCheck::new(action, request_id.as_deref());
        let uri = if value.alias.is_some_and(|alias| alias != new.alias) {
            let message = "the response is about a KMS key with another alias";
            Err(check.unusable(Class::Configuration, message))
        } else {
            check.key_uri(region, &value.key_id)
        };
        uri.map_err(|error| {
            error.with_advice(
                "find the new KMS key by its alias in the console; report this with the request id",
            )
        })
    }

    /// Returns the metadata of a key (`DescribeKey`).
    pub async fn describe_key(&self, key: &KeyUri) -> Result<KeyMetadata, TencentError> {
        let action = action::DESCRIBE_KEY;
        let key = TencentKey::require(key, action)?;
        let parameters = DescribeKey { key_id: key.id };
        let request = Request::new(action, key.region, &parameters);
        let Reply { value, request_id } = self.call::<_, Described>(&request).await?;
        let check = ResponseCheck::new(action, request_id.as_deref());
        check.expect_key(key, &value.key_metadata.key_id)?;
        Ok(value.key_metadata)
    }

    /// Returns all keys of a region, or those whose id or alias contains `search` (`ListKeyDetail`).
    pub async fn list_key_details(
        &self,
        region: &str,
        search: Option<&str>,
    ) -> Result<Vec<ListedKey>, TencentError> {
        let action = "ListKeyDetail";
        let (mut keys, mut seen, mut offset) = (Vec::new(), HashSet::new(), 0);
        loop {
            let parameters = ListKeyDetail {
                offset,
                limit: PAGE_SIZE,
                search_key_alias: search,
            };
            let request = Request::new(action, region, &parameters);
            let Reply { value, request_id } = self.call::<_, Page>(&request).await?;
            let check = ResponseCheck::new(action, request_id.as_deref());
            // The API may return less than a full page, so the list ends at the total or with an empty page.
            let is_last = value.key_metadatas.is_empty();
            for metadata in value.key_metadatas {
                offset += 1;
                let uri = check.key_uri(region, &metadata.key_id)?;
                // A key that is created during the listing moves others to the next page.
                if seen.insert(uri.clone()) {
                    keys.push(ListedKey { uri, metadata });
                }
            }
            if is_last || value.total_count.is_some_and(|total| offset >= total) {
                return Ok(keys);
            }
            if offset > MAX_LISTED {
                let message = format!("the list does not end after {MAX_LISTED} KMS keys");
                return Err(check.unusable(Class::Configuration, message));
            }
        }
    }

    /// Enables automatic rotation every `days` (7 to 365; `None` for the KMS's default of one year): `EnableKeyRotation`.
    pub async fn enable_rotation(&self, key: &KeyUri, days: Option<u16>) -> Result<(), TencentError> {
        self.set_rotation("EnableKeyRotation", key, days).await
    }

    /// Disables automatic rotation (`DisableKeyRotation`).
    pub async fn disable_rotation(&self, key: &KeyUri) -> Result<(), TencentError> {
        self.set_rotation("DisableKeyRotation", key, None).await
    }

    /// The response does not name the key, so there is nothing to check.
    async fn set_rotation(
        &self,
        action: &'static str,
        key: &KeyUri,
        rotate_days: Option<u16>,
    ) -> Result<(), TencentError> {
        let key = TencentKey::require(key, action)?;
        let parameters = SetRotation {
            key_id: key.id,
            rotate_days,
        };
        let request = Request::new(action, key.region, &parameters);
        self.call::<_, NoFields>(&request).await?;
        Ok(())
    }
}
