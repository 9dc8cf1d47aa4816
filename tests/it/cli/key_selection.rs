//! Which KMS keys and keyring `seal` uses.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Stdio;

use super::shell::{Shell, value};

const SECRET: &str =
    "apiVersion: v1\nkind: Secret\nmetadata: {name: db}\nstringData: {password: correct horse}\n";

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
