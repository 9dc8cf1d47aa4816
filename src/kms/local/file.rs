//! Reading a keyring file: who may have written or read it is asked of the opened descriptor, not of the name.

use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, Read as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::Path;

use zeroize::Zeroizing;

use super::error::Problem;

/// More than any keyring: some ten thousand keys.
const MAX_LEN: u64 = 1024 * 1024;

/// Whose file a keyring is, and so who else may use it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileRules {
    /// A person's: a regular file (a symlink to one will do) of this user, nothing for group and others.
    Person,
    /// Mounted into a pod: a Secret volume is a farm of symlinks to files of root, which fsGroup makes readable
    /// for a group. Nothing for others, and nobody but the owner writes.
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

/// What tells one state of a file from another without reading it. A swapped symlink leads to another inode; a
/// write, a chmod and a rename change the times.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::kms) struct Stamp {
    device: u64,
    inode: u64,
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Stamp {
    fn new(of: &Metadata) -> Self {
        Stamp {
            device: of.dev(),
            inode: of.ino(),
            size: of.size(),
            modified: (of.mtime(), of.mtime_nsec()),
            changed: (of.ctime(), of.ctime_nsec()),
        }
    }

    /// Of the file that the name leads to now.
    pub(in crate::kms) fn of(path: &Path) -> io::Result<Self> {
        fs::metadata(path).map(|found| Stamp::new(&found))
    }

    /// Of an opened file.
    pub(super) fn of_file(file: &File) -> io::Result<Self> {
        file.metadata().map(|found| Stamp::new(&found))
    }

    /// Whether both are states of one file.
    pub(super) fn same_file(&self, other: &Stamp) -> bool {
        (self.device, self.inode) == (other.device, other.inode)
    }
}

/// Opens for reading.
pub(super) fn open(path: &Path) -> Result<File, Problem> {
    open_with(OpenOptions::new().read(true), path)
}

/// Opens for reading and writing what is there.
pub(super) fn open_to_write(path: &Path) -> Result<File, Problem> {
    open_with(OpenOptions::new().read(true).write(true), path)
}

/// Does not wait for the other end, should it be a pipe.
fn open_with(options: &mut OpenOptions, path: &Path) -> Result<File, Problem> {
    options
        .custom_flags(rustix::fs::OFlags::NONBLOCK.bits().cast_signed())
        .open(path)
        .map_err(Problem::system("open it"))
}

/// The whole file in a buffer that is wiped, and the state that was read.
pub(super) fn read(file: &File, rules: FileRules) -> Result<(Zeroizing<Vec<u8>>, Stamp), Problem> {
    let before = file.metadata().map_err(Problem::system("look at it"))?;
    let user = rustix::process::geteuid().as_raw();
    rules.check(before.is_file(), before.mode(), before.uid(), user)?;
    if before.size() > MAX_LEN {
        return Err(Problem::TooLarge(before.size()));
    }
    // One byte more than there should be: a full buffer means that the file grew. It never grows itself, since a
    // buffer that moves leaves keys behind.
    let size = usize::try_from(before.size()).map_err(|_| Problem::TooLarge(before.size()))?;
    let mut bytes = Zeroizing::new(vec![0; size + 1]);
    let mut filled = 0;
    while filled < bytes.len() {
        match (&mut &*file).read(&mut bytes[filled..]) {
            Ok(0) => break,
            Ok(more) => filled += more,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(Problem::system("read it")(error)),
        }
    }
    bytes.truncate(filled);
    let stamp = Stamp::new(&before);
    let after = Stamp::of_file(file).map_err(Problem::system("look at it"))?;
    if filled != size || after != stamp {
        return Err(Problem::Unsteady);
    }
    Ok((bytes, stamp))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_persons_keyring_is_for_its_owner_alone() {
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
    fn a_mounted_keyring_may_be_read_by_a_group_and_belongs_to_anyone() {
        let check = |mode, owner| FileRules::Mounted.check(true, mode, owner, 65532);
        for mode in [0o400, 0o440, 0o600, 0o640] {
            assert_eq!(check(mode, 0), Ok(()), "{mode:o}");
        }
        for mode in [0o444, 0o644, 0o460, 0o660, 0o450, 0o404, 0o401] {
            assert_eq!(check(mode, 0), Err(Problem::TooWide(mode)), "{mode:o}");
        }
    }

    #[test]
    fn only_regular_files_are_keyrings_and_a_pipe_does_not_hang() {
        for rules in [FileRules::Person, FileRules::Mounted] {
            assert_eq!(rules.check(false, 0o600, 0, 0), Err(Problem::NotRegular));
        }
        let folder = tempfile::tempdir().expect("a folder");
        let pipe = folder.path().join("pipe");
        let made = rustix::fs::mknodat(
            rustix::fs::CWD,
            &pipe,
            rustix::fs::FileType::Fifo,
            rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR,
            0,
        );
        made.expect("a pipe");
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
    fn a_file_larger_than_any_keyring_is_not_read() {
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
