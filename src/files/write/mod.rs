//! Replacing a file in one step.
//!
//! A new file has no name until it is complete (`O_TMPFILE`, `linkat`). Where the file system cannot do that, and to
//! replace a file, a temporary file exists for a moment; signals are deferred until it is gone.

use std::fs::{self, File, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, fchown};
use std::path::{Path, PathBuf};

use super::read::FileVersion;
use super::signals::Deferred;

/// Bytes that anyone may read, such as a sealed document. Only they can be written with more permissions than 0600.
#[derive(Clone, Copy)]
pub struct Public<'b>(pub &'b [u8]);

/// What to do if the file exists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Overwrite {
    /// Fail with [`WriteError::Exists`], even if another process creates the file during the write.
    Never,
    /// Replace it; for a symlink replace the target and keep the link.
    Replace,
    /// Replace it if it still is the file of this state, else fail with [`WriteError::Changed`].
    Same(FileVersion),
}

/// Where a temporary file may have a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Staging {
    /// In the directory of the file.
    Beside,
    /// In this directory, which is on the same file system.
    In(PathBuf),
    /// Nowhere: the file is in a Git work tree that would pick it up.
    Nowhere,
}

/// A file was written.
#[must_use]
#[derive(Debug)]
pub struct Written {
    /// Why the directory could not be synced: the file is in place, but may be lost if the host crashes now.
    pub not_synced: Option<io::Error>,
}

/// Why a file was not written. The old file is unchanged.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// [`Overwrite::Never`], and the file exists.
    #[error("{} already exists", .0.display())]
    Exists(PathBuf),
    /// [`Overwrite::Same`], and the file was removed or replaced.
    #[error("{} was removed or replaced by another process", .0.display())]
    Changed(PathBuf),
    /// A directory, a device, a pipe or a dangling symlink: renaming over it would destroy it.
    #[error("{} is not a regular file", .0.display())]
    NotRegular(PathBuf),
    /// The directory does not exist.
    #[error("cannot write {}: the directory {} does not exist", .path.display(), .directory.display())]
    NoDirectory {
        /// The file.
        path: PathBuf,
        /// Its directory.
        directory: PathBuf,
    },
    /// [`Staging::Nowhere`], and the file system has no unnamed files.
    #[error("cannot write {}: a temporary file with its content would be inside a Git work tree", .0.display())]
    NoStaging(PathBuf),
    /// The process received a signal. Its default action follows.
    #[error("interrupted while writing {}", .0.display())]
    Interrupted(PathBuf),
    /// The operating system reported an error.
    #[error("cannot {step} {}: {source}", .path.display())]
    Io {
        /// `write`, `rename a file to`, ...
        step: &'static str,
        /// The file.
        path: PathBuf,
        /// The error.
        source: io::Error,
    },
}

impl WriteError {
    /// Returns advice.
    pub fn advice(&self) -> &'static str {
        match self {
            WriteError::Exists(_) => "choose another name, or remove the file first",
            WriteError::NotRegular(_) => "name a regular file or one that does not exist yet",
            WriteError::NoDirectory { .. } => "create the directory first",
            WriteError::NoStaging(_) => "write it outside the work tree, or have Git ignore .envelope-*.tmp",
            WriteError::Changed(_) | WriteError::Interrupted(_) => "run the command again",
            WriteError::Io { .. } => "check that its directory exists, is writable and has space",
        }
    }
}

/// Writes plaintext or keys atomically. The file gets mode 0600, or the narrower mode of the file that it replaces.
pub fn write_private(
    path: &Path,
    bytes: &[u8],
    overwrite: Overwrite,
    staging: &Staging,
) -> Result<Written, WriteError> {
    write(path, bytes, Mode::Private, overwrite, staging)
}

/// Writes public bytes atomically. The file gets the mode, owner and group of the file that it replaces; a new file gets
/// its mode from the umask.
pub fn write_public(path: &Path, bytes: Public<'_>, overwrite: Overwrite) -> Result<Written, WriteError> {
    write(path, bytes.0, Mode::Kept, overwrite, &Staging::Beside)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Mode {
    Private,
    Kept,
}

/// Extended attributes and ACLs of a replaced file are lost.
fn write(
    path: &Path,
    bytes: &[u8],
    mode: Mode,
    overwrite: Overwrite,
    staging: &Staging,
) -> Result<Written, WriteError> {
    let target = Target::resolve(path, overwrite)?;
    let signals = Deferred::begin();
    target.write(bytes, mode, overwrite, staging, &signals)?;
    drop(signals);
    let synced = File::open(&target.directory).and_then(|directory| directory.sync_all());
    Ok(Written {
        not_synced: synced.err(),
    })
}

/// The file to write, with symlinks resolved.
struct Target<'p> {
    /// As it was named, for messages.
    named: &'p Path,
    path: PathBuf,
    directory: PathBuf,
    /// The existing file.
    old: Option<fs::Metadata>,
}

impl<'p> Target<'p> {
    fn resolve(named: &'p Path, overwrite: Overwrite) -> Result<Self, WriteError> {
        let old = match fs::symlink_metadata(named) {
            Ok(_) if overwrite == Overwrite::Never => return Err(WriteError::Exists(named.to_owned())),
            Ok(_) => Some(fs::metadata(named).map_err(|source| match source.kind() {
                io::ErrorKind::NotFound => WriteError::NotRegular(named.to_owned()),
                _ => io_error(named, "examine", source),
            })?),
            Err(error) if error.kind() == io::ErrorKind::NotFound => match overwrite {
                Overwrite::Same(_) => return Err(WriteError::Changed(named.to_owned())),
                Overwrite::Never | Overwrite::Replace => None,
            },
            Err(error) => return Err(io_error(named, "examine", error)),
        };
        let path = match &old {
            Some(old) if !old.is_file() => return Err(WriteError::NotRegular(named.to_owned())),
            Some(_) => fs::canonicalize(named).map_err(|source| io_error(named, "resolve", source))?,
            None => named.to_owned(),
        };
        let directory = match path.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
            _ => PathBuf::from("."),
        };
        if !directory.exists() {
            return Err(WriteError::NoDirectory {
                path: named.to_owned(),
                directory,
            });
        }
        Ok(Target {
            named,
            path,
            directory,
            old,
        })
    }

    fn write(
        &self,
        bytes: &[u8],
        mode: Mode,
        overwrite: Overwrite,
        staging: &Staging,
        signals: &Deferred,
    ) -> Result<(), WriteError> {
        let permissions = match (mode, &self.old) {
            (Mode::Kept, None) => 0o666, // less the umask
            _ => 0o600,
        };
        let named_in = match staging {
            Staging::Beside => Some(self.directory.as_path()),
            Staging::In(directory) => Some(directory.as_path()),
            Staging::Nowhere => None,
        };
        if self.old.is_none()
            && let Some(file) = unnamed::create(&self.directory, permissions)
        {
            self.fill(&file, bytes, mode, signals)?;
            match unnamed::link(&file, &self.path) {
                Ok(()) => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                    return Err(WriteError::Exists(self.named.to_owned()));
                }
                // Without /proc there is no way to name it.
                Err(_) => {}
            }
        }
        let Some(named_in) = named_in else {
            return Err(WriteError::NoStaging(self.named.to_owned()));
        };
        let mut builder = tempfile::Builder::new();
        builder
            .prefix(".envelope-")
            .suffix(".tmp")
            .permissions(Permissions::from_mode(permissions));
        let temporary = builder
            .tempfile_in(named_in)
            .map_err(|source| self.io("create a temporary file for", without_path(&source)))?;
        self.fill(temporary.as_file(), bytes, mode, signals)?;
        let renamed = match overwrite {
            Overwrite::Never => temporary.persist_noclobber(&self.path),
            Overwrite::Replace => temporary.persist(&self.path),
            Overwrite::Same(old) => {
                if !FileVersion::of(&self.path).is_ok_and(|now| now.same_file(&old)) {
                    return Err(WriteError::Changed(self.named.to_owned()));
                }
                temporary.persist(&self.path)
            }
        };
        match renamed {
            Ok(_) => Ok(()),
            Err(refused) if refused.error.kind() == io::ErrorKind::AlreadyExists => {
                Err(WriteError::Exists(self.named.to_owned()))
            }
            Err(refused) => Err(self.io("rename a file to", refused.error)),
        }
    }

    /// Writes the content, the mode and the owner, and syncs. Stops at a signal.
    fn fill(&self, mut file: &File, bytes: &[u8], mode: Mode, signals: &Deferred) -> Result<(), WriteError> {
        for chunk in bytes.chunks(64 * 1024) {
            if signals.interrupted() {
                return Err(WriteError::Interrupted(self.named.to_owned()));
            }
            file.write_all(chunk).map_err(|source| self.io("write", source))?;
        }
        match (mode, &self.old) {
            (Mode::Kept, Some(old)) => keep_owner_and_mode(file, old),
            (Mode::Private, Some(old)) => keep_owner_privately(file, old),
            (_, None) => Ok(()),
        }
        .map_err(|source| self.io("keep the permissions of", source))?;
        file.sync_all().map_err(|source| self.io("write", source))
    }

    fn io(&self, step: &'static str, source: io::Error) -> WriteError {
        io_error(self.named, step, source)
    }
}

/// The error without the name of the temporary file, which says nothing to the user.
fn without_path(error: &io::Error) -> io::Error {
    let text = error.to_string();
    let reason = text
        .split_once(" at path ")
        .map_or(text.as_str(), |(reason, _)| reason);
    io::Error::new(error.kind(), reason)
}

fn io_error(path: &Path, step: &'static str, source: io::Error) -> WriteError {
    WriteError::Io {
        step,
        path: path.to_owned(),
        source,
    }
}

/// Files without a name.
#[cfg(target_os = "linux")]
mod unnamed {
    use std::fs::File;
    use std::io;
    use std::os::fd::AsRawFd as _;
    use std::path::Path;

    use rustix::fs::{AtFlags, CWD, Mode, OFlags, linkat, openat};

    /// `None` if the file system has none.
    pub(super) fn create(directory: &Path, permissions: u32) -> Option<File> {
        let flags = OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC;
        let mode = Mode::from_raw_mode(permissions);
        openat(CWD, directory, flags, mode).ok().map(File::from)
    }

    /// Names a file. Never replaces another one.
    pub(super) fn link(file: &File, path: &Path) -> io::Result<()> {
        // AT_EMPTY_PATH would need a capability.
        let source = format!("/proc/self/fd/{}", file.as_raw_fd());
        Ok(linkat(CWD, source.as_str(), CWD, path, AtFlags::SYMLINK_FOLLOW)?)
    }
}

/// Files without a name.
#[cfg(not(target_os = "linux"))]
mod unnamed {
    use std::fs::File;
    use std::io;
    use std::path::Path;

    pub(super) fn create(_: &Path, _: u32) -> Option<File> {
        None
    }

    pub(super) fn link(_: &File, _: &Path) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }
}

/// Root keeps the owner; anyone else already owns the file that they replace, or becomes its owner.
fn keep_owner_privately(new: &File, old: &fs::Metadata) -> io::Result<()> {
    if new.metadata()?.uid() != old.uid() {
        let _ = fchown(new, Some(old.uid()), Some(old.gid()));
    }
    new.set_permissions(Permissions::from_mode(old.mode() & 0o600))
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
mod tests;
