//! The Secret that an opened document becomes: what is applied, and what is taken away so that it holds our keys
//! and no others (controller.md 3).

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use serde::ser::{Serialize, SerializeMap as _, Serializer};
use serde_json::{Value, json};
use zeroize::Zeroizing;

use super::ObjectKey;
use super::fields::{FieldSet, Held};
use super::plan::Described;
use super::secret_facts::is_object;
use crate::api::{MANAGED_BY_LABEL, MANAGED_LABEL, Mode, SECRET_MANAGER};
use crate::envelope::encoding::to_hex;
use crate::envelope::wire::{API_VERSION, KIND};
use crate::envelope::{Document, Opened, SecretBytes, Template};

/// The type of a Secret whose template names none.
const DEFAULT_TYPE: &str = "Opaque";

/// What must hold for a write to be done (controller.md 2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Precondition {
    /// There is no Secret of this name: every existing one answers 409 to a resourceVersion of 1.
    Absent,
    /// It is the one that was judged, untouched since.
    Is {
        uid: Box<str>,
        resource_version: Box<str>,
    },
}

/// What the spec alone tells about the Secret of the object with this uid.
pub(super) fn describe(document: &Document, object_uid: &str) -> Described {
    let template = &document.spec().template;
    let labels = labels(template);
    let fields = FieldSet::expected(
        entry_names(document).into_iter(),
        labels.keys().copied(),
        template.annotations.keys().map(String::as_str),
        template.immutable == Some(true),
        object_uid,
    );
    Described {
        digest: to_hex(&document.digest()),
        fields,
    }
}

/// The names of all entries of the Secret: values, plain data, rendered texts.
fn entry_names(document: &Document) -> BTreeSet<&str> {
    let spec = document.spec();
    let template = &spec.template;
    let names = spec
        .encrypted_data
        .keys()
        .chain(template.data.keys())
        .chain(template.render.keys());
    names.map(String::as_str).collect()
}

fn labels(template: &Template) -> BTreeMap<&str, &str> {
    // Policy refuses a template that names one of the last two.
    let mut labels: BTreeMap<&str, &str> = template
        .labels
        .iter()
        .map(|(k, v)| (k.as_str(), v.as_str()))
        .collect();
    labels.insert(MANAGED_LABEL, Mode::Owned.label());
    labels.insert(MANAGED_BY_LABEL, SECRET_MANAGER);
    labels
}

/// The body of the server-side apply. Its Debug names the Secret and nothing in it.
pub(super) struct SecretBody<'a> {
    pub(super) key: &'a ObjectKey,
    pub(super) object_uid: &'a str,
    pub(super) opened: &'a Opened,
    pub(super) precondition: &'a Precondition,
}

impl fmt::Debug for SecretBody<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SecretBody({})", self.key)
    }
}

impl Serialize for SecretBody<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let template = &self.opened.document().spec().template;
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("apiVersion", "v1")?;
        map.serialize_entry("kind", "Secret")?;
        map.serialize_entry("metadata", &self.metadata(template))?;
        map.serialize_entry("type", template.type_.as_deref().unwrap_or(DEFAULT_TYPE))?;
        if template.immutable == Some(true) {
            map.serialize_entry("immutable", &true)?;
        }
        map.serialize_entry("data", &Data(self.opened.entries()))?;
        map.end()
    }
}

impl SecretBody<'_> {
    fn metadata(&self, template: &Template) -> Value {
        let (uid, resource_version) = match self.precondition {
            Precondition::Absent => (None, "1"),
            Precondition::Is {
                uid,
                resource_version,
            } => (Some(uid), &**resource_version),
        };
        let owner = OwnerReference {
            api_version: API_VERSION.to_owned(),
            kind: KIND.to_owned(),
            name: self.key.name.to_string(),
            uid: self.object_uid.to_owned(),
            controller: Some(true),
            // It would ask for rights on finalizers of the object.
            block_owner_deletion: None,
        };
        let mut metadata = json!({
            "name": &*self.key.name,
            "namespace": &*self.key.namespace,
            "resourceVersion": resource_version,
            "labels": labels(template),
            "annotations": template.annotations,
            "ownerReferences": [owner],
        });
        if let Some(uid) = uid {
            metadata["uid"] = json!(uid);
        }
        metadata
    }
}

/// `data`, each value encoded when it is written and wiped after.
struct Data<'a>(&'a BTreeMap<String, SecretBytes>);

impl Serialize for Data<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (name, value) in self.0 {
            let text = Zeroizing::new(STANDARD.encode(value.expose()));
            map.serialize_entry(name, text.as_str())?;
        }
        map.end()
    }
}

/// The JSON Patch that takes from the Secret what our Apply left there though it is not ours to keep: keys of the
/// data that are none of `document`'s, and ownerReferences to earlier objects of this name; and what others hold as `stringData`. `None` if it is exact.
pub(super) fn cleanup(meta: &ObjectMeta, document: &Document, object_uid: &str) -> Option<Value> {
    let ours = entry_names(document);
    let held = Held::of(meta);
    let mut removals = Vec::new();
    if ours.is_empty() && !held.string_data.is_empty() {
        // There may be no data at all that a member could be added to.
        removals.push(json!({"op": "add", "path": "/data", "value": {}}));
    } else {
        let not_ours = |key: &&String| !ours.contains(key.as_str());
        for key in held.string_data.difference(&held.data).filter(not_ours) {
            // Nobody tells whether it still stands, and what does not stand cannot be removed.
            removals.push(json!({"op": "add", "path": format!("/data/{key}"), "value": ""}));
            removals.push(remove(&format!("/data/{key}")));
        }
        let listed = held.data.iter().filter(not_ours);
        removals.extend(listed.map(|key| remove(&format!("/data/{key}"))));
    }
    // Else they would speak of an edit for ever. Only these fields of an entry go.
    let entries = held.string_entries.iter();
    removals.extend(
        entries.map(|index| remove(&format!("/metadata/managedFields/{index}/fieldsV1/f:stringData"))),
    );
    removals.extend(obsolete_owners(meta, object_uid));
    patch(meta, removals)
}

/// The JSON Patch that takes ownerReferences to earlier objects of this name away before an Apply: with two that
/// control, the API server refuses every write. `None` without such references.
pub(super) fn disown(meta: &ObjectMeta, object_uid: &str) -> Option<Value> {
    patch(meta, obsolete_owners(meta, object_uid))
}

/// Last one first, so that no removal moves the place of another.
fn obsolete_owners(meta: &ObjectMeta, object_uid: &str) -> Vec<Value> {
    let name = meta.name.as_deref().unwrap_or_default();
    let owners = meta
        .owner_references
        .as_deref()
        .unwrap_or_default()
        .iter()
        .enumerate()
        .rev();
    let obsolete = owners.filter(|(_, owner)| is_object(owner, name) && owner.uid != object_uid);
    obsolete
        .map(|(index, _)| remove(&format!("/metadata/ownerReferences/{index}")))
        .collect()
}

fn remove(path: &str) -> Value {
    json!({"op": "remove", "path": path})
}

fn patch(meta: &ObjectMeta, removals: Vec<Value>) -> Option<Value> {
    if removals.is_empty() {
        return None;
    }
    let mut operations = vec![json!({
        "op": "test", "path": "/metadata/resourceVersion", "value": meta.resource_version
    })];
    operations.extend(removals);
    Some(Value::Array(operations))
}

#[cfg(test)]
mod tests;
