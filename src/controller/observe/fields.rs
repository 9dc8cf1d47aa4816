//! `metadata.managedFields` of a Secret, reduced to what planning needs: they are most of the bytes of its metadata.

use std::collections::BTreeSet;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use serde_json::Value;

use crate::api::SECRET_MANAGER;
use crate::controller::observe::decode::{ManagedEntry, Meta};

const DATA: &str = "f:data";
/// The longest total length of the paths of an entry, in bytes; those of a Secret with 1024 entries take a quarter of it. A
/// path repeats the names above it, so an entry of 1 MB can have paths of many gigabytes.
const MAX_PATHS: usize = 1 << 20;
/// Maps that are managed by entry. An empty one counts as no field.
const CONTAINERS: &[&str] = &[
    DATA,
    "f:metadata",
    "f:metadata/f:labels",
    "f:metadata/f:annotations",
    "f:metadata/f:ownerReferences",
];

/// Fingerprint of the set of fields that our Apply entry owns. Comparable only within one process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::controller) struct FieldSet(u64);

impl FieldSet {
    fn of(paths: &BTreeSet<String>) -> Self {
        let mut hasher = DefaultHasher::new();
        paths.hash(&mut hasher);
        FieldSet(hasher.finish())
    }

    /// Returns the fields that the API server lists for our Apply of a Secret with these entries and metadata.
    pub(in crate::controller) fn expected<'a>(
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

/// Maximum length of a field manager's name that is kept, in bytes: the API server's own limit.
const MAX_MANAGER: usize = 128;

/// The facts about a Secret's managedFields.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::controller) struct FieldFacts {
    /// What our Apply entry owns; `None` if there is none (managedFields were cleared, or the Secret was restored).
    pub(in crate::controller) ours: Option<FieldSet>,
    /// The name of another manager that owns a data entry, the type or `immutable`: the last one that is listed, and so the
    /// latest of those that update. `None` if there is none.
    pub(in crate::controller) foreign_manager: Option<Box<str>>,
}

impl FieldFacts {
    pub(in crate::controller) fn of(meta: &Meta) -> Self {
        let mut facts = FieldFacts::default();
        for entry in &meta.managed_fields {
            match (paths(entry), is_our_apply(entry)) {
                (Some(paths), true) => facts.ours = Some(FieldSet::of(&paths)),
                (Some(paths), false) if !paths.iter().any(|path| is_content(path)) => {}
                (None, true) => {}
                // Unreadable fields may be content.
                (Some(_) | None, false) => facts.foreign_manager = Some(manager_name(entry)),
            }
        }
        facts
    }
}

/// The data entries that field managers own, including ours.
#[derive(Debug, Default, PartialEq, Eq)]
pub(in crate::controller) struct OwnedEntries {
    pub(in crate::controller) data: BTreeSet<String>,
    /// Entries that another manager applied as `stringData` with server-side apply. The API server stores them in `data`
    /// but lists them only as `stringData`, even after they are removed from `data`.
    pub(in crate::controller) string_data: BTreeSet<String>,
    /// The indices in managedFields of the managers that own `stringData`.
    pub(in crate::controller) string_data_managers: Vec<usize>,
}

impl OwnedEntries {
    pub(in crate::controller) fn of(meta: &Meta) -> Self {
        let mut owned = OwnedEntries::default();
        for (index, entry) in meta.managed_fields.iter().enumerate() {
            for path in paths(entry).into_iter().flatten() {
                if let Some(key) = path.strip_prefix("f:data/f:") {
                    owned.data.insert(key.to_owned());
                } else if let Some(key) = path.strip_prefix("f:stringData/f:") {
                    owned.string_data.insert(key.to_owned());
                    if owned.string_data_managers.last() != Some(&index) {
                        owned.string_data_managers.push(index);
                    }
                }
            }
        }
        owned
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

fn manager_name(entry: &ManagedEntry) -> Box<str> {
    let name = entry.manager.as_deref().unwrap_or_default();
    name[..name.floor_char_boundary(MAX_MANAGER)].into()
}

fn is_our_apply(entry: &ManagedEntry) -> bool {
    entry.manager.as_deref() == Some(SECRET_MANAGER)
        && entry.operation.as_deref() == Some("Apply")
        && entry.subresource.as_deref().unwrap_or_default().is_empty()
}

/// Returns the fields of an entry; `None` if they are unreadable: nested beyond the parser's limit, or too long.
fn paths(entry: &ManagedEntry) -> Option<BTreeSet<String>> {
    let mut out = BTreeSet::new();
    if let Some(fields) = &entry.fields {
        let mut left = MAX_PATHS;
        collect("", &serde_json::from_str(fields.get()).ok()?, &mut left, &mut out)?;
    }
    Some(out)
}

/// Adds the paths below `path` to `out`; `None` if they are longer than `left` bytes in total.
fn collect(path: &str, value: &Value, left: &mut usize, out: &mut BTreeSet<String>) -> Option<()> {
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
        // Inner paths count too: making them takes time.
        *left = left.checked_sub(child_path.len())?;
        collect(&child_path, child, left, out)?;
    }
    if leaf && !path.is_empty() && !CONTAINERS.contains(&path) {
        out.insert(path.to_owned());
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// Our entry as a real API server lists it.
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

    fn meta(entries: &Value) -> Meta {
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
    fn unchanged_secret_has_the_expected_fields() {
        let facts = FieldFacts::of(&meta(&json!([our_entry(&["a", "b"])])));
        assert_eq!(facts.ours, Some(expected(&["b", "a"], "u-1")));
        assert_eq!(facts.foreign_manager, None);
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
    fn secret_without_data_matches_with_or_without_an_empty_map() {
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
    fn foreign_annotation_is_ignored_but_foreign_content_is_detected() {
        let annotation = json!({"manager": "kubectl", "operation": "Update", "fieldsV1":
            {"f:metadata": {"f:annotations": {".": {}, "f:note": {}}}}});
        let facts = FieldFacts::of(&meta(&json!([our_entry(&["a"]), annotation])));
        assert_eq!(
            (facts.ours, facts.foreign_manager),
            (Some(expected(&["a"], "u-1")), None)
        );

        for field in [
            json!({"f:data": {"f:a": {}}}),
            json!({"f:stringData": {"f:a": {}}}),
            json!({"f:type": {}}),
            json!({"f:immutable": {}}),
        ] {
            let edit = json!({"manager": "kubectl-edit", "operation": "Update", "fieldsV1": field});
            let facts = FieldFacts::of(&meta(&json!([our_entry(&["a"]), edit])));
            assert_eq!(facts.foreign_manager.as_deref(), Some("kubectl-edit"), "{field}");
        }
        let own_update = json!({"manager": "envelope-secrets", "operation": "Update", "fieldsV1": {"f:data": {"f:a": {}}}});
        let facts = FieldFacts::of(&meta(&json!([own_update])));
        assert_eq!(
            (facts.ours, facts.foreign_manager.as_deref()),
            (None, Some("envelope-secrets")),
            "only our Apply entry counts as ours"
        );
    }

    #[test]
    fn paths_that_multiply_a_long_name_are_unreadable() {
        let leaves: serde_json::Map<String, Value> =
            (0..1000).map(|index| (format!("f:{index}"), json!({}))).collect();
        let fields = json!({ "f:x".repeat(500): leaves });
        let entry = json!({"manager": "tenant", "operation": "Update", "fieldsV1": fields});
        let meta = meta(&json!([entry]));
        assert_eq!(paths(&meta.managed_fields[0]), None);
        assert!(
            FieldFacts::of(&meta) != FieldFacts::default(),
            "it counts as content"
        );
        let names: Vec<String> = (0..1024)
            .map(|index| format!("{index}-{}", "x".repeat(248)))
            .collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let largest = FieldFacts::of(&self::meta(&json!([our_entry(&names)])));
        assert_eq!(largest.ours, Some(expected(&names, "u-1")));
    }

    #[test]
    fn entries_owned_by_managers_are_collected() {
        let edit = json!({"manager": "kubectl-edit", "operation": "Update", "fieldsV1":
            {"f:data": {".": {}, "f:extra": {}, "f:a": {}}}});
        let apply = json!({"manager": "kubectl", "operation": "Apply", "fieldsV1":
            {"f:stringData": {"f:text": {}, "f:more": {}}, "f:metadata": {"f:labels": {"f:x": {}}}}});
        let owned = OwnedEntries::of(&meta(&json!([our_entry(&["a", "b"]), edit, apply])));
        let texts = |keys: &BTreeSet<String>| keys.iter().cloned().collect::<Vec<_>>();
        assert_eq!(texts(&owned.data), ["a", "b", "extra"]);
        assert_eq!(texts(&owned.string_data), ["more", "text"]);
        assert_eq!(owned.string_data_managers, [2]);
        assert_eq!(OwnedEntries::of(&meta(&json!([]))), OwnedEntries::default());
        assert_eq!(OwnedEntries::of(&Meta::default()), OwnedEntries::default());
        assert_eq!(FieldFacts::of(&Meta::default()), FieldFacts::default());
    }
}
