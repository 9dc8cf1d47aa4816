//! `keys retire`: a KMS key in use is kept.

use std::fs;

use super::shell::{Ran, Shell};

const SECRET: &[u8] = b"apiVersion: v1\nkind: Secret\nmetadata: {name: db, namespace: prod}\n\
    stringData: {password: correct horse}\n";

/// A shell whose keyring has an old KMS key, which sealed `old.yaml`, and a new one, which sealed `new.yaml`.
struct Rotated {
    shell: Shell,
    old: String,
}

impl Rotated {
    fn new() -> Self {
        let shell = Shell::new();
        let sealed = shell.seal(&[], SECRET).stdout;
        let keyring = String::from_utf8(shell.read("keyring")).unwrap();
        let line = keyring
            .lines()
            .find(|line| line.starts_with("ES-LOCAL-KEY-1"))
            .unwrap();
        let old = format!("local://{}", line.split(' ').nth(1).unwrap());
        let new = shell.run(&["keys", "create", "--keyring", "keyring"], b"").ok();
        shell
            .run(
                &["keys", "promote", new.text().trim(), "--keyring", "keyring"],
                b"",
            )
            .ok();
        for directory in ["old", "new", "empty"] {
            fs::create_dir(shell.path(directory)).unwrap();
        }
        shell.write("old/sealed.yaml", sealed);
        shell.write("new/sealed.yaml", shell.seal(&[], SECRET).stdout);
        Rotated { shell, old }
    }

    fn retire(&self, args: &[&str]) -> Ran {
        let all = [&["keys", "retire", "--keyring", "keyring", &self.old], args].concat();
        self.shell.run(&all, b"")
    }

    /// Retiring is refused with this message, and changes nothing.
    #[track_caller]
    fn kept(&self, args: &[&str], message: &str) {
        let before = self.shell.read("keyring");
        self.retire(args).failed(1, message);
        assert_eq!(self.shell.read("keyring"), before);
    }
}

#[test]
fn key_in_use_is_kept_wherever_the_document_is() {
    let rotated = Rotated::new();
    let sealed = String::from_utf8(rotated.shell.read("old/sealed.yaml")).unwrap();
    let utf16: Vec<u8> = sealed.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let json = sealed.replace("local://", "local:\\/\\/");
    let indented = sealed.replace('\n', "\n      ");
    let work = format!("kind: ManifestWork\nspec:\n  workload:\n    manifests:\n    -\n      {indented}");
    rotated.kept(&["old"], "is still used by old/sealed.yaml");
    rotated.kept(&["new", "old/sealed.yaml"], "is still used by old/sealed.yaml");
    for (name, content) in [
        ("new/.hidden", sealed.clone().into_bytes()),
        ("new/sealed", sealed.clone().into_bytes()),
        (
            "new/sealed.yaml.tpl",
            format!("{{{{ if }}}}\n{sealed}").into_bytes(),
        ),
        ("new/utf16", utf16),
        ("new/slashes.json", json.into_bytes()),
        ("new/work.yaml", work.into_bytes()),
    ] {
        rotated.shell.write(name, content);
        rotated.shell.write("new/.ignore", "*");
        rotated.kept(&["new"], &format!("is still used by {name}"));
        fs::remove_file(rotated.shell.path(name)).unwrap();
    }
    std::os::unix::fs::symlink("../old", rotated.shell.path("new/link")).unwrap();
    rotated.kept(&["new"], "is still used by new/link/sealed.yaml");
}

#[test]
fn named_pipe_and_standard_input_are_searched() {
    let rotated = Rotated::new();
    let before = rotated.shell.read("keyring");
    let sealed = rotated.shell.read("old/sealed.yaml");
    let arguments = ["keys", "retire", "--keyring", "keyring", &rotated.old, "new", "-"];
    rotated
        .shell
        .run(&arguments, &sealed)
        .failed(1, "is still used by /dev/stdin");
    assert_eq!(rotated.shell.read("keyring"), before);
}

#[test]
fn pipe_in_a_directory_is_reported_and_a_file_name_stays_on_one_line() {
    let rotated = Rotated::new();
    let made = rotated.shell.command("mkfifo").arg("new/pipe").status().unwrap();
    assert!(made.success());
    let forged = "new/o\n::error file=x::forged";
    rotated.shell.write(forged, rotated.shell.read("old/sealed.yaml"));
    let ran = rotated.retire(&["new"]);
    assert!(
        ran.stderr
            .contains("not searched, because they are not regular files: new/pipe"),
        "{}",
        ran.stderr
    );
    assert!(
        ran.stderr.lines().all(|line| !line.starts_with("::")),
        "{}",
        ran.stderr
    );
    ran.failed(1, "is still used by");
}

#[test]
fn search_without_any_document_refuses() {
    let rotated = Rotated::new();
    rotated.shell.write(
        "empty/README",
        "About EnvelopeSecret and its ciphertext: see elsewhere",
    );
    rotated.kept(&["empty"], "found no EnvelopeSecret in empty");
    rotated.retire(&["empty", "--no-check"]).ok();
}

#[test]
fn aliases_are_not_expanded_by_the_search() {
    let rotated = Rotated::new();
    let level = |n: usize| format!("a{n}: &a{n} [{}]\n", vec![format!("*a{}", n - 1); 10].join(", "));
    let levels: Vec<String> = (1..30).map(level).collect();
    let bomb = format!(
        "kind: EnvelopeSecret\na0: &a0 [x, x, x, x, x, x, x, x, x, x]\n{}",
        levels.concat()
    );
    rotated.shell.write("new/bomb.yaml", bomb + "# fa1975b2\n");
    rotated.retire(&["new"]).ok();
}

#[test]
fn retired_key_stays_as_a_comment_unless_purged() {
    let rotated = Rotated::new();
    let id = rotated.old.strip_prefix("local://").unwrap().to_owned();
    let ran = rotated.retire(&["new"]).ok();
    assert!(
        ran.stderr.contains("searched 1 file with EnvelopeSecrets"),
        "{}",
        ran.stderr
    );
    let keyring = String::from_utf8(rotated.shell.read("keyring")).unwrap();
    let comment = keyring.lines().find(|line| line.contains(&id)).unwrap();
    assert!(comment.starts_with("# retired 2"), "{comment}");

    let rotated = Rotated::new();
    let id = rotated.old.strip_prefix("local://").unwrap().to_owned();
    rotated.retire(&["new", "--purge"]).ok();
    let keyring = String::from_utf8(rotated.shell.read("keyring")).unwrap();
    assert!(!keyring.contains(&id), "{keyring}");
}

#[test]
fn keyring_that_would_be_committed_is_not_promoted() {
    let rotated = Rotated::new();
    let promote = ["keys", "promote", &rotated.old, "--keyring", "keyring"];
    let init = rotated
        .shell
        .command("git")
        .args(["init", "--quiet"])
        .status()
        .unwrap();
    assert!(init.success());
    let before = rotated.shell.read("keyring");
    let refused = rotated.shell.run(&promote, b"");
    refused.failed(2, "is in a Git work tree that does not ignore it");
    assert_eq!(rotated.shell.read("keyring"), before);
    rotated.shell.write(".gitignore", "keyring\n");
    rotated.shell.run(&promote, b"").ok();
}
