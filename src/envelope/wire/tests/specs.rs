//! Whole specs: field order, required and unknown fields, limits.

use serde_json::{Value, json};

use super::support::{parse, set, spec};
use crate::envelope::StructureKind;
use crate::envelope::encoding::to_base64url;
use crate::envelope::tests::support::{draft, random_key, seal};

#[test]
fn fields_are_serialized_in_the_order_of_the_format() {
    let assert_order = |value: &str, names: &[&str]| {
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
    let document = parse(&spec()).expect("valid");
    let text = serde_json::to_string(document.spec()).expect("JSON");
    assert_order(
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
    assert_order(
        &text,
        &["commitment", "templateMac", "wraps", "key", "ciphertext"],
    );
    assert_order(
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
    assert_order(
        &text[text.find("\"seal\"").expect("present")..],
        &["key", "time", "mac"],
    );
}

#[test]
fn empty_maps_are_omitted_and_equivalent_to_absent_ones() {
    let document = seal(draft(&[]), &random_key());
    let mut written = serde_json::to_value(document.spec()).expect("JSON");
    assert!(written.get("template").is_none() && written.get("audience").is_none());
    assert_eq!(written["encryptedData"], json!({}));
    for template in [
        json!({}),
        json!({"metadata": {}}),
        json!({"metadata": {"labels": {}, "annotations": {}}, "data": {}, "render": {}}),
    ] {
        written["template"] = template;
        let again = parse(&written).expect("valid");
        assert_eq!(
            (again.spec(), again.digest()),
            (document.spec(), document.digest())
        );
    }
    written["template"] = json!({"immutable": false});
    let other = parse(&written).expect("valid");
    assert_ne!(
        other.transcript(),
        document.transcript(),
        "false differs from absent"
    );
    assert_eq!(
        serde_json::to_value(other.spec()).expect("JSON")["template"],
        json!({"immutable": false}),
        "carried over unchanged"
    );
}

#[test]
fn missing_required_field_is_refused() {
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
            .expect("present")
            .as_object_mut()
            .expect("a map");
        parent.remove(name).expect("present");
        let error = parse(&changed).expect_err(&pointer);
        assert_eq!(error.what, "is missing", "{pointer}");
        assert!(error.field.ends_with(&format!(".{name}")), "{pointer}: {error}");
    }
}

#[test]
fn unknown_field_is_refused_in_every_map() {
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
        let error = parse(&changed).expect_err(field);
        assert_eq!(
            (error.field.as_str(), error.kind),
            (field, StructureKind::UnknownField)
        );
    }
}

#[test]
fn format_is_checked_before_anything_else() {
    let later = json!({"format": "es2", "future": "field"});
    let error = parse(&later).expect_err("another format");
    assert_eq!(error.kind, StructureKind::UnknownFormat("es2".into()));
    assert_eq!(
        error.to_string(),
        "spec.format: this version reads es1 only, not \"es2\""
    );
    let error = parse(&json!({"format": "x".repeat(1000)})).expect_err("another format");
    assert!(error.to_string().len() < 120, "{error}");
    assert_eq!(
        parse(&json!({})).expect_err("nothing").to_string(),
        "spec.format: is missing"
    );
    assert_eq!(
        parse(&json!([])).expect_err("a list").to_string(),
        "spec: must be a map, not a list"
    );
}

#[test]
fn limits_are_inclusive() {
    let mut document = spec();
    let wraps = |n: usize| -> Value {
        (0..n)
            .map(|i| json!({"key": format!("local://{i}"), "ciphertext": "x"}))
            .collect()
    };
    document["dataKeys"][0]["wraps"] = wraps(8);
    assert!(parse(&document).is_ok());
    document["dataKeys"][0]["wraps"] = wraps(9);
    assert_eq!(
        parse(&document).expect_err("nine").field,
        "spec.dataKeys[0].wraps"
    );

    let mut document = spec();
    let names = |n: usize| -> Value { (0..n).map(|i| (format!("n{i}"), json!(""))).collect() };
    document["template"]["data"] = names(1024 - 3); // besides a, b and dsn
    assert!(parse(&document).is_ok());
    document["template"]["data"] = names(1024 - 2);
    assert!(parse(&document).expect_err("1025 names").what.contains("1024"));

    let mut document = spec();
    let texts = |n: usize, length: usize| -> Value {
        (0..n)
            .map(|i| (format!("n{i}"), json!("x".repeat(length))))
            .collect()
    };
    document["template"]["render"] = texts(64, 10);
    assert!(parse(&document).is_ok());
    document["template"]["render"] = texts(65, 10);
    assert_eq!(
        parse(&document).expect_err("65 texts").field,
        "spec.template.render"
    );
    document["template"]["render"] = texts(1, 65_536);
    assert!(parse(&document).is_ok());
    document["template"]["render"] = texts(1, 65_537);
    assert_eq!(
        parse(&document).expect_err("too long").field,
        "spec.template.render.n0"
    );
}

#[test]
fn total_payload_size_is_limited() {
    let parse_with = |extra: usize| {
        let mut document = spec();
        let id = document["seal"]["key"].as_str().expect("an id").to_owned();
        let payload = |n: usize| json!(format!("{id}.{}", to_base64url(&vec![0; n])));
        document["encryptedData"] = json!({"a": payload(1_048_576 + 96), "b": payload(96 + extra)});
        parse(&document)
    };
    assert!(parse_with(0).is_ok());
    assert_eq!(
        parse_with(1).expect_err("one byte more").field,
        "spec.encryptedData"
    );
}
