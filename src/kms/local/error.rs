//! What can be wrong with a keyring file, and the command that helps.

use std::path::{Path, PathBuf};

use super::key::Kid;
use super::keyring::GrammarError;
use crate::kms::ProviderError;

/// A keyring file cannot be used, or was not changed. Never holds a key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("keyring {}: {problem}", .path.display())]
pub struct KeyringError {
    /// The file, as it was named.
    pub path: PathBuf,
    /// What is wrong.
    pub problem: Problem,
}

/// What is wrong with a keyring file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// No such file.
    #[error("no such file")]
    Missing,
    /// A folder, a pipe, a device.
    #[error("not a regular file")]
    NotRegular,
    /// Another user owns it, who could put in keys of their own. User ids.
    #[error("it belongs to user {owner}, not to user {user}")]
    Owner {
        /// The file's.
        owner: u32,
        /// This process's.
        user: u32,
    },
    /// A person's keyring that others may use. Permission bits.
    #[error("its mode is {0:04o}: others than its owner can use it")]
    NotPrivate(u32),
    /// A mounted keyring that is wider than owner and reading group. Permission bits.
    #[error("its mode is {0:04o}: more than its owner and a reading group can use it")]
    TooWide(u32),
    /// Larger than any keyring. Bytes.
    #[error("it has {0} bytes, more than any keyring")]
    TooLarge(u64),
    /// It was written in place during the read.
    #[error("it changed while it was read")]
    Unsteady,
    /// The text is no keyring.
    #[error("{0}")]
    Grammar(#[from] GrammarError),
    /// No key of this name is in it.
    #[error("it has no KMS key {0}")]
    Unknown(Kid),
    /// Removing the key would leave none.
    #[error("{0} is its last KMS key")]
    Last(Kid),
    /// The system refused a step.
    #[error("cannot {step}: {why}")]
    System {
        /// `read it`, `lock it`, ...
        step: &'static str,
        /// The system's words.
        why: String,
    },
}

impl Problem {
    pub(super) fn system(step: &'static str) -> impl Fn(std::io::Error) -> Problem {
        move |error| match error.kind() {
            std::io::ErrorKind::NotFound => Problem::Missing,
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
    /// What a person can do, with the command where there is one.
    pub fn advice(&self) -> String {
        let file = quoted(&self.path);
        match &self.problem {
            Problem::Missing => {
                format!("name another file, or make a keyring: envelope keys create --keyring {file}")
            }
            Problem::NotRegular | Problem::TooLarge(_) => "name the keyring file itself".to_owned(),
            Problem::Owner { .. } => {
                format!("if you trust what is in it: sudo chown \"$(id -u)\" {file} && chmod 600 {file}")
            }
            Problem::NotPrivate(_) => format!("chmod 600 {file}"),
            Problem::TooWide(_) => {
                "set defaultMode: 0400 on the volume (fsGroup makes that 0440, which is fine), \
                 or for a plain file: chmod 600"
                    .to_owned()
            }
            Problem::Unsteady => "try again; change a keyring with envelope keys, not in place".to_owned(),
            Problem::Grammar(GrammarError::NoKey) => {
                format!("add a KMS key: envelope keys create --keyring {file}")
            }
            Problem::Grammar(_) => "put the line right or restore the file from its backup".to_owned(),
            Problem::Unknown(_) => format!("see what it holds: envelope keys list --keyring {file}"),
            Problem::Last(_) => {
                format!("make the next key first: envelope keys create --keyring {file}")
            }
            Problem::System { .. } => "check the file, its folder and their permissions".to_owned(),
        }
    }
}

/// The path as a shell takes it.
pub(super) fn quoted(path: &Path) -> String {
    let text = path.display().to_string();
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+@%:,=~".contains(c);
    if !text.is_empty() && !text.starts_with('~') && text.chars().all(plain) {
        text
    } else {
        format!("'{}'", text.replace('\'', "'\\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_quoted_where_a_shell_would_take_them_apart() {
        for (path, shown) in [
            ("/a/b-1.ring", "/a/b-1.ring"),
            ("/a b", "'/a b'"),
            ("it's", "'it'\\''s'"),
            ("~x", "'~x'"),
            ("$(x)", "'$(x)'"),
        ] {
            assert_eq!(quoted(Path::new(path)), shown);
        }
    }

    #[test]
    fn a_message_says_what_and_the_advice_how() {
        let error = Problem::NotPrivate(0o644).at(Path::new("/k"));
        assert_eq!(
            error.to_string(),
            "keyring /k: its mode is 0644: others than its owner can use it"
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
