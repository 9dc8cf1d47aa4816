//! Every intermediate value of the vectors. `tests/it/vectors.rs` opens the documents through the public API.

use hmac::{Hmac, KeyInit as _, Mac as _};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use testkit::vectors::{Case, hex, load};

use super::super::binding::{Binding, Scope};
use super::super::encoding::{pae, to_hex};
use super::super::keys::{DataKey, KeySchedule};
use super::super::names::Place;
use super::super::wire::{Document, SealedValue};
use super::super::{cipher, transcript};

#[test]
fn vector_pae() {
    let vectors = load().expect("vectors");
    let mut failures = Vec::new();
    for case in &vectors.pae {
        let pieces: Vec<Vec<u8>> = case.pieces.iter().map(|piece| hex(piece).expect("hex")).collect();
        if to_hex(&pae(&pieces)) != case.pae {
            failures.push(format!("{:?}", case.pieces));
        }
    }
    assert!(failures.is_empty(), "wrong encoding of: {}", failures.join("; "));
    assert!(!vectors.own || !vectors.pae.is_empty());
}

#[test]
fn vector_encryption_context() {
    let vectors = load().expect("vectors");
    let mut failures = Vec::new();
    for case in &vectors.encryption_context {
        let scope = Scope::parse(&case.scope).expect("a valid scope");
        let audience = Some(case.audience.as_str()).filter(|text| !text.is_empty());
        let context = Binding::new(scope, audience, &case.namespace, &case.name).context();
        if context.as_str() != case.json {
            failures.push(format!("{} is not {}", context.as_str(), case.json));
        }
    }
    assert!(failures.is_empty(), "wrong contexts: {}", failures.join("; "));
    assert!(!vectors.own || !vectors.encryption_context.is_empty());
}

#[test]
fn vector_intermediate_values() {
    let vectors = load().expect("vectors");
    let mut failures = Vec::new();
    for case in &vectors.positive {
        let Some(expected) = &case.intermediate else {
            if vectors.own {
                failures.push(format!("{}: the vectors have no intermediate values", case.name));
            }
            continue;
        };
        match intermediate(case, expected) {
            Ok(computed) => compare(expected, &computed, &case.name, vectors.own, &mut failures),
            Err(error) => failures.push(format!("{}: {error}", case.name)),
        }
    }
    assert!(
        failures.is_empty(),
        "{} failures:\n{}",
        failures.len(),
        failures.join("\n")
    );
}

/// Computes the intermediate values in the structure of the vectors.
fn intermediate(case: &Case, expected: &Value) -> anyhow::Result<Value> {
    let place = Place::new(case.namespace.as_deref(), &case.object_name)?;
    let document = Document::from_spec_json(case.spec()?.as_bytes(), place)?;
    let (spec, binding) = (document.spec(), document.binding());
    let mut data_keys = serde_json::Map::new();
    let mut values = serde_json::Map::new();
    for sealed in &spec.data_keys {
        // The only input taken from the expected values: what the KMS would return.
        let dek = hex(expected["dataKeys"][&sealed.id]["dek"].as_str().unwrap_or(""))?;
        let key = DataKey::from_slice(&dek).ok_or_else(|| anyhow::anyhow!("{} has no dek", sealed.id))?;
        let schedule = KeySchedule::new(&key, &spec.id, binding);
        let mut prk = Hmac::<Sha256>::new_from_slice(&spec.id)?;
        prk.update(&dek);
        let members = json!({
            "dek": to_hex(&dek),
            "prk": to_hex(&prk.finalize().into_bytes()),
            "commitInfo": to_hex(&binding.info("commit", "")),
            "commitment": to_hex(&schedule.commitment().0),
            "sealInfo": to_hex(&binding.info("seal", "")),
            "sealKey": to_hex(schedule.seal_key().as_ref()),
            "templateInfo": to_hex(&binding.info("template", "")),
            "templateMac": to_hex(&transcript::template_mac(&schedule, &spec.template)),
        });
        data_keys.insert(sealed.id.clone(), members);
        if sealed.id == spec.seal.key {
            let mac = transcript::seal_mac(&schedule, &document.transcript());
            anyhow::ensure!(mac == spec.seal.mac, "seal.mac differs");
        }
        for (name, value) in spec
            .encrypted_data
            .iter()
            .filter(|(_, value)| value.data_key == sealed.id)
        {
            values.insert(name.clone(), value_members(&schedule, name, value)?);
        }
    }
    let transcript = document.transcript();
    Ok(json!({
        "kmsEncryptionContext": binding.context().as_str(),
        "documentId": to_hex(&spec.id),
        "dataKeys": data_keys,
        "values": values,
        "templateTriples": transcript::template_triples(&spec.template),
        "manifest": to_hex(&transcript),
        "manifestSha256": to_hex(&Sha256::digest(&transcript)),
    }))
}

/// Decrypts a value, then frames and encrypts it again with the same nonce, so that both directions are tested.
fn value_members(schedule: &KeySchedule<'_>, name: &str, sealed: &SealedValue) -> anyhow::Result<Value> {
    let opened = cipher::decrypt(schedule, name, &sealed.payload)
        .ok_or_else(|| anyhow::anyhow!("{name} cannot be decrypted"))?;
    let (key, info) = schedule.value_key(name);
    let nonce = *sealed
        .payload
        .first_chunk()
        .ok_or_else(|| anyhow::anyhow!("{name} has no nonce"))?;
    let frame = cipher::frame(opened.expose(), 0);
    let frame_hex = to_hex(&frame);
    Ok(json!({
        "dataKey": sealed.data_key,
        "info": to_hex(&info),
        "valueKey": to_hex(key.as_ref()),
        "nonce": to_hex(&nonce),
        "frame": frame_hex,
        "payload": to_hex(&cipher::encrypt_frame(&key, &nonce, &info, frame)),
    }))
}

/// Compares recursively. With `complete` (the vectors of this repository), every computed member must be in the
/// vectors.
fn compare(expected: &Value, computed: &Value, at: &str, complete: bool, failures: &mut Vec<String>) {
    match (expected, computed) {
        (Value::Object(expected), Value::Object(computed)) => {
            for (name, computed) in computed {
                match expected.get(name) {
                    Some(expected) => {
                        compare(expected, computed, &format!("{at}.{name}"), complete, failures);
                    }
                    None if complete => failures.push(format!("{at}.{name}: is not in the vectors")),
                    None => {}
                }
            }
        }
        _ if expected == computed => {}
        _ => failures.push(format!("{at}:\n  expected {expected}\n  computed {computed}")),
    }
}
