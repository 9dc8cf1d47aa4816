//! The search of `keys retire`.

use std::fs;
use std::os::unix::fs::symlink;

use super::*;

const ID: &str = "fa1975b2";
const DOCUMENT: &str = "apiVersion: envelope-secrets.io/v1\nkind: EnvelopeSecret\nspec:\n  dataKeys:\n  - wraps:\n    - key: local://fa1975b2\n      \
                        ciphertext: esl1.AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\n";

fn found(files: &[(&str, &[u8])]) -> Found {
    let directory = tempfile::tempdir().expect("a directory");
    for (name, content) in files {
        let path = directory.path().join(name);
        fs::create_dir_all(path.parent().expect("a parent")).expect("created");
        fs::write(path, content).expect("written");
    }
    search(&[directory.path().to_owned()], ID, None).expect("searched")
}

#[test]
fn document_is_found_in_any_file_and_encoding() {
    let utf16 = |text: &str, big: bool| -> Vec<u8> {
        let units = text.encode_utf16();
        units
            .flat_map(|unit| {
                if big {
                    unit.to_be_bytes()
                } else {
                    unit.to_le_bytes()
                }
            })
            .collect()
    };
    let json = r#"{"kind":"EnvelopeSecret","spec":{"dataKeys":[{"wraps":[{"key":"local:\/\/fa1975b2"}]}]}}"#;
    let escaped = r#"{"kind":"EnvelopeSecret","key":"local://\u0066a1975b2"}"#;
    let nested = r#"{"data":{"a":"kind: EnvelopeSecret\nkey: local:\/\/fa1975b2\n"}}"#;
    let large = format!("{}{DOCUMENT}", " ".repeat(scan::PIECE - 100));
    for (name, content) in [
        ("a.yaml", DOCUMENT.as_bytes().to_vec()),
        (".hidden/.a", DOCUMENT.as_bytes().to_vec()),
        ("a", DOCUMENT.as_bytes().to_vec()),
        (
            "t/a.yaml.tpl",
            format!("{{{{ if }}}}: [\n{DOCUMENT}").into_bytes(),
        ),
        ("crlf.yml", DOCUMENT.replace('\n', "\r\n").into_bytes()),
        ("bom.yaml", format!("\u{feff}{DOCUMENT}").into_bytes()),
        ("le", utf16(&format!("\u{feff}{DOCUMENT}"), false)),
        ("be", utf16(DOCUMENT, true)),
        ("a.json", json.into()),
        ("escaped.json", escaped.into()),
        ("nested.json", nested.into()),
        (
            "template",
            "kind: EnvelopeSecret\nkey: local://{{ .Values.id }} # fa1975b2".into(),
        ),
        ("large", large.into_bytes()),
    ] {
        let found = found(&[(name, &content), (".ignore", b"*"), (".gitignore", b"*")]);
        assert_eq!(found.users.len(), 1, "{name}");
        assert!(found.users[0].ends_with(name), "{found:?}");
    }
}

#[test]
fn other_keys_and_mentions_are_not_uses() {
    let other = DOCUMENT.replace("fa1975b2", "41f313f6");
    let crd = "kind: CustomResourceDefinition\nspec: {names: {kind: EnvelopeSecret}}\nciphertext:\n  description: x\n";
    let found = found(&[
        ("other.yaml", other.as_bytes()),
        ("crd.yaml", crd.as_bytes()),
        ("README", b"sealed with local://fa1975b2"),
        ("lock", b"kind: EnvelopeSecret, commit 0fa1975b2c"),
        (".git/kept", DOCUMENT.as_bytes()),
    ]);
    assert!(found.users.is_empty(), "{found:?}");
    assert_eq!(found.with_documents, 1, "{found:?}");
    assert_eq!(found.remarks.len(), 1, "{found:?}");
    assert!(found.mentions.is_empty(), "{found:?}");
}

#[test]
fn symlinks_are_followed_or_reported() {
    let (directory, elsewhere) = (tempfile::tempdir().expect("a"), tempfile::tempdir().expect("b"));
    fs::write(elsewhere.path().join("s.yaml"), DOCUMENT).expect("written");
    symlink(elsewhere.path(), directory.path().join("directory")).expect("linked");
    symlink(elsewhere.path().join("s.yaml"), directory.path().join("file")).expect("linked");
    symlink("nothing", directory.path().join("dangling")).expect("linked");
    symlink(".", directory.path().join("loop")).expect("linked");
    let found = search(&[directory.path().to_owned()], ID, None).expect("searched");
    assert_eq!(found.users.len(), 2, "{found:?}");
    let dangling = directory.path().join("dangling").display().to_string();
    assert_eq!(found.dangling, [dangling]);
}

#[test]
fn keyring_itself_is_not_searched() {
    let directory = tempfile::tempdir().expect("a directory");
    let keyring = directory.path().join("keyring");
    fs::write(&keyring, "ES-LOCAL-KEY-1 fa1975b2 x").expect("written");
    let found = search(&[directory.path().to_owned()], ID, Some(&keyring)).expect("searched");
    assert!(found.mentions.is_empty(), "{found:?}");
    assert!(search(&[directory.path().join("missing")], ID, None).is_err());
}
