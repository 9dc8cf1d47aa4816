//! What the authenticators are computed over (format-es1 section 6).

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::{Digest as _, Sha256};

use super::binding::Binding;
use super::encoding::pae;
use super::keys::{KEY_LEN, KeySchedule};
use super::wire::{Spec, Template};

/// (section, key, value) of each statement of the template, sorted.
pub(super) fn triples(template: &Template) -> Vec<(&'static str, &str, &str)> {
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

fn encoded_triples(template: &Template) -> Vec<u8> {
    let encoded: Vec<Vec<u8>> = triples(template)
        .into_iter()
        .map(|(section, key, value)| pae(&[section, key, value]))
        .collect();
    pae(&encoded)
}

/// `templateMac` under one data key.
pub(super) fn template_mac(schedule: &KeySchedule<'_>, template: &Template) -> [u8; 32] {
    let message = pae(&[
        b"envelope-secret/es1/template",
        encoded_triples(template).as_slice(),
    ]);
    hmac_sha256(&schedule.template_key(), &message)
}

/// The manifest: everything that the seal covers.
pub(super) fn manifest(spec: &Spec, binding: &Binding) -> Vec<u8> {
    let mut keys: Vec<_> = spec.data_keys.iter().collect();
    keys.sort_unstable_by(|a, b| a.id.cmp(&b.id));
    let keys: Vec<Vec<u8>> = keys
        .into_iter()
        .map(|key| pae(&[key.id.as_bytes(), &key.commitment.0]))
        .collect();
    let values: Vec<Vec<u8>> = spec
        .encrypted_data
        .iter() // a BTreeMap is sorted bytewise
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
        &encoded_triples(&spec.template),
    ])
}

/// `seal.mac` of a manifest under the data key of the seal.
pub(super) fn seal_mac(schedule: &KeySchedule<'_>, manifest: &[u8]) -> [u8; 32] {
    hmac_sha256(&schedule.seal_key(), manifest)
}

/// SHA-256(manifest || mac).
pub(super) fn digest(manifest: &[u8], mac: &[u8; 32]) -> [u8; 32] {
    let mut hash = Sha256::new();
    hash.update(manifest);
    hash.update(mac);
    hash.finalize().into()
}

fn hmac_sha256(key: &[u8; KEY_LEN], message: &[u8]) -> [u8; 32] {
    #[expect(clippy::expect_used, reason = "HMAC takes a key of any length")]
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("32 bytes are a key");
    mac.update(message);
    mac.finalize().into_bytes().into()
}
