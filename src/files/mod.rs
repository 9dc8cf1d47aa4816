//! Writing files so that nobody ever sees half of one, and reading those that hold secrets. A leaf: uses no other room.

mod read;

use std::fs::{self, File, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, fchown};
use std::path::{Path, PathBuf};

pub use read::{ReadError, Stamp, open, open_to_write, read};

/// Permission bits of a written file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// 0600, whatever the file had: it holds plaintext or keys.
    Private,
    /// As the file that is replaced has them, owner and group too; a new file gets what the umask leaves.
    Kept,
}

/// What to do when the file is there already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Overwrite {
    /// Fail with [`FileError::Exists`], also when another process wins the race.
    Never,
    /// Replace it; behind a symlink its target, so that the link stays.
    Replace,
}

/// Why a file was not written. The old file is untouched then.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// [`Overwrite::Never`], and the file is there.
    #[error("{} exists already", .0.display())]
    Exists(PathBuf),
    /// A folder, a device, a pipe, or a symlink to nothing: renaming over it would destroy it.
    #[error("{} is not a regular file", .0.display())]
    NotRegular(PathBuf),
    /// The system refused a step.
    #[error("cannot {step} {}: {source}", .path.display())]
    Io {
        /// `create a file beside`, `write`, ...
        step: &'static str,
        /// The file that was to be written.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
}

impl FileError {
    /// What a person can do.
    pub fn advice(&self) -> &'static str {
        match self {
            FileError::Exists(_) => "choose another name, or remove the file first",
            FileError::NotRegular(_) => "name a regular file or one that does not exist yet",
            FileError::Io { .. } => "check that its folder exists, is writable and has space",
        }
    }
}

/// Writes `bytes` to `path` at once: a temporary file beside it, fsync, rename, fsync of the folder. A crash
/// leaves the old file or the new one. Extended attributes and ACLs of a replaced file are not carried over.
pub fn write_atomically(
    path: &Path,
    bytes: &[u8],
    mode: Mode,
    overwrite: Overwrite,
) -> Result<(), FileError> {
    let failed = |step: &'static str| {
        let path = path.to_owned();
        move |source| FileError::Io { step, path, source }
    };
    let old = match fs::symlink_metadata(path) {
        Ok(_) if overwrite == Overwrite::Never => return Err(FileError::Exists(path.to_owned())),
        Ok(_) => Some(fs::metadata(path).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => FileError::NotRegular(path.to_owned()),
            _ => failed("look at")(error),
        })?),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => return Err(failed("look at")(error)),
    };
    let target = match &old {
        Some(old) if !old.is_file() => return Err(FileError::NotRegular(path.to_owned())),
        Some(_) => fs::canonicalize(path).map_err(failed("follow"))?,
        None => path.to_owned(),
    };
    let folder = match target.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };

    let mut builder = tempfile::Builder::new();
    builder.prefix(".envelope-").suffix(".tmp");
    if mode == Mode::Kept && old.is_none() {
        builder.permissions(Permissions::from_mode(0o666)); // less the umask
    }
    let mut beside = builder
        .tempfile_in(folder)
        .map_err(failed("create a file beside"))?;
    beside.write_all(bytes).map_err(failed("write"))?;
    if let (Mode::Kept, Some(old)) = (mode, &old) {
        keep_owner_and_mode(beside.as_file(), old).map_err(failed("keep the permissions of"))?;
    }
    beside.as_file().sync_all().map_err(failed("write"))?;
    match overwrite {
        Overwrite::Replace => beside.persist(&target),
        Overwrite::Never => beside.persist_noclobber(&target),
    }
    .map_err(|refused| match refused.error.kind() {
        io::ErrorKind::AlreadyExists => FileError::Exists(path.to_owned()),
        _ => failed("rename a file to")(refused.error),
    })?;
    File::open(folder)
        .and_then(|folder| folder.sync_all())
        .map_err(failed("sync the folder of"))
}

/// Only root can give a file away. Where the group cannot be kept, the group's rights would go to another
/// group, so they are dropped instead.
fn keep_owner_and_mode(new: &File, old: &fs::Metadata) -> io::Result<()> {
    let own = new.metadata()?;
    let mut mode = old.mode() & 0o777;
    if own.uid() != old.uid() && fchown(new, Some(old.uid()), Some(old.gid())).is_ok() {
        return new.set_permissions(Permissions::from_mode(mode));
    }
    if own.gid() != old.gid() && fchown(new, None, Some(old.gid())).is_err() {
        mode &= 0o707;
    }
    new.set_permissions(Permissions::from_mode(mode))
}

#[cfg(test)]
pub(crate) use read::tests::pipe;

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn mode_of(path: &Path) -> u32 {
        fs::metadata(path).expect("there").mode() & 0o777
    }

    fn names(folder: &Path) -> Vec<String> {
        let mut names: Vec<String> = fs::read_dir(folder)
            .expect("a folder")
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
    fn a_private_file_is_0600_and_nothing_stays_beside_it() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("k");
        write_atomically(&path, b"one", Mode::Private, Overwrite::Never).expect("written");
        assert_eq!(
            (fs::read(&path).expect("there"), mode_of(&path)),
            (b"one".to_vec(), 0o600)
        );
        assert_eq!(names(folder.path()), ["k"]);
    }

    #[test]
    fn never_refuses_files_links_and_folders_that_are_there() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("k");
        fs::write(&path, "old").expect("written");
        let link = folder.path().join("dangling");
        symlink("nothing", &link).expect("linked");
        for there in [path.as_path(), &link, folder.path()] {
            let error = write_atomically(there, b"new", Mode::Private, Overwrite::Never).expect_err("there");
            assert!(matches!(error, FileError::Exists(_)), "{error}");
        }
        assert_eq!(fs::read(&path).expect("there"), b"old");
        assert_eq!(names(folder.path()), ["dangling", "k"]);
    }

    #[test]
    fn replace_keeps_the_mode_or_makes_it_private() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("k");
        fs::write(&path, "old").expect("written");
        fs::set_permissions(&path, Permissions::from_mode(0o640)).expect("chmod");
        write_atomically(&path, b"new", Mode::Kept, Overwrite::Replace).expect("written");
        assert_eq!(
            (fs::read(&path).expect("there"), mode_of(&path)),
            (b"new".to_vec(), 0o640)
        );
        write_atomically(&path, b"newer", Mode::Private, Overwrite::Replace).expect("written");
        assert_eq!(
            (fs::read(&path).expect("there"), mode_of(&path)),
            (b"newer".to_vec(), 0o600)
        );
    }

    #[test]
    fn a_new_file_that_is_not_private_gets_what_the_umask_leaves() {
        let folder = tempfile::tempdir().expect("a folder");
        let (plain, ours) = (folder.path().join("plain"), folder.path().join("ours"));
        fs::write(&plain, "").expect("written");
        write_atomically(&ours, b"", Mode::Kept, Overwrite::Replace).expect("written");
        assert_eq!(mode_of(&ours), mode_of(&plain));
    }

    #[test]
    fn a_symlink_stays_and_its_target_is_replaced() {
        let folder = tempfile::tempdir().expect("a folder");
        let (path, link) = (folder.path().join("k"), folder.path().join("link"));
        fs::write(&path, "old").expect("written");
        symlink("k", &link).expect("linked");
        write_atomically(&link, b"new", Mode::Kept, Overwrite::Replace).expect("written");
        assert!(fs::symlink_metadata(&link).expect("there").is_symlink());
        assert_eq!(fs::read(&path).expect("there"), b"new");
    }

    #[test]
    fn folders_sockets_and_dangling_links_are_never_renamed_over() {
        let folder = tempfile::tempdir().expect("a folder");
        let link = folder.path().join("dangling");
        symlink("nothing", &link).expect("linked");
        let socket = folder.path().join("socket");
        let _listener = std::os::unix::net::UnixListener::bind(&socket).expect("a socket");
        for odd in [folder.path(), &link, &socket] {
            let error = write_atomically(odd, b"x", Mode::Kept, Overwrite::Replace).expect_err("not regular");
            assert!(matches!(error, FileError::NotRegular(_)), "{error}");
        }
        let error = write_atomically(&folder.path().join("no/k"), b"x", Mode::Private, Overwrite::Never)
            .expect_err("no folder");
        assert!(
            error.to_string().starts_with("cannot create a file beside "),
            "{error}"
        );
        assert!(error.advice().contains("folder"), "{}", error.advice());
    }
}
