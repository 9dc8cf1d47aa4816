//! Edits of a keyring file.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::PathBuf;

use super::super::keyring::tests::{KIDS, line};
use super::*;

fn kid(n: usize) -> Kid {
    Kid::parse(KIDS[n]).expect("a kid")
}

fn keyring_file(text: &str) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("keyring");
    fs::write(&path, text).expect("written");
    fs::set_permissions(&path, Permissions::from_mode(0o600)).expect("chmod");
    (folder, path)
}

fn mode_of(path: &Path) -> u32 {
    fs::metadata(path).expect("there").permissions().mode() & 0o777
}

fn kids_in(path: &Path) -> Vec<Kid> {
    let text = fs::read(path).expect("there");
    Keyring::parse(&text).expect("a keyring").kids()
}

#[test]
fn first_key_creates_a_private_file_in_private_directories() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("a/b/keyring");
    let uri = create_key(&path).expect("created");
    assert_eq!(kids_in(&path).first().map(|kid| kid.uri()), Some(uri));
    assert_eq!(mode_of(&path), 0o600);
    for made in ["a", "a/b"] {
        assert_eq!(mode_of(&folder.path().join(made)), 0o700, "{made}");
    }
    assert!(
        fs::read_to_string(&path)
            .expect("text")
            .starts_with("# envelope-secrets keyring.")
    );
}

#[test]
fn second_key_is_appended_and_nothing_else_changes() {
    for (old, end) in [
        (format!("# mine\n\n{}\n", line(0)), "\n"),
        (line(0), "\n"),
        (format!("# mine\r\n{}\r\n", line(0)), "\r\n"),
        (format!("# mine\r\n{}", line(0)), "\r\n"),
    ] {
        let (_folder, path) = keyring_file(&old);
        fs::set_permissions(&path, Permissions::from_mode(0o400)).expect("chmod");
        let uri = create_key(&path).expect("created");
        let new = fs::read_to_string(&path).expect("text");
        let added = new.strip_prefix(old.as_str()).expect("the old text stays");
        assert!(
            added.trim_start().starts_with("ES-LOCAL-KEY-1 ") && added.ends_with(end),
            "{old:?}"
        );
        assert_eq!(kids_in(&path), [kid(0), Kid::of_uri(&uri).expect("a kid")]);
        assert_eq!(mode_of(&path), 0o400, "the mode is kept");
        assert_eq!(
            fs::read_dir(path.parent().expect("a folder"))
                .expect("read")
                .count(),
            1
        );
    }
}

#[test]
fn invalid_or_readable_keyring_is_not_changed() {
    let (_folder, path) = keyring_file("nonsense\n");
    let error = create_key(&path).expect_err("bad");
    assert!(
        error.to_string().ends_with(
            "line 1: not `ES-LOCAL-KEY-1 KID KEY` with one space between the fields and none around them"
        ),
        "{error}"
    );
    assert_eq!(fs::read(&path).expect("there"), b"nonsense\n");

    let (_folder, path) = keyring_file(&line(0));
    fs::set_permissions(&path, Permissions::from_mode(0o644)).expect("chmod");
    assert_eq!(
        create_key(&path).map_err(|e| e.problem),
        Err(Problem::NotPrivate(0o644))
    );
    assert_eq!(kids_in(&path), [kid(0)]);

    let folder = tempfile::tempdir().expect("a folder");
    assert_eq!(
        create_key(folder.path()).map_err(|e| e.problem),
        Err(Problem::NotRegular)
    );
    let link = folder.path().join("link");
    symlink("nothing", &link).expect("linked");
    assert_eq!(create_key(&link).map_err(|e| e.problem), Err(Problem::Dangling));
}

#[test]
fn first_key_of_a_keyring_without_keys_is_added_and_seals() {
    for old in ["", "# mine\n", "# mine"] {
        let (_folder, path) = keyring_file(old);
        let missing = Problem::Grammar(GrammarError::NoKey);
        assert_eq!(promote(&path, kid(0)).map_err(|e| e.problem), Err(missing));
        let created = create(&path).expect("created");
        assert!(created.is_first);
        assert!(!create(&path).expect("created").is_first);
        assert_eq!(kids_in(&path).first().map(|kid| kid.uri()), Some(created.uri));
        assert!(fs::read_to_string(&path).expect("text").starts_with(old));
    }
}

#[test]
fn keys_created_concurrently_are_all_kept() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("keyring");
    let created: Vec<Created> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..16)
            .map(|_| scope.spawn(|| create(&path).expect("created")))
            .collect();
        threads
            .into_iter()
            .map(|thread| thread.join().expect("no panic"))
            .collect()
    });
    let first = created.iter().filter(|created| created.is_first).count();
    assert_eq!(first, 1, "only one of them created the keyring");
    let mut made: Vec<Kid> = created
        .iter()
        .filter_map(|created| Kid::of_uri(&created.uri))
        .collect();
    let mut found = kids_in(&path);
    made.sort();
    found.sort();
    assert_eq!(made, found);
    assert_eq!(found.len(), 16);
}

#[test]
fn promotion_moves_one_line_before_the_first_key() {
    let (a, b, c) = (line(0), line(1), line(2));
    for (old, new) in [
        (
            format!("# top\n\n{a}\n# on b\n{b}\n{c}\n"),
            format!("# top\n\n{c}\n{a}\n# on b\n{b}\n"),
        ),
        (format!("{a}\r\n{b}\r\n{c}"), format!("{c}\r\n{a}\r\n{b}\r\n")),
    ] {
        let (_folder, path) = keyring_file(&old);
        assert_eq!(promote(&path, kid(2)), Ok(true));
        assert_eq!(fs::read_to_string(&path).expect("text"), new);
        assert_eq!(promote(&path, kid(2)), Ok(false), "it is already first");
    }
    let (_folder, path) = keyring_file(&a);
    assert_eq!(
        promote(&path, kid(1)).map_err(|e| e.problem),
        Err(Problem::Unknown(kid(1)))
    );
}

#[test]
fn retirement_removes_one_line_and_never_the_last_key() {
    let (a, b) = (line(0), line(1));
    let (_folder, path) = keyring_file(&format!("# top\n{a}\n# on b\n{b}"));
    assert_eq!(
        retire(&path, kid(2), Disposal::Erase).map_err(|e| e.problem),
        Err(Problem::Unknown(kid(2)))
    );
    let retired = retire(&path, kid(0), Disposal::Erase);
    assert_eq!(retired, Ok(kid(1).uri()), "b seals from now on");
    assert_eq!(
        fs::read_to_string(&path).expect("text"),
        format!("# top\n# on b\n{b}")
    );
    assert_eq!(
        retire(&path, kid(1), Disposal::Erase).map_err(|e| e.problem),
        Err(Problem::Last(kid(1)))
    );
    assert_eq!(kids_in(&path), [kid(1)]);
}

#[test]
fn retired_key_stays_as_a_dated_comment() {
    let (a, b) = (line(0), line(1));
    for end in ["\n", "\r\n"] {
        let (_folder, path) = keyring_file(&format!("{a}{end}{b}{end}"));
        assert_eq!(retire(&path, kid(0), Disposal::Comment), Ok(kid(1).uri()));
        let text = fs::read_to_string(&path).expect("text");
        let date = text.strip_prefix("# retired ").and_then(|rest| rest.get(..10));
        let date = date.expect("a date");
        assert!(SealTime::parse(&format!("{date}T00:00:00Z")).is_some(), "{text}");
        assert_eq!(text, format!("# retired {date}: {a}{end}{b}{end}"));
        assert_eq!(kids_in(&path), [kid(1)]);
    }
}

#[test]
fn symlink_to_a_keyring_is_preserved() {
    let (folder, path) = keyring_file(&line(0));
    let link = folder.path().join("link");
    symlink(&path, &link).expect("linked");
    create_key(&link).expect("created");
    assert!(fs::symlink_metadata(&link).expect("there").is_symlink());
    assert_eq!(kids_in(&path).len(), 2);
}
