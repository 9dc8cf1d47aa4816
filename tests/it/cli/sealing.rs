//! Sealing pipes, files, lists and the output of kubectl.

use serde_json::Value;

use super::shell::{Shell, value};

const SECRET: &str =
    "apiVersion: v1\nkind: Secret\nmetadata: {name: db}\nstringData: {password: correct horse}\n";

#[test]
fn the_namespace_flag_applies_to_a_piped_manifest() {
    let shell = Shell::new();
    let sealed = shell.seal(&["-n", "prod"], SECRET.as_bytes());
    assert!(
        sealed.text().contains("\n  namespace: prod\n"),
        "{}",
        sealed.text()
    );
    assert!(
        sealed
            .text()
            .contains("envelope-secrets.io/sealed-for: prod/db\n")
    );
    assert!(
        sealed.stderr.starts_with("sealed prod/db: 1 entry, local://"),
        "{}",
        sealed.stderr
    );
    assert_eq!(value(&shell.open(&sealed.stdout), "password"), b"correct horse");
}

#[test]
fn namespace_is_written_unless_cluster_wide_input_lacks_it() {
    let shell = Shell::new();
    for (scope, namespace, sealed_for) in [
        ("strict", Some("prod"), "prod/db"),
        ("namespace-wide", Some("prod"), "prod/*"),
        ("cluster-wide", None, "*"),
    ] {
        let sealed = shell.seal(&["-n", "prod", "--scope", scope, "-o", "json"], SECRET.as_bytes());
        let object: Value = serde_json::from_slice(&sealed.stdout).unwrap();
        assert_eq!(object["metadata"]["namespace"].as_str(), namespace, "{scope}");
        assert_eq!(
            object["metadata"]["annotations"]["envelope-secrets.io/sealed-for"],
            sealed_for
        );
        assert_eq!(object["spec"]["scope"], scope);
        assert_eq!(value(&shell.open(&sealed.stdout), "password"), b"correct horse");
    }
    // A namespace in the manifest is kept.
    let placed = SECRET.replace("{name: db}", "{name: db, namespace: prod}");
    let sealed = shell.seal(&["--scope", "cluster-wide"], placed.as_bytes());
    assert!(sealed.text().contains("\n  namespace: prod\n"));
}

#[test]
fn entries_from_files_pipes_and_env_files_are_sealed_byte_for_byte() {
    let shell = Shell::new();
    let binary: Vec<u8> = (0..=255).collect();
    shell.write("cert.bin", &binary);
    shell.write("app.env", "# of the app\nUSER=app\r\nEMPTY=\nURL=a=b#c\n");
    shell.write("pem", "-----BEGIN-----\nx\n-----END-----\n");
    let args = [
        "--name",
        "db",
        "-n",
        "prod",
        "--type",
        "example.com/mixed",
        "--from-file",
        "cert.bin",
        "--from-file",
        "tls.key=pem",
        "--from-env-file",
        "app.env",
        "--from-literal",
        "password=-",
    ];
    let sealed = shell.seal(&args, b"hunter2hunter2\n");
    let warnings: Vec<&str> = sealed
        .stderr
        .lines()
        .filter(|line| line.starts_with("warning:"))
        .collect();
    assert_eq!(
        warnings,
        [
            "warning: the value of \"password\" ends with a line ending, which is sealed too; --trim removes it"
        ],
        "a text of several lines normally ends with one"
    );
    let secret = shell.open(&sealed.stdout);
    assert_eq!(secret["type"], "example.com/mixed");
    assert_eq!(value(&secret, "cert.bin"), binary);
    assert_eq!(value(&secret, "tls.key"), b"-----BEGIN-----\nx\n-----END-----\n");
    assert_eq!(value(&secret, "password"), b"hunter2hunter2\n");
    for (name, expected) in [("USER", "app"), ("EMPTY", ""), ("URL", "a=b#c")] {
        assert_eq!(value(&secret, name), expected.as_bytes());
    }
    let trimmed = shell.seal(&[&args[..], &["--trim"]].concat(), b"hunter2hunter2\n");
    assert!(!trimmed.stderr.contains("warning"), "{}", trimmed.stderr);
    assert_eq!(value(&shell.open(&trimmed.stdout), "password"), b"hunter2hunter2");
}

#[test]
fn last_applied_and_server_fields_are_dropped() {
    let shell = Shell::new();
    let text = "apiVersion: v1
data:
  password: aHVudGVyMmh1bnRlcjI=
immutable: true
kind: Secret
metadata:
  annotations:
    kubectl.kubernetes.io/last-applied-configuration: |
      {\"apiVersion\":\"v1\",\"data\":{\"password\":\"aHVudGVyMmh1bnRlcjI=\"},\"kind\":\"Secret\"}
    team: db
  creationTimestamp: \"2026-11-25T09:00:00Z\"
  labels:
    app.kubernetes.io/managed-by: Helm
  name: db
  namespace: prod
  resourceVersion: \"1042\"
  uid: 1d0a8b0c-4c27-4a57-9b6a-0c52ad7f3d7a
type: Opaque
";
    let sealed = shell.seal(&[], text.as_bytes());
    for gone in [
        "last-applied",
        "aHVudGVyMmh1bnRlcjI",
        "hunter2",
        "resourceVersion",
        "uid",
        "creationTimestamp",
        "Helm",
    ] {
        assert!(!sealed.text().contains(gone), "{gone}: {}", sealed.text());
    }
    assert!(
        sealed.stderr.contains(
            "note: prod/db: dropped annotation kubectl.kubernetes.io/last-applied-configuration, \
             metadata.creationTimestamp, label app.kubernetes.io/managed-by, metadata.resourceVersion, metadata.uid\n"
        ),
        "{}",
        sealed.stderr
    );
    let secret = shell.open(&sealed.stdout);
    assert_eq!(
        (&secret["type"], &secret["immutable"]),
        (&"Opaque".into(), &true.into())
    );
    assert_eq!(
        secret["metadata"]["annotations"],
        serde_json::json!({"team": "db"})
    );
    assert_eq!(value(&secret, "password"), b"hunter2hunter2");
}

#[test]
fn a_list_becomes_a_yaml_stream_or_a_json_list() {
    let shell = Shell::new();
    let list = "apiVersion: v1\nkind: List\nitems:\n\
        - apiVersion: v1\n  kind: Secret\n  metadata: {name: a, namespace: x}\n  stringData: {k: value-of-a}\n\
        - apiVersion: v1\n  kind: ConfigMap\n  metadata: {name: c}\n  data: {m: \"1\"}\n\
        - apiVersion: v1\n  kind: Secret\n  metadata: {name: b, namespace: x}\n  stringData: {k: value-of-b}\n";
    let yaml = shell.seal(&[], list.as_bytes());
    assert_eq!(yaml.text().matches("\n---\n").count(), 2, "{}", yaml.text());
    assert!(
        yaml.text()
            .contains("---\napiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: c\ndata:\n  m: \"1\"\n---\n")
    );
    let json = shell.seal(&["-o", "json"], list.as_bytes());
    let whole: Value = serde_json::from_slice(&json.stdout).unwrap();
    assert_eq!(
        (&whole["apiVersion"], &whole["kind"]),
        (&"v1".into(), &"List".into())
    );
    assert_eq!(whole["items"].as_array().unwrap().len(), 3);
    for sealed in [yaml, json] {
        let opened = shell.open(&sealed.stdout);
        let values: Vec<Vec<u8>> = opened["items"]
            .as_array()
            .unwrap()
            .iter()
            .map(|s| value(s, "k"))
            .collect();
        assert_eq!(values, [b"value-of-a", b"value-of-b"]);
    }
    let typed = "{\"apiVersion\":\"v1\",\"kind\":\"SecretList\",\"items\":[{\"metadata\":{\"name\":\"a\",\"namespace\":\"x\"},\"data\":{\"k\":\"eA==\"}}]}";
    assert_eq!(
        value(&shell.open(&shell.seal(&[], typed.as_bytes()).stdout), "k"),
        b"x"
    );
}

#[test]
fn other_documents_with_crlf_pass_through_byte_for_byte() {
    let shell = Shell::new();
    let other = "---\r\n# kept:   as it is\r\napiVersion: v1\r\nkind: ConfigMap\r\nmetadata: {name: c}\r\ndata:\r\n  on:   yes\r\n";
    let secret = SECRET
        .replace("{name: db}", "{name: db, namespace: prod}")
        .replace('\n', "\r\n");
    let sealed = shell.seal(&[], format!("# never copied\r\n{secret}{other}").as_bytes());
    assert!(sealed.text().ends_with(other), "{}", sealed.text());
    assert!(!sealed.text().contains("never copied"));
    assert_eq!(value(&shell.open(&sealed.stdout), "password"), b"correct horse");
}

#[test]
fn a_secret_without_data_needs_allow_empty() {
    let shell = Shell::new();
    let empty = "apiVersion: v1\nkind: Secret\nmetadata: {name: db, namespace: prod}\ndata: {}\n";
    shell
        .run(&["seal", "--keyring", "keyring"], empty.as_bytes())
        .failed(1, "it has no data");
    let sealed = shell.seal(&["--allow-empty"], empty.as_bytes());
    assert!(
        sealed.text().contains("\n  encryptedData: {}\n"),
        "{}",
        sealed.text()
    );
    assert_eq!(shell.open(&sealed.stdout)["data"], serde_json::json!({}));
}

#[test]
fn large_secrets_produce_a_warning_and_too_large_ones_are_refused() {
    let shell = Shell::new();
    let whole = 1024 * 1024;
    let args = ["--name", "db", "-n", "prod", "--from-file", "big"];
    shell.write("big", vec![7; 64 * 1024]);
    assert!(!shell.seal(&args, b"").stderr.contains("warning"));
    shell.write("big", vec![7; whole]);
    let sealed = shell.seal(&args, b"");
    assert!(
        sealed.stderr.contains("kubectl apply --server-side"),
        "{}",
        sealed.stderr
    );
    assert_eq!(value(&shell.open(&sealed.stdout), "big").len(), whole);
    shell.write("big", vec![7; whole + 1]);
    let refused = shell.run(&[&["seal", "--keyring", "keyring"], &args[..]].concat(), b"");
    refused.failed(1, "a Secret holds at most 1048576");
    // Within the limit of values, but beyond that of the API server.
    let names: Vec<String> = (0..1000).map(|n| format!("{n:0253}")).collect();
    for name in &names {
        shell.write(name, vec![7; 900]);
    }
    let mut args = vec!["seal", "--keyring", "keyring", "--name", "db", "-n", "prod"];
    for name in &names {
        args.extend(["--from-file", name]);
    }
    shell
        .run(&args, b"")
        .failed(1, "the API server stores at most 1520435");
}

#[test]
fn a_type_that_controllers_refuse_produces_a_warning() {
    let shell = Shell::new();
    let token = SECRET.replace(
        "{name: db}",
        "{name: db, namespace: prod, annotations: {kubernetes.io/service-account.name: ci}}\n\
         type: kubernetes.io/service-account-token",
    );
    let sealed = shell.seal(&[], token.as_bytes());
    assert!(
        sealed.stderr.starts_with(
            "warning: prod/db: by default, controllers refuse Secrets of type kubernetes.io/service-account-token"
        ),
        "{}",
        sealed.stderr
    );
}

/// While the process waits for input, /proc shows its limits.
#[cfg(target_os = "linux")]
#[test]
fn an_object_that_is_in_the_input_twice_produces_a_warning() {
    let shell = Shell::new();
    let secret = SECRET.replace("{name: db}", "{name: db, namespace: prod}");
    shell.write("a.yaml", &secret);
    let twice = shell.seal(&["a.yaml", "a.yaml"], b"");
    let warning = "warning: a.yaml: line 1: prod/db is in the input twice (first at a.yaml: line 1): only the last one takes \
                   effect\n";
    assert!(twice.stderr.contains(warning), "{}", twice.stderr);
    // Also beside a document that is already sealed.
    let sealed = shell.seal(&["a.yaml"], b"");
    let both = shell.seal(&[], &[&sealed.stdout[..], b"---\n", secret.as_bytes()].concat());
    assert!(
        both.stderr
            .contains("prod/db is in the input twice (first at standard input: line 1)"),
        "{}",
        both.stderr
    );
    let others = shell.seal(
        &["a.yaml", "-"],
        secret.replace("name: db", "name: web").as_bytes(),
    );
    assert!(!others.stderr.contains("twice"), "{}", others.stderr);
}

#[test]
fn fields_beside_the_items_of_a_list_are_not_lost_silently() {
    let shell = Shell::new();
    let item = SECRET
        .replace("{name: db}", "{name: db, namespace: prod}")
        .replace('\n', "\n  ");
    let list = |head: &str| format!("{head}\nitems:\n- {}", item.trim_end_matches(' '));
    let run = |head: &str| shell.run(&["seal", "--keyring", "keyring"], list(head).as_bytes());
    for (head, message) in [
        (
            "kind: List\nspec: {a: b}",
            "line 2: spec beside the items of a list would be lost",
        ),
        (
            "kind: List\nmetadata: {annotations: {a: b}}",
            "line 2: metadata beside the items of a list",
        ),
    ] {
        run(head)
            .failed(1, message)
            .failed(1, "help: kubectl applies only the items");
    }
    let nested = list("kind: List").replace('\n', "\n  ");
    let nested = format!("kind: List\nitems:\n- x: 1\n  {}", nested.trim_end_matches(' '));
    shell
        .run(&["seal", "--keyring", "keyring"], nested.as_bytes())
        .failed(1, "line 3: x beside the items");
    run("kind: List\nmetadata: {resourceVersion: \"\", selfLink: \"\"}\nspec: null").ok();
    let function = run("kind: ResourceList\nfunctionConfig: {kind: Secret, stringData: {p: hunter2}}").ok();
    assert!(
        function
            .stderr
            .contains("warning: standard input: line 2: functionConfig is dropped"),
        "{}",
        function.stderr
    );
    assert!(!function.text().contains("hunter2"));
}
