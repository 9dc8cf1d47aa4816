//! Edits of a keyring file: new key, promotion, retirement. They preserve comments and line endings, replace the file
//! atomically, and lose no key when several processes edit the same file concurrently.

use std::fs::{DirBuilder, File};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::Path;

use zeroize::Zeroizing;

use super::error::{KeyringError, Problem};
use super::file::{self, FileRules};
use super::key::{Kid, LocalKey};
use super::keyring::{GrammarError, Keyring, Line, RETIRED, lines};
use crate::envelope::SealTime;
use crate::files::{FileVersion, Overwrite, Staging, WriteError, write_private};
use crate::kms::{Disposal, KeyUri};

const HEADER: &str = "# envelope-secrets keyring. Anyone with this file can open everything that was sealed with it.\n\
                      # Back it up, and keep it out of Git. The first key seals, all of them open.\n";

/// Generates a key and appends it to the keyring at `path`, or creates the file (0600, missing directories 0700). A key
/// after others only opens until [`promote`] moves it to the front.
pub fn create_key(path: &Path) -> Result<KeyUri, KeyringError> {
    create(path).map(|created| created.uri)
}

/// A generated key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Created {
    pub(super) uri: KeyUri,
    /// Whether it is the only key, and so seals by default.
    pub(super) is_first: bool,
}

/// [`create_key`], with the state of the keyring.
pub(super) fn create(path: &Path) -> Result<Created, KeyringError> {
    generate(path).map_err(|problem| problem.at(path))
}

/// Moves a key to the front, so that it seals by default. Returns `false` if it is already first.
pub fn promote(path: &Path, kid: Kid) -> Result<bool, KeyringError> {
    let mut changed = true;
    edit(path, |ring, old| {
        let ring = held(ring)?;
        if ring.key(kid).is_none() {
            return Err(unknown(ring, kid));
        }
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
        first = successor(held(ring)?, kid)?;
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

/// The keyring, which must hold a key.
fn held(ring: Option<&Keyring>) -> Result<&Keyring, Problem> {
    ring.ok_or(Problem::Grammar(GrammarError::NoKey))
}

fn unknown(ring: &Keyring, kid: Kid) -> Problem {
    if ring.retired().contains(&kid) {
        Problem::Retired(kid)
    } else {
        Problem::Unknown(kid)
    }
}

/// The key that seals by default once `kid` is removed.
fn successor(ring: &Keyring, kid: Kid) -> Result<Kid, Problem> {
    if ring.key(kid).is_none() {
        return Err(unknown(ring, kid));
    }
    let others = ring.kids().into_iter().find(|other| *other != kid);
    others.ok_or(Problem::Last(kid))
}

fn generate(path: &Path) -> Result<Created, Problem> {
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
            Ok(_) => {
                return Ok(Created {
                    uri: key.kid().uri(),
                    is_first: true,
                });
            }
            Err(WriteError::Exists(_)) => {}
            Err(error) => return Err(not_written(&error)),
        }
        let mut is_first = false;
        let added = edit(path, |ring, old| {
            is_first = ring.is_none();
            while ring.is_some_and(|ring| ring.key(key.kid()).is_some()) {
                key = LocalKey::random().map_err(random)?; // ids have 4 bytes and may collide
            }
            Ok(Some(appended(old, &key)))
        });
        match added {
            Ok(()) => {
                return Ok(Created {
                    uri: key.kid().uri(),
                    is_first,
                });
            }
            // It was removed in the meantime: start again. A dangling symlink is left alone.
            Err(Problem::Missing) if path.symlink_metadata().is_err() => {}
            Err(Problem::Missing) => return Err(Problem::Dangling),
            Err(problem) => return Err(problem),
        }
    }
}

fn not_written(error: &WriteError) -> Problem {
    match error {
        WriteError::NotRegular(_) => Problem::NotRegular,
        WriteError::Interrupted(_) => Problem::Interrupted,
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
/// `change` gets `None` for a file without a key.
fn edit(
    path: &Path,
    change: impl FnOnce(Option<&Keyring>, &[u8]) -> Result<Option<Zeroizing<Vec<u8>>>, Problem>,
) -> Result<(), Problem> {
    let locked = lock(path)?;
    let (old, _) = file::read(&locked, FileRules::Person)?;
    let ring = match Keyring::parse(&old) {
        Err(GrammarError::NoKey) => None,
        parsed => Some(parsed?),
    };
    if let Some(new) = change(ring.as_ref(), &old)? {
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
    let label = format!("{RETIRED}{}: ", date.unwrap_or("on an unknown date"));
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
mod tests;
