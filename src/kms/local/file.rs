//! Reads keyring files. Owner and mode are checked on the open descriptor, not on the path.

use std::fs::File;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use zeroize::Zeroizing;

use super::error::Problem;
use crate::files::{self, FileVersion, ReadError};

/// More than any keyring: some ten thousand keys.
const MAX_LEN: u64 = 1024 * 1024;

/// The rules for owner and mode of a keyring file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileRules {
    /// A personal keyring: a regular file (or a symlink to one) that this user owns, without access for group and others.
    Person,
    /// A keyring mounted into a pod: a Secret volume has symlinks to files of root, which fsGroup makes readable for a
    /// group. No access for others, and only the owner writes.
    Mounted,
}

impl FileRules {
    /// `mode`: permission bits; `owner` and `user`: user ids of the file and of this process.
    fn check(self, regular: bool, mode: u32, owner: u32, user: u32) -> Result<(), Problem> {
        let mode = mode & 0o777;
        match self {
            _ if !regular => Err(Problem::NotRegular),
            FileRules::Person if owner != user => Err(Problem::Owner { owner, user }),
            FileRules::Person if mode & 0o077 != 0 => Err(Problem::NotPrivate(mode)),
            FileRules::Mounted if mode & 0o037 != 0 => Err(Problem::TooWide(mode)),
            _ => Ok(()),
        }
    }
}

/// Opens for reading.
pub(super) fn open(path: &Path) -> Result<File, Problem> {
    files::open(path).map_err(|error| match Problem::system("open it")(error) {
        Problem::Missing if path.is_symlink() => Problem::Dangling,
        problem => problem,
    })
}

/// Opens an existing file for reading and writing.
pub(super) fn open_to_write(path: &Path) -> Result<File, Problem> {
    files::open_to_write(path).map_err(Problem::system("open it"))
}

/// The whole file in a buffer that is wiped, and the state that was read.
pub(super) fn read(file: &File, rules: FileRules) -> Result<(Zeroizing<Vec<u8>>, FileVersion), Problem> {
    let found = file.metadata().map_err(Problem::system("look at it"))?;
    let user = rustix::process::geteuid().as_raw();
    rules.check(found.is_file(), found.mode(), found.uid(), user)?;
    files::read(file, MAX_LEN).map_err(|error| match error {
        ReadError::NotRegular => Problem::NotRegular,
        ReadError::TooLarge(size) => Problem::TooLarge(size),
        ReadError::ChangedDuringRead => Problem::ChangedDuringRead,
        ReadError::Io(error) => Problem::system("read it")(error),
    })
}

#[cfg(test)]
mod tests {
    use std::fs::OpenOptions;
    use std::os::unix::fs::OpenOptionsExt as _;

    use super::*;

    #[test]
    fn personal_keyring_with_access_for_others_is_refused() {
        let check = |mode, owner| FileRules::Person.check(true, mode, owner, 1000);
        for mode in [0o100_600, 0o100_400, 0o600, 0o700, 0o000] {
            assert_eq!(check(mode, 1000), Ok(()), "{mode:o}");
        }
        for mode in [0o640, 0o620, 0o610, 0o604, 0o602, 0o601, 0o644, 0o777] {
            assert_eq!(
                check(0o100_000 | mode, 1000),
                Err(Problem::NotPrivate(mode)),
                "{mode:o}"
            );
        }
        for owner in [0, 1001] {
            assert_eq!(check(0o600, owner), Err(Problem::Owner { owner, user: 1000 }));
        }
        assert_eq!(
            FileRules::Person.check(true, 0o600, 1000, 0),
            Err(Problem::Owner { owner: 1000, user: 0 })
        );
    }

    #[test]
    fn mounted_keyring_may_have_any_owner_and_a_reading_group() {
        let check = |mode, owner| FileRules::Mounted.check(true, mode, owner, 65532);
        for mode in [0o400, 0o440, 0o600, 0o640] {
            assert_eq!(check(mode, 0), Ok(()), "{mode:o}");
        }
        for mode in [0o444, 0o644, 0o460, 0o660, 0o450, 0o404, 0o401] {
            assert_eq!(check(mode, 0), Err(Problem::TooWide(mode)), "{mode:o}");
        }
    }

    #[test]
    fn pipes_and_directories_are_refused_without_blocking() {
        for rules in [FileRules::Person, FileRules::Mounted] {
            assert_eq!(rules.check(false, 0o600, 0, 0), Err(Problem::NotRegular));
        }
        let folder = tempfile::tempdir().expect("a folder");
        let pipe = folder.path().join("pipe");
        files::pipe(&pipe);
        for odd in [pipe.as_path(), folder.path()] {
            let file = open(odd).expect("opened");
            assert_eq!(
                read(&file, FileRules::Mounted).map(|_| ()),
                Err(Problem::NotRegular),
                "{}",
                odd.display()
            );
        }
        assert_eq!(
            open(&folder.path().join("none")).map(|_| ()),
            Err(Problem::Missing)
        );
    }

    #[test]
    fn oversized_file_is_refused_before_it_is_read() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("large");
        let file = OpenOptions::new()
            .create_new(true)
            .write(true)
            .mode(0o600)
            .open(&path)
            .expect("made");
        file.set_len(MAX_LEN + 1).expect("grown");
        let found = read(&open(&path).expect("opened"), FileRules::Person).map(|_| ());
        assert_eq!(found, Err(Problem::TooLarge(MAX_LEN + 1)));
    }
}
