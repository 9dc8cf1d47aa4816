//! Fixtures: a spec with every field, and changes to it.

use serde_json::Value;

use crate::envelope::tests::support::{draft, place, random_key, seal};
use crate::envelope::{Document, StructureError};

/// Returns a valid spec with every field of the format.
pub(super) fn spec() -> Value {
    let mut draft = draft(&[("a", b"1"), ("b", b"2")]);
    draft.audience = Some("dc-1".into());
    draft.template.type_ = Some("Opaque".into());
    draft.template.immutable = Some(true);
    draft.template.labels.insert("app".into(), "db".into());
    draft.template.annotations.insert("note".into(), "x".into());
    draft.template.data.insert("host".into(), "db".into());
    draft.template.render.insert("dsn".into(), "<%= v.a %>".into());
    serde_json::to_value(seal(draft, &random_key()).spec()).expect("JSON")
}

pub(super) fn parse(spec: &Value) -> Result<Document, StructureError> {
    Document::from_spec_json(spec.to_string().as_bytes(), place())
}

/// Sets the member or item at a JSON pointer.
pub(super) fn set(spec: &mut Value, pointer: &str, value: Value) {
    let (parent, name) = pointer.rsplit_once('/').expect("a pointer");
    match spec.pointer_mut(parent).expect("a parent") {
        Value::Object(members) => drop(members.insert(name.to_owned(), value)),
        Value::Array(items) => items[name.parse::<usize>().expect("an index")] = value,
        other => panic!("{other} has no members"),
    }
}
