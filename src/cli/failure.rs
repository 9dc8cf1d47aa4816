use std::process::ExitCode;

use crate::envelope::{NoUsableWrap, OpenError, Refusal, StructureError, StructureKind};
use crate::files::FileError;
use crate::kms::{Class, KmsError, ProviderError};
use crate::manifest::ManifestError;

/// How a command ended, as its exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// 0.
    Done,
    /// 1: it failed, or one file of several did.
    Failed,
    /// 2: usage or configuration.
    Usage,
    /// 3: it looked and found something.
    Found,
    /// 4: a KMS or the network failed in a way that passes; the same command is worth repeating.
    Temporary,
}

impl Exit {
    /// What the process ends with.
    pub fn code(self) -> u8 {
        match self {
            Exit::Done => 0,
            Exit::Failed => 1,
            Exit::Usage => 2,
            Exit::Found => 3,
            Exit::Temporary => 4,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        ExitCode::from(exit.code())
    }
}

/// Why a command failed: lower case, what failed and why, and what to do. Never holds a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// How the process ends.
    pub exit: Exit,
    /// Behind `error: `.
    pub message: String,
    /// Behind `help: `.
    pub help: Option<String>,
    /// For `-v` alone.
    pub detail: Option<String>,
}

/// What commands give.
pub(super) type Result<T> = std::result::Result<T, Failure>;

impl Failure {
    /// Exit code 1.
    pub(super) fn failed(message: impl Into<String>) -> Self {
        Failure {
            exit: Exit::Failed,
            message: message.into(),
            help: None,
            detail: None,
        }
    }

    /// Exit code 2.
    pub(super) fn usage(message: impl Into<String>) -> Self {
        Failure {
            exit: Exit::Usage,
            ..Failure::failed(message)
        }
    }

    /// Exit code 3.
    pub(super) fn found(message: impl Into<String>) -> Self {
        Failure {
            exit: Exit::Found,
            ..Failure::failed(message)
        }
    }

    /// With advice.
    #[must_use]
    pub(super) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// With what it happened to in front: `secret.yaml: ...`.
    #[must_use]
    pub(super) fn about(mut self, what: impl std::fmt::Display) -> Self {
        self.message = format!("{what}: {}", self.message);
        self
    }
}

impl From<ManifestError> for Failure {
    fn from(error: ManifestError) -> Self {
        let failure = Failure::failed(error.to_string());
        match error.advice() {
            Some(advice) => failure.help(advice),
            None => failure,
        }
    }
}

impl From<FileError> for Failure {
    fn from(error: FileError) -> Self {
        Failure::failed(error.to_string()).help(error.advice())
    }
}

/// The exit code for a failure of this class. It may be `retryable` whatever its class.
fn exit(class: Class, retryable: bool) -> Exit {
    match class {
        _ if retryable || class.is_retryable() => Exit::Temporary,
        Class::Configuration => Exit::Usage,
        _ => Exit::Failed,
    }
}

impl From<KmsError> for Failure {
    fn from(error: KmsError) -> Self {
        Failure {
            exit: exit(error.class, error.retryable),
            ..Failure::failed(error.to_string())
        }
        .help(error.advice())
    }
}

impl From<ProviderError> for Failure {
    fn from(error: ProviderError) -> Self {
        Failure {
            exit: exit(error.class, error.retryable),
            ..Failure::failed(error.message)
        }
        .help(error.advice)
    }
}

impl From<StructureError> for Failure {
    fn from(error: StructureError) -> Self {
        let failure = Failure::failed(error.to_string());
        match &error.kind {
            StructureKind::UnknownFormat(_) | StructureKind::UnknownField => {
                failure.help("it may be of a newer format: open it with the newest version of this program")
            }
            StructureKind::Invalid => failure,
        }
    }
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Policy(error) => {
                let failure = Failure::failed(error.to_string());
                if error.is_retryable() {
                    failure.help("check the clocks of this machine and of the one that sealed")
                } else {
                    failure
                }
            }
            Refusal::NoUsableWrap(NoUsableWrap { data_key: _, keys }) => Failure::failed(format!(
                "none of the KMS keys that it was sealed for may be used here: {}",
                keys.join(", ")
            )),
        }
    }
}

impl From<OpenError<KmsError>> for Failure {
    fn from(error: OpenError<KmsError>) -> Self {
        match &error {
            OpenError::Unavailable { failures, .. } => match KmsError::deciding(failures) {
                Some(deciding) => Failure::from(deciding.clone()),
                None => Failure::failed(error.to_string()),
            },
            OpenError::Integrity { stage, refusals } => {
                let mut detail = format!("stage {stage}");
                for refusal in refusals {
                    detail = format!("{detail}; {refusal}");
                }
                let failure = Failure::failed(error.to_string()).help(
                    "compare it with its last version in Git, and check namespace and name; else seal it again",
                );
                Failure {
                    detail: Some(detail),
                    ..failure
                }
            }
            OpenError::Render(_) => Failure::failed(error.to_string())
                .help("put the text under spec.template.render right and seal again"),
        }
    }
}
