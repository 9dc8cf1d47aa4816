//! Reads of small files that hold secrets.

use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, Read as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::Path;

use zeroize::Zeroizing;

/// Identifies the state of a file without reading it. A swapped symlink leads to another inode; a write, a chmod and a
/// rename change the times.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileVersion {
    device: u64,
    inode: u64,
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl FileVersion {
    fn new(of: &Metadata) -> Self {
        FileVersion {
            device: of.dev(),
            inode: of.ino(),
            size: of.size(),
            modified: (of.mtime(), of.mtime_nsec()),
            changed: (of.ctime(), of.ctime_nsec()),
        }
    }

    /// Returns the state of the file that `path` resolves to.
    pub fn of(path: &Path) -> io::Result<Self> {
        fs::metadata(path).map(|found| FileVersion::new(&found))
    }

    /// Returns the state of an open file.
    pub fn of_file(file: &File) -> io::Result<Self> {
        file.metadata().map(|found| FileVersion::new(&found))
    }

    /// Reports whether both are states of the same file.
    pub fn same_file(&self, other: &FileVersion) -> bool {
        (self.device, self.inode) == (other.device, other.inode)
    }
}

/// Opens a file for reading. Does not block on a pipe without a writer.
pub fn open(path: &Path) -> io::Result<File> {
    open_with(OpenOptions::new().read(true), path)
}

/// Opens an existing file for reading and writing. Does not block on a pipe either.
pub fn open_to_write(path: &Path) -> io::Result<File> {
    open_with(OpenOptions::new().read(true).write(true), path)
}

fn open_with(options: &mut OpenOptions, path: &Path) -> io::Result<File> {
    options
        .custom_flags(rustix::fs::OFlags::NONBLOCK.bits().cast_signed())
        .open(path)
}

/// Why an open file was not read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// A directory, a pipe or a device.
    #[error("not a regular file")]
    NotRegular,
    /// Larger than the limit. Size in bytes.
    #[error("it is too large: {0} bytes")]
    TooLarge(u64),
    /// It was written in place during the read.
    #[error("it changed while it was read")]
    ChangedDuringRead,
    /// The operating system reported an error.
    #[error("{0}")]
    Io(#[from] io::Error),
}

/// Reads a regular file of at most `limit` bytes into a buffer that is wiped, and returns the state that was read.
pub fn read(file: &File, limit: u64) -> Result<(Zeroizing<Vec<u8>>, FileVersion), ReadError> {
    let before = file.metadata()?;
    if !before.is_file() {
        return Err(ReadError::NotRegular);
    }
    let too_large = ReadError::TooLarge(before.size());
    let Some(size) = usize::try_from(before.size())
        .ok()
        .filter(|_| before.size() <= limit)
    else {
        return Err(too_large);
    };
    // One extra byte: a full buffer means that the file grew. The buffer never reallocates, which would leave copies
    // behind.
    let mut bytes = Zeroizing::new(vec![0; size + 1]);
    let mut filled = 0;
    while filled < bytes.len() {
        match (&mut &*file).read(&mut bytes[filled..]) {
            Ok(0) => break,
            Ok(more) => filled += more,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error.into()),
        }
    }
    bytes.truncate(filled);
    let version = FileVersion::new(&before);
    if filled != size || FileVersion::of_file(file)? != version {
        return Err(ReadError::ChangedDuringRead);
    }
    Ok((bytes, version))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// Creates a pipe without a writer.
    pub(crate) fn pipe(path: &Path) {
        let made = rustix::fs::mknodat(
            rustix::fs::CWD,
            path,
            rustix::fs::FileType::Fifo,
            rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR,
            0,
        );
        made.expect("a pipe");
    }

    #[test]
    fn a_pipe_directory_or_device_is_refused_without_blocking() {
        let folder = tempfile::tempdir().expect("a directory");
        let at = folder.path().join("pipe");
        pipe(&at);
        for odd in [at.as_path(), folder.path(), Path::new("/dev/zero")] {
            let file = open(odd).expect("opened");
            let found = read(&file, 100).map(|_| ());
            assert!(matches!(found, Err(ReadError::NotRegular)), "{}", odd.display());
        }
    }

    #[test]
    fn a_file_is_read_up_to_the_limit() {
        let folder = tempfile::tempdir().expect("a directory");
        let path = folder.path().join("k");
        for (length, fits) in [(0, true), (99, true), (100, true), (101, false)] {
            fs::write(&path, vec![b'x'; length]).expect("written");
            let found = read(&open(&path).expect("opened"), 100);
            match found {
                Ok((bytes, version)) => {
                    assert!(fits && bytes.len() == length);
                    assert_eq!(version, FileVersion::of(&path).expect("there"));
                }
                Err(error) => {
                    assert!(!fits && matches!(error, ReadError::TooLarge(101)), "{error}");
                }
            }
        }
    }
}
