//! Replacing a file in one step.

use std::fs::{self, File, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, fchown};
use std::path::{Path, PathBuf};

/// Permission bits of a written file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// 0600, whatever mode the file had: it holds plaintext or keys.
    Private,
    /// Those of the replaced file, with its owner and group; a new file gets its mode from the umask.
    Kept,
}

/// What to do if the file exists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Overwrite {
    /// Fail with [`FileError::Exists`], even if another process creates the file during the write.
    Never,
    /// Replace it; for a symlink replace the target and keep the link.
    Replace,
}

/// Why a file was not written. The old file is unchanged.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// [`Overwrite::Never`], and the file exists.
    #[error("{} already exists", .0.display())]
    Exists(PathBuf),
    /// A directory, a device, a pipe or a dangling symlink: renaming over it would destroy it.
    #[error("{} is not a regular file", .0.display())]
    NotRegular(PathBuf),
    /// The operating system reported an error.
    #[error("cannot {step} {}: {source}", .path.display())]
    Io {
        /// `create a file beside`, `write`, ...
        step: &'static str,
        /// The file.
        path: PathBuf,
        /// The error.
        source: io::Error,
    },
}

impl FileError {
    /// Returns advice.
    pub fn advice(&self) -> &'static str {
        match self {
            FileError::Exists(_) => "choose another name, or remove the file first",
            FileError::NotRegular(_) => "name a regular file or one that does not exist yet",
            FileError::Io { .. } => "check that its directory exists, is writable and has space",
        }
    }
}

/// Writes `bytes` to `path` atomically: a temporary file in the same directory, fsync, rename, fsync of the directory. A
/// crash leaves the old file or the new one. Extended attributes and ACLs of a replaced file are lost.
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
            _ => failed("examine")(error),
        })?),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => return Err(failed("examine")(error)),
    };
    let target = match &old {
        Some(old) if !old.is_file() => return Err(FileError::NotRegular(path.to_owned())),
        Some(_) => fs::canonicalize(path).map_err(failed("follow"))?,
        None => path.to_owned(),
    };
    let directory = match target.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };

    let mut builder = tempfile::Builder::new();
    builder.prefix(".envelope-").suffix(".tmp");
    if mode == Mode::Kept && old.is_none() {
        builder.permissions(Permissions::from_mode(0o666)); // less the umask
    }
    let mut beside = builder
        .tempfile_in(directory)
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
    File::open(directory)
        .and_then(|directory| directory.sync_all())
        .map_err(failed("sync the directory of"))
}

/// Only root can change the owner. If the group cannot be kept, its permissions are dropped, since they would apply to
/// another group.
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
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

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
        write_atomically(&path, b"one", Mode::Private, Overwrite::Never).expect("written");
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
            let error = write_atomically(there, b"new", Mode::Private, Overwrite::Never).expect_err("there");
            assert!(matches!(error, FileError::Exists(_)), "{error}");
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
    fn a_new_public_file_gets_its_mode_from_the_umask() {
        let directory = tempfile::tempdir().expect("a directory");
        let (plain, ours) = (directory.path().join("plain"), directory.path().join("ours"));
        fs::write(&plain, "").expect("written");
        write_atomically(&ours, b"", Mode::Kept, Overwrite::Replace).expect("written");
        assert_eq!(mode_of(&ours), mode_of(&plain));
    }

    #[test]
    fn a_symlink_is_kept_and_its_target_replaced() {
        let directory = tempfile::tempdir().expect("a directory");
        let (path, link) = (directory.path().join("k"), directory.path().join("link"));
        fs::write(&path, "old").expect("written");
        symlink("k", &link).expect("linked");
        write_atomically(&link, b"new", Mode::Kept, Overwrite::Replace).expect("written");
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
            let error = write_atomically(odd, b"x", Mode::Kept, Overwrite::Replace).expect_err("not regular");
            assert!(matches!(error, FileError::NotRegular(_)), "{error}");
        }
        let error = write_atomically(
            &directory.path().join("no/k"),
            b"x",
            Mode::Private,
            Overwrite::Never,
        )
        .expect_err("no directory");
        assert!(
            error.to_string().starts_with("cannot create a file beside "),
            "{error}"
        );
        assert!(error.advice().contains("directory"), "{}", error.advice());
    }
}
