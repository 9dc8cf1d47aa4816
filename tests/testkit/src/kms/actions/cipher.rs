//! Actions with plaintext and ciphertext.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::{Call, Fields, fields, key, not_found, usable};
use crate::kms::blob::{self, Parts};
use crate::kms::refusal::{Refusal, Result};
use crate::kms::world::{Key, Version, World, random};

/// Of a context, in bytes.
const MAX_CONTEXT: usize = 1024;
/// What Encrypt takes, in bytes.
const MAX_PLAINTEXT: usize = 4096;

pub(super) fn generate_data_key(world: &mut World, call: &Call<'_>) -> Result<Fields> {
    for (name, why) in [
        (
            "EncryptionPublicKey",
            "The emulator encrypts no answer to a public key.",
        ),
        ("DataKeyName", "The emulator hosts no data keys."),
    ] {
        if call.parameters.has(name) {
            return Err(Refusal::new("UnsupportedOperation", why));
        }
    }
    if call.parameters.integer("IsHostedByKms") == Some(1) {
        return Err(Refusal::new(
            "UnsupportedOperation",
            "The emulator hosts no data keys.",
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
            return Err(Refusal::new("InvalidParameter", message));
        }
    };
    let context = context(call, "EncryptionContext")?;
    let key = key(world, call, "KeyId")?;
    usable(key, false)?;
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

pub(super) fn encrypt(world: &mut World, call: &Call<'_>) -> Result<Fields> {
    let context = context(call, "EncryptionContext")?;
    let key = key(world, call, "KeyId")?;
    usable(key, false)?;
    let plaintext = STANDARD
        .decode(call.parameters.text("Plaintext"))
        .ok()
        .filter(|plaintext| (1..=MAX_PLAINTEXT).contains(&plaintext.len()))
        .ok_or_else(|| {
            let message = "The Plaintext is not the base64 of 1 to 4096 bytes.";
            Refusal::new("InvalidParameterValue.InvalidPlaintext", message)
        })?;
    Ok(fields(json!({
        "KeyId": key.id,
        "CiphertextBlob": blob::seal(key.newest()?, context, &plaintext),
    })))
}

pub(super) fn decrypt(world: &mut World, call: &Call<'_>) -> Result<Fields> {
    if call.parameters.has("EncryptionPublicKey") {
        let message = "The emulator encrypts no answer to a public key.";
        return Err(Refusal::new("UnsupportedOperation", message));
    }
    let opened = open(world, call, "EncryptionContext")?;
    Ok(fields(json!({
        "KeyId": opened.key.id,
        "Plaintext": STANDARD.encode(&opened.plaintext),
    })))
}

pub(super) fn re_encrypt(world: &mut World, call: &Call<'_>) -> Result<Fields> {
    let source = open(world, call, "SourceEncryptionContext")?;
    let context = context(call, "DestinationEncryptionContext")?;
    let destination = match call.parameters.text("DestinationKeyId") {
        "" => source.key,
        _ => key(world, call, "DestinationKeyId")?,
    };
    usable(destination, false)?;
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

/// What a ciphertext held.
struct Opened<'a> {
    key: &'a Key,
    version: &'a Version,
    plaintext: Vec<u8>,
}

fn open<'a>(world: &'a World, call: &Call<'_>, context_name: &str) -> Result<Opened<'a>> {
    let refused = || {
        let message = "The CiphertextBlob is not valid.";
        Refusal::new("InvalidParameterValue.InvalidCiphertext", message)
    };
    let context = context(call, context_name)?;
    let parts = Parts::of(call.parameters.text("CiphertextBlob")).ok_or_else(refused)?;
    let (key, version) = world.of_tag(call.region, &parts.version).ok_or_else(refused)?;
    if key.deleted {
        return Err(not_found());
    }
    usable(key, true)?;
    let plaintext = blob::open(version, context, &parts).ok_or_else(refused)?;
    Ok(Opened {
        key,
        version,
        plaintext,
    })
}

/// The context's text; "" is the same as none.
fn context<'a>(call: &'a Call<'_>, name: &str) -> Result<&'a str> {
    let text = call.parameters.text(name);
    let is_pairs = || {
        let pairs: Option<serde_json::Map<String, Value>> = serde_json::from_str(text).ok();
        pairs.is_some_and(|pairs| pairs.values().all(Value::is_string))
    };
    if text.len() > MAX_CONTEXT || !(text.is_empty() || is_pairs()) {
        let message = format!("`{name}` is not a JSON object of strings of at most {MAX_CONTEXT} bytes.");
        return Err(Refusal::new("InvalidParameter", message));
    }
    Ok(text)
}
