//! Whole objects: everything around `spec`.

use serde_json::{Value, json};

use super::support::spec;
use crate::envelope::tests::support::{draft, place, random_key, seal};
use crate::envelope::{API_VERSION, Document, KIND, Scope, StructureError};

fn object(metadata: &Value, spec: &Value) -> Value {
    json!({"apiVersion": API_VERSION, "kind": KIND, "metadata": metadata, "spec": spec})
}

fn parse_object(object: &Value, fallback: Option<&str>) -> Result<Document, StructureError> {
    Document::from_object_json(object.to_string().as_bytes(), fallback)
}

#[test]
fn place_comes_from_metadata_and_other_members_are_ignored() {
    let mut whole = object(
        &json!({"name": "db", "namespace": "prod", "labels": {"any": null}, "uid": 7}),
        &spec(),
    );
    whole["status"] = json!({"any": [null, 1.5, {"thing": true}]});
    whole["extra"] = json!(null);
    let document = parse_object(&whole, Some("other")).expect("valid");
    assert_eq!(document.place(), &place());
    for (name, wrong) in [
        ("apiVersion", json!("envelope-secrets.io/v2")),
        ("apiVersion", json!(null)),
        ("kind", json!("Secret")),
        ("metadata", json!([])),
    ] {
        let mut changed = whole.clone();
        changed[name] = wrong;
        assert_eq!(parse_object(&changed, None).expect_err(name).field, name);
        changed.as_object_mut().expect("a map").remove(name);
        assert_eq!(
            parse_object(&changed, None).expect_err(name).to_string(),
            format!("{name}: is missing")
        );
    }
    assert_eq!(
        parse_object(&json!([]), None).expect_err("a list").field,
        "document"
    );
    whole.as_object_mut().expect("a map").remove("spec");
    assert_eq!(parse_object(&whole, None).expect_err("no spec").field, "spec");
}

#[test]
fn missing_namespace_is_completed_from_the_fallback() {
    let parse_at =
        |metadata: Value, fallback: Option<&str>| parse_object(&object(&metadata, &spec()), fallback);
    for absent in [json!({"name": "db"}), json!({"name": "db", "namespace": ""})] {
        let completed = parse_at(absent.clone(), Some("prod")).expect("valid");
        assert_eq!(completed.place(), &place());
        assert_eq!(
            parse_at(absent, None).expect_err("strict").field,
            "metadata.namespace"
        );
    }
    for (metadata, field) in [
        (json!({"name": "db", "namespace": "A"}), "metadata.namespace"),
        (json!({"name": "db", "namespace": null}), "metadata.namespace"),
        (json!({"name": "a/b", "namespace": "prod"}), "metadata.name"),
        (json!({"namespace": "prod"}), "metadata.name"),
    ] {
        assert_eq!(parse_at(metadata, Some("prod")).expect_err(field).field, field);
    }
    let mut wide = draft(&[("a", b"1")]);
    wide.scope = Scope::ClusterWide;
    wide.place.namespace = None;
    let wide = serde_json::to_value(seal(wide, &random_key()).spec()).expect("JSON");
    let document =
        parse_object(&object(&json!({"name": "db"}), &wide), None).expect("a cluster-wide document");
    assert_eq!(document.place().namespace, None);
}

#[test]
fn duplicate_key_is_refused_anywhere() {
    let text = object(&json!({"name": "db", "namespace": "prod"}), &spec()).to_string();
    for (once, twice) in [
        ("\"kind\":", "\"kind\":\"Secret\",\"kind\":"),
        ("\"name\":", "\"name\":\"other\",\"na\\u006de\":"),
        ("\"scope\":", "\"scope\":\"cluster-wide\",\"scope\":"),
        ("\"mac\":", "\"mac\":\"\",\"mac\":"),
    ] {
        let doubled = text.replacen(once, twice, 1);
        assert_ne!(doubled, text);
        let error = Document::from_object_json(doubled.as_bytes(), None).expect_err(once);
        assert!(error.what.contains("duplicate key"), "{error}");
    }
    let with_status = text.replacen('{', "{\"status\":{\"a\":1,\"a\":1},", 1);
    assert!(Document::from_object_json(with_status.as_bytes(), None).is_err());
}
