//! The actions that manage keys and describe the service.
#![expect(clippy::unnecessary_wraps, reason = "all actions have the same signature")]

use serde_json::{Value, json};

use super::call::{Call, Fields, check_state, fields, key, key_mut, not_found};
use crate::kms::account::{Account, DAY, Key, KeyState, REGIONS, UIN};
use crate::kms::api_error::{ApiError, Result};

const USAGE: &str = "ENCRYPT_DECRYPT";

pub(super) fn create_key(account: &mut Account, call: &Call<'_>) -> Result<Fields> {
    let alias = call.parameters.text("Alias");
    if !is_alias(alias) {
        let message = "An alias consists of 1 to 60 letters, digits, - and _, and starts with a letter or digit, but not with KMS-.";
        return Err(ApiError::new("InvalidParameterValue.InvalidAlias", message));
    }
    if !matches!(call.parameters.text("KeyUsage"), "" | USAGE) {
        let message = "The emulator only supports symmetric keys.";
        return Err(ApiError::new(
            "UnsupportedOperation.UnsupportedKeyUsageInCurrentRegion",
            message,
        ));
    }
    if account.keys_in(call.region).any(|key| key.alias == alias) {
        let message = "Another CMK has this alias.";
        return Err(ApiError::new("InvalidParameterValue.AliasAlreadyExists", message));
    }
    if account.keys_in(call.region).count() >= account.quotas.keys {
        let message = "The account's limit of CMKs in this region is reached.";
        return Err(ApiError::new("LimitExceeded.CmkLimitExceeded", message));
    }
    let id = account.add_key(call.region, alias, call.parameters.text("Description"), call.now);
    if call.parameters.integer("Type") == Some(2)
        && let Some(key) = account.key_mut(call.region, &id)
    {
        key.set_state(KeyState::PendingImport, call.now);
    }
    let key = account.key(call.region, &id).ok_or_else(not_found)?;
    Ok(fields(json!({
        "KeyId": key.id,
        "Alias": key.alias,
        "CreateTime": key.created,
        "Description": key.description,
        "KeyState": key.state,
        "KeyUsage": USAGE,
        "TagCode": 0,
        "TagMsg": "",
        "HsmClusterId": "",
    })))
}

fn is_alias(text: &str) -> bool {
    let first = text
        .bytes()
        .next()
        .is_some_and(|byte| byte.is_ascii_alphanumeric());
    first
        && text.len() <= 60
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
        && !text.to_ascii_lowercase().starts_with("kms-")
}

fn metadata(key: &Key) -> Value {
    let next = key
        .rotate_days
        .map_or(0, |days| key.rotated.unwrap_or(key.created) + days * DAY);
    json!({
        "KeyId": key.id,
        "Alias": key.alias,
        "CreateTime": key.created,
        "Description": key.description,
        "KeyState": key.state,
        "KeyUsage": USAGE,
        "Type": if key.region.starts_with("ap-") { 4 } else { 2 },
        "CreatorUin": UIN.parse::<u64>().unwrap_or_default(),
        "CreatorUinString": UIN,
        "KeyRotationEnabled": key.rotate_days.is_some(),
        "Owner": "user",
        "NextRotateTime": next,
        "DeletionDate": key.deletion.unwrap_or(0),
        "Origin": if key.state == KeyState::PendingImport { "EXTERNAL" } else { "TENCENT_KMS" },
        "ValidTo": 0,
        "ResourceId": format!("creatorUin/{UIN}/{}", key.id),
        "HsmClusterId": "",
        "RotateDays": key.rotate_days.unwrap_or(0),
        "LastRotateTime": key.rotated.unwrap_or(0),
    })
}

pub(super) fn describe_key(account: &mut Account, call: &Call<'_>) -> Result<Fields> {
    let key = key(account, call, "KeyId")?;
    Ok(fields(json!({"KeyMetadata": metadata(key)})))
}

pub(super) fn describe_keys(account: &mut Account, call: &Call<'_>) -> Result<Fields> {
    let ids = call.parameters.texts("KeyIds");
    let keys: Option<Vec<Value>> = ids
        .iter()
        .map(|id| account.key(call.region, id).map(metadata))
        .collect();
    Ok(fields(json!({"KeyMetadatas": keys.ok_or_else(not_found)?})))
}

/// Returns the total and the requested page of a list.
fn page<T>(call: &Call<'_>, all: Vec<T>) -> (usize, Vec<T>) {
    let number = |name, default| {
        let number = call.parameters.integer(name).unwrap_or(default);
        usize::try_from(number).unwrap_or(usize::MAX)
    };
    let total = all.len();
    let page = all
        .into_iter()
        .skip(number("Offset", 0))
        .take(number("Limit", 10));
    (total, page.collect())
}

/// The keys in a list, newest first.
fn listed<'a>(account: &'a Account, call: &'a Call<'_>) -> Vec<&'a Key> {
    let own = call.parameters.integer("Role").unwrap_or(0) == 0;
    let mut keys: Vec<&Key> = account.keys_in(call.region).filter(|_| own).collect();
    keys.reverse();
    keys
}

pub(super) fn list_keys(account: &mut Account, call: &Call<'_>) -> Result<Fields> {
    let mut keys = listed(account, call);
    keys.retain(|key| !matches!(key.state, KeyState::PendingDelete | KeyState::Archived));
    let (total, page) = page(call, keys);
    let page: Vec<Value> = page.into_iter().map(|key| json!({"KeyId": key.id})).collect();
    Ok(fields(json!({"Keys": page, "TotalCount": total})))
}

pub(super) fn list_key_detail(account: &mut Account, call: &Call<'_>) -> Result<Fields> {
    let parameters = &call.parameters;
    let state = parameters.integer("KeyState").unwrap_or(0);
    let search = parameters.text("SearchKeyAlias");
    let mut keys = listed(account, call);
    keys.retain(|key| {
        let external = key.state == KeyState::PendingImport;
        let origin = match parameters.text("Origin") {
            "TENCENT_KMS" => !external,
            "EXTERNAL" => external,
            _ => true,
        };
        let usage = matches!(parameters.text("KeyUsage"), "" | "ALL" | USAGE);
        let tags = !parameters.has("TagFilters"); // no key here has a tag
        origin
            && usage
            && tags
            && (state == 0 || key.state.number() == state)
            && (key.alias.contains(search) || key.id.contains(search))
    });
    if parameters.integer("OrderType") == Some(1) {
        keys.reverse();
    }
    let (total, page) = page(call, keys);
    let page: Vec<Value> = page.into_iter().map(metadata).collect();
    Ok(fields(json!({"KeyMetadatas": page, "TotalCount": total})))
}

/// Enables or disables a key, which must be enabled or disabled before.
fn switch(account: &mut Account, call: &Call<'_>, state: KeyState) -> Result<Fields> {
    let key = key_mut(account, call)?;
    if !matches!(key.state, KeyState::Enabled | KeyState::Disabled) {
        let message = "The state of the CMK does not allow this.";
        return Err(ApiError::new("ResourceUnavailable.CmkStateNotSupport", message));
    }
    key.set_state(state, call.now);
    Ok(Fields::new())
}

pub(super) fn enable_key(account: &mut Account, call: &Call<'_>) -> Result<Fields> {
    switch(account, call, KeyState::Enabled)
}

pub(super) fn disable_key(account: &mut Account, call: &Call<'_>) -> Result<Fields> {
    switch(account, call, KeyState::Disabled)
}

pub(super) fn schedule_deletion(account: &mut Account, call: &Call<'_>) -> Result<Fields> {
    let date = call.now + call.parameters.integer("PendingWindowInDays").unwrap_or_default() * DAY;
    let key = key_mut(account, call)?;
    if key.state != KeyState::Disabled {
        let message = "Only a CMK that is disabled can be deleted.";
        return Err(ApiError::new("ResourceUnavailable.CmkShouldBeDisabled", message));
    }
    key.deletion = Some(date);
    key.set_state(KeyState::PendingDelete, call.now);
    Ok(fields(json!({"KeyId": key.id, "DeletionDate": date})))
}

pub(super) fn enable_rotation(account: &mut Account, call: &Call<'_>) -> Result<Fields> {
    let key = key_mut(account, call)?;
    if key.state == KeyState::PendingImport {
        let message = "A CMK with external material cannot rotate.";
        return Err(ApiError::new(
            "UnsupportedOperation.ExternalCmkCanNotRotate",
            message,
        ));
    }
    check_state(key, false)?;
    key.rotate_days = Some(call.parameters.integer("RotateDays").unwrap_or(365));
    Ok(Fields::new())
}

pub(super) fn disable_rotation(account: &mut Account, call: &Call<'_>) -> Result<Fields> {
    let key = key_mut(account, call)?;
    check_state(key, false)?;
    key.rotate_days = None;
    Ok(Fields::new())
}

pub(super) fn rotation_status(account: &mut Account, call: &Call<'_>) -> Result<Fields> {
    let key = key(account, call, "KeyId")?;
    Ok(fields(json!({"KeyRotationEnabled": key.rotate_days.is_some()})))
}

pub(super) fn service_status(account: &mut Account, call: &Call<'_>) -> Result<Fields> {
    let qps = account.quotas.calls.unwrap_or(300);
    Ok(fields(json!({
        "ServiceEnabled": true,
        "InvalidType": 1,
        "UserLevel": 0,
        "ProExpireTime": 0,
        "ProRenewFlag": 0,
        "ProResourceId": "",
        "ExclusiveVSMEnabled": false,
        "ExclusiveHSMEnabled": false,
        "SubscriptionInfo": "",
        "CmkUserCount": account.keys_in(call.region).count(),
        "CmkLimit": account.quotas.keys,
        "QpsLimit": qps,
        "QpsTotalLimit": qps,
    })))
}

pub(super) fn regions(_: &mut Account, _: &Call<'_>) -> Result<Fields> {
    Ok(fields(json!({"Regions": REGIONS})))
}

pub(super) fn algorithms(_: &mut Account, call: &Call<'_>) -> Result<Fields> {
    let algorithm = if call.region.starts_with("ap-") {
        "SM4"
    } else {
        "AES_256"
    };
    Ok(fields(json!({
        "SymmetricAlgorithms": [{"KeyUsage": USAGE, "Algorithm": algorithm}],
        "AsymmetricAlgorithms": [],
        "AsymmetricSignVerifyAlgorithms": [],
    })))
}
