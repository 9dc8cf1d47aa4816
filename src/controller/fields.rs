//! What `metadata.managedFields` of a Secret says, reduced to what planning needs: the lists themselves are most
//! of the bytes of a metadata object.

use std::collections::BTreeSet;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ManagedFieldsEntry, ObjectMeta};
use serde_json::Value;

use crate::api::SECRET_MANAGER;

const DATA: &str = "f:data";
/// Maps that are managed by their members: an empty one of them is nothing that anybody holds.
const CONTAINERS: &[&str] = &[
    DATA,
    "f:metadata",
    "f:metadata/f:labels",
    "f:metadata/f:annotations",
    "f:metadata/f:ownerReferences",
];

/// The set of fields that an Apply of ours holds, as a fingerprint that is compared within one process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FieldSet(u64);

impl FieldSet {
    fn of(paths: &BTreeSet<String>) -> Self {
        let mut hasher = DefaultHasher::new();
        paths.hash(&mut hasher);
        FieldSet(hasher.finish())
    }

    /// The fields of a Secret with these keys and labels, as the API server lists them after our Apply.
    pub(super) fn expected<'a>(
        data: impl Iterator<Item = &'a str>,
        labels: impl Iterator<Item = &'a str>,
        annotations: impl Iterator<Item = &'a str>,
        immutable: bool,
        owner_uid: &str,
    ) -> Self {
        let mut paths: BTreeSet<String> = data.map(|key| format!("{DATA}/f:{key}")).collect();
        paths.extend(labels.map(|key| format!("f:metadata/f:labels/f:{key}")));
        paths.extend(annotations.map(|key| format!("f:metadata/f:annotations/f:{key}")));
        paths.insert(owner_path(owner_uid));
        paths.insert("f:type".to_owned());
        if immutable {
            paths.insert("f:immutable".to_owned());
        }
        FieldSet::of(&paths)
    }
}

/// What managedFields of a Secret come to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct FieldFacts {
    /// What our Apply entry holds; `None` if there is none (the lists were cleared, or the Secret was restored).
    pub(super) ours: Option<FieldSet>,
    /// Whether another manager holds a key of the data, the type or `immutable`.
    pub(super) foreign_content: bool,
}

impl FieldFacts {
    pub(super) fn of(meta: &ObjectMeta) -> Self {
        let mut facts = FieldFacts::default();
        for entry in entries(meta) {
            let paths = paths(entry);
            if is_our_apply(entry) {
                facts.ours = Some(FieldSet::of(&paths));
            } else {
                facts.foreign_content |= paths.iter().any(|path| is_content(path));
            }
        }
        facts
    }
}

/// The keys of the Secret's data as managers hold them, ours among them.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Held {
    pub(super) data: BTreeSet<String>,
    /// Keys that a server-side apply of somebody brought as `stringData`: the API server puts them into the data and
    /// lists them here alone, also when they are gone from the data.
    pub(super) string_data: BTreeSet<String>,
    /// The places in managedFields of the entries that hold `stringData`.
    pub(super) string_entries: Vec<usize>,
}

impl Held {
    pub(super) fn of(meta: &ObjectMeta) -> Self {
        let mut held = Held::default();
        for (index, entry) in entries(meta).iter().enumerate() {
            for path in paths(entry) {
                if let Some(key) = path.strip_prefix("f:data/f:") {
                    held.data.insert(key.to_owned());
                } else if let Some(key) = path.strip_prefix("f:stringData/f:") {
                    held.string_data.insert(key.to_owned());
                    if held.string_entries.last() != Some(&index) {
                        held.string_entries.push(index);
                    }
                }
            }
        }
        held
    }
}

fn owner_path(uid: &str) -> String {
    format!(
        "f:metadata/f:ownerReferences/k:{}",
        serde_json::json!({ "uid": uid })
    )
}

fn is_content(path: &str) -> bool {
    path.starts_with("f:data/")
        || path.starts_with("f:stringData/")
        || path == "f:type"
        || path == "f:immutable"
}

fn is_our_apply(entry: &ManagedFieldsEntry) -> bool {
    entry.manager.as_deref() == Some(SECRET_MANAGER)
        && entry.operation.as_deref() == Some("Apply")
        && entry.subresource.as_deref().unwrap_or_default().is_empty()
}

fn entries(meta: &ObjectMeta) -> &[ManagedFieldsEntry] {
    meta.managed_fields.as_deref().unwrap_or_default()
}

fn paths(entry: &ManagedFieldsEntry) -> BTreeSet<String> {
    let mut out = BTreeSet::new();
    if let Some(fields) = &entry.fields_v1 {
        collect("", &fields.0, &mut out);
    }
    out
}

fn collect(path: &str, value: &Value, out: &mut BTreeSet<String>) {
    let members = value
        .as_object()
        .into_iter()
        .flatten()
        .filter(|(name, _)| *name != ".");
    let mut leaf = true;
    for (name, child) in members {
        leaf = false;
        let child_path = if path.is_empty() {
            name.clone()
        } else {
            format!("{path}/{name}")
        };
        collect(&child_path, child, out);
    }
    if leaf && !path.is_empty() && !CONTAINERS.contains(&path) {
        out.insert(path.to_owned());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// As a real API server lists a Secret of ours.
    pub(crate) fn our_entry(keys: &[&str]) -> Value {
        let data: serde_json::Map<String, Value> =
            keys.iter().map(|key| (format!("f:{key}"), json!({}))).collect();
        json!({
            "manager": "envelope-secrets", "operation": "Apply", "apiVersion": "v1", "fieldsType": "FieldsV1",
            "time": "2026-11-24T00:47:55Z",
            "fieldsV1": {
                "f:data": data,
                "f:metadata": {
                    "f:labels": {"f:app.kubernetes.io/managed-by": {}, "f:envelope-secrets.io/managed": {}},
                    "f:ownerReferences": {"k:{\"uid\":\"u-1\"}": {}}
                },
                "f:type": {}
            }
        })
    }

    fn meta(entries: &Value) -> ObjectMeta {
        serde_json::from_value(json!({"name": "db", "managedFields": entries})).expect("metadata")
    }

    fn expected(keys: &[&str], uid: &str) -> FieldSet {
        let labels = ["envelope-secrets.io/managed", "app.kubernetes.io/managed-by"];
        FieldSet::expected(
            keys.iter().copied(),
            labels.into_iter(),
            [].into_iter(),
            false,
            uid,
        )
    }

    #[test]
    fn an_untouched_secret_is_whole() {
        let facts = FieldFacts::of(&meta(&json!([our_entry(&["a", "b"])])));
        assert_eq!(facts.ours, Some(expected(&["b", "a"], "u-1")));
        assert!(!facts.foreign_content);
        for other in [
            expected(&["a"], "u-1"),
            expected(&["a", "b", "c"], "u-1"),
            expected(&["a", "b"], "u-2"),
        ] {
            assert_ne!(facts.ours, Some(other));
        }
        let with_immutable =
            FieldSet::expected(["a"].into_iter(), [].into_iter(), [].into_iter(), true, "u-1");
        let without = FieldSet::expected(["a"].into_iter(), [].into_iter(), [].into_iter(), false, "u-1");
        assert_ne!(with_immutable, without);
    }

    #[test]
    fn an_empty_secret_holds_no_data() {
        let mut entry = our_entry(&[]);
        assert_eq!(
            FieldFacts::of(&meta(&json!([entry.clone()]))).ours,
            Some(expected(&[], "u-1"))
        );
        entry["fieldsV1"].as_object_mut().expect("a map").remove("f:data");
        assert_eq!(
            FieldFacts::of(&meta(&json!([entry]))).ours,
            Some(expected(&[], "u-1"))
        );
    }

    #[test]
    fn a_foreign_annotation_leaves_it_whole_and_a_foreign_value_does_not() {
        let annotation = json!({"manager": "kubectl", "operation": "Update", "fieldsV1":
            {"f:metadata": {"f:annotations": {".": {}, "f:note": {}}}}});
        let facts = FieldFacts::of(&meta(&json!([our_entry(&["a"]), annotation])));
        assert_eq!(
            (facts.ours, facts.foreign_content),
            (Some(expected(&["a"], "u-1")), false)
        );

        for field in [
            json!({"f:data": {"f:a": {}}}),
            json!({"f:stringData": {"f:a": {}}}),
            json!({"f:type": {}}),
            json!({"f:immutable": {}}),
        ] {
            let edit = json!({"manager": "kubectl-edit", "operation": "Update", "fieldsV1": field});
            assert!(
                FieldFacts::of(&meta(&json!([our_entry(&["a"]), edit]))).foreign_content,
                "{field}"
            );
        }
        let own_update = json!({"manager": "envelope-secrets", "operation": "Update", "fieldsV1": {"f:data": {"f:a": {}}}});
        let facts = FieldFacts::of(&meta(&json!([own_update])));
        assert_eq!(
            (facts.ours, facts.foreign_content),
            (None, true),
            "only an Apply is ours"
        );
    }

    #[test]
    fn keys_that_managers_hold() {
        let edit = json!({"manager": "kubectl-edit", "operation": "Update", "fieldsV1":
            {"f:data": {".": {}, "f:extra": {}, "f:a": {}}}});
        let apply = json!({"manager": "kubectl", "operation": "Apply", "fieldsV1":
            {"f:stringData": {"f:text": {}, "f:more": {}}, "f:metadata": {"f:labels": {"f:x": {}}}}});
        let held = Held::of(&meta(&json!([our_entry(&["a", "b"]), edit, apply])));
        let texts = |keys: &BTreeSet<String>| keys.iter().cloned().collect::<Vec<_>>();
        assert_eq!(texts(&held.data), ["a", "b", "extra"]);
        assert_eq!(texts(&held.string_data), ["more", "text"]);
        assert_eq!(held.string_entries, [2]);
        assert_eq!(Held::of(&meta(&json!([]))), Held::default());
        assert_eq!(Held::of(&ObjectMeta::default()), Held::default());
        assert_eq!(FieldFacts::of(&ObjectMeta::default()), FieldFacts::default());
    }
}
