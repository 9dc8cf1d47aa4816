//! The printed CRD: the file in the repository, and what its schema must and must not contain.

use envelope_secrets::api;
use serde_json::Value;

use super::CRD_FILE;

fn crd() -> Value {
    serde_json::to_value(api::crd()).expect("JSON")
}

/// The schema of the whole object, as JSON.
fn schema() -> Value {
    crd()["spec"]["versions"][0]["schema"]["openAPIV3Schema"].clone()
}

/// Calls `visit` with the path and schema of every level.
fn walk(path: &str, schema: &Value, visit: &mut dyn FnMut(&str, &Value)) {
    visit(path, schema);
    for (name, property) in schema["properties"].as_object().into_iter().flatten() {
        walk(&format!("{path}.{name}"), property, visit);
    }
    for (word, sign) in [("items", "[]"), ("additionalProperties", "{}")] {
        if schema.get(word).is_some_and(Value::is_object) {
            walk(&format!("{path}{sign}"), &schema[word], visit);
        }
    }
}

/// Returns the paths of `part` for which `holds` is true.
fn paths(part: &str, holds: impl Fn(&Value) -> bool) -> Vec<String> {
    let mut found = Vec::new();
    walk(part, &schema()["properties"][part], &mut |path, schema| {
        if holds(schema) {
            found.push(path.to_owned());
        }
    });
    found
}

#[test]
fn file_in_the_repository_equals_the_printed_crd() {
    let file = std::fs::read_to_string(CRD_FILE).expect(CRD_FILE);
    let printed = api::crd_yaml().expect("YAML");
    assert!(
        file == printed,
        "crds/envelopesecrets.yaml differs from the output of `envelope crd`; run: cargo xtask generate"
    );
    let read: Value = serde_saphyr::from_str(&file).expect("YAML");
    assert_eq!(read, crd(), "the YAML has the content of the types");
    assert!(file.len() < 100 * 1024, "{} bytes", file.len());
}

#[test]
fn only_status_has_a_default() {
    assert_eq!(paths("spec", |schema| schema.get("default").is_some()), [""; 0]);
    assert_eq!(
        paths("status", |schema| schema.get("default").is_some()),
        ["status"]
    );
    let status = &schema()["properties"]["status"];
    assert_eq!(status["default"], serde_json::json!({"observedGeneration": -1}));
    assert!(
        status["properties"]["observedGeneration"]
            .get("minimum")
            .is_none()
    );
}

#[test]
fn nothing_under_spec_is_pruned() {
    // A map of strings keeps every key; every object with properties must be declared to.
    let objects = paths("spec", |schema| schema.get("properties").is_some());
    let open = paths("spec", |schema| {
        schema["x-kubernetes-preserve-unknown-fields"] == true
    });
    assert_eq!(objects, open);
    assert_eq!(
        objects,
        [
            "spec",
            "spec.dataKeys[]",
            "spec.dataKeys[].wraps[]",
            "spec.seal",
            "spec.template",
            "spec.template.metadata"
        ]
    );
}

#[test]
fn maps_and_lists_are_atomic() {
    let is = |type_: &'static str| move |schema: &Value| schema["type"] == type_;
    for part in ["spec", "status"] {
        let lists = paths(part, is("array"));
        let atomic = paths(part, |schema| schema["x-kubernetes-list-type"] == "atomic");
        let by_key: Vec<String> = lists.into_iter().filter(|path| !atomic.contains(path)).collect();
        let expected: &[&str] = if part == "status" {
            &["status.conditions"]
        } else {
            &[]
        };
        assert_eq!(by_key, expected);
        let maps = paths(part, is("object"));
        let atomic = paths(part, |schema| schema["x-kubernetes-map-type"] == "atomic");
        let granular: Vec<String> = maps.into_iter().filter(|path| !atomic.contains(path)).collect();
        // Conditions are merged by type, and status by field: both have only one writer.
        let expected: &[&str] = if part == "status" {
            &["status", "status.conditions[]"]
        } else {
            &[]
        };
        assert_eq!(granular, expected);
    }
    let conditions = &schema()["properties"]["status"]["properties"]["conditions"];
    assert_eq!(conditions["x-kubernetes-list-type"], "map");
    assert_eq!(
        conditions["x-kubernetes-list-map-keys"],
        serde_json::json!(["type"])
    );
}

#[test]
fn every_field_has_a_maximum_and_a_description() {
    for part in ["spec", "status"] {
        walk(part, &schema()["properties"][part], &mut |path, schema| {
            let bound = match schema["type"].as_str() {
                Some("string") => schema["maxLength"].as_i64(),
                Some("array") => schema["maxItems"].as_i64(),
                Some("object") if schema.get("properties").is_none() => schema["maxProperties"].as_i64(),
                Some("object" | "integer" | "boolean") => Some(0),
                other => panic!("{path}: type {other:?}"),
            };
            assert!(bound.is_some(), "{path} has no bound");
            let described = schema["description"].as_str().is_some_and(|text| text.len() > 8);
            assert!(described, "{path} has no description");
            // The API server supports these formats, but no unsigned ones.
            let format = schema["format"].as_str();
            assert!(
                matches!(format, None | Some("int64" | "date-time")),
                "{path}: format {format:?}"
            );
        });
    }
}

#[test]
fn names_columns_and_selectable_fields_are_as_documented() {
    let crd = crd();
    let names = &crd["spec"]["names"];
    assert_eq!(names["plural"], "envelopesecrets");
    assert_eq!(names["shortNames"], serde_json::json!(["envsec"]));
    // With `all`, `kubectl delete all --all` would delete sealed documents.
    assert_eq!(names["categories"], serde_json::json!(["envelope-secrets"]));
    let version = &crd["spec"]["versions"][0];
    let selectable: Vec<&Value> = version["selectableFields"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|f| &f["jsonPath"])
        .collect();
    assert_eq!(selectable, [".spec.scope", ".spec.audience", ".status.kmsKey"]);
    let column = |column: &Value| {
        format!(
            "{}{}",
            column["name"].as_str().unwrap_or_default(),
            if column["priority"] == 1 { " (wide)" } else { "" }
        )
    };
    let columns: Vec<String> = version["additionalPrinterColumns"]
        .as_array()
        .expect("a list")
        .iter()
        .map(column)
        .collect();
    assert_eq!(
        columns,
        [
            "Ready",
            "Reason",
            "Age",
            "Key (wide)",
            "Entries (wide)",
            "Sealed (wide)",
            "Suspended (wide)"
        ]
    );
    assert_eq!(version["subresources"], serde_json::json!({"status": {}}));
}

#[test]
fn fields_that_may_contain_plaintext_have_no_quoting_validation() {
    // An error of `pattern` or `enum` quotes the value. A value written in plain text by mistake must not end up in the
    // events of a GitOps tool: fields for values have only maximum sizes and CEL rules.
    let quoting = paths("spec", |schema| {
        schema.get("pattern").is_some() || schema.get("enum").is_some()
    });
    for map in [
        "spec.encryptedData{}",
        "spec.template.data{}",
        "spec.template.render{}",
    ] {
        assert!(!quoting.iter().any(|path| path == map), "{map}");
    }
}
