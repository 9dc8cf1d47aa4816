//! What all actions share: the call, the fields of a response, and access to keys.

use serde_json::{Map, Value};

use crate::kms::account::{Account, Key, KeyState, is_key_id};
use crate::kms::api_error::{ApiError, Result};
use crate::kms::parameters::Parameters;

/// The fields of a response.
pub(in crate::kms) type Fields = Map<String, Value>;

/// A call whose caller is known.
pub(in crate::kms) struct Call<'a> {
    pub(in crate::kms) region: &'a str,
    pub(in crate::kms) parameters: Parameters,
    /// The server's clock, in Unix seconds.
    pub(in crate::kms) now: i64,
}

/// Converts `json!({...})` to fields.
pub(in crate::kms) fn fields(value: Value) -> Fields {
    match value {
        Value::Object(fields) => fields,
        _ => Fields::new(),
    }
}

/// Returns the key that a parameter names.
pub(super) fn key<'a>(account: &'a Account, call: &Call<'_>, name: &str) -> Result<&'a Key> {
    let id = call.parameters.text(name);
    if !is_key_id(id) {
        let message = format!("The KeyId `{id:.64}` is not valid.");
        return Err(ApiError::new("InvalidParameterValue.InvalidKeyId", message));
    }
    account.key(call.region, id).ok_or_else(not_found)
}

pub(super) fn key_mut<'a>(account: &'a mut Account, call: &Call<'_>) -> Result<&'a mut Key> {
    let id = key(account, call, "KeyId")?.id.clone();
    account.key_mut(call.region, &id).ok_or_else(not_found)
}

pub(super) fn not_found() -> ApiError {
    ApiError::new("ResourceUnavailable.CmkNotFound", "The CMK does not exist.")
}

/// Rejects a key whose state does not allow the call; archived keys can still decrypt.
pub(super) fn check_state(key: &Key, decrypts: bool) -> Result<()> {
    let (code, message) = match key.state {
        KeyState::Enabled => return Ok(()),
        KeyState::Archived if decrypts => return Ok(()),
        KeyState::Archived => ("CmkArchived", "The CMK is archived."),
        KeyState::Disabled => ("CmkDisabled", "The CMK is disabled."),
        KeyState::PendingDelete => ("KeyPendingDelete", "The CMK is scheduled for deletion."),
        KeyState::PendingImport => ("CmkStateNotSupport", "The CMK has no material yet."),
    };
    Err(ApiError::new(format!("ResourceUnavailable.{code}"), message))
}
