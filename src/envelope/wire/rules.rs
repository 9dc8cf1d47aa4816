//! The rules of the format that the shape of a document cannot express (section 2 of docs/format-es1.md). Readers and
//! writers share these functions.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use super::super::binding::Scope;
use super::super::error::StructureError;
use super::super::names::{
    Place, is_audience, is_data_key_id, is_entry_name, is_graphic, is_key_uri, is_label_value,
    is_qualified_name,
};
use super::super::render::{MAX_SECRET, Text};
use super::path::Path;
use super::spec::{MAX_ENTRIES, MAX_KEYS, SealedDataKey, Spec, Template, Wrap};

const SPEC: Path<'static> = Path::Root("spec");
const TEMPLATE: Path<'static> = Path::Field(&SPEC, "template");

/// Largest overhead in bytes of a payload over its value: nonce, tag, length and padding (12 + 16 + 4 + 63), rounded
/// up.
const MAX_PAYLOAD_OVERHEAD: usize = 96;
const MAX_METADATA_BYTES: usize = 262_144;
const MAX_TYPE: usize = 253;
/// Largest length in bytes of a wrap's ciphertext.
pub const MAX_CIPHERTEXT: usize = 4096;
const MAX_RENDERS: usize = 64;

type Check = Result<(), StructureError>;

/// Checks a spec of the right shape; returns its parsed render texts.
pub(in super::super) fn check(spec: &Spec, place: &Place) -> Result<BTreeMap<String, Text>, StructureError> {
    check_place(spec.scope, place)?;
    check_audience(spec.audience.as_deref())?;
    check_data_keys(spec)?;
    check_payloads(spec)?;
    check_entries(&spec.encrypted_data, &spec.template)?;
    check_template(&spec.template)
}

/// Only a cluster-wide document may lack a namespace.
pub(in super::super) fn check_place(scope: Scope, place: &Place) -> Check {
    if place.namespace.is_none() && scope != Scope::ClusterWide {
        return Err(StructureError::invalid(
            "metadata.namespace",
            format!("is missing; a {scope} document is bound to its namespace"),
        ));
    }
    Ok(())
}

pub(in super::super) fn check_audience(audience: Option<&str>) -> Check {
    if audience.is_some_and(|text| !is_audience(text)) {
        return Err(SPEC
            .field("audience")
            .invalid("must be 1 to 63 of a-z, 0-9, '-' and '.', and start and end with a letter or digit"));
    }
    Ok(())
}

fn check_data_keys(spec: &Spec) -> Check {
    let path = SPEC.field("dataKeys");
    if !(1..=MAX_KEYS).contains(&spec.data_keys.len()) {
        return Err(path.invalid(format!("must have 1 to {MAX_KEYS} items")));
    }
    let mut ids = HashSet::new();
    for (index, key) in spec.data_keys.iter().enumerate() {
        let path = path.item(index);
        check_data_key_id(key, &path)?;
        if !ids.insert(key.id.as_str()) {
            return Err(path.field("id").invalid("is a duplicate of another data key id"));
        }
        check_wraps(&key.wraps, &path)?;
    }
    if !ids.contains(spec.seal.key.as_str()) {
        return Err(SPEC
            .field("seal")
            .field("key")
            .invalid("is not the id of any data key"));
    }
    let used: HashSet<&str> = spec
        .encrypted_data
        .values()
        .map(|v| v.data_key.as_str())
        .collect();
    for (index, key) in spec.data_keys.iter().enumerate() {
        if key.id != spec.seal.key && !used.contains(key.id.as_str()) {
            return Err(path
                .item(index)
                .invalid("is used by neither a value nor the seal"));
        }
    }
    let values = SPEC.field("encryptedData");
    for (name, value) in &spec.encrypted_data {
        if !ids.contains(value.data_key.as_str()) {
            return Err(values.field(name).invalid("names a data key that does not exist"));
        }
    }
    Ok(())
}

fn check_data_key_id(key: &SealedDataKey, path: &Path<'_>) -> Check {
    let path = path.field("id");
    if !is_data_key_id(&key.id) {
        return Err(path.invalid("must be 8 lower-case hex digits"));
    }
    if key.id != key.commitment.key_id() {
        return Err(path.invalid("must be the first 4 bytes of the commitment, in hex"));
    }
    Ok(())
}

/// Checks the wraps of the data key at `path`.
pub(in super::super) fn check_wraps(wraps: &[Wrap], path: &Path<'_>) -> Check {
    let path = path.field("wraps");
    if !(1..=MAX_KEYS).contains(&wraps.len()) {
        return Err(path.invalid(format!("must have 1 to {MAX_KEYS} items")));
    }
    let mut keys = HashSet::new();
    for (index, wrap) in wraps.iter().enumerate() {
        let path = path.item(index);
        if !is_key_uri(&wrap.key) {
            return Err(path
                .field("key")
                .invalid("must be a key URI like local://fa1975b2"));
        }
        if !keys.insert(wrap.key.as_str()) {
            return Err(path.field("key").invalid("is a duplicate of another wrap's key"));
        }
        if !is_graphic(&wrap.ciphertext, MAX_CIPHERTEXT) {
            return Err(path.field("ciphertext").invalid(format!(
                "must be 1 to {MAX_CIPHERTEXT} printable ASCII characters without spaces"
            )));
        }
    }
    Ok(())
}

fn check_payloads(spec: &Spec) -> Check {
    let bytes: usize = spec.encrypted_data.values().map(|v| v.payload.len()).sum();
    let max = MAX_SECRET + MAX_PAYLOAD_OVERHEAD * spec.encrypted_data.len();
    if bytes > max {
        return Err(SPEC
            .field("encryptedData")
            .invalid(format!("holds {bytes} bytes of payload, more than {max}")));
    }
    Ok(())
}

/// Checks the names of the Secret's entries: their form, their number, and that each occurs once.
pub(in super::super) fn check_entries<V>(values: &BTreeMap<String, V>, template: &Template) -> Check {
    let encrypted = SPEC.field("encryptedData");
    let data = TEMPLATE.field("data");
    let render = TEMPLATE.field("render");
    let mut seen = BTreeSet::new();
    let names = (values.keys().map(|name| (name, &encrypted)))
        .chain(template.data.keys().map(|name| (name, &data)))
        .chain(template.render.keys().map(|name| (name, &render)));
    for (name, path) in names {
        let path = path.field(name);
        if !is_entry_name(name) {
            return Err(path.invalid(
                "must be a key of a Secret: 1 to 253 of A-Z, a-z, 0-9, '-', '_' and '.', neither '.' nor starting with '..'",
            ));
        }
        if !seen.insert(name) {
            return Err(path.invalid("is also the name of another entry"));
        }
        if seen.len() > MAX_ENTRIES {
            return Err(StructureError::invalid(
                "spec",
                format!(
                    "encryptedData, template.data and template.render have more than {MAX_ENTRIES} names"
                ),
            ));
        }
    }
    Ok(())
}

/// Checks the template except for the names of its entries; returns its parsed render texts.
pub(in super::super) fn check_template(
    template: &Template,
) -> Result<BTreeMap<String, Text>, StructureError> {
    if let Some(type_) = &template.type_
        && !is_graphic(type_, MAX_TYPE)
    {
        return Err(TEMPLATE.field("type").invalid(format!(
            "must be 1 to {MAX_TYPE} printable ASCII characters without spaces"
        )));
    }
    check_metadata(template)?;
    let bytes: usize = template.data.values().map(String::len).sum();
    if bytes > MAX_SECRET {
        return Err(TEMPLATE
            .field("data")
            .invalid(format!("holds more than {MAX_SECRET} bytes")));
    }
    let render = TEMPLATE.field("render");
    if template.render.len() > MAX_RENDERS {
        return Err(render.invalid(format!("has more than {MAX_RENDERS} entries")));
    }
    template
        .render
        .iter()
        .map(|(name, source)| match Text::parse(source) {
            Ok(text) => Ok((name.clone(), text)),
            Err(error) => Err(render.field(name).invalid(error.to_string())),
        })
        .collect()
}

fn check_metadata(template: &Template) -> Check {
    let metadata = TEMPLATE.field("metadata");
    let labels = metadata.field("labels");
    let annotations = metadata.field("annotations");
    let mut bytes = 0;
    for (map, path) in [(&template.labels, &labels), (&template.annotations, &annotations)] {
        for (key, value) in map {
            if !is_qualified_name(key) {
                return Err(path.field(key).invalid("is not a valid label or annotation key"));
            }
            bytes += key.len() + value.len();
        }
    }
    for (key, value) in &template.labels {
        if !is_label_value(value) {
            return Err(labels.field(key).invalid(
                "must be empty, or 1 to 63 of A-Z, a-z, 0-9, '-', '_' and '.' that start and end with a letter or digit",
            ));
        }
    }
    if bytes > MAX_METADATA_BYTES {
        return Err(metadata.invalid(format!("holds {bytes} bytes, more than {MAX_METADATA_BYTES}")));
    }
    Ok(())
}
