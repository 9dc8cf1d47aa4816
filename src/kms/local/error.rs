//! Errors of keyring files, with the command that corrects each.

use std::path::{Path, PathBuf};

use super::key::Kid;
use super::keyring::GrammarError;
use crate::kms::ProviderError;
use crate::paths;

/// A keyring file cannot be used, or was not changed. Never holds a key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("keyring {}: {problem}", .path.display())]
pub struct KeyringError {
    /// The file, as configured.
    pub path: PathBuf,
    /// What is wrong with it.
    pub problem: Problem,
}

/// What is wrong with a keyring file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// No such file.
    #[error("no such file")]
    Missing,
    /// A directory, a pipe, a device.
    #[error("not a regular file")]
    NotRegular,
    /// A symlink whose target does not exist.
    #[error("it is a symlink to a file that does not exist")]
    Dangling,
    /// A signal ended the process before the file was written.
    #[error("interrupted before it was written; nothing was changed")]
    Interrupted,
    /// Another user owns it and could add keys. User ids.
    #[error("its owner is user {owner}, not user {user}")]
    Owner {
        /// The file's.
        owner: u32,
        /// This process's.
        user: u32,
    },
    /// A personal keyring that others can use. Permission bits.
    #[error("its mode is {0:04o}: users other than its owner have access")]
    NotPrivate(u32),
    /// A mounted keyring with access beyond its owner and a group that reads. Permission bits.
    #[error("its mode is {0:04o}: at most its owner and a reading group may have access")]
    TooWide(u32),
    /// Larger than any keyring. Bytes.
    #[error("it has {0} bytes, too many for a keyring")]
    TooLarge(u64),
    /// It was written in place during the read.
    #[error("it changed while it was read")]
    ChangedDuringRead,
    /// The text is not a keyring.
    #[error("{0}")]
    Grammar(#[from] GrammarError),
    /// It does not hold this key.
    #[error("it does not hold the KMS key {0}")]
    Unknown(Kid),
    /// It holds this key only as a comment.
    #[error("the KMS key {0} is retired")]
    Retired(Kid),
    /// Removing the key would leave the keyring empty.
    #[error("{0} is its last KMS key")]
    Last(Kid),
    /// A system call failed.
    #[error("cannot {step}: {why}")]
    System {
        /// `read it`, `lock it`, ...
        step: &'static str,
        /// The system's message.
        why: String,
    },
}

impl Problem {
    pub(super) fn system(step: &'static str) -> impl Fn(std::io::Error) -> Problem {
        move |error| match error.kind() {
            std::io::ErrorKind::NotFound => Problem::Missing,
            // A socket.
            _ if error.raw_os_error() == Some(rustix::io::Errno::NXIO.raw_os_error()) => Problem::NotRegular,
            _ => Problem::System {
                step,
                why: error.to_string(),
            },
        }
    }

    pub(super) fn at(self, path: &Path) -> KeyringError {
        KeyringError {
            path: path.to_owned(),
            problem: self,
        }
    }
}

impl From<KeyringError> for ProviderError {
    fn from(error: KeyringError) -> Self {
        ProviderError {
            file: Some(error.path.clone()),
            ..ProviderError::configuration(error.to_string(), error.advice())
        }
    }
}

impl KeyringError {
    /// What to do, with the command where there is one.
    pub fn advice(&self) -> String {
        let file = shell_path(&self.path);
        match &self.problem {
            Problem::Missing => {
                format!("name another file, or create the keyring: envelope keys create --keyring {file}")
            }
            Problem::NotRegular | Problem::TooLarge(_) => "name the keyring file itself".to_owned(),
            Problem::Dangling => "restore the file that it leads to, or remove the symlink".to_owned(),
            Problem::Interrupted => "run the command again".to_owned(),
            Problem::Owner { .. } => {
                format!("if you trust its content: sudo chown \"$(id -u)\" {file} && chmod 600 {file}")
            }
            Problem::NotPrivate(_) => format!("chmod 600 {file}"),
            Problem::TooWide(_) => {
                "set defaultMode: 0400 on the volume (fsGroup makes that 0440, which is fine), \
                 or for a plain file: chmod 600"
                    .to_owned()
            }
            Problem::ChangedDuringRead => {
                "try again; change keyrings with envelope keys, not in place".to_owned()
            }
            Problem::Grammar(GrammarError::NoKey) => {
                format!("add a KMS key: envelope keys create --keyring {file}")
            }
            Problem::Grammar(_) => "correct the line, or restore the file from its backup".to_owned(),
            Problem::Unknown(_) => format!("list its KMS keys: envelope keys list --keyring {file}"),
            Problem::Retired(_) => RESTORE.to_owned(),
            Problem::Last(_) => {
                format!("create its successor first: envelope keys create --keyring {file}")
            }
            Problem::System { .. } => {
                "check the file, its directory, their permissions and the free space".to_owned()
            }
        }
    }
}

/// How a retired key is restored.
pub(super) const RESTORE: &str = "to use it again, remove the `#` and the date before it in the keyring";

/// The path, quoted for a shell if it needs quotes.
pub(super) fn shell_path(path: &Path) -> String {
    paths::quoted(&path.display().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn error_names_the_problem_and_advice_the_command() {
        let error = Problem::NotPrivate(0o644).at(Path::new("/k"));
        assert_eq!(
            error.to_string(),
            "keyring /k: its mode is 0644: users other than its owner have access"
        );
        assert_eq!(error.advice(), "chmod 600 /k");
        let error = Problem::Missing.at(Path::new("my ring"));
        assert_eq!(error.to_string(), "keyring my ring: no such file");
        assert!(
            error
                .advice()
                .ends_with("envelope keys create --keyring 'my ring'"),
            "{}",
            error.advice()
        );
    }
}
