//! `envelope keys` for Tencent Cloud KMS.

use futures::FutureExt as _;
use futures::future::BoxFuture;
use serde_json::Value;

use super::{
    Environment, KeyMetadata, ListedKey, NewKey as NewTencentKey, TencentError, TencentKms, is_region,
};
use crate::envelope::SealTime;
use crate::kms::{
    CreatedKey, KeyFilter, KeyInfo, KeyManager, KeyUri, Kms as _, NewKey, Notes, ProviderError,
    RotationChange,
};

/// Manages the KMS keys of an account.
pub(super) struct TencentKeyManager {
    kms: TencentKms,
    environment: Environment,
}

impl TencentKeyManager {
    pub(super) fn new(kms: TencentKms, environment: Environment) -> Self {
        TencentKeyManager { kms, environment }
    }

    /// `--region`, else `TENCENTCLOUD_REGION`.
    fn region(&self, flag: Option<&str>) -> Result<String, ProviderError> {
        let variable = self
            .environment
            .region()
            .map(|region| (region, "TENCENTCLOUD_REGION"));
        let Some((region, source)) = flag.map(|region| (region, "--region")).or(variable) else {
            return Err(ProviderError::configuration(
                "no region of Tencent Cloud is specified",
                "set --region, such as ap-guangzhou, or TENCENTCLOUD_REGION",
            ));
        };
        if is_region(region) {
            return Ok(region.to_owned());
        }
        Err(ProviderError::configuration(
            format!("{source}: {region:?} is not a region"),
            "regions are written like ap-guangzhou",
        ))
    }

    async fn create_key(&self, new: &NewKey) -> Result<CreatedKey, ProviderError> {
        let region = self.region(new.region.as_deref())?;
        let alias = new.alias.clone().ok_or_else(|| {
            ProviderError::configuration(
                "a KMS key of Tencent Cloud needs an alias",
                "specify one with --alias ALIAS: 1 to 60 letters, digits, - and _, unique in its region",
            )
        })?;
        let asked = NewTencentKey {
            alias: alias.clone(),
            description: new.description.clone(),
        };
        let created = self.kms.create_key(&region, &asked).await;
        let uri = created.map_err(|error| about(&region, error))?;
        let notes = vec![
            format!("created {uri}, alias {alias}"),
            format!("To seal: --key {uri}; to open, on the controller: --allow-key {uri}"),
            "If this KMS key is deleted, everything sealed with it alone is lost: restrict who may schedule its deletion."
                .to_owned(),
        ];
        Ok(CreatedKey { uri, notes })
    }

    async fn list_keys(&self, filter: &KeyFilter) -> Result<Vec<KeyInfo>, ProviderError> {
        let region = self.region(filter.region.as_deref())?;
        let listed = self.kms.list_key_details(&region, filter.alias.as_deref()).await;
        let keys = listed.map_err(|error| about(&region, error))?;
        Ok(keys
            .iter()
            .map(|ListedKey { uri, metadata }| info(uri, metadata))
            .collect())
    }

    async fn change_rotation(&self, key: &KeyUri, change: RotationChange) -> Result<Notes, ProviderError> {
        let (changed, note) = match change {
            RotationChange::Every(days) => {
                let every = days.map_or_else(|| "every year".to_owned(), |days| format!("every {days} days"));
                (
                    self.kms.enable_rotation(key, days).await,
                    format!("{key} gets new key material {every}; what was sealed before still opens"),
                )
            }
            RotationChange::Off => (
                self.kms.disable_rotation(key).await,
                format!("{key} keeps its current key material"),
            ),
        };
        changed.map_err(|error| about(key, error))?;
        Ok(vec![note])
    }
}

impl KeyManager for TencentKeyManager {
    fn clock_ahead(&self) -> Option<i64> {
        self.kms.access().clock_ahead()
    }

    fn headings(&self) -> &'static [&'static str] {
        &["KEY", "ALIAS", "STATE", "USAGE", "ROTATES"]
    }

    fn create<'a>(&'a self, new: &'a NewKey) -> BoxFuture<'a, Result<CreatedKey, ProviderError>> {
        self.create_key(new).boxed()
    }

    fn list<'a>(&'a self, filter: &'a KeyFilter) -> BoxFuture<'a, Result<Vec<KeyInfo>, ProviderError>> {
        self.list_keys(filter).boxed()
    }

    fn describe<'a>(&'a self, key: &'a KeyUri) -> BoxFuture<'a, Result<KeyInfo, ProviderError>> {
        async move {
            let described = self.kms.describe_key(key).await;
            Ok(info(key, &described.map_err(|error| about(key, error))?))
        }
        .boxed()
    }

    fn can_retire(&self, _key: &KeyUri) -> Result<(), ProviderError> {
        Err(ProviderError::configuration(
            "KMS keys of Tencent Cloud are not removed from here",
            "disable the KMS key in the Tencent Cloud console; schedule its deletion there once nothing needs it",
        ))
    }

    fn rotate<'a>(
        &'a self,
        key: &'a KeyUri,
        change: RotationChange,
    ) -> BoxFuture<'a, Result<Notes, ProviderError>> {
        self.change_rotation(key, change).boxed()
    }
}

/// The error, with the key or region of the call in front.
fn about(subject: impl std::fmt::Display, error: TencentError) -> ProviderError {
    ProviderError {
        class: error.class,
        message: format!("{subject}: {error}"),
        retryable: error.retryable,
        advice: error.advice.into(),
        file: None,
    }
}

fn info(uri: &KeyUri, key: &KeyMetadata) -> KeyInfo {
    KeyInfo {
        cells: vec![
            uri.to_string(),
            key.alias.clone(),
            key.key_state.clone(),
            key.key_usage.clone(),
            rotation(key),
        ],
        details: details(uri, key),
        members: members(uri, key),
    }
}

fn details(uri: &KeyUri, key: &KeyMetadata) -> Vec<(&'static str, String)> {
    let time = |seconds| time(seconds).unwrap_or_else(|| "never".to_owned());
    let mut details = vec![
        ("key", uri.to_string()),
        ("alias", key.alias.clone()),
        ("description", key.description.clone()),
        ("state", key.key_state.clone()),
        ("usage", key.key_usage.clone()),
        ("origin", key.origin.clone()),
        ("owner", key.owner.clone()),
        ("created", time(key.create_time)),
        ("rotates", rotation(key)),
        ("last rotation", time(key.last_rotate_time)),
        ("next rotation", time(key.next_rotate_time)),
        ("in CAM policies", key.in_policies(uri).unwrap_or_default()),
    ];
    if key.deletion_date != 0 {
        details.push(("will be deleted", time(key.deletion_date)));
    }
    details
}

fn members(uri: &KeyUri, key: &KeyMetadata) -> Vec<(&'static str, Value)> {
    vec![
        ("uri", uri.as_str().into()),
        ("alias", key.alias.as_str().into()),
        ("description", key.description.as_str().into()),
        ("state", key.key_state.as_str().into()),
        ("usage", key.key_usage.as_str().into()),
        ("origin", key.origin.as_str().into()),
        ("owner", key.owner.as_str().into()),
        ("created", time(key.create_time).into()),
        ("rotates", key.key_rotation_enabled.into()),
        ("rotateDays", key.rotate_days.into()),
        ("lastRotation", time(key.last_rotate_time).into()),
        ("nextRotation", time(key.next_rotate_time).into()),
        ("deletion", time(key.deletion_date).into()),
        ("resource", key.resource_id.as_str().into()),
    ]
}

/// RFC 3339; `None` for 0, which the API uses for "never".
fn time(seconds: i64) -> Option<String> {
    let time = SealTime::from_unix(seconds).filter(|_| seconds != 0)?;
    Some(time.as_str().to_owned())
}

fn rotation(key: &KeyMetadata) -> String {
    match (key.key_rotation_enabled, key.rotate_days) {
        (false, _) => "no".to_owned(),
        (true, 0) => "yes".to_owned(),
        (true, days) => format!("every {days} days"),
    }
}
