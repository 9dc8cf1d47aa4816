//! Documents that the API server rejects, and its messages.

use serde_json::{Value, json};

use crate::support::crd::plane_with_crd;
use crate::support::sealing::{Sealer, draft, object, string_map};

/// Returns kubectl's message for an object that must be rejected.
fn refusal(object: &Value) -> String {
    let output = plane_with_crd()
        .kubectl_output(["create", "-f", "-"], &object.to_string())
        .unwrap();
    assert!(!output.status.success(), "accepted: {object}");
    String::from_utf8(output.stderr).unwrap()
}

/// A valid object in a new namespace.
fn good(prefix: &str) -> Value {
    let namespace = plane_with_crd().namespace(prefix).unwrap();
    let mut draft = draft(
        &namespace,
        "bad",
        &[("password", b"correct horse".as_slice()), ("user", b"app")],
    );
    draft.template.data = string_map(&[("host", "db")]);
    object(&Sealer::new(2).seal(draft))
}

/// Sets each value at its path under `spec` of a valid object (null removes the member) and checks the message of the
/// rejection.
fn refused(prefix: &str, rows: &[(&str, Value, &str)]) {
    let good = good(prefix);
    for (path, value, expected) in rows {
        let mut object = good.clone();
        put(&mut object["spec"], path, value);
        let said = refusal(&object);
        assert!(
            said.starts_with("The EnvelopeSecret \"bad\" is invalid:"),
            "{path}: {said}"
        );
        assert!(said.contains(expected), "{path} = {value}: {said}");
    }
    // The object that all rows start from is valid.
    let input = good.to_string();
    plane_with_crd()
        .kubectl_with_input(["create", "-f", "-"], &input)
        .unwrap();
}

#[test]
fn missing_field_is_named() {
    let paths = [
        "/format",
        "/scope",
        "/id",
        "/dataKeys",
        "/encryptedData",
        "/seal",
        "/seal/key",
        "/seal/time",
        "/seal/mac",
        "/dataKeys/0/id",
        "/dataKeys/0/commitment",
        "/dataKeys/0/templateMac",
        "/dataKeys/0/wraps",
        "/dataKeys/0/wraps/0/key",
        "/dataKeys/0/wraps/0/ciphertext",
    ];
    let said = |path: &str| {
        format!(
            "spec{}: Required value",
            path.replace("/0", "[0]").replace('/', ".")
        )
    };
    let expected = paths.map(said);
    let rows: Vec<_> = paths
        .iter()
        .zip(&expected)
        .map(|(path, said)| (*path, Value::Null, said.as_str()))
        .collect();
    refused("missing", &rows);
    let mut object = good("no-spec");
    object.as_object_mut().unwrap().remove("spec").unwrap();
    assert!(refusal(&object).contains("spec: Required value"));
}

#[test]
fn wrong_type_is_named() {
    let is = |path: &str, wanted: &str, found: &str| {
        format!("{path} in body must be of type {wanted}: \"{found}\"")
    };
    refused(
        "types",
        &[
            (
                "/dataKeys/0/id",
                json!(12_345_678),
                &is("spec.dataKeys[0].id", "string", "integer"),
            ),
            (
                "/seal/key",
                json!(1.2e45),
                &is("spec.seal.key", "string", "number"),
            ),
            (
                "/encryptedData",
                json!([]),
                &is("spec.encryptedData", "object", "array"),
            ),
            (
                "/encryptedData/user",
                json!({}),
                &is("spec.encryptedData.user", "string", "object"),
            ),
            ("/dataKeys", json!({}), &is("spec.dataKeys", "array", "object")),
            (
                "/template",
                json!({"immutable": "true"}),
                &is("spec.template.immutable", "boolean", "string"),
            ),
            (
                "/template",
                json!({"data": {"port": 5432}}),
                &is("spec.template.data.port", "string", "integer"),
            ),
            (
                "/template",
                json!({"metadata": {"labels": {"on": true}}}),
                &is("spec.template.metadata.labels.on", "string", "boolean"),
            ),
        ],
    );
}

#[test]
fn malformed_string_is_named() {
    let form = |path: &str, pattern: &str| format!("{path} in body should match '^{pattern}");
    let text = |text: &str| json!(text);
    let time = form("spec.seal.time", "(19[7-9][0-9]|[2-9][0-9]{3})-");
    let key_uri = form("spec.dataKeys[0].wraps[0].key", "[a-z][a-z0-9-]{1,31}://");
    refused(
        "forms",
        &[
            (
                "/dataKeys/0/id",
                text("69E86D38"),
                &form("spec.dataKeys[0].id", "[0-9a-f]{8}$'"),
            ),
            ("/dataKeys/0/wraps/0/key", text("fa1975b2"), &key_uri),
            (
                "/dataKeys/0/wraps/0/key",
                json!(format!("local://{}", "x".repeat(991))),
                &key_uri,
            ),
            ("/id", text("short"), &form("spec.id", "[A-Za-z0-9_-]{42}")),
            // Unused trailing bits that are not zero.
            (
                "/id",
                json!(format!("{}B", "A".repeat(42))),
                &form("spec.id", "[A-Za-z0-9_-]{42}"),
            ),
            ("/audience", text("Prod"), &form("spec.audience", "[a-z0-9]")),
            ("/audience", text("prod\n"), &form("spec.audience", "[a-z0-9]")),
            (
                "/scope",
                text("global"),
                "spec.scope: Unsupported value: \"global\": supported values: \"strict\", \"namespace-wide\", \"cluster-wide\"",
            ),
            (
                "/seal/time",
                text("2026-02-30T00:00:00Z"),
                "spec.seal.time in body must be of type date-time: \"2026-02-30T00:00:00Z\"",
            ),
            ("/seal/time", text("2026-02-28T00:00:60Z"), &time),
            ("/seal/time", text("2026-02-28T24:00:00Z"), &time),
            ("/seal/time", text("2026-02-28 00:00:00Z"), &time),
            ("/seal/time", text("1969-12-31T23:59:59Z"), &time),
            (
                "/seal/time",
                text("2026-02-28T00:00:00Z\n"),
                "spec.seal.time: Too long: may not be more than 20 bytes",
            ),
            (
                "/template",
                json!({"metadata": {"labels": {"a": "not a value"}}}),
                &form("spec.template.metadata.labels.a", "([A-Za-z0-9]"),
            ),
            (
                "/template",
                json!({"type": "a b"}),
                &form("spec.template.type", "[!-~]+$'"),
            ),
            (
                "/dataKeys",
                json!([]),
                "spec.dataKeys in body should have at least 1 items",
            ),
            (
                "/dataKeys/0/wraps",
                json!([]),
                "spec.dataKeys[0].wraps in body should have at least 1 items",
            ),
            (
                "/template",
                json!({"render": many(65)}),
                "spec.template.render: Too many: 65: must have at most 64 items",
            ),
        ],
    );
}

#[test]
fn inconsistent_parts_are_named() {
    let cel = |path: &str, message: &str| format!("{path}: Invalid value: \"object\": {message}");
    let seal_key = cel(
        "spec.seal.key",
        "must be the id of one of spec.dataKeys; re-seal the document",
    );
    let foreign = cel(
        "spec.encryptedData",
        "a value does not begin with the id of one of spec.dataKeys and a dot",
    );
    let name = cel(
        "spec.encryptedData",
        "the name of an entry must have 1 to 253 letters",
    );
    let twice = cel(
        "spec.template.render",
        "an entry is also in spec.encryptedData or spec.template.data",
    );
    refused(
        "parts",
        &[
            ("/seal/key", json!("00000000"), &seal_key),
            ("/encryptedData/user", json!("00000000.AAAA"), &foreign),
            ("/encryptedData/user", json!(""), &foreign),
            ("/encryptedData/a b", json!("00000000.AAAA"), &name),
            ("/encryptedData/..x", json!("00000000.AAAA"), &name),
            (
                "/template/data/user",
                json!("x"),
                &cel("spec.template.data", "an entry is also in spec.encryptedData"),
            ),
            ("/template", json!({"render": {"user": "x"}}), &twice),
            (
                "/template",
                json!({"data": {"host": "a"}, "render": {"host": "b"}}),
                &twice,
            ),
            (
                "/template",
                json!({"data": many(1023)}),
                &cel("spec", "a Secret has at most 1024 entries"),
            ),
        ],
    );
    let good = good("twins");
    let mut object = good.clone();
    let twin = object["spec"]["dataKeys"][0].clone();
    object["spec"]["dataKeys"].as_array_mut().unwrap().push(twin);
    assert!(refusal(&object).contains(&cel("spec.dataKeys", "two data keys have the same id")));
    let mut object = good.clone();
    let twin = object["spec"]["dataKeys"][0]["wraps"][0].clone();
    object["spec"]["dataKeys"][0]["wraps"][1] = twin;
    assert!(refusal(&object).contains(&cel("spec.dataKeys[0].wraps", "two wraps have the same KMS key")));
    let mut object = good;
    let mut unused = object["spec"]["dataKeys"][0].clone();
    unused["id"] = json!("abcdef00");
    object["spec"]["dataKeys"].as_array_mut().unwrap().push(unused);
    assert!(refusal(&object).contains(&cel(
        "spec.dataKeys",
        "a data key is used neither by a value nor by the seal"
    )));
}

/// Returns `count` entries.
fn many(count: usize) -> Value {
    (0..count)
        .map(|n| (format!("e{n}"), json!("x")))
        .collect::<serde_json::Map<_, _>>()
        .into()
}

/// Sets the member at `path`, or removes it if `value` is null.
fn put(spec: &mut Value, path: &str, value: &Value) {
    let (parent, name) = path.rsplit_once('/').unwrap();
    let parent = spec.pointer_mut(parent).unwrap();
    match (parent, value) {
        (Value::Object(members), Value::Null) => {
            members.remove(name).unwrap();
        }
        (Value::Object(members), value) => {
            members.insert(name.to_owned(), value.clone());
        }
        (other, _) => panic!("{path}: {other}"),
    }
}

/// docs/troubleshooting.md explains this message: keep both in step.
#[test]
fn newer_format_is_rejected_with_the_documented_message() {
    let mut object = good("newer-format");
    object["spec"]["format"] = json!("es2");
    let expected = "The EnvelopeSecret \"bad\" is invalid: \n\
        * spec.format: Unsupported value: \"es2\": supported values: \"es1\"\n\
        * <nil>: Invalid value: null: some validation rules were not checked because the object was invalid; correct the existing errors to complete validation\n";
    assert_eq!(refusal(&object), expected);
    let page =
        std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/troubleshooting.md")).unwrap();
    let first = expected.lines().nth(1).unwrap().trim_start_matches("* ");
    assert!(
        page.contains(first),
        "docs/troubleshooting.md does not contain: {first}"
    );

    object["spec"]["format"] = json!("es10-preview");
    let longer = refusal(&object);
    assert_eq!(longer, expected.replace("es2", "es10-preview"));
    object["spec"]["format"] = json!("es2");
    // With fields that only es2 has, and without some of es1, the message still names the format.
    object["spec"]["targets"] = json!(["a", "b"]);
    object["spec"]["seal"] = json!({"signature": "x"});
    let said = refusal(&object);
    assert!(said.contains(first), "{said}");
}

#[test]
fn plaintext_value_is_rejected_and_never_quoted() {
    let good = good("plain-text");
    let planted = "planted-in-a-refusal";
    for path in [
        "/encryptedData/password",
        "/encryptedData/new",
        "/encryptedData/a b",
    ] {
        let mut object = good.clone();
        put(&mut object["spec"], path, &json!(planted));
        let said = refusal(&object);
        assert!(said.contains("spec.encryptedData"), "{said}");
        assert!(!said.contains(planted), "{said}");
    }
    // Very long values, and values in the other maps that users write.
    let long = planted.repeat(80_000);
    let rows = [
        ("/encryptedData/password", json!(long)),
        ("/template", json!({"data": {"host": long}})),
        ("/template", json!({"render": {"dsn": long}})),
        ("/template", json!({"data": {"user": planted}})),
        ("/template", json!({"data": {"a b": planted}})),
        ("/template", json!({"render": {"user": planted}})),
    ];
    for (path, value) in rows {
        let mut object = good.clone();
        put(&mut object["spec"], path, &value);
        let said = refusal(&object);
        assert!(!said.contains(planted), "{}", &said[..said.len().min(2000)]);
    }
}
