use super::super::error::ManifestError;
use super::super::node::Node;
use super::super::unpack::Treatment;
use super::super::yaml_read::Aliases;
use super::*;

fn read_fresh(bytes: &[u8]) -> Result<Vec<Part<'_>>, ManifestError> {
    read(bytes, Aliases::Ignore)
}

fn kinds(text: &str) -> Vec<Treatment> {
    let Ok(parts) = read_fresh(text.as_bytes()) else {
        panic!("{text}")
    };
    parts
        .iter()
        .flat_map(Part::objects_to_process)
        .map(|i| i.treatment())
        .collect()
}

#[test]
fn kinds_are_recognized() {
    use Treatment::{Other, Sealed, Secret};
    assert_eq!(
        kinds("apiVersion: v1\nkind: Secret\n---\nkind: ConfigMap\n---\n"),
        [Secret, Other]
    );
    assert_eq!(
        kinds("kind: Secret\n"),
        [Secret],
        "a forgotten apiVersion must not let values through"
    );
    assert_eq!(kinds("apiVersion: example.com/v1\nkind: Secret\n"), [Other]);
    assert_eq!(
        kinds("apiVersion: envelope-secrets.io/v1\nkind: EnvelopeSecret\n"),
        [Sealed]
    );
    assert_eq!(
        kinds("apiVersion: envelope-secrets.io/v2\nkind: EnvelopeSecret\n"),
        [Sealed]
    );
    assert_eq!(kinds("- a\n"), [Other]);
    assert_eq!(kinds("{apiVersion: v1, kind: Secret}"), [Secret]);
    assert_eq!(
        kinds("{\"apiVersion\": \"v1\", \"kind\": \"Secret\"} {\"kind\": \"X\"}"),
        [Secret, Other]
    );
}

#[test]
fn lists_with_secrets_are_unpacked() {
    use Treatment::{Other, Secret};
    let list = "apiVersion: v1\nkind: List\nitems:\n- {kind: ConfigMap}\n- {apiVersion: v1, kind: Secret}\n";
    assert_eq!(kinds(list), [Other, Secret]);
    assert_eq!(
        kinds("apiVersion: v1\nkind: SecretList\nitems:\n- {metadata: {name: a}}\n"),
        [Secret]
    );
    let others = "apiVersion: v1\nkind: List\nitems:\n- {kind: A}\n- {kind: B}\n";
    assert_eq!(kinds(others), [Other], "it stays whole");
    let nested = format!(
        "apiVersion: v1\nkind: List\nitems:\n- {}",
        list.trim().replace('\n', "\n  ")
    );
    assert_eq!(kinds(&nested), [Other, Secret]);
}

#[test]
fn a_sealed_document_with_yaml_features_is_refused() {
    let head = "apiVersion: envelope-secrets.io/v1\nkind: EnvelopeSecret\n";
    let json = |more: &str| {
        let text = format!("{head}{more}");
        let Ok(parts) = read_fresh(text.as_bytes()) else {
            panic!("{text}")
        };
        parts[0].objects_to_process()[0]
            .sealed_json(None)
            .map(|j| String::from_utf8(j).expect("UTF-8"))
    };
    assert_eq!(
        json("spec: {id: 12345678, b: [yes, null]}\n").as_deref(),
        Ok(
            "{\"apiVersion\":\"envelope-secrets.io/v1\",\"kind\":\"EnvelopeSecret\",\"spec\":{\"id\":12345678,\"b\":[\"yes\",null]}}"
        )
    );
    for (more, what) in [
        ("metadata: &m {name: db}\n", "an anchor"),
        ("metadata: {name: !!str db}\n", "a tag"),
        ("metadata: {1: x}\n", "a key that is not a string"),
        ("metadata: {<<: {a: b}}\n", "a merge key"),
    ] {
        assert_eq!(json(more), Err(ManifestError::Irregular { line: 3, what }));
    }
}

#[test]
fn a_byte_order_mark_is_refused_in_json_and_accepted_in_yaml() {
    let sealed = |text: &str| {
        let Ok(parts) = read_fresh(text.as_bytes()) else {
            panic!("{text}")
        };
        parts[0].objects_to_process()[0].sealed_json(None).map(|_| ())
    };
    let json = "{\"apiVersion\":\"envelope-secrets.io/v1\",\"kind\":\"EnvelopeSecret\"}";
    assert_eq!(sealed(json), Ok(()));
    assert_eq!(
        sealed(&format!("\u{feff}\r\n{json}")),
        Err(ManifestError::ByteOrderMark)
    );
    let yaml = "\u{feff}apiVersion: envelope-secrets.io/v1\nkind: EnvelopeSecret\n";
    assert_eq!(sealed(yaml), Ok(()));
    assert_eq!(
        kinds("\u{feff}{\"apiVersion\": \"v1\", \"kind\": \"Secret\"}"),
        [Treatment::Secret]
    );
}

#[test]
fn an_object_that_readers_disagree_on_is_not_rewritten() {
    let Ok(parts) = read_fresh(b"kind: ConfigMap\ndata:\n  a: yes\n") else {
        panic!("YAML")
    };
    let Err(error) = parts[0].objects_to_process()[0].rewritable() else {
        panic!("ambiguous")
    };
    assert!(error.to_string().starts_with("line 3"), "{error}");
    assert!(matches!(read_fresh(b"a: \xff"), Err(ManifestError::NotUtf8)));
}

#[test]
fn lists_are_unpacked_as_kubectl_does() {
    use Treatment::{Other, Sealed, Secret};
    for (text, expected) in [
        (
            "apiVersion: config.kubernetes.io/v1\nkind: ResourceList\nitems:\n- {apiVersion: v1, kind: Secret}\n",
            &[Secret][..],
        ),
        (
            "apiVersion: v1\nkind: SecretList\nitems:\n- {kind: \"\", data: {}}\n",
            &[Secret],
        ),
        (
            "apiVersion: v1\nkind: SecretList\nitems:\n- {kind: null, apiVersion: null}\n",
            &[Secret],
        ),
        (
            "kind: Anything\nitems:\n- {kind: A}\n- {apiVersion: v1, kind: Secret}\n",
            &[Other, Secret],
        ),
        (
            "kind: List\nitems:\n- {apiVersion: envelope-secrets.io/v1, kind: EnvelopeSecret}\n- {kind: A}\n",
            &[Sealed, Other],
        ),
    ] {
        assert_eq!(kinds(text), expected, "{text}");
    }
    let text =
        "apiVersion: v1\nkind: ConfigMapList\nitems:\n- {data: {a: b}}\n- {apiVersion: v1, kind: Secret}\n";
    let Ok(parts) = read_fresh(text.as_bytes()) else {
        panic!("YAML")
    };
    let Ok(rewritten) = parts[0].objects_to_process()[0].rewritable() else {
        panic!("rewritable")
    };
    assert_eq!(
        rewritten.get("kind").and_then(Node::as_str),
        Some("ConfigMap"),
        "the type of the list is kept"
    );
    for array in ["- {kind: Secret}\n", "[{\"kind\": \"Secret\"}]"] {
        let Ok(parts) = read_fresh(array.as_bytes()) else {
            panic!("YAML")
        };
        let error = parts[0].check_object().expect_err("an array");
        assert_eq!(error.to_string(), "line 1: a list without kind: List");
    }
}

#[test]
fn a_bad_document_does_not_hide_the_others() {
    let text = "kind: A\n---\na: [\n---\nkind: B\nx: {1: 2}\n--- # c\nb: \"\n";
    let (parts, errors) = read_each(text.as_bytes(), Aliases::Ignore);
    let kinds: Vec<String> = parts
        .iter()
        .flat_map(Part::objects_to_process)
        .map(|i| i.describe())
        .collect();
    assert_eq!(kinds, ["A", "B"]);
    assert_eq!(parts[1].line, 4);
    assert!(
        parts[1].objects_to_process()[0]
            .check_unambiguous()
            .is_err_and(|e| e.to_string().starts_with("line 6:"))
    );
    let lines: Vec<String> = errors.iter().map(ToString::to_string).collect();
    assert_eq!(lines.len(), 2, "{lines:?}");
    assert!(
        lines[0].starts_with("line 3:") || lines[0].starts_with("line 4:"),
        "{lines:?}"
    );
    assert!(lines[1].starts_with("line 8:"), "{lines:?}");
}

#[test]
fn text_that_is_not_utf_8_or_a_template_is_named() {
    let utf16: Vec<u8> = "kind: Secret\n"
        .encode_utf16()
        .flat_map(u16::to_le_bytes)
        .collect();
    assert!(matches!(read_fresh(&utf16), Err(ManifestError::NotUtf8)));
    for template in ["a: {{ .Values.x }}\n", "{{- if .Values.x }}\na: b\n{{- end }}\n"] {
        let error = read_fresh(template.as_bytes()).err().expect("an error");
        assert!(error.advice().is_some_and(|a| a.contains("template")), "{error}");
    }
}

#[test]
fn an_object_that_kubectl_reads_differently_is_not_rewritten() {
    for (text, line) in [
        ("a: {yes: 1}\n", 1),
        ("a:\n  012: x\n", 2),
        ("1.0: x\n", 1),
        (".5: x\n", 1),
        ("+1: x\n", 1),
        ("off: x\n", 1),
        ("a: b\n<<: {c: d}\n", 2),
        ("a: \"b\u{2028}c\"\n", 1),
        ("a: 1\n# \u{85}\n", 2),
    ] {
        let Ok(parts) = read_fresh(text.as_bytes()) else {
            panic!("{text}")
        };
        let Err(error) = parts[0].objects_to_process()[0].rewritable() else {
            panic!("{text:?} must be refused")
        };
        assert!(
            matches!(error, ManifestError::Ambiguous { line: found, .. } if found == line),
            "{text:?}: {error}"
        );
    }
}
