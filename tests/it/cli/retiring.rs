//! `keys retire`: a KMS key in use is kept.

use std::fs;

use envelope_secrets::manifest::to_base64;

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
        .failed(1, "is still used by standard input");
    assert_eq!(rotated.shell.read("keyring"), before);
}

#[test]
fn standard_input_named_twice_is_refused() {
    let rotated = Rotated::new();
    rotated.retire(&["-", "-"]).failed(2, "is named twice");
}

#[test]
fn key_named_by_something_that_may_use_it_is_kept() {
    let rotated = Rotated::new();
    let id = rotated.old.strip_prefix("local://").unwrap();
    let configuration = format!(
        "version: 1\nrules:\n- name: prod\n  keys: [\"{}\"]\n",
        rotated.old
    );
    for (name, content, place) in [
        (
            "new/.envelope.yaml",
            configuration.clone(),
            "new/.envelope.yaml:4",
        ),
        ("new/values.yaml", format!("key: {id}\n"), "new/values.yaml:1"),
        (
            "new/templated.yaml",
            format!("kind: {{{{ .Values.kind }}}}\nkey: {}\n", rotated.old),
            "new/templated.yaml:2",
        ),
        (
            "new/Makefile",
            format!("seal:\n\tenvelope seal --key {}\n", rotated.old),
            "new/Makefile:2",
        ),
        (
            "new/encoded",
            format!("https://x?key={}\n", rotated.old.replace('/', "%2F")),
            "new/encoded:1",
        ),
    ] {
        rotated.shell.write(name, content);
        rotated.kept(&["new"], &format!("{} is still named in {place}", rotated.old));
        fs::remove_file(rotated.shell.path(name)).unwrap();
    }
    // The configuration of the searched directory is above it.
    rotated.shell.write(".envelope.yaml", configuration);
    rotated.kept(&["new"], ".envelope.yaml:4");
    fs::remove_file(rotated.shell.path(".envelope.yaml")).unwrap();
    let arguments = ["keys", "retire", "--keyring", "keyring", &rotated.old, "new"];
    let variable = [("ENVELOPE_KEY", rotated.old.as_str())];
    let ran = rotated.shell.run_with(&arguments, b"", &variable);
    ran.failed(1, "is still named in ENVELOPE_KEY");
    // Prose, comments and copies of the keyring use nothing.
    rotated.shell.write(
        "new/README.md",
        format!("Sealed with {} until May\n", rotated.old),
    );
    rotated
        .shell
        .write("new/other.yaml", format!("a: 1\n  # was {}\n", rotated.old));
    rotated.shell.write("new/backup", rotated.shell.read("keyring"));
    let ran = rotated.retire(&["new"]).ok();
    for place in ["new/README.md:1", "new/other.yaml:2", "new/backup:"] {
        assert!(ran.stderr.contains(place), "{}", ran.stderr);
    }
}

#[test]
fn ciphertext_without_the_uri_of_its_key_is_not_taken_for_unused() {
    let rotated = Rotated::new();
    let sealed = String::from_utf8(rotated.shell.read("old/sealed.yaml")).unwrap();
    let template = sealed.replace(&rotated.old, "{{ .Values.key }}");
    rotated.shell.write("new/template.yaml", template);
    rotated.kept(&["new"], "cannot tell which KMS key new/template.yaml uses");
}

/// gzip, by the program, as users make it.
fn gzip(shell: &Shell, content: &[u8]) -> Vec<u8> {
    let output = assert_cmd::Command::from_std(shell.command("gzip"))
        .write_stdin(content)
        .output()
        .unwrap();
    assert!(output.status.success());
    output.stdout
}

/// A zip file with one deflated entry. Its gzip without header and trailer is a deflate stream.
fn zip(shell: &Shell, content: &[u8]) -> Vec<u8> {
    let compressed = gzip(shell, content);
    let deflated = &compressed[10..compressed.len() - 8];
    let mut zip = b"PK\x03\x04\x14\0\x08\0\x08\0".to_vec();
    zip.extend([0; 16]);
    zip.extend(b"\x01\0\0\0a");
    zip.extend(deflated);
    zip
}

fn wrapped(text: &str, end: &str) -> String {
    let lines = text
        .as_bytes()
        .chunks(76)
        .map(|line| std::str::from_utf8(line).unwrap());
    lines.collect::<Vec<_>>().join(end)
}

#[test]
fn document_in_base64_or_in_an_archive_is_found() {
    let rotated = Rotated::new();
    let shell = &rotated.shell;
    let sealed = shell.read("old/sealed.yaml");
    let base64 = to_base64(&sealed).to_string();
    let release = to_base64(to_base64(&gzip(shell, &sealed)).as_bytes()).to_string();
    for (name, content) in [
        (
            "binary-data.yaml",
            format!("binaryData:\n  a.yaml: {base64}\n").into_bytes(),
        ),
        (
            "wrapped.yaml",
            format!("data:\n  a: |\n    {}\n", wrapped(&base64, "\n    ")).into_bytes(),
        ),
        (
            "wrapped.json",
            format!("{{\"a\": \"{}\"}}", wrapped(&base64, "\\n")).into_bytes(),
        ),
        ("plain", wrapped(&base64, "\r\n").into_bytes()),
        (
            "url-safe",
            base64.replace('+', "-").replace('/', "_").into_bytes(),
        ),
        ("after-a-word", format!("EOF\n{base64}").into_bytes()),
        (
            "helm-release.yaml",
            format!("data:\n  release: {release}\n").into_bytes(),
        ),
        ("a.gz", gzip(shell, &sealed)),
        ("chart.tgz", gzip(shell, &[&[0; 512][..], &sealed].concat())),
        ("a.zip", zip(shell, &sealed)),
        ("twice.gz", gzip(shell, &gzip(shell, &sealed))),
    ] {
        let name = format!("new/{name}");
        shell.write(&name, content);
        rotated.kept(&["new"], &format!("is still used by {name}"));
        fs::remove_file(shell.path(&name)).unwrap();
    }
}

#[test]
fn file_that_cannot_be_searched_is_named_and_keeps_the_key() {
    let rotated = Rotated::new();
    let damaged = gzip(&rotated.shell, &rotated.shell.read("old/sealed.yaml"))[..100].to_vec();
    for (name, content, why) in [
        ("new/a.xz", b"\xfd7zXZ\0..".to_vec(), "compressed with xz"),
        ("new/a.bz2", b"BZh91AY&SY..".to_vec(), "compressed with bzip2"),
        (
            "new/a.zst",
            b"\x28\xb5\x2f\xfd..".to_vec(),
            "compressed with zstd",
        ),
        (
            "new/locked",
            b"\0GITCRYPT\0..".to_vec(),
            "encrypted with git-crypt",
        ),
        (
            "new/pointer",
            b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n".to_vec(),
            "a Git LFS pointer",
        ),
        ("new/a.gz", damaged, "a damaged archive"),
    ] {
        rotated.shell.write(name, content);
        rotated.kept(&["new"], &format!("cannot search {name} ({why})"));
        fs::remove_file(rotated.shell.path(name)).unwrap();
    }
    rotated
        .shell
        .write("new/bomb.gz", gzip(&rotated.shell, &vec![0; 300 << 20]));
    rotated.kept(&["new"], "new/bomb.gz (it expands to more than 256 MiB)");
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
    rotated.kept(&["-"], "found no EnvelopeSecret in standard input");
    rotated.kept(
        &["new", "nowhere"],
        "error: cannot search nowhere: No such file or directory",
    );
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
    // An error that the retired key would prevent says so.
    let promote = ["keys", "promote", &rotated.old, "--keyring", "keyring"];
    let ran = rotated.shell.run(&promote, b"").failed(2, "is retired");
    assert!(
        ran.stderr.contains("remove the `#` and the date"),
        "{}",
        ran.stderr
    );
    let open = ["open", "--keyring", "keyring", "old/sealed.yaml"];
    let ran = rotated.shell.run(&open, b"").failed(1, "may be used here");
    let advice = format!(
        "help: {} is retired in keyring; to use it again, remove the `#`",
        rotated.old
    );
    assert!(ran.stderr.contains(&advice), "{}", ran.stderr);
    let start = keyring.find("# retired ").unwrap();
    let end = start + keyring[start..].find(": ").unwrap() + 2;
    let restored = format!("{}{}", &keyring[..start], &keyring[end..]);
    rotated.shell.write("keyring", restored);
    rotated.shell.run(&open, b"").ok();

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
