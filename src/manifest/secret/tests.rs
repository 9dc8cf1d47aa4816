use super::super::stream;
use super::super::yaml_read::{AliasBudget, Aliases};
use super::*;

fn secret(text: &str) -> Result<SecretInput, ManifestError> {
    let mut budget = AliasBudget::default();
    let parts = stream::read(text.as_bytes(), Aliases::Expand(&mut budget))?;
    parts[0].objects_to_process()[0].secret()
}

fn entries(secret: &SecretInput) -> Vec<(&str, &[u8])> {
    secret
        .entries
        .iter()
        .map(|(k, v)| (k.as_str(), v.expose()))
        .collect()
}

#[test]
fn output_of_kubectl_get_is_reduced_to_what_is_sealed() {
    let text = r#"apiVersion: v1
data:
  password: aHVudGVyMg==
  tls.key: |
    aHVu
    dGVyMg==
immutable: true
kind: Secret
metadata:
  annotations:
    kubectl.kubernetes.io/last-applied-configuration: |
      {"apiVersion":"v1","stringData":{"password":"hunter2"}}
    kubecfg.ksonnet.io/last-applied-configuration: hunter2
    kapp.k14s.io/original: hunter2
    objectset.rio.cattle.io/applied: hunter2
    argocd.argoproj.io/tracking-id: x
    argocd.argoproj.io/sync-wave: "1"
    meta.helm.sh/release-name: x
    envelope-secrets.io/sealed-for: prod/db
    app.kubernetes.io/managed-by: Helm
    team: a
  creationTimestamp: "2026-11-25T09:00:00Z"
  deletionTimestamp: null
  labels: {app: db, app.kubernetes.io/managed-by: Helm}
  managedFields: [{manager: kubectl}]
  name: db
  namespace: prod
  resourceVersion: "1"
  uid: 0-0
stringData:
  user: app
type: Opaque
"#;
    let Ok(secret) = secret(text) else {
        panic!("a Secret")
    };
    assert_eq!(
        entries(&secret),
        [
            ("password", &b"hunter2"[..]),
            ("tls.key", b"hunter2"),
            ("user", b"app")
        ]
    );
    assert_eq!(
        (secret.name.as_deref(), secret.namespace.as_deref()),
        (Some("db"), Some("prod"))
    );
    assert_eq!(
        (secret.type_.as_deref(), secret.immutable),
        (Some("Opaque"), true)
    );
    assert_eq!(secret.labels.keys().collect::<Vec<_>>(), ["app"]);
    assert_eq!(
        secret.annotations.keys().collect::<Vec<_>>(),
        ["argocd.argoproj.io/sync-wave", "team"]
    );
    let dropped: Vec<String> = secret.dropped.iter().map(ToString::to_string).collect();
    assert_eq!(
        dropped.join(", "),
        "annotation kubectl.kubernetes.io/last-applied-configuration, \
             annotation kubecfg.ksonnet.io/last-applied-configuration, annotation kapp.k14s.io/original, \
             annotation objectset.rio.cattle.io/applied, annotation argocd.argoproj.io/tracking-id, \
             annotation meta.helm.sh/release-name, annotation envelope-secrets.io/sealed-for, \
             annotation app.kubernetes.io/managed-by, metadata.creationTimestamp, \
             label app.kubernetes.io/managed-by, metadata.managedFields, metadata.resourceVersion, metadata.uid"
    );
}

#[test]
fn string_data_wins_in_either_order() {
    for text in [
        "kind: Secret\napiVersion: v1\nstringData: {a: x}\ndata: {a: eQ==, b: eQ==}\n",
        "kind: Secret\napiVersion: v1\ndata: {a: eQ==, b: eQ==}\nstringData: {a: x}\n",
    ] {
        let Ok(secret) = secret(text) else {
            panic!("{text}")
        };
        assert_eq!(entries(&secret), [("a", &b"x"[..]), ("b", b"y")]);
    }
}

#[test]
fn empty_and_null_fields_count_as_absent() {
    let text = "kind: Secret\napiVersion: v1\ntype: ''\nimmutable: false\ndata:\nmetadata: {namespace: '', labels: null}\n";
    let Ok(secret) = secret(text) else {
        panic!("a Secret")
    };
    assert!(secret.entries.is_empty() && secret.labels.is_empty() && secret.dropped.is_empty());
    assert_eq!(
        (secret.type_, secret.namespace, secret.immutable),
        (None, None, false)
    );
}

#[test]
fn errors_name_line_and_field_and_no_value() {
    for (more, message) in [
        (
            "stringData:\n  port: 5432\n",
            "line 4: stringData.port is a number, not a string",
        ),
        (
            "stringData:\n  a: hunter2\n  b: true\n",
            "line 5: stringData.b is a boolean, not a string",
        ),
        (
            "stringData:\n  a:\n",
            "line 4: stringData.a is null, not a string",
        ),
        (
            "data:\n  a: hunter2 !\n",
            "line 4: data entry \"a\" is not base64",
        ),
        ("data: {a: [hunter2]}\n", "line 3: data.a is a list, not a string"),
        ("data: hunter2\n", "line 3: data is a string, not a map"),
        ("stringData: {a: !!binary aGk=}\n", "line 3: a tag in a Secret"),
        (
            "metadata: {labels: {v: 1}}\n",
            "line 3: metadata.labels.v is a number, not a string",
        ),
        (
            "immutable: yes\n",
            "line 3: immutable is a string, not true or false",
        ),
    ] {
        let Err(error) = secret(&format!("apiVersion: v1\nkind: Secret\n{more}")) else {
            panic!("{more}")
        };
        assert_eq!(error.to_string(), message);
    }
    let Err(error) = secret("apiVersion: v2\nkind: Secret\n") else {
        panic!("v2")
    };
    assert_eq!(error, ManifestError::NotV1 { line: 1 });
    let Err(error) = secret("{\"apiVersion\":\"v1\",\"kind\":\"Secret\",\"data\":{\"a\":1}}") else {
        panic!("1")
    };
    assert_eq!(error.to_string(), "line 1: data.a is a number, not a string");
}

#[test]
fn crlf_in_block_scalars_becomes_lf() {
    let text = "apiVersion: v1\r\nkind: Secret\r\nstringData:\r\n  a: one\r\n  b: |\r\n    two\r\n    three\r\ndata:\r\n  c: eQ==\r\n";
    let Ok(secret) = secret(text) else {
        panic!("a Secret")
    };
    assert_eq!(
        entries(&secret),
        [("a", &b"one"[..]), ("b", b"two\nthree\n"), ("c", b"y")]
    );
}
