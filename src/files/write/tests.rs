use std::os::unix::fs::symlink;

use super::*;

fn private(path: &Path, bytes: &[u8], overwrite: Overwrite) -> Result<(), WriteError> {
    write_private(path, bytes, overwrite, &Staging::Beside).map(|_| ())
}

fn mode_of(path: &Path) -> u32 {
    fs::metadata(path).expect("there").mode() & 0o777
}

fn names(directory: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(directory)
        .expect("a directory")
        .map(|entry| {
            entry
                .expect("an entry")
                .file_name()
                .to_string_lossy()
                .into_owned()
        })
        .collect();
    names.sort();
    names
}

#[test]
fn a_private_file_is_0600_and_leaves_no_temporary_file() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("k");
    private(&path, b"one", Overwrite::Never).expect("written");
    assert_eq!(
        (fs::read(&path).expect("there"), mode_of(&path)),
        (b"one".to_vec(), 0o600)
    );
    assert_eq!(names(directory.path()), ["k"]);
}

#[test]
fn overwrite_never_refuses_existing_files_links_and_directories() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("k");
    fs::write(&path, "old").expect("written");
    let link = directory.path().join("dangling");
    symlink("nothing", &link).expect("linked");
    for there in [path.as_path(), &link, directory.path()] {
        let error = private(there, b"new", Overwrite::Never).expect_err("there");
        assert!(matches!(error, WriteError::Exists(_)), "{error}");
    }
    assert_eq!(fs::read(&path).expect("there"), b"old");
    assert_eq!(names(directory.path()), ["dangling", "k"]);
}

#[test]
fn a_replaced_file_keeps_its_mode_or_becomes_private() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("k");
    fs::write(&path, "old").expect("written");
    fs::set_permissions(&path, Permissions::from_mode(0o640)).expect("chmod");
    write_public(&path, Public(b"new"), Overwrite::Replace)
        .map(|_| ())
        .expect("written");
    assert_eq!(
        (fs::read(&path).expect("there"), mode_of(&path)),
        (b"new".to_vec(), 0o640)
    );
    private(&path, b"newer", Overwrite::Replace).expect("written");
    assert_eq!(
        (fs::read(&path).expect("there"), mode_of(&path)),
        (b"newer".to_vec(), 0o600)
    );
}

#[test]
fn a_new_public_file_gets_its_mode_from_the_umask() {
    let directory = tempfile::tempdir().expect("a directory");
    let (plain, ours) = (directory.path().join("plain"), directory.path().join("ours"));
    fs::write(&plain, "").expect("written");
    let _ = write_public(&ours, Public(b""), Overwrite::Replace).expect("written");
    assert_eq!(mode_of(&ours), mode_of(&plain));
}

#[test]
fn a_symlink_is_kept_and_its_target_replaced() {
    let directory = tempfile::tempdir().expect("a directory");
    let (path, link) = (directory.path().join("k"), directory.path().join("link"));
    fs::write(&path, "old").expect("written");
    symlink("k", &link).expect("linked");
    write_public(&link, Public(b"new"), Overwrite::Replace)
        .map(|_| ())
        .expect("written");
    assert!(fs::symlink_metadata(&link).expect("there").is_symlink());
    assert_eq!(fs::read(&path).expect("there"), b"new");
}

#[test]
fn directories_sockets_and_dangling_links_are_not_replaced() {
    let directory = tempfile::tempdir().expect("a directory");
    let link = directory.path().join("dangling");
    symlink("nothing", &link).expect("linked");
    let socket = directory.path().join("socket");
    let _listener = std::os::unix::net::UnixListener::bind(&socket).expect("a socket");
    for odd in [directory.path(), &link, &socket] {
        let error = write_public(odd, Public(b"x"), Overwrite::Replace).expect_err("not regular");
        assert!(matches!(error, WriteError::NotRegular(_)), "{error}");
    }
    let error = private(&directory.path().join("no/k"), b"x", Overwrite::Never).expect_err("no directory");
    assert!(
        error.to_string().ends_with("/no does not exist") && !error.to_string().contains(".envelope-"),
        "{error}"
    );
}

#[test]
fn a_private_file_is_never_wider_than_0600_and_keeps_a_narrower_mode() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("k");
    for (before, after) in [
        (0o400, 0o400),
        (0o600, 0o600),
        (0o644, 0o600),
        (0o777, 0o600),
        (0o440, 0o400),
    ] {
        fs::write(&path, "old").expect("written");
        fs::set_permissions(&path, Permissions::from_mode(before)).expect("chmod");
        private(&path, b"new", Overwrite::Replace).expect("written");
        assert_eq!(mode_of(&path), after, "{before:o}");
        fs::remove_file(&path).expect("removed");
    }
}

#[test]
fn a_file_that_was_moved_away_or_replaced_is_not_written() {
    let directory = tempfile::tempdir().expect("a directory");
    let (path, moved) = (directory.path().join("k"), directory.path().join("moved"));
    fs::write(&path, "old").expect("written");
    let version = FileVersion::of(&path).expect("present");
    fs::rename(&path, &moved).expect("moved");
    let error = private(&path, b"new", Overwrite::Same(version)).expect_err("gone");
    assert!(matches!(error, WriteError::Changed(_)), "{error}");
    fs::write(&path, "another").expect("written");
    let error = private(&path, b"new", Overwrite::Same(version)).expect_err("replaced");
    assert!(matches!(error, WriteError::Changed(_)), "{error}");
    assert_eq!(fs::read(&path).expect("present"), b"another");
    private(&moved, b"new", Overwrite::Same(version)).expect("written");
    assert_eq!(names(directory.path()), ["k", "moved"]);
}

#[test]
fn a_temporary_file_is_named_only_where_it_may_be() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("k");
    fs::write(&path, "old").expect("written");
    let nowhere = write_private(&path, b"new", Overwrite::Replace, &Staging::Nowhere);
    assert!(matches!(nowhere, Err(WriteError::NoStaging(_))));
    let staging = directory.path().join("git");
    fs::create_dir(&staging).expect("created");
    let written = write_private(&path, b"new", Overwrite::Replace, &Staging::In(staging));
    assert!(written.expect("written").not_synced.is_none());
    assert_eq!(fs::read(&path).expect("present"), b"new");
}

#[test]
fn error_does_not_show_the_name_of_the_temporary_file() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("k");
    fs::write(&path, "old").expect("written");
    let staging = Staging::In(directory.path().join("gone"));
    let error = write_private(&path, b"x", Overwrite::Replace, &staging).expect_err("no directory");
    assert!(!error.to_string().contains(".envelope-"), "{error}");
    assert!(
        error
            .to_string()
            .ends_with("No such file or directory (os error 2)"),
        "{error}"
    );
}
