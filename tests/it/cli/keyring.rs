//! `keys` on a keyring that cannot be used or written, and by several processes at the same time.

use std::fs;
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;
use std::process::{Child, Stdio};

use super::shell::{Ran, Shell};

const PROGRAM: &str = env!("CARGO_BIN_EXE_envelope");

fn uris(shell: &Shell) -> Vec<String> {
    let list = shell.run(&["keys", "list", "--keyring", "keyring"], b"").ok();
    let uri = |line: &str| line.split(' ').next().map(str::to_owned);
    list.text().lines().skip(1).filter_map(uri).collect()
}

#[test]
fn keyring_that_is_no_regular_file_is_refused_by_every_command() {
    let shell = Shell::without_keyring();
    fs::create_dir(shell.path("directory")).unwrap();
    symlink("nothing", shell.path("dangling")).unwrap();
    let _socket = UnixListener::bind(shell.path("socket")).unwrap();
    let made = shell.command("mkfifo").arg("pipe").status().unwrap();
    assert!(made.success());
    for (keyring, problem) in [
        ("directory", "not a regular file"),
        ("pipe", "not a regular file"),
        ("socket", "not a regular file"),
        ("dangling", "it is a symlink to a file that does not exist"),
    ] {
        for command in [
            &["create"][..],
            &["list"],
            &["describe", "local://fa1975b2"],
            &["promote", "fa1975b2"],
            &["retire", "fa1975b2", "--no-check"],
        ] {
            let args = [&["keys"], command, &["--keyring", keyring]].concat();
            let ran = shell.run(&args, b"");
            let ran = ran.failed(2, &format!("error: keyring {keyring}: {problem}"));
            assert!(ran.stderr.contains("help: "), "{}", ran.stderr);
        }
    }
    assert!(!shell.path("nothing").exists());
}

#[test]
fn first_key_of_an_empty_keyring_is_created() {
    let shell = Shell::new();
    shell.write("keyring", "");
    let created = shell.run(&["keys", "create", "--keyring", "keyring"], b"").ok();
    assert_eq!(uris(&shell), [created.text().trim()]);
    assert!(
        !created.stderr.contains("does not seal yet"),
        "{}",
        created.stderr
    );
}

/// A limit of the size of files has the effect of a full disk, and a signal besides.
#[test]
fn failed_write_is_reported_and_changes_nothing() {
    let shell = Shell::new();
    let second = shell.run(&["keys", "create", "--keyring", "keyring"], b"").ok();
    let second = second.text().trim().to_owned();
    let before = shell.read("keyring");
    for command in [
        "create --keyring keyring",
        "create --keyring new",
        &format!("promote {second} --keyring keyring"),
        &format!("retire {second} --no-check --keyring keyring"),
    ] {
        let script = format!("ulimit -f 0; exec {PROGRAM} keys {command}");
        let output = shell.command("sh").args(["-c", &script]).output().unwrap();
        let ran = Ran {
            code: output.status.code(),
            stdout: output.stdout,
            stderr: String::from_utf8(output.stderr).unwrap(),
        };
        let ran = ran.failed(2, "cannot write it: File too large");
        assert!(ran.stderr.contains("free space"), "{}", ran.stderr);
        assert_eq!(shell.read("keyring"), before, "{command}");
        let names: Vec<_> = fs::read_dir(shell.path(".")).unwrap().collect();
        assert_eq!(names.len(), 1, "{command}: {names:?}");
    }
}

fn start(shell: &Shell, args: &[&str]) -> Child {
    let mut command = shell.command(PROGRAM);
    command.arg("keys").args(args).args(["--keyring", "keyring"]);
    command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

#[test]
fn concurrent_changes_lose_no_key() {
    let shell = Shell::new();
    let first = uris(&shell).remove(0);
    let creates: Vec<Child> = (0..6).map(|_| start(&shell, &["create"])).collect();
    let promotes: Vec<Child> = (0..3).map(|_| start(&shell, &["promote", &first])).collect();
    let mut expected = vec![first];
    for child in creates {
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{output:?}");
        expected.push(String::from_utf8(output.stdout).unwrap().trim().to_owned());
    }
    for child in promotes {
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{output:?}");
    }
    let mut found = uris(&shell);
    found.sort();
    expected.sort();
    assert_eq!(found, expected);

    // Each of them is retired, but the last one that is left never.
    let retires: Vec<Child> = expected
        .iter()
        .map(|uri| start(&shell, &["retire", uri, "--no-check"]))
        .collect();
    let outputs: Vec<_> = retires
        .into_iter()
        .map(|child| child.wait_with_output().unwrap())
        .collect();
    let failed: Vec<_> = outputs.iter().filter(|output| !output.status.success()).collect();
    assert_eq!(failed.len(), 1, "{outputs:?}");
    assert_eq!(uris(&shell).len(), 1);
}
