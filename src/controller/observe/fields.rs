//! `metadata.managedFields` of a Secret, reduced to what planning needs: they are most of the bytes of its metadata.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use serde_json::Value;
use serde_json::value::RawValue;

use crate::api::SECRET_MANAGER;
use crate::controller::observe::decode::{ManagedEntry, Meta};

const DATA: &str = "f:data";
const STRING_DATA: &str = "f:stringData";
const ENTRY: &str = "f:data/f:";
const STRING_ENTRY: &str = "f:stringData/f:";
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

/// A field of a Secret that an Apply can own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::controller) enum Field<'a> {
    Data(&'a str),
    Label(&'a str),
    Annotation(&'a str),
    /// The ownerReference to the object of this uid.
    Owner(&'a str),
    Type,
    Immutable,
}

impl Field<'_> {
    /// Returns its path as the API server lists it in managedFields.
    fn path(self) -> String {
        match self {
            Field::Data(key) => format!("{ENTRY}{key}"),
            Field::Label(key) => format!("f:metadata/f:labels/f:{key}"),
            Field::Annotation(key) => format!("f:metadata/f:annotations/f:{key}"),
            Field::Owner(uid) => owner_path(uid),
            Field::Type => "f:type".to_owned(),
            Field::Immutable => "f:immutable".to_owned(),
        }
    }
}

/// Fingerprint of a set of fields. Comparable only within one process. It is a sum over the fields: those of a document are
/// known when it is observed, those that depend on the ownership mode only when its Secret is planned.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::controller) struct FieldSet(u64);

impl FieldSet {
    fn of(paths: &BTreeSet<String>) -> Self {
        paths.iter().fold(FieldSet::default(), |set, path| set.plus(path))
    }

    /// Adds fields that are not in the set.
    pub(in crate::controller) fn with<'a>(self, fields: impl IntoIterator<Item = Field<'a>>) -> Self {
        fields
            .into_iter()
            .fold(self, |set, field| set.plus(&field.path()))
    }

    fn plus(self, path: &str) -> Self {
        let mut hasher = DefaultHasher::new();
        path.hash(&mut hasher);
        FieldSet(self.0.wrapping_add(hasher.finish()))
    }
}

/// Maximum length of a field manager's name that is kept, in bytes: the API server's own limit.
const MAX_MANAGER: usize = 128;
/// The number of names of contested entries that are kept.
const MAX_CONTESTED: usize = 8;
/// The maximum length of the name of an entry, in bytes: the API server's own limit. managedFields may have longer ones.
const MAX_ENTRY: usize = 253;

/// The facts about a Secret's managedFields.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::controller) struct FieldFacts {
    /// What our Apply entry owns; `None` if there is none (managedFields were cleared, or the Secret was restored).
    pub(in crate::controller) ours: Option<FieldSet>,
    /// The content that other managers own: a data entry, the type or `immutable`. `None` if they own none.
    pub(in crate::controller) foreign: Option<Box<ForeignContent>>,
}

/// Content of a Secret that other field managers own.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::controller) struct ForeignContent {
    /// The name of the last manager that is listed, and so the latest of those that update.
    pub(in crate::controller) manager: Box<str>,
    /// The names of entries of our Apply that another manager owns too; at most [`MAX_CONTESTED`]. In a merged Secret, only
    /// these matter: the others belong to its owner.
    pub(in crate::controller) contested: Vec<Box<str>>,
}

impl FieldFacts {
    pub(in crate::controller) fn of(meta: &Meta) -> Self {
        let (ours, others): (Vec<_>, Vec<_>) =
            meta.managed_fields.iter().partition(|entry| is_our_apply(entry));
        let ours = ours.into_iter().filter_map(paths).next_back();
        let mut foreign: Option<Box<ForeignContent>> = None;
        for entry in others {
            let paths = paths(entry);
            if let Some(paths) = &paths
                && !paths.iter().any(|path| is_content(path))
            {
                continue;
            }
            let foreign = foreign.get_or_insert_default();
            foreign.manager = manager_name(entry);
            match (&paths, &ours) {
                (Some(theirs), Some(ours)) => {
                    let names = theirs.iter().filter_map(|path| entry_name(path));
                    foreign.contest(names.filter(|name| ours.contains(&Field::Data(name).path())));
                }
                // Unreadable fields may be any of ours.
                (None, Some(ours)) => foreign.contest(ours.iter().filter_map(|path| entry_name(path))),
                (_, None) => {}
            }
        }
        FieldFacts {
            ours: ours.as_ref().map(FieldSet::of),
            foreign,
        }
    }
}

impl ForeignContent {
    fn contest<'a>(&mut self, names: impl Iterator<Item = &'a str>) {
        for name in names {
            if self.contested.len() == MAX_CONTESTED {
                return;
            }
            let name = &name[..name.floor_char_boundary(MAX_ENTRY)];
            if !self.contested.iter().any(|known| **known == *name) {
                self.contested.push(name.into());
            }
        }
    }
}

/// The data entries that field managers list, including ours. Not every one of them exists: a user can write managedFields.
#[derive(Debug, Default, PartialEq, Eq)]
pub(in crate::controller) struct OwnedEntries {
    pub(in crate::controller) data: BTreeSet<String>,
    /// Entries that another manager applied as `stringData` with server-side apply. The API server stores them in `data`
    /// but lists them only as `stringData`, even after they are removed from `data`.
    pub(in crate::controller) string_data: BTreeSet<String>,
    /// The indices in managedFields of the managers that own `stringData`.
    pub(in crate::controller) string_data_managers: Vec<usize>,
    /// Of each other manager that owns `data`: its index in managedFields, and the entries that it lists. `None` stands for
    /// anything that is not the name of an entry.
    pub(in crate::controller) others: Vec<(usize, BTreeSet<Option<String>>)>,
}

impl OwnedEntries {
    pub(in crate::controller) fn of(meta: &Meta) -> Self {
        let mut owned = OwnedEntries::default();
        for (index, entry) in meta.managed_fields.iter().enumerate() {
            let data = listed(entry, DATA);
            owned.data.extend(data.iter().flatten().cloned());
            if !data.is_empty() && !is_our_apply(entry) {
                owned.others.push((index, data));
            }
            let string_data = listed(entry, STRING_DATA);
            if !string_data.is_empty() {
                owned.string_data.extend(string_data.into_iter().flatten());
                owned.string_data_managers.push(index);
            }
        }
        owned
    }
}

/// Returns the names of the entries that managedFields list below this field. Fields below an entry belong to it; `None`
/// stands for them, and for anything else that is not an entry.
fn listed(entry: &ManagedEntry, field: &str) -> BTreeSet<Option<String>> {
    let members =
        |text: &str| serde_json::from_str::<BTreeMap<String, Box<RawValue>>>(text).unwrap_or_default();
    let fields = entry.fields.as_ref().map(|fields| members(fields.get()));
    let listed = fields.as_ref().and_then(|fields| fields.get(field));
    let listed = listed.map(|listed| members(listed.get())).unwrap_or_default();
    let mut names = BTreeSet::new();
    for (member, below) in listed.iter().filter(|(member, _)| *member != ".") {
        let name = member.strip_prefix("f:");
        if name.is_none() || !members(below.get()).is_empty() {
            names.insert(None);
        }
        if let Some(name) = name {
            names.insert(Some(name.to_owned()));
        }
    }
    names
}

/// Returns the name of the entry, if the path is one.
fn entry_name(path: &str) -> Option<&str> {
    path.strip_prefix(ENTRY)
        .or_else(|| path.strip_prefix(STRING_ENTRY))
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

    fn manager(facts: &FieldFacts) -> Option<&str> {
        facts.foreign.as_deref().map(|foreign| &*foreign.manager)
    }

    fn expected(keys: &[&str], uid: &str) -> FieldSet {
        let labels = ["envelope-secrets.io/managed", "app.kubernetes.io/managed-by"];
        FieldSet::default()
            .with(keys.iter().map(|key| Field::Data(key)))
            .with(labels.map(Field::Label))
            .with([Field::Owner(uid), Field::Type])
    }

    #[test]
    fn unchanged_secret_has_the_expected_fields() {
        let facts = FieldFacts::of(&meta(&json!([our_entry(&["a", "b"])])));
        assert_eq!(facts.ours, Some(expected(&["b", "a"], "u-1")));
        assert_eq!(facts.foreign, None);
        for other in [
            expected(&["a"], "u-1"),
            expected(&["a", "b", "c"], "u-1"),
            expected(&["a", "b"], "u-2"),
        ] {
            assert_ne!(facts.ours, Some(other));
        }
        let immutable = expected(&["a", "b"], "u-1").with([Field::Immutable]);
        assert_ne!(facts.ours, Some(immutable));
        // Sums of the same parts in another order.
        let parts = [
            Field::Data("a"),
            Field::Label("a"),
            Field::Annotation("a"),
            Field::Type,
        ];
        let reversed = FieldSet::default().with(parts.into_iter().rev());
        assert_eq!(FieldSet::default().with(parts), reversed);
        assert_ne!(
            FieldSet::default().with([parts[0]]),
            FieldSet::default().with([parts[1]])
        );
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
        assert_eq!((facts.ours, facts.foreign), (Some(expected(&["a"], "u-1")), None));

        for field in [
            json!({"f:data": {"f:a": {}}}),
            json!({"f:stringData": {"f:a": {}}}),
            json!({"f:type": {}}),
            json!({"f:immutable": {}}),
        ] {
            let edit = json!({"manager": "kubectl-edit", "operation": "Update", "fieldsV1": field});
            let facts = FieldFacts::of(&meta(&json!([our_entry(&["a"]), edit])));
            assert_eq!(manager(&facts), Some("kubectl-edit"), "{field}");
        }
        let own_update = json!({"manager": "envelope-secrets", "operation": "Update", "fieldsV1": {"f:data": {"f:a": {}}}});
        let facts = FieldFacts::of(&meta(&json!([own_update])));
        assert_eq!(
            (facts.ours, manager(&facts)),
            (None, Some("envelope-secrets")),
            "only our Apply entry counts as ours"
        );
    }

    #[test]
    fn entries_of_ours_that_another_manager_owns_are_named() {
        let owned = |field: &str, keys: &[&str]| {
            let names: serde_json::Map<String, Value> =
                keys.iter().map(|key| (format!("f:{key}"), json!({}))).collect();
            json!({"manager": "helm", "operation": "Update", "fieldsV1": {field: names}})
        };
        let contested = |others: &[Value]| {
            let entries = [&[our_entry(&["a", "b", "c"])], others].concat();
            let foreign = FieldFacts::of(&meta(&json!(entries)))
                .foreign
                .expect("foreign content");
            foreign
                .contested
                .iter()
                .map(ToString::to_string)
                .collect::<Vec<_>>()
        };
        assert!(
            contested(&[owned("f:data", &["x", "y"])]).is_empty(),
            "its own entries only"
        );
        assert_eq!(contested(&[owned("f:data", &["b", "x"])]), ["b"]);
        assert_eq!(
            contested(&[owned("f:stringData", &["a"]), owned("f:data", &["a", "c"])]),
            ["a", "c"]
        );
        assert_eq!(contested(&[unreadable()]), ["a", "b", "c"], "any of them");
        let many: Vec<String> = (0..100).map(|index| format!("{index:03}")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        let entries = json!([owned("f:data", &many), our_entry(&many)]);
        let foreign = FieldFacts::of(&meta(&entries)).foreign.expect("foreign content");
        assert_eq!(foreign.contested.len(), MAX_CONTESTED);
    }

    /// An entry whose paths multiply a long name.
    fn unreadable() -> Value {
        let leaves: serde_json::Map<String, Value> =
            (0..1000).map(|index| (format!("f:{index}"), json!({}))).collect();
        let fields = json!({ "f:x".repeat(500): leaves });
        json!({"manager": "tenant", "operation": "Update", "fieldsV1": fields})
    }

    #[test]
    fn paths_that_multiply_a_long_name_are_unreadable() {
        let meta = meta(&json!([unreadable()]));
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
        let others = [(
            1,
            BTreeSet::from(["a", "extra"].map(|name| Some(name.to_owned()))),
        )];
        assert_eq!(owned.others, others);
        let odd = json!({"manager": "tenant", "operation": "Update", "fieldsV1":
            {"f:data": {"f:a": {"f:b": {}}, "k:{\"x\":1}": {}, "f:c/d": {}}}});
        let owned = OwnedEntries::of(&meta(&json!([odd])));
        assert_eq!(texts(&owned.data), ["a", "c/d"], "a nested field hides no entry");
        assert!(owned.others[0].1.contains(&None));
        assert_eq!(OwnedEntries::of(&meta(&json!([]))), OwnedEntries::default());
        assert_eq!(OwnedEntries::of(&Meta::default()), OwnedEntries::default());
        assert_eq!(FieldFacts::of(&Meta::default()), FieldFacts::default());
    }
}
