//! The Secret of an opened document: the body to apply, and the patches that remove everything else from it
//! (docs/design/controller.md#removing-entries-that-are-not-in-the-document).

use std::collections::BTreeMap;
use std::fmt;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use serde::ser::{Serialize, Serializer};
use serde_json::{Value, json};

use crate::api::Mode;
use crate::controller::decide::desired::Desired;
use crate::controller::key::ObjectKey;
use crate::controller::observe::decode::Meta;
use crate::controller::observe::fields::OwnedEntries;
use crate::controller::observe::secret_facts::{SecretFacts, is_object};
use crate::controller::observe::shape::entry_names;
use crate::controller::observe::wishes::Mark;
use crate::envelope::wire::{API_VERSION, KIND};
use crate::envelope::{Document, Opened, Template};
use crate::manifest::{SecretManifest, Values};

/// The type of a Secret whose template sets none.
const DEFAULT_TYPE: &str = "Opaque";
/// `{}` in base64: valid as a value of every built-in type of Secret, including those that hold JSON.
const PLACEHOLDER: &str = "e30=";

/// The precondition of a write (docs/design/controller.md#write-preconditions).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::controller) enum Precondition {
    /// The Secret does not exist: with resourceVersion 1, a write to an existing one fails with 409.
    Absent,
    /// The Secret is unchanged since it was observed.
    Unchanged {
        uid: Box<str>,
        resource_version: Box<str>,
    },
}

impl Precondition {
    /// Returns the precondition of a write that was planned on this state of the Secret.
    pub(in crate::controller) fn of(secret: Option<&SecretFacts>) -> Self {
        match secret {
            None => Precondition::Absent,
            Some(facts) => Precondition::Unchanged {
                uid: facts.uid.clone(),
                resource_version: facts.resource_version.clone(),
            },
        }
    }

    /// Returns the resourceVersion that a write with this precondition carries.
    pub(in crate::controller) fn resource_version(&self) -> &str {
        match self {
            Precondition::Absent => "1",
            Precondition::Unchanged { resource_version, .. } => resource_version,
        }
    }
}

/// The body of the server-side apply. Its Debug output contains nothing but the Secret's name.
pub(in crate::controller) struct SecretBody<'a> {
    pub(in crate::controller) key: &'a ObjectKey,
    pub(in crate::controller) desired: &'a Desired,
    pub(in crate::controller) opened: &'a Opened,
    pub(in crate::controller) precondition: &'a Precondition,
}

impl fmt::Debug for SecretBody<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SecretBody({})", self.key)
    }
}

impl Serialize for SecretBody<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let template = &self.opened.document().spec().template;
        let secret = SecretManifest {
            opened: self.opened,
            metadata: metadata(self.key, self.desired, self.precondition, template),
            type_: secret_type(self.desired, template),
            immutable: is_immutable(self.desired, template),
            values: Values::Data,
        };
        secret.serialize(serializer)
    }
}

fn metadata(key: &ObjectKey, desired: &Desired, precondition: &Precondition, template: &Template) -> Value {
    let uid = match precondition {
        Precondition::Absent => None,
        Precondition::Unchanged { uid, .. } => Some(uid),
    };
    let owner = desired.metadata.owner.as_deref().map(|uid| OwnerReference {
        api_version: API_VERSION.to_owned(),
        kind: KIND.to_owned(),
        name: key.name.to_string(),
        uid: uid.to_owned(),
        controller: Some(true),
        // It would require permission on the object's finalizers.
        block_owner_deletion: None,
    });
    let mut labels: BTreeMap<&str, &str> = template
        .labels
        .iter()
        .map(|(label, value)| (&**label, &**value))
        .collect();
    labels.extend(desired.metadata.labels.iter().copied());
    let mut metadata = json!({
        "name": &*key.name,
        "namespace": &*key.namespace,
        "resourceVersion": precondition.resource_version(),
        "labels": labels,
        "annotations": template.annotations,
        "ownerReferences": Vec::from_iter(owner),
    });
    if let Some(uid) = uid {
        metadata["uid"] = json!(uid);
    }
    metadata
}

fn secret_type<'a>(desired: &Desired, template: &'a Template) -> Option<&'a str> {
    desired
        .is_exact()
        .then(|| template.type_.as_deref().unwrap_or(DEFAULT_TYPE))
}

fn is_immutable(desired: &Desired, template: &Template) -> bool {
    desired.is_exact() && template.immutable == Some(true)
}

/// Returns the body of a dry run that shows, before the document is opened, whether the API server would accept its Secret:
/// the Secret with a placeholder instead of each value.
pub(in crate::controller) fn probe_body(
    key: &ObjectKey,
    desired: &Desired,
    document: &Document,
    precondition: &Precondition,
) -> Value {
    let template = &document.spec().template;
    let data: BTreeMap<&str, &str> = entry_names(document)
        .into_iter()
        .map(|name| (name, PLACEHOLDER))
        .collect();
    let mut body = json!({
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": metadata(key, desired, precondition, template),
        "data": data,
    });
    if let Some(type_) = secret_type(desired, template) {
        body["type"] = json!(type_);
    }
    if is_immutable(desired, template) {
        body["immutable"] = json!(true);
    }
    body
}

/// Whether the Secret belongs to the object of this uid alone: no other owner uses it.
pub(in crate::controller) fn is_exclusive(meta: &Meta, object_uid: &str) -> bool {
    let [owner] = meta.owner_references.as_slice() else {
        return false;
    };
    owner.uid == object_uid && Mark::of(meta) == Mark::Managed(Mode::Owned)
}

/// Returns the JSON Patch that removes what our Apply left in the Secret: ownerReferences to earlier incarnations of the
/// object and, if the Secret is to be exact, data entries that are not in `document` and `stringData` of other field
/// managers. `None` if the Secret is as desired.
pub(in crate::controller) fn cleanup(meta: &Meta, document: &Document, desired: &Desired) -> Option<Value> {
    if !desired.is_exact() {
        return disown(meta, desired);
    }
    let ours = entry_names(document);
    let owned = OwnedEntries::of(meta);
    let mut removals = Vec::new();
    let listed = owned.data.union(&owned.string_data);
    let foreign: Vec<&String> = listed.filter(|key| !ours.contains(key.as_str())).collect();
    if ours.is_empty() && !foreign.is_empty() {
        // `data` may be absent, and then no member can be added to it.
        removals.push(json!({"op": "add", "path": "/data", "value": {}}));
    } else {
        for key in foreign {
            // That managedFields list an entry does not mean that it exists, and removing an absent one fails: add it first.
            let path = format!("/data/{}", escaped(key));
            removals.push(json!({"op": "add", "path": path, "value": ""}));
            removals.push(remove(&path));
        }
    }
    // The API server forgets what it removes itself, but not the listed entries that do not exist.
    let is_ours = |name: &Option<String>| name.as_ref().is_some_and(|name| ours.contains(name.as_str()));
    let others = owned
        .others
        .iter()
        .filter(|(_, names)| !names.iter().all(is_ours));
    removals
        .extend(others.map(|(index, _)| remove(&format!("/metadata/managedFields/{index}/fieldsV1/f:data"))));
    // Otherwise managedFields would report an edit permanently. Only this field of each manager is removed.
    let managers = owned.string_data_managers.iter();
    removals.extend(
        managers.map(|index| remove(&format!("/metadata/managedFields/{index}/fieldsV1/f:stringData"))),
    );
    removals.extend(obsolete_owners(meta, desired));
    patch(meta, removals)
}

/// Returns the JSON Patch that removes ownerReferences to earlier incarnations of the object before an Apply: the API
/// server rejects a write that leaves two controller owners. `None` if there are none.
pub(in crate::controller) fn disown(meta: &Meta, desired: &Desired) -> Option<Value> {
    patch(meta, obsolete_owners(meta, desired))
}

/// Removals of obsolete ownerReferences, last index first, so that no removal shifts another.
fn obsolete_owners(meta: &Meta, desired: &Desired) -> Vec<Value> {
    let current = desired.metadata.owner.as_deref();
    let name = meta.name.as_deref().unwrap_or_default();
    let owners = meta.owner_references.iter().enumerate().rev();
    let obsolete = owners.filter(|(_, owner)| is_object(owner, name) && Some(&*owner.uid) != current);
    obsolete
        .map(|(index, _)| remove(&format!("/metadata/ownerReferences/{index}")))
        .collect()
}

/// Escapes a segment of a JSON Pointer (RFC 6901, section 3).
fn escaped(segment: &str) -> String {
    segment.replace('~', "~0").replace('/', "~1")
}

fn remove(path: &str) -> Value {
    json!({"op": "remove", "path": path})
}

fn patch(meta: &Meta, removals: Vec<Value>) -> Option<Value> {
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
