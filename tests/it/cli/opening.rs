//! Opening documents, refusals, and the life cycle of a key.

use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;

use serde_json::Value;

use super::shell::{Shell, value};

const SECRET: &str = "apiVersion: v1\nkind: Secret\nmetadata: {name: db, namespace: prod}\n\
    stringData: {password: correct horse, text: \"two\\nlines\\n\"}\ndata: {binary: AAECAw==}\n";

#[test]
fn string_data_contains_only_text() {
    let shell = Shell::new();
    let sealed = shell.seal(&[], SECRET.as_bytes());
    let opened = shell
        .run(&["open", "--keyring", "keyring", "--string-data"], &sealed.stdout)
        .ok();
    assert!(
        opened.text().ends_with(
            "data:\n  binary: AAECAw==\nstringData:\n  password: correct horse\n  text: |\n    two\n    lines\n"
        ),
        "{}",
        opened.text()
    );
    // Sealing the output again keeps the values.
    let again = shell.open(&shell.seal(&[], &opened.stdout).stdout);
    assert_eq!(again, shell.open(&sealed.stdout));
    let binary = shell
        .run(
            &["open", "--keyring", "keyring", "--value", "binary"],
            &sealed.stdout,
        )
        .ok();
    assert_eq!(binary.stdout, [0, 1, 2, 3]);
}

#[test]
fn missing_namespace_and_name_are_taken_from_flags() {
    let shell = Shell::new();
    let sealed = shell.seal(&["-o", "json"], SECRET.as_bytes());
    let mut object: Value = serde_json::from_slice(&sealed.stdout).unwrap();
    object["metadata"] = serde_json::json!({});
    let bare = serde_json::to_vec(&object).unwrap();
    let open = ["open", "--keyring", "keyring"];
    shell
        .run(&open, &bare)
        .failed(2, "it has no name")
        .failed(2, "help: envelope open --keyring keyring --name NAME");
    let named = [&open[..], &["--name", "db"]].concat();
    shell
        .run(&named, &bare)
        .failed(2, "it has no namespace")
        .failed(2, "--name db -n NAMESPACE");
    shell.run(&[&named[..], &["-n", "prod"]].concat(), &bare).ok();
    let elsewhere = shell.run(&[&named[..], &["-n", "stage"]].concat(), &bare);
    elsewhere.failed(
        1,
        "the document cannot be opened: it was changed after sealing, or sealed for another namespace, name or KMS key",
    );
}

#[test]
fn document_opened_under_another_name_fails_with_the_place_it_was_sealed_for() {
    let shell = Shell::new();
    let sealed = shell.seal(&[], SECRET.as_bytes());
    let moved = sealed.text().replacen("namespace: prod", "namespace: stage", 1);
    let ran = shell.run(&["open", "--keyring", "keyring"], moved.as_bytes());
    ran.failed(1, "the document cannot be opened")
        .failed(1, "help: its annotation says that it was sealed for prod/db\n");
    // Damage at its own place has the same message, without the hint.
    let damaged = sealed
        .text()
        .replacen("name: db", "name: db\n  # moved", 1)
        .replacen("esl1.", "esl1.A", 1);
    let ran = shell
        .run(&["open", "--keyring", "keyring"], damaged.as_bytes())
        .failed(1, "the document cannot be opened");
    assert!(!ran.stderr.contains("its annotation says"), "{}", ran.stderr);
}

#[test]
fn plaintext_files_are_private_and_refused_in_a_work_tree() {
    let shell = Shell::new();
    let sealed = shell.seal(&[], SECRET.as_bytes());
    let args = ["open", "--keyring", "keyring", "-w", "plain.yaml"];
    let mode = || {
        std::fs::metadata(shell.path("plain.yaml"))
            .unwrap()
            .permissions()
            .mode()
            & 0o777
    };
    let opened = shell.run(&args, &sealed.stdout).ok();
    assert!(opened.stdout.is_empty());
    assert_eq!(mode(), 0o600);
    shell
        .run(&args, &sealed.stdout)
        .failed(1, "plain.yaml already exists")
        .failed(1, "--force");
    shell.write("plain.yaml", "old");
    std::fs::set_permissions(shell.path("plain.yaml"), std::fs::Permissions::from_mode(0o644)).unwrap();
    shell
        .run(&[&args[..], &["--force"]].concat(), &sealed.stdout)
        .ok();
    assert_eq!(mode(), 0o600);
    std::fs::remove_file(shell.path("plain.yaml")).unwrap();
    assert!(
        shell
            .command("git")
            .args(["init", "--quiet"])
            .status()
            .unwrap()
            .success()
    );
    shell
        .run(&args, &sealed.stdout)
        .failed(1, "would hold plaintext")
        .failed(1, ".gitignore");
    assert!(!shell.path("plain.yaml").exists());
    shell
        .run(&[&args[..], &["--force"]].concat(), &sealed.stdout)
        .ok();
    shell.write(".gitignore", "*.json\n");
    shell
        .run(
            &["open", "--keyring", "keyring", "-w", "plain.json"],
            &sealed.stdout,
        )
        .ok();
    let secret: Value = serde_json::from_slice(&shell.read("plain.json")).unwrap();
    assert_eq!(value(&secret, "password"), b"correct horse");
}

#[test]
fn yaml_that_kubectl_reads_differently_is_refused() {
    let shell = Shell::new();
    let sealed = shell.seal(&[], SECRET.as_bytes());
    let open = ["open", "--keyring", "keyring"];
    for (from, to, message) in [
        ("metadata:\n", "metadata: &m\n", "an anchor in an EnvelopeSecret"),
        ("  name: db\n", "  name: !!str db\n", "a tag in an EnvelopeSecret"),
        (
            "  name: db\n",
            "  name: db\n  1: x\n",
            "a key that is not a string in an EnvelopeSecret",
        ),
        (
            "  name: db\n",
            "  name: db\n  <<: {a: b}\n",
            "a merge key in an EnvelopeSecret",
        ),
        ("  name: db\n", "  name: db\n  name: db\n", "duplicate key"),
        ("  format: es1\n", "  format: es2\n", "if it has a newer format"),
        ("  format: es1\n", "  format: es1\n  more: 1\n", "spec.more"),
    ] {
        let text = sealed.text().replacen(from, to, 1);
        assert_ne!(text, sealed.text());
        shell.run(&open, text.as_bytes()).failed(1, message);
    }
    // Sealing draws ids that stay strings without quotes.
    let id = sealed
        .text()
        .split("- id: \"")
        .nth(1)
        .unwrap()
        .split('"')
        .next()
        .unwrap()
        .to_owned();
    let unquoted = sealed.text().replace(&format!("\"{id}\""), &id);
    shell.run(&open, unquoted.as_bytes()).ok();
}

#[test]
fn batch_continues_after_a_failed_file() {
    let shell = Shell::new();
    let sealed = shell.seal(&[], SECRET.as_bytes());
    shell.write("good.yaml", &sealed.stdout);
    shell.write("bad.yaml", sealed.text().replacen("name: db", "name: web", 1));
    let ran = shell.run(
        &[
            "open",
            "--keyring",
            "keyring",
            "bad.yaml",
            "good.yaml",
            "missing.yaml",
        ],
        b"",
    );
    assert_eq!(ran.code, Some(1));
    assert!(
        ran.text().starts_with("apiVersion: v1\nkind: Secret\n"),
        "{}",
        ran.text()
    );
    for message in [
        "error: cannot read missing.yaml: no such file\n",
        "error: bad.yaml: EnvelopeSecret prod/web: the document cannot be opened",
        "error: 2 failed, see above\n",
    ] {
        assert!(ran.stderr.contains(message), "{}", ran.stderr);
    }
    // All integrity failures have the same message; -v adds the detail.
    let detail = shell
        .run(&["open", "--keyring", "keyring", "bad.yaml", "-v"], b"")
        .failed(1, "debug: stage UNWRAP");
    assert!(!ran.stderr.contains("UNWRAP") && detail.stdout.is_empty());
}

#[test]
fn advice_of_the_kubectl_plugin_names_kubectl_envelope() {
    let shell = Shell::new();
    let mut command = shell.command(env!("CARGO_BIN_EXE_envelope"));
    command.arg0("kubectl-envelope");
    command.args(["keys", "create", "--keyring", "keyring"]);
    let output = command.output().unwrap();
    let printed = String::from_utf8(output.stderr).unwrap();
    assert!(
        printed.contains("new keyring: kubectl envelope keys promote local://"),
        "{printed}"
    );
}

#[test]
fn key_is_created_promoted_and_retired() {
    let shell = Shell::new();
    let keys = |args: &[&str]| shell.run(&[&["keys"], args, &["--keyring", "keyring"]].concat(), b"");
    let list = || -> Vec<(String, bool)> {
        let listed: Value = serde_json::from_slice(&keys(&["list", "-o", "json"]).ok().stdout).unwrap();
        let listed = listed.as_array().unwrap().iter();
        listed
            .map(|key| {
                (
                    key["uri"].as_str().unwrap().to_owned(),
                    key["seals"].as_bool().unwrap(),
                )
            })
            .collect()
    };
    let old = list().remove(0).0;
    let sealed = shell.seal(&[], SECRET.as_bytes());
    shell.write("sealed.yaml", &sealed.stdout);
    let new = keys(&["create"]).ok();
    assert!(
        new.stderr.contains("it opens, but does not seal yet"),
        "{}",
        new.stderr
    );
    let new = new.text().trim().to_owned();
    assert_eq!(list(), [(old.clone(), true), (new.clone(), false)]);
    keys(&["promote", new.strip_prefix("local://").unwrap()]).ok();
    assert_eq!(list(), [(new.clone(), true), (old.clone(), false)]);
    assert!(keys(&["promote", &new]).ok().stderr.contains("already seals"));
    assert!(shell.seal(&[], SECRET.as_bytes()).stderr.contains(&new));
    keys(&["retire", &old]).failed(1, "is still used by ./sealed.yaml");
    keys(&["retire", &old, "sealed.yaml"]).failed(1, "is still used by sealed.yaml");
    assert_eq!(value(&shell.open(&sealed.stdout), "password"), b"correct horse");
    shell.write("sealed.yaml", &shell.seal(&[], SECRET.as_bytes()).stdout);
    shell.write("values.yaml", "{{ no: yaml }}: [\n");
    let retired = keys(&["retire", &old]).ok();
    assert!(
        retired
            .stderr
            .contains(&format!("removed {old} from keyring; {new} now seals by default")),
        "{}",
        retired.stderr
    );
    keys(&["retire", &new, "--no-check"]).failed(2, "is its last KMS key");
    let gone = shell.run(&["open", "--keyring", "keyring"], &sealed.stdout);
    gone.failed(1, "none of the KMS keys that it was sealed for may be used here");
}

/// A temporary file with plaintext would be picked up by `git add -A`. Watches for one and sends the signal as soon as it
/// exists.
#[test]
fn signal_during_a_write_leaves_no_temporary_file() {
    use std::process::Stdio;

    let shell = Shell::new();
    shell.write("big", vec![b'x'; 1 << 20]);
    let args = ["--name", "db", "-n", "prod", "--from-file", "big"];
    let sealed = shell.seal(&args, b"");
    shell.write("sealed.yaml", &sealed.stdout);
    let temporary = || {
        std::fs::read_dir(shell.path("."))
            .unwrap()
            .filter_map(Result::ok)
            .any(|entry| entry.file_name().to_string_lossy().starts_with(".envelope-"))
    };
    for (round, signal) in ["INT", "TERM", "HUP", "QUIT", "USR1", "ALRM"]
        .into_iter()
        .cycle()
        .take(18)
        .enumerate()
    {
        let mut command = shell.command(env!("CARGO_BIN_EXE_envelope"));
        command.args(["open", "--keyring", "keyring", "sealed.yaml", "-w", "plain.yaml"]);
        if round >= 6 {
            command.arg("--force");
        }
        let mut child = command.stderr(Stdio::null()).spawn().unwrap();
        let id = child.id().to_string();
        let kill = || {
            let sent = std::process::Command::new("kill")
                .args([&format!("-{signal}"), id.as_str()])
                .status();
            assert!(sent.is_ok());
        };
        let ended = loop {
            if temporary() {
                kill();
                break child.wait().unwrap();
            }
            if let Some(status) = child.try_wait().unwrap() {
                break status;
            }
        };
        assert!(!temporary(), "round {round}, {signal}: {ended}");
        if let Ok(plain) = std::fs::read(shell.path("plain.yaml")) {
            assert!(plain.len() > 1 << 20, "round {round}: half a file");
        }
        if round < 6 {
            assert!(ended.success(), "a new file has no name until it is complete");
            std::fs::remove_file(shell.path("plain.yaml")).unwrap();
        }
    }
}
