//! One invalid field at a time.

use serde_json::{Value, json};

use super::support::{parse, set, spec};
use crate::envelope::StructureKind;

/// A JSON pointer, the value to set there, the field of the error, and a part of its text.
type Case = (&'static str, Value, &'static str, &'static str);

#[rustfmt::skip] // one case per line
fn cases() -> Vec<Case> {
    vec![
        ("/scope", json!("global"), "spec.scope", "strict"),
        ("/scope", json!(null), "spec.scope", "not null"),
        ("/audience", json!("A"), "spec.audience", "letter"),
        ("/id", json!("AA"), "spec.id", "43 characters"),
        ("/id", json!(7), "spec.id", "must be a string, not a number"),
        ("/dataKeys", json!([]), "spec.dataKeys", "1 to 8"),
        ("/dataKeys", json!({}), "spec.dataKeys", "must be a list, not a map"),
        ("/dataKeys/0/id", json!("69E86D38"), "spec.dataKeys[0].id", "hex"),
        ("/dataKeys/0/id", json!("00000000"), "spec.dataKeys[0].id", "commitment"),
        ("/dataKeys/0/wraps", json!([]), "spec.dataKeys[0].wraps", "1 to 8"),
        ("/dataKeys/0/wraps", json!([{"key": "local://a", "ciphertext": "x"}, {"key": "x", "ciphertext": "x"}]), "spec.dataKeys[0].wraps[1].key", "key URI"),
        ("/dataKeys/0/wraps", json!([{"key": "local://a", "ciphertext": "x"}, {"key": "local://a", "ciphertext": "x"}]), "spec.dataKeys[0].wraps[1].key", "duplicate"),
        ("/dataKeys/0/wraps/0/ciphertext", json!("x".repeat(4097)), "spec.dataKeys[0].wraps[0].ciphertext", "4096"),
        ("/encryptedData/a", json!("plain text"), "spec.encryptedData.a", "seal the value"),
        ("/encryptedData/a", json!("abcdef01.AA"), "spec.encryptedData.a", "data key"),
        ("/encryptedData/a b", json!("abcdef01.AA"), "spec.encryptedData", "data key"),
        ("/template/type", json!(""), "spec.template.type", "1 to 253"),
        ("/template/immutable", json!("true"), "spec.template.immutable", "true or false"),
        ("/template/metadata/labels/app", json!("a b"), "spec.template.metadata.labels.app", "63"),
        ("/template/metadata/labels/a b", json!(""), "spec.template.metadata.labels[\"a b\"]", "label or annotation key"),
        ("/template/metadata/annotations/note", json!(1), "spec.template.metadata.annotations.note", "string"),
        ("/template/metadata/annotations/note", json!("x".repeat(262_144)), "spec.template.metadata", "262144"),
        ("/template/data/a", json!(""), "spec.template.data.a", "another entry"),
        ("/template/data/..x", json!(""), "spec.template.data[\"..x\"]", "key of a Secret"),
        ("/template/data/big", json!("x".repeat(1_048_575)), "spec.template.data", "1048576"),
        ("/template/render/dsn", json!("\n<%= v. %>"), "spec.template.render.dsn", "line 2"),
        ("/template/render/a", json!(""), "spec.template.render.a", "another entry"),
        ("/seal/key", json!("abcdef01"), "spec.seal.key", "not the id of any data key"),
        ("/seal/time", json!("2026-02-30T00:00:00Z"), "spec.seal.time", "2026"),
        ("/seal/mac", json!("x"), "spec.seal.mac", "32 bytes"),
    ]
}

#[test]
fn error_names_the_invalid_field() {
    for (pointer, value, field, word) in cases() {
        let mut changed = spec();
        set(&mut changed, pointer, value);
        let error = parse(&changed).expect_err(pointer);
        assert!(error.field.starts_with(field), "{pointer}: {error}");
        assert!(error.what.contains(word), "{pointer}: {error}");
        assert_eq!(error.kind, StructureKind::Invalid, "{pointer}");
    }
}
