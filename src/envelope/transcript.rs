//! The byte strings that the seal and `templateMac` authenticate (docs/format-es1.md#6-authenticators).
//!
//! The transcript of a document is the string that `seal.mac` covers. The format's page and its vectors call it
//! `manifest`; the code does not, because here a manifest is a file of Kubernetes objects.

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::{Digest as _, Sha256};

use super::binding::Binding;
use super::encoding::pae;
use super::keys::{KEY_LEN, KeySchedule};
use super::wire::{Spec, Template};

/// Returns the template as sorted triples (section, key, value).
pub(super) fn template_triples(template: &Template) -> Vec<(&'static str, &str, &str)> {
    let mut out = Vec::new();
    if let Some(type_) = &template.type_ {
        out.push(("type", "", type_.as_str()));
    }
    if let Some(immutable) = template.immutable {
        out.push(("immutable", "", if immutable { "true" } else { "false" }));
    }
    for (section, map) in [
        ("label", &template.labels),
        ("annotation", &template.annotations),
        ("data", &template.data),
        ("render", &template.render),
    ] {
        out.extend(
            map.iter()
                .map(|(key, value)| (section, key.as_str(), value.as_str())),
        );
    }
    out.sort_unstable();
    out
}

fn encode_template(template: &Template) -> Vec<u8> {
    let encoded: Vec<Vec<u8>> = template_triples(template)
        .into_iter()
        .map(|(section, key, value)| pae(&[section, key, value]))
        .collect();
    pae(&encoded)
}

/// Computes `templateMac` under one data key.
pub(super) fn template_mac(schedule: &KeySchedule<'_>, template: &Template) -> [u8; 32] {
    let message = pae(&[
        b"envelope-secret/es1/template",
        encode_template(template).as_slice(),
    ]);
    hmac_sha256(&schedule.template_key(), &message)
}

/// Returns the transcript: an injective encoding of everything that the seal covers.
pub(super) fn transcript(spec: &Spec, binding: &Binding) -> Vec<u8> {
    let mut keys: Vec<_> = spec.data_keys.iter().collect();
    keys.sort_unstable_by(|a, b| a.id.cmp(&b.id));
    let keys: Vec<Vec<u8>> = keys
        .into_iter()
        .map(|key| pae(&[key.id.as_bytes(), &key.commitment.0]))
        .collect();
    let values: Vec<Vec<u8>> = spec
        .encrypted_data
        .iter() // a BTreeMap iterates in bytewise order
        .map(|(name, value)| pae(&[name.as_bytes(), value.data_key.as_bytes(), &value.payload]))
        .collect();
    pae(&[
        b"envelope-secret/es1/manifest",
        binding.scope().as_str().as_bytes(),
        binding.audience().as_bytes(),
        binding.namespace().as_bytes(),
        binding.name().as_bytes(),
        &spec.id,
        spec.seal.key.as_bytes(),
        spec.seal.time.as_str().as_bytes(),
        &pae(&keys),
        &pae(&values),
        &encode_template(&spec.template),
    ])
}

/// Computes `seal.mac` of a transcript under the data key that seals.
pub(super) fn seal_mac(schedule: &KeySchedule<'_>, transcript: &[u8]) -> [u8; 32] {
    hmac_sha256(&schedule.seal_key(), transcript)
}

/// Computes SHA-256(transcript || mac).
pub(super) fn digest(transcript: &[u8], mac: &[u8; 32]) -> [u8; 32] {
    let mut hash = Sha256::new();
    hash.update(transcript);
    hash.update(mac);
    hash.finalize().into()
}

fn hmac_sha256(key: &[u8; KEY_LEN], message: &[u8]) -> [u8; 32] {
    #[expect(clippy::expect_used, reason = "HMAC accepts keys of any length")]
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC accepts a key of 32 bytes");
    mac.update(message);
    mac.finalize().into_bytes().into()
}
