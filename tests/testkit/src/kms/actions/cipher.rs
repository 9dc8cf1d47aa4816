//! The cryptographic actions.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::call::{Call, Fields, check_state, fields, key, not_found};
use crate::kms::account::{Account, Key, Version, random};
use crate::kms::api_error::{ApiError, Result};
use crate::kms::blob::{self, Parts};

/// The maximum length of an encryption context, in bytes.
const MAX_CONTEXT: usize = 1024;
/// The maximum length of the plaintext for Encrypt, in bytes.
const MAX_PLAINTEXT: usize = 4096;

pub(super) fn generate_data_key(account: &mut Account, call: &Call<'_>) -> Result<Fields> {
    for (name, why) in [
        (
            "EncryptionPublicKey",
            "The emulator does not encrypt responses with a public key.",
        ),
        ("DataKeyName", "The emulator does not host data keys."),
    ] {
        if call.parameters.has(name) {
            return Err(ApiError::new("UnsupportedOperation", why));
        }
    }
    if call.parameters.integer("IsHostedByKms") == Some(1) {
        return Err(ApiError::new(
            "UnsupportedOperation",
            "The emulator does not host data keys.",
        ));
    }
    let length = match (
        call.parameters.integer("NumberOfBytes"),
        call.parameters.text("KeySpec"),
    ) {
        (Some(number), _) => usize::try_from(number).unwrap_or_default(),
        (None, "AES_128") => 16,
        (None, "AES_256") => 32,
        (None, _) => {
            let message = "One of KeySpec and NumberOfBytes must be given.";
            return Err(ApiError::new("InvalidParameter", message));
        }
    };
    let context = context(call, "EncryptionContext")?;
    let key = key(account, call, "KeyId")?;
    check_state(key, false)?;
    let plaintext = random(length);
    Ok(fields(json!({
        "KeyId": key.id,
        "Plaintext": STANDARD.encode(&plaintext),
        "CiphertextBlob": blob::seal(key.newest()?, context, &plaintext),
        "DataKeyId": Value::Null,
        "TagCode": Value::Null,
        "TagMsg": Value::Null,
    })))
}

pub(super) fn encrypt(account: &mut Account, call: &Call<'_>) -> Result<Fields> {
    let context = context(call, "EncryptionContext")?;
    let key = key(account, call, "KeyId")?;
    check_state(key, false)?;
    let plaintext = STANDARD
        .decode(call.parameters.text("Plaintext"))
        .ok()
        .filter(|plaintext| (1..=MAX_PLAINTEXT).contains(&plaintext.len()))
        .ok_or_else(|| {
            let message = "The Plaintext is not the base64 of 1 to 4096 bytes.";
            ApiError::new("InvalidParameterValue.InvalidPlaintext", message)
        })?;
    Ok(fields(json!({
        "KeyId": key.id,
        "CiphertextBlob": blob::seal(key.newest()?, context, &plaintext),
    })))
}

pub(super) fn decrypt(account: &mut Account, call: &Call<'_>) -> Result<Fields> {
    if call.parameters.has("EncryptionPublicKey") {
        let message = "The emulator does not encrypt responses with a public key.";
        return Err(ApiError::new("UnsupportedOperation", message));
    }
    let opened = open(account, call, "EncryptionContext")?;
    Ok(fields(json!({
        "KeyId": opened.key.id,
        "Plaintext": STANDARD.encode(&opened.plaintext),
    })))
}

pub(super) fn re_encrypt(account: &mut Account, call: &Call<'_>) -> Result<Fields> {
    let source = open(account, call, "SourceEncryptionContext")?;
    let context = context(call, "DestinationEncryptionContext")?;
    let destination = match call.parameters.text("DestinationKeyId") {
        "" => source.key,
        _ => key(account, call, "DestinationKeyId")?,
    };
    check_state(destination, false)?;
    let newest = destination.newest()?;
    let same = newest.tag == source.version.tag && context == self::context(call, "SourceEncryptionContext")?;
    let old = call.parameters.text("CiphertextBlob");
    let blob = if same {
        old.to_owned()
    } else {
        blob::seal(newest, context, &source.plaintext)
    };
    Ok(fields(json!({
        "CiphertextBlob": blob,
        "KeyId": destination.id,
        "SourceKeyId": source.key.id,
        "ReEncrypted": !same,
    })))
}

/// A decrypted ciphertext.
struct Opened<'a> {
    key: &'a Key,
    version: &'a Version,
    plaintext: Vec<u8>,
}

fn open<'a>(account: &'a Account, call: &Call<'_>, context_name: &str) -> Result<Opened<'a>> {
    let invalid = || {
        let message = "The CiphertextBlob is not valid.";
        ApiError::new("InvalidParameterValue.InvalidCiphertext", message)
    };
    let context = context(call, context_name)?;
    let parts = Parts::parse(call.parameters.text("CiphertextBlob")).ok_or_else(invalid)?;
    let (key, version) = account
        .key_by_tag(call.region, &parts.version)
        .ok_or_else(invalid)?;
    if key.deleted {
        return Err(not_found());
    }
    check_state(key, true)?;
    let plaintext = blob::open(version, context, &parts).ok_or_else(invalid)?;
    Ok(Opened {
        key,
        version,
        plaintext,
    })
}

/// Returns the encryption context; an empty text is the same as none.
fn context<'a>(call: &'a Call<'_>, name: &str) -> Result<&'a str> {
    let text = call.parameters.text(name);
    let is_pairs = || {
        let pairs: Option<serde_json::Map<String, Value>> = serde_json::from_str(text).ok();
        pairs.is_some_and(|pairs| pairs.values().all(Value::is_string))
    };
    if text.len() > MAX_CONTEXT || !(text.is_empty() || is_pairs()) {
        let message = format!("`{name}` is not a JSON object of strings of at most {MAX_CONTEXT} bytes.");
        return Err(ApiError::new("InvalidParameter", message));
    }
    Ok(text)
}
