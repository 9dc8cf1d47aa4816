//! Edits of a keyring file: new key, promotion, retirement. They preserve comments and line endings, replace the file
//! atomically, and lose no key when several processes edit the same file concurrently.

use std::fs::{DirBuilder, File};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::Path;

use zeroize::Zeroizing;

use super::error::{KeyringError, Problem};
use super::file::{self, FileRules};
use super::key::{Kid, LocalKey};
use super::keyring::{Keyring, Line, lines};
use crate::envelope::SealTime;
use crate::files::{FileVersion, Overwrite, Staging, WriteError, write_private};
use crate::kms::{Disposal, KeyUri};

const HEADER: &str = "# envelope-secrets keyring. Anyone with this file can open everything that was sealed with it.\n\
                      # Back it up, and keep it out of Git. The first key seals, all of them open.\n";

/// Generates a key and appends it to the keyring at `path`, or creates the file (0600, missing directories 0700). A key
/// after others only opens until [`promote`] moves it to the front.
pub fn create_key(path: &Path) -> Result<KeyUri, KeyringError> {
    create(path).map_err(|problem| problem.at(path))
}

/// Moves a key to the front, so that it seals by default. Returns `false` if it is already first.
pub fn promote(path: &Path, kid: Kid) -> Result<bool, KeyringError> {
    let mut changed = true;
    edit(path, |ring, old| {
        changed = ring.default_kid() != kid;
        changed.then(|| moved_to_front(old, kid)).transpose()
    })
    .map_err(|problem| problem.at(path))?;
    Ok(changed)
}

/// Removes a key and returns the key that now seals by default. Documents sealed with the removed key alone can no
/// longer be opened. The last key cannot be removed.
pub fn retire(path: &Path, kid: Kid, disposal: Disposal) -> Result<KeyUri, KeyringError> {
    let mut first = kid;
    edit(path, |ring, old| {
        first = successor(ring, kid)?;
        Ok(Some(match disposal {
            Disposal::Comment => commented_out(old, kid),
            Disposal::Erase => without(old, kid),
        }))
    })
    .map_err(|problem| problem.at(path))?;
    Ok(first.uri())
}

/// Fails if [`retire`] would. Changes nothing.
pub(super) fn can_retire(path: &Path, kid: Kid) -> Result<(), KeyringError> {
    let check = || {
        let (text, _) = file::read(&file::open(path)?, FileRules::Person)?;
        successor(&Keyring::parse(&text)?, kid).map(|_| ())
    };
    check().map_err(|problem| problem.at(path))
}

/// The key that seals by default once `kid` is removed.
fn successor(ring: &Keyring, kid: Kid) -> Result<Kid, Problem> {
    if ring.key(kid).is_none() {
        return Err(Problem::Unknown(kid));
    }
    let others = ring.kids().into_iter().find(|other| *other != kid);
    others.ok_or(Problem::Last(kid))
}

fn create(path: &Path) -> Result<KeyUri, Problem> {
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        let made = DirBuilder::new().recursive(true).mode(0o700).create(folder);
        made.map_err(|error| Problem::System {
            step: "create its directory",
            why: error.to_string(),
        })?;
    }
    let random = |error: getrandom::Error| Problem::System {
        step: "generate a KMS key",
        why: error.to_string(),
    };
    loop {
        let mut key = LocalKey::random().map_err(random)?;
        match write_private(path, &new_keyring(&key), Overwrite::Never, &Staging::Beside) {
            Ok(_) => return Ok(key.kid().uri()),
            Err(WriteError::Exists(_)) => {}
            Err(error) => return Err(not_written(&error)),
        }
        let added = edit(path, |ring, old| {
            while ring.key(key.kid()).is_some() {
                key = LocalKey::random().map_err(random)?; // ids have 4 bytes and may collide
            }
            Ok(Some(appended(old, &key)))
        });
        match added {
            Ok(()) => return Ok(key.kid().uri()),
            // It was removed in the meantime: start again. A dangling symlink is left alone.
            Err(Problem::Missing) if path.symlink_metadata().is_err() => {}
            Err(Problem::Missing) => return Err(Problem::NotRegular),
            Err(problem) => return Err(problem),
        }
    }
}

fn not_written(error: &WriteError) -> Problem {
    match error {
        WriteError::NotRegular(_) => Problem::NotRegular,
        WriteError::Io { step: _, source, .. } => Problem::System {
            step: "write it",
            why: source.to_string(),
        },
        other => Problem::System {
            step: "write it",
            why: other.to_string(),
        },
    }
}

/// Replaces the keyring with the text that `change` returns (`None`: no change), under a lock that every editor takes.
fn edit(
    path: &Path,
    change: impl FnOnce(&Keyring, &[u8]) -> Result<Option<Zeroizing<Vec<u8>>>, Problem>,
) -> Result<(), Problem> {
    let locked = lock(path)?;
    let (old, _) = file::read(&locked, FileRules::Person)?;
    let ring = Keyring::parse(&old)?;
    if let Some(new) = change(&ring, &old)? {
        // Only in place of the file that was read: a key that was moved away meanwhile must not reappear.
        let same = Overwrite::Same(FileVersion::of_file(&locked).map_err(Problem::system("look at it"))?);
        // The file is in place even if its directory could not be synced.
        let _ = write_private(path, &new, same, &Staging::Beside).map_err(|error| not_written(&error))?;
    }
    Ok(())
}

/// Locks the file that `path` names. The previous holder of the lock may have replaced the file, and a lock on the old
/// one would protect nothing; in that case the new file is locked.
fn lock(path: &Path) -> Result<File, Problem> {
    loop {
        // NFS locks only files that are open for writing; a keyring of mode 0400 can only be opened for reading.
        let file = file::open_to_write(path).or_else(|_| file::open(path))?;
        file.lock().map_err(Problem::system("lock it"))?;
        let locked = FileVersion::of_file(&file).map_err(Problem::system("stat it"))?;
        let named = FileVersion::of(path).map_err(Problem::system("stat it"))?;
        if locked.same_file(&named) {
            return Ok(file);
        }
    }
}

/// Concatenates without growing a buffer, which would leave copies of keys behind.
fn concat(pieces: &[&[u8]]) -> Zeroizing<Vec<u8>> {
    Zeroizing::new(pieces.concat())
}

fn new_keyring(key: &LocalKey) -> Zeroizing<Vec<u8>> {
    concat(&[HEADER.as_bytes(), key.line().as_bytes(), b"\n"])
}

/// The line ending that the file uses.
fn line_end(text: &[u8]) -> &'static [u8] {
    if text.windows(2).any(|pair| pair == b"\r\n") {
        b"\r\n"
    } else {
        b"\n"
    }
}

/// The line ending that `line` lacks, if it is the last line of a file without one.
fn missing_end(line: &[u8], end: &'static [u8]) -> &'static [u8] {
    if line.is_empty() || line.ends_with(b"\n") {
        b""
    } else {
        end
    }
}

fn appended(old: &[u8], key: &LocalKey) -> Zeroizing<Vec<u8>> {
    let end = line_end(old);
    concat(&[old, missing_end(old, end), key.line().as_bytes(), end])
}

fn moved_to_front(old: &[u8], kid: Kid) -> Result<Zeroizing<Vec<u8>>, Problem> {
    let (mut before, mut moved, mut after) = (Vec::new(), None, Vec::new());
    for (_, raw, content) in lines(old) {
        match content {
            Ok(Line::Key(key)) if key.kid() == kid => moved = Some(raw),
            Ok(Line::Blank) if after.is_empty() => before.push(raw),
            _ => after.push(raw),
        }
    }
    let moved = moved.ok_or(Problem::Unknown(kid))?;
    let end = missing_end(moved, line_end(old));
    Ok(concat(&[before.as_slice(), &[moved, end], &after].concat()))
}

fn without(old: &[u8], kid: Kid) -> Zeroizing<Vec<u8>> {
    let kept: Vec<&[u8]> = lines(old)
        .filter(|(_, _, content)| !matches!(content, Ok(Line::Key(key)) if key.kid() == kid))
        .map(|(_, raw, _)| raw)
        .collect();
    concat(&kept)
}

/// Turns the line of a key into a comment with today's date (UTC).
fn commented_out(old: &[u8], kid: Kid) -> Zeroizing<Vec<u8>> {
    let now = SealTime::now();
    let date = now.as_ref().and_then(|now| now.as_str().get(..10));
    let label = format!("# retired {}: ", date.unwrap_or("on an unknown date"));
    let mut pieces: Vec<&[u8]> = Vec::new();
    for (_, raw, content) in lines(old) {
        if matches!(content, Ok(Line::Key(key)) if key.kid() == kid) {
            pieces.push(label.as_bytes());
        }
        pieces.push(raw);
    }
    concat(&pieces)
}

#[cfg(test)]
mod tests {
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
        assert_eq!(create_key(&link).map_err(|e| e.problem), Err(Problem::NotRegular));
    }

    #[test]
    fn keys_created_concurrently_are_all_kept() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("keyring");
        let made: Vec<KeyUri> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..16)
                .map(|_| scope.spawn(|| create_key(&path).expect("created")))
                .collect();
            threads
                .into_iter()
                .map(|thread| thread.join().expect("no panic"))
                .collect()
        });
        let mut made: Vec<Kid> = made.iter().filter_map(Kid::of_uri).collect();
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
}
