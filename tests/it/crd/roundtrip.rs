//! Documents survive every usual way into the API server unchanged.

use std::path::Path;

use envelope_secrets::envelope::Scope;
use envelope_secrets::envelope::wire::{API_VERSION, Document, KIND, Template};
use serde_json::json;
use testkit::ControlPlane;

use crate::support::crd::{plane_with_crd, raw, read_back, stored};
use crate::support::sealing::{Sealer, draft, object, string_map, yaml};

/// A document with every field, and with text that YAML tools tend to change.
fn rich(sealer: &Sealer, namespace: &str, name: &str) -> Document {
    let mut draft = draft(
        namespace,
        name,
        &[
            ("password", b"correct horse".as_slice()),
            ("tls.key", &[0, 255, 10, 13, 128, 7]),
            ("empty", b""),
            ("012", b"a name like a number"),
        ],
    );
    draft.audience = Some("0x10".to_owned());
    draft.template = Template {
        type_: Some("example.com/thing".to_owned()),
        immutable: Some(true),
        labels: string_map(&[("app", "db"), ("version", "1e3"), ("on", "yes"), ("empty", "")]),
        annotations: string_map(&[
            ("note", "two\nlines\n"),
            ("colon", "a: b # c"),
            ("long", &"word ".repeat(60)),
        ]),
        data: string_map(&[
            ("host", "db:5432"),
            ("octal", "0o17"),
            ("null", "null"),
            ("tilde", "~"),
            ("date", "2026-11-23"),
            ("spaces", "  both ends  "),
            ("tab", "\tx\t"),
            ("crlf", "a\r\nb\r\n"),
            ("unicode", "ä\u{a0}\u{2028}\u{2029}\u{feff}😀\u{1}"),
            ("quotes", "'\"\\"),
            ("blank", "\n\n  \n"),
            ("key", "-----BEGIN X-----\nabc\n-----END X-----\n"),
        ]),
        render: string_map(&[(
            "dsn",
            "postgres://app:<%= v.password | urlencode %>@<%= v.host %>/\n",
        )]),
    };
    sealer.seal(draft)
}

/// A minimal document.
fn small(sealer: &Sealer, namespace: &str, name: &str, scope: Scope) -> Document {
    let mut draft = draft(namespace, name, &[]);
    draft.scope = scope;
    sealer.seal(draft)
}

/// Checks that the stored object is this document: equal manifest bytes and equal spec members.
fn assert_same(plane: &ControlPlane, document: &Document, way: &str) {
    let namespace = document.place().namespace.as_deref().unwrap();
    let name = &document.place().name;
    let read = read_back(plane, namespace, name);
    // Compared below: on failure, the difference of the members is readable, the bytes are not.
    let same = read.transcript() == document.transcript();
    assert_eq!(
        stored(plane, namespace, name)["spec"],
        object(document)["spec"],
        "{way}: spec, including wraps"
    );
    assert!(same, "{way}: the manifest differs");
    assert_eq!(read.digest(), document.digest(), "{way}: digest");
}

/// Writes a kustomization of the object to the directory.
fn kustomization(directory: &Path, object: &serde_json::Value, lines: &str) {
    std::fs::write(directory.join("sealed.yaml"), yaml(object)).unwrap();
    let text = format!(
        "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\nresources: [sealed.yaml]\n{lines}"
    );
    std::fs::write(directory.join("kustomization.yaml"), text).unwrap();
}

#[test]
fn spec_is_read_back_as_sealed() {
    let plane = plane_with_crd();
    let namespace = plane.namespace("roundtrip").unwrap();
    let sealer = Sealer::new(2);
    let ways: [(&str, &[&str]); 5] = [
        ("create", &["create", "-f", "-"]),
        ("create-save-config", &["create", "--save-config", "-f", "-"]),
        ("client-side-apply", &["apply", "-f", "-"]),
        ("server-side-apply", &["apply", "--server-side", "-f", "-"]),
        ("replace", &["replace", "--force", "-f", "-"]),
    ];
    for (way, arguments) in ways {
        for (kind, document) in [
            ("rich", rich(&sealer, &namespace, &format!("{way}-rich"))),
            (
                "small",
                small(&sealer, &namespace, &format!("{way}-small"), Scope::NamespaceWide),
            ),
        ] {
            for (form, text) in [
                ("yaml", yaml(&object(&document))),
                ("json", object(&document).to_string()),
            ] {
                let output = plane.kubectl_output(arguments, &text).unwrap();
                let said = String::from_utf8_lossy(&output.stderr);
                // The second form finds the object of the first: create fails, the others change nothing.
                assert!(
                    output.status.success() || said.contains("already exists"),
                    "{way} {kind} {form}: {said}"
                );
                assert_same(plane, &document, &format!("{way} {kind} {form}"));
            }
        }
    }
}

#[test]
fn kustomize_leaves_the_document_unchanged() {
    let plane = plane_with_crd();
    let namespace = plane.namespace("kustomize").unwrap();
    let sealer = Sealer::new(1);
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().to_str().unwrap();

    let document = rich(&sealer, &namespace, "plain");
    kustomization(directory.path(), &object(&document), "");
    plane.kubectl(["apply", "-k", path]).unwrap();
    assert_same(plane, &document, "kustomize");

    // The common transformers (namespace, labels including those in templates, annotations) do not know our kind.
    let document = rich(&sealer, &namespace, "transformed");
    let mut without_namespace = object(&document);
    without_namespace["metadata"] = json!({"name": "transformed"});
    let lines = format!(
        "namespace: {namespace}\nlabels:\n- pairs: {{team: a}}\n  includeSelectors: true\n  includeTemplates: true\n\
         commonAnnotations: {{note: b}}\n"
    );
    kustomization(directory.path(), &without_namespace, &lines);
    plane.kubectl(["apply", "--server-side", "-k", path]).unwrap();
    assert_same(plane, &document, "kustomize with transformers");
    let metadata = &stored(plane, &namespace, "transformed")["metadata"];
    assert_eq!(metadata["labels"], json!({"team": "a"}));
    assert_eq!(metadata["annotations"], json!({"note": "b"}));
}

/// docs/gitops.md describes this. The API server parses every server-side apply as YAML, whatever the format of the file.
#[test]
fn next_line_character_does_not_survive_server_side_apply() {
    let plane = plane_with_crd();
    let namespace = plane.namespace("character").unwrap();
    let sealer = Sealer::new(1);
    let with = |text: &str| {
        let mut draft = draft(&namespace, "db", &[("sealed", text.as_bytes())]);
        draft.template.data = string_map(&[("plain", text)]);
        sealer.seal(draft)
    };
    let ways: [&[&str]; 3] = [
        &["apply", "-f", "-"],
        &["create", "-f", "-"],
        &["apply", "--server-side", "-f", "-"],
    ];
    for text in ["next\u{85}line", "delete\u{7f}"] {
        for arguments in ways {
            let document = with(text);
            let output = plane
                .kubectl_output(arguments, &yaml(&object(&document)))
                .unwrap();
            let server_side = arguments.contains(&"--server-side");
            if server_side && text.contains('\u{7f}') {
                let said = String::from_utf8_lossy(&output.stderr);
                assert!(said.contains("control characters are not allowed"), "{said}");
                continue;
            }
            let same = read_back(plane, &namespace, "db").transcript() == document.transcript();
            assert_eq!(same, !server_side, "{text:?} {arguments:?}");
            plane
                .kubectl(["delete", "envsec", "db", "-n", &namespace])
                .unwrap();
        }
    }
}

#[test]
fn cluster_wide_document_can_be_applied_to_any_namespace() {
    let plane = plane_with_crd();
    let namespace = plane.namespace("clusterwide").unwrap();
    let sealer = Sealer::new(1);
    let mut draft = draft("unused", "anywhere", &[("password", b"x")]);
    draft.place.namespace = None;
    draft.scope = Scope::ClusterWide;
    let document = sealer.seal(draft);
    let mut object = object(&document);
    object["metadata"].as_object_mut().unwrap().remove("namespace");
    plane
        .kubectl_with_input(["apply", "-n", namespace.as_str(), "-f", "-"], &yaml(&object))
        .unwrap();
    assert_eq!(
        read_back(plane, &namespace, "anywhere").transcript(),
        document.transcript()
    );
}

#[test]
fn largest_documents_are_accepted() {
    let plane = plane_with_crd();
    let namespace = plane.namespace("large").unwrap();
    let sealer = Sealer::new(8);
    // The maximum number of entries, with names of maximum length.
    let names: Vec<String> = (0..1024).map(|n| format!("{n:0253}")).collect();
    let values: Vec<(&str, &[u8])> = names
        .iter()
        .map(|name| (name.as_str(), b"x".as_slice()))
        .collect();
    let many = sealer.seal(draft(&namespace, "many", &values));
    // A value of 1 MiB is 1.4 MiB sealed: small enough for etcd, but not for the annotation of client-side apply.
    let value = vec![7; 1024 * 1024 - 64];
    let big = sealer.seal(draft(&namespace, "big", &[("blob", &value)]));
    for document in [many, big] {
        plane
            .kubectl_with_input(["apply", "--server-side", "-f", "-"], &yaml(&object(&document)))
            .unwrap();
        assert_same(plane, &document, &document.place().name);
    }
}

/// The API server aborts CEL rules that cost too much. No document that the reader accepts may cause that.
#[test]
fn cel_rules_stay_within_their_budget() {
    let plane = plane_with_crd();
    let namespace = plane.namespace("budget").unwrap();
    let sealer = Sealer::new(8);
    let spec_of_one = |_| object(&sealer.seal(draft(&namespace, "db", &[])))["spec"].clone();
    let mut specs: Vec<serde_json::Value> = (0..8).map(spec_of_one).collect();
    let data_keys: Vec<serde_json::Value> = specs.iter().map(|spec| spec["dataKeys"][0].clone()).collect();
    // The maximum number of entries, data keys and wraps; the seal and most values use the last data key.
    let name = |kind: &str, n: usize| format!("{kind}{n:0252}");
    let value = |n: usize| {
        let id = data_keys[if n < 8 { n } else { 7 }]["id"].as_str().unwrap();
        json!(format!("{id}.{}", "A".repeat(124)))
    };
    let named_texts = |kind: &str, count: usize| -> serde_json::Map<String, serde_json::Value> {
        (0..count).map(|n| (name(kind, n), json!(""))).collect()
    };
    for (sealed_entries, plain, rendered) in [(1024, 0, 0), (480, 480, 64)] {
        let mut spec = specs.pop().unwrap();
        spec["dataKeys"] = json!(data_keys);
        spec["seal"]["key"] = data_keys[7]["id"].clone();
        let entries: serde_json::Map<_, _> = (0..sealed_entries).map(|n| (name("e", n), value(n))).collect();
        spec["encryptedData"] = entries.into();
        spec["template"] = json!({"data": named_texts("d", plain), "render": named_texts("r", rendered)});
        let object = json!({
            "apiVersion": API_VERSION, "kind": KIND, "spec": spec,
            "metadata": {"namespace": namespace, "name": format!("sealed-{sealed_entries}")},
        });
        let text = object.to_string();
        Document::from_object_json(text.as_bytes(), None).unwrap();
        plane.kubectl_with_input(["create", "-f", "-"], &text).unwrap();
    }
}

#[test]
fn unknown_fields_survive_a_status_write() {
    let plane = plane_with_crd();
    let namespace = plane.namespace("newer").unwrap();
    let sealer = Sealer::new(1);
    let mut object = object(&rich(&sealer, &namespace, "newer"));
    // Fields of a newer release at every level that has fields.
    let spec = &mut object["spec"];
    for pointer in [
        "",
        "/dataKeys/0",
        "/dataKeys/0/wraps/0",
        "/template",
        "/template/metadata",
        "/seal",
    ] {
        let level = spec.pointer_mut(pointer).unwrap().as_object_mut().unwrap();
        level.insert(
            "later".to_owned(),
            json!({"list": [1, {"deep": null, "more": "x"}], "empty": {}}),
        );
    }
    let sent = object["spec"].clone();
    plane
        .kubectl_with_input(["create", "-f", "-"], &object.to_string())
        .unwrap();
    let unchanged = |after: &str| assert_eq!(stored(plane, &namespace, "newer")["spec"], sent, "{after}");
    unchanged("create");
    let status = [
        "patch",
        "envsec",
        "newer",
        "-n",
        &namespace,
        "--subresource=status",
        "--type=merge",
    ];
    let patch = [&status[..], &["-p", r#"{"status":{"observedGeneration":1}}"#]].concat();
    plane.kubectl(patch).unwrap();
    unchanged("a status patch");
    plane
        .kubectl(["annotate", "envsec", "newer", "-n", &namespace, "a=b"])
        .unwrap();
    unchanged("an annotation");
    let text = raw(plane, &namespace, "newer");
    let error = Document::from_object_json(text.as_bytes(), None).expect_err("unknown to the strict reader");
    assert!(error.to_string().contains("later"), "{error}");
}
