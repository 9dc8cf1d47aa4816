//! What is refused, and which field is named. The vectors have many more documents; they name no field.

mod fields;
mod objects;

use serde_json::{Value, json};

use super::*;
use crate::envelope::tests::{draft, key, seal};
use crate::envelope::{Place, StructureError, StructureKind};

/// A valid spec with all fields.
fn spec() -> Value {
    let mut draft = draft(&[("a", b"1"), ("b", b"2")]);
    draft.audience = Some("dc-1".into());
    draft.template.type_ = Some("Opaque".into());
    draft.template.immutable = Some(true);
    draft.template.labels.insert("app".into(), "db".into());
    draft.template.annotations.insert("note".into(), "x".into());
    draft.template.data.insert("host".into(), "db".into());
    draft.template.render.insert("dsn".into(), "<%= v.a %>".into());
    serde_json::to_value(seal(draft, &key()).spec()).expect("JSON")
}

fn place() -> Place {
    Place::new(Some("prod"), "db").expect("a place")
}

fn read(spec: &Value) -> Result<Document, StructureError> {
    Document::from_spec_json(spec.to_string().as_bytes(), place())
}

/// Sets what the pointer names.
fn set(spec: &mut Value, pointer: &str, value: Value) {
    let (parent, name) = pointer.rsplit_once('/').expect("a pointer");
    match spec.pointer_mut(parent).expect("its parent is there") {
        Value::Object(members) => drop(members.insert(name.to_owned(), value)),
        Value::Array(items) => items[name.parse::<usize>().expect("an index")] = value,
        other => panic!("{other} has no members"),
    }
}

#[test]
fn fields_are_written_in_the_order_of_the_format() {
    let order = |value: &str, names: &[&str]| {
        let at: Vec<usize> = names
            .iter()
            .map(|name| {
                value
                    .find(&format!("\"{name}\":"))
                    .unwrap_or_else(|| panic!("{name}: {value}"))
            })
            .collect();
        assert!(at.is_sorted(), "{names:?}: {value}");
    };
    let document = read(&spec()).expect("valid");
    let text = serde_json::to_string(document.spec()).expect("JSON");
    order(
        &text,
        &[
            "format",
            "scope",
            "audience",
            "id",
            "dataKeys",
            "encryptedData",
            "template",
            "seal",
        ],
    );
    order(
        &text,
        &["commitment", "templateMac", "wraps", "key", "ciphertext"],
    );
    order(
        &text,
        &[
            "type",
            "immutable",
            "metadata",
            "labels",
            "annotations",
            "data",
            "render",
        ],
    );
    order(
        &text[text.find("\"seal\"").expect("there")..],
        &["key", "time", "mac"],
    );
}

#[test]
fn what_is_empty_is_left_out_and_read_as_the_same() {
    let document = seal(draft(&[]), &key());
    let mut written = serde_json::to_value(document.spec()).expect("JSON");
    assert!(written.get("template").is_none() && written.get("audience").is_none());
    assert_eq!(written["encryptedData"], json!({}));
    for template in [
        json!({}),
        json!({"metadata": {}}),
        json!({"metadata": {"labels": {}, "annotations": {}}, "data": {}, "render": {}}),
    ] {
        written["template"] = template;
        let again = read(&written).expect("valid");
        assert_eq!(
            (again.spec(), again.digest()),
            (document.spec(), document.digest())
        );
    }
    written["template"] = json!({"immutable": false});
    let other = read(&written).expect("valid");
    assert_ne!(
        other.manifest(),
        document.manifest(),
        "false is not the same as absent"
    );
    assert_eq!(
        serde_json::to_value(other.spec()).expect("JSON")["template"],
        json!({"immutable": false}),
        "carried as it stands"
    );
}

#[test]
fn every_required_field_is_required() {
    let mut pointers: Vec<String> = ["format", "scope", "id", "dataKeys", "encryptedData", "seal"]
        .map(|name| format!("/{name}"))
        .into();
    pointers.extend(["id", "commitment", "templateMac", "wraps"].map(|name| format!("/dataKeys/0/{name}")));
    pointers.extend(["key", "ciphertext"].map(|name| format!("/dataKeys/0/wraps/0/{name}")));
    pointers.extend(["key", "time", "mac"].map(|name| format!("/seal/{name}")));
    for pointer in pointers {
        let mut changed = spec();
        let (parent, name) = pointer.rsplit_once('/').expect("a pointer");
        let parent = changed
            .pointer_mut(parent)
            .expect("there")
            .as_object_mut()
            .expect("a map");
        parent.remove(name).expect("there");
        let error = read(&changed).expect_err(&pointer);
        assert_eq!(error.what, "is missing", "{pointer}");
        assert!(error.field.ends_with(&format!(".{name}")), "{pointer}: {error}");
    }
}

#[test]
fn no_map_takes_an_unknown_field() {
    for (parent, field) in [
        ("", "spec.new"),
        ("/dataKeys/0", "spec.dataKeys[0].new"),
        ("/dataKeys/0/wraps/0", "spec.dataKeys[0].wraps[0].new"),
        ("/template", "spec.template.new"),
        ("/template/metadata", "spec.template.metadata.new"),
        ("/seal", "spec.seal.new"),
    ] {
        let mut changed = spec();
        set(&mut changed, &format!("{parent}/new"), json!("x"));
        let error = read(&changed).expect_err(field);
        assert_eq!(
            (error.field.as_str(), error.kind),
            (field, StructureKind::UnknownField)
        );
    }
}

#[test]
fn the_format_is_looked_at_before_anything_else() {
    let later = json!({"format": "es2", "what": "no one knows"});
    let error = read(&later).expect_err("another format");
    assert_eq!(error.kind, StructureKind::UnknownFormat("es2".into()));
    assert_eq!(
        error.to_string(),
        "spec.format: this version reads es1 only, not \"es2\""
    );
    let error = read(&json!({"format": "x".repeat(1000)})).expect_err("another format");
    assert!(error.to_string().len() < 120, "{error}");
    assert_eq!(
        read(&json!({})).expect_err("nothing").to_string(),
        "spec.format: is missing"
    );
    assert_eq!(
        read(&json!([])).expect_err("a list").to_string(),
        "spec: must be a map, not a list"
    );
}

#[test]
fn limits_are_reached_and_not_passed() {
    let mut document = spec();
    let wraps = |n: usize| -> Value {
        (0..n)
            .map(|i| json!({"key": format!("local://{i}"), "ciphertext": "x"}))
            .collect()
    };
    document["dataKeys"][0]["wraps"] = wraps(8);
    assert!(read(&document).is_ok());
    document["dataKeys"][0]["wraps"] = wraps(9);
    assert_eq!(read(&document).expect_err("nine").field, "spec.dataKeys[0].wraps");

    let mut document = spec();
    let names = |n: usize| -> Value { (0..n).map(|i| (format!("n{i}"), json!(""))).collect() };
    document["template"]["data"] = names(1024 - 3); // a, b and dsn are there
    assert!(read(&document).is_ok());
    document["template"]["data"] = names(1024 - 2);
    assert!(read(&document).expect_err("1025 names").what.contains("1024"));

    let mut document = spec();
    let texts = |n: usize, length: usize| -> Value {
        (0..n)
            .map(|i| (format!("n{i}"), json!("x".repeat(length))))
            .collect()
    };
    document["template"]["render"] = texts(64, 10);
    assert!(read(&document).is_ok());
    document["template"]["render"] = texts(65, 10);
    assert_eq!(
        read(&document).expect_err("65 texts").field,
        "spec.template.render"
    );
    document["template"]["render"] = texts(1, 65_536);
    assert!(read(&document).is_ok());
    document["template"]["render"] = texts(1, 65_537);
    assert_eq!(
        read(&document).expect_err("too long").field,
        "spec.template.render.n0"
    );
}

#[test]
fn payload_bytes_have_a_limit_that_any_writable_document_keeps() {
    let limit = |extra: usize| {
        let mut document = spec();
        let id = document["seal"]["key"].as_str().expect("an id").to_owned();
        let payload = |n: usize| {
            json!(format!(
                "{id}.{}",
                crate::envelope::encoding::to_base64url(&vec![0; n])
            ))
        };
        document["encryptedData"] = json!({"a": payload(1_048_576 + 96), "b": payload(96 + extra)});
        read(&document)
    };
    assert!(limit(0).is_ok());
    assert_eq!(limit(1).expect_err("one byte more").field, "spec.encryptedData");
}
