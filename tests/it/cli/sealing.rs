//! Sealing pipes, files, lists and the output of kubectl.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Stdio;

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
fn each_scope_writes_the_namespace_it_needs() {
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
fn entries_come_from_files_pipes_and_env_files() {
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
fn a_value_in_a_readable_place_is_refused() {
    let shell = Shell::new();
    for (place, encoded) in [
        ("annotations", "say correct horse"),
        ("annotations", "Y29ycmVjdCBob3JzZQ=="),
        ("annotations", "x636f727265637420686f727365"),
        ("labels", "Y29ycmVjdCBob3JzZQ"),
    ] {
        let metadata = format!("{{name: db, namespace: prod, {place}: {{note: \"{encoded}\"}}}}");
        let ran = shell.run(
            &["seal", "--keyring", "keyring"],
            SECRET.replace("{name: db}", &metadata).as_bytes(),
        );
        let ran = ran.failed(1, "contains the value of entry \"password\"");
        assert!(
            !ran.stderr.contains(encoded) && !ran.stderr.contains("correct horse"),
            "{}",
            ran.stderr
        );
    }
    let named = SECRET
        .replace("{name: db}", "{name: correct-horse, namespace: prod}")
        .replace("correct horse", "correct-horse");
    shell
        .run(&["seal", "--keyring", "keyring"], named.as_bytes())
        .failed(1, "the Secret's name contains the value");
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

#[test]
fn keys_come_from_the_flag_then_the_environment_then_the_keyring() {
    let shell = Shell::new();
    let second = shell.run(&["keys", "create", "--keyring", "keyring"], b"").ok();
    let second = second.text().trim();
    let args = ["seal", "-n", "prod", "--keyring", "keyring"];
    let first = shell.run(&args, SECRET.as_bytes()).ok();
    assert!(
        first.stderr.ends_with("(keyring keyring)\n") && !first.stderr.contains(second),
        "{}",
        first.stderr
    );
    let named = shell
        .run_with(&args, SECRET.as_bytes(), &[("ENVELOPE_KEY", second)])
        .ok();
    assert!(
        named.stderr.ends_with(&format!("{second} (ENVELOPE_KEY)\n")),
        "{}",
        named.stderr
    );
    let first_key = first
        .stderr
        .split(' ')
        .find(|word| word.starts_with("local://"))
        .unwrap();
    let both = [&args[..], &["--key", second, "--key", first_key]].concat();
    let both = shell
        .run_with(&both, SECRET.as_bytes(), &[("ENVELOPE_KEY", "local://00000000")])
        .ok();
    assert!(
        both.stderr.ends_with(&format!("{second}, {first_key} (--key)\n")),
        "{}",
        both.stderr
    );
    // Each of the two keys opens the document alone.
    let one = shell
        .run(
            &["keys", "retire", first_key, "--no-check", "--keyring", "keyring"],
            b"",
        )
        .ok();
    assert!(one.stdout.is_empty());
    assert_eq!(value(&shell.open(&both.stdout), "password"), b"correct horse");
}

#[test]
fn the_default_keyring_is_found_and_a_world_readable_one_refused() {
    let shell = Shell::without_keyring();
    let refused = shell.run(&["seal", "-n", "prod"], SECRET.as_bytes());
    refused
        .failed(2, "there is no keyring at")
        .failed(2, "envelope keys create");
    shell.run(&["keys", "create"], b"").ok();
    let keyring = shell.path("home/.config/envelope-secrets/keyring");
    assert_eq!(
        std::fs::metadata(&keyring).unwrap().permissions().mode() & 0o777,
        0o600
    );
    let sealed = shell.run(&["seal", "-n", "prod"], SECRET.as_bytes()).ok();
    shell.run(&["open"], &sealed.stdout).ok();
    std::fs::set_permissions(&keyring, Permissions::from_mode(0o644)).unwrap();
    for command in ["seal", "open"] {
        let ran = shell.run(&[command, "-n", "prod"], SECRET.as_bytes());
        ran.failed(2, "its mode is 0644").failed(2, "help: chmod 600 ");
    }
}

#[test]
fn broken_pipe_is_not_reported_and_not_a_success() {
    let shell = Shell::new();
    let mut child = shell
        .command(env!("CARGO_BIN_EXE_envelope"))
        .arg("crd")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    let signal = std::os::unix::process::ExitStatusExt::signal(&output.status);
    assert_eq!((signal, output.stderr.as_slice()), (Some(13), &b""[..]));
}

#[test]
fn a_full_standard_output_is_an_error() {
    let shell = Shell::new();
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full");
    // macOS has no such device.
    let Ok(full) = full else { return };
    for argument in ["crd", "--help", "--version"] {
        let output = shell
            .command(env!("CARGO_BIN_EXE_envelope"))
            .arg(argument)
            .stdout(full.try_clone().unwrap())
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(1), "{argument}");
        assert!(
            output
                .stderr
                .starts_with(b"error: cannot write to standard output: "),
            "{output:?}"
        );
    }
}

#[test]
fn a_keyring_inside_a_work_tree_is_refused_unless_ignored() {
    let shell = Shell::without_keyring();
    assert!(
        shell
            .command("git")
            .args(["init", "--quiet"])
            .status()
            .unwrap()
            .success()
    );
    let args = ["keys", "create", "--keyring", "keyring"];
    shell
        .run(&args, b"")
        .failed(2, "is in a Git work tree that does not ignore it");
    assert!(!shell.path("keyring").exists());
    shell.write(".gitignore", "keyring\n");
    shell.run(&args, b"").ok();
}

/// While the process waits for input, /proc shows its limits.
#[cfg(target_os = "linux")]
#[test]
fn a_process_that_may_hold_keys_leaves_no_core() {
    use std::io::{BufRead as _, BufReader};

    let shell = Shell::new();
    let mut command = shell.command(env!("CARGO_BIN_EXE_envelope"));
    // A missing file is reported before standard input is read.
    command.args(["seal", "--keyring", "keyring", "missing.yaml", "-"]);
    let mut child = command
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let mut reported = String::new();
    BufReader::new(child.stderr.take().unwrap())
        .read_line(&mut reported)
        .unwrap();
    assert!(reported.contains("missing.yaml"), "{reported}");
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", child.id())).unwrap();
    let core = limits
        .lines()
        .find(|line| line.starts_with("Max core file size"))
        .unwrap()
        .to_owned();
    // Root owns the memory file of a process that is not dumpable.
    let owner =
        std::os::unix::fs::MetadataExt::uid(&std::fs::metadata(format!("/proc/{}/mem", child.id())).unwrap());
    drop(child.stdin.take());
    child.wait().unwrap();
    assert_eq!(
        core.split_whitespace().skip(4).collect::<Vec<_>>(),
        ["0", "0", "bytes"]
    );
    assert_eq!(owner, 0);
}

#[test]
fn a_directory_that_cannot_be_synced_is_only_a_warning() {
    use std::os::unix::process::CommandExt as _;

    let shell = Shell::new();
    let sealed = |mode: u32, user: Option<u32>| {
        let directory = shell.path("out");
        std::fs::create_dir(&directory).unwrap();
        std::fs::set_permissions(&directory, Permissions::from_mode(mode)).unwrap();
        std::fs::set_permissions(shell.path("."), Permissions::from_mode(0o755)).unwrap();
        let mut command = shell.command(env!("CARGO_BIN_EXE_envelope"));
        shell.write("secret.yaml", SECRET);
        command.args([
            "seal",
            "--keyring",
            "keyring",
            "-n",
            "prod",
            "secret.yaml",
            "-w",
            "out/sealed.yaml",
        ]);
        if let Some(user) = user {
            for path in ["out", "keyring", "secret.yaml"] {
                std::os::unix::fs::chown(shell.path(path), Some(user), Some(user)).unwrap();
            }
            command.uid(user).gid(user);
        }
        command.output().unwrap()
    };
    // Permissions do not bind root.
    let root = std::os::unix::fs::MetadataExt::uid(&std::fs::metadata("/proc/self").unwrap()) == 0;
    let output = sealed(0o300, root.then_some(65534));
    let stderr = String::from_utf8(output.stderr).unwrap();
    if stderr.contains("cannot execute") {
        return;
    }
    assert_eq!(output.status.code(), Some(0), "{stderr}");
    assert!(
        stderr.contains("warning: wrote out/sealed.yaml, but could not sync its directory"),
        "{stderr}"
    );
    std::fs::set_permissions(shell.path("out"), Permissions::from_mode(0o700)).unwrap();
    assert!(shell.path("out/sealed.yaml").exists());
}

#[test]
fn the_destination_is_checked_before_work_and_named() {
    let shell = Shell::new();
    shell.write("secret.yaml", SECRET);
    let seal = |file: &str, more: &[&str]| {
        let args = [
            "seal",
            "--keyring",
            "keyring",
            "-n",
            "prod",
            "secret.yaml",
            "-w",
            file,
        ];
        shell.run(&[&args[..], more].concat(), b"")
    };
    seal("none/sealed.yaml", &[]).failed(1, "the directory none does not exist");
    seal("/dev/stdout", &[]).failed(1, "leave out --write to write to standard output");
    seal("sealed.yaml", &[]).ok();
    seal("sealed.yaml", &[]).failed(1, "replace the whole file with --force");
    seal("sealed.yaml", &["--force"]).ok();
    assert_eq!(
        value(&shell.open(&shell.read("sealed.yaml")), "password"),
        b"correct horse"
    );
}
