//! The failure of a command: its message, its advice and its exit code.

use std::process::ExitCode;

use crate::envelope::{NoUsableWrap, OpenError, Refusal, StructureError, StructureKind};
use crate::files::WriteError;
use crate::kms::{Class, KmsError, ProviderError};
use crate::manifest::ManifestError;

/// The exit code of a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// 0.
    Done,
    /// 1: it failed, or at least one file of several did.
    Failed,
    /// 2: usage or configuration.
    Usage,
    /// 3: completed with findings.
    Findings,
    /// 4: a KMS or the network failed temporarily; the same command is worth repeating.
    Retryable,
}

impl Exit {
    /// The exit status of the process.
    pub fn code(self) -> u8 {
        match self {
            Exit::Done => 0,
            Exit::Failed => 1,
            Exit::Usage => 2,
            Exit::Findings => 3,
            Exit::Retryable => 4,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        ExitCode::from(exit.code())
    }
}

/// Why a command failed: what failed and why, and what to do. Never holds a secret value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The exit code.
    pub exit: Exit,
    /// The text after `error: `, in lower case: what failed and why.
    pub message: String,
    /// The text after `help: `: what to do.
    pub help: Option<String>,
    /// Printed with `-v` only.
    pub detail: Option<String>,
}

/// The result of a command.
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
    pub(super) fn findings(message: impl Into<String>) -> Self {
        Failure {
            exit: Exit::Findings,
            ..Failure::failed(message)
        }
    }

    /// Adds advice.
    #[must_use]
    pub(super) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// Puts what the failure is about in front of the message: `secret.yaml: ...`.
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

impl From<WriteError> for Failure {
    fn from(error: WriteError) -> Self {
        Failure::failed(error.to_string()).help(error.advice())
    }
}

/// The exit code for a failure of this class. A failure of any class may be `retryable`.
fn exit_of_class(class: Class, retryable: bool) -> Exit {
    match class {
        _ if retryable || class.is_retryable() => Exit::Retryable,
        Class::Configuration => Exit::Usage,
        _ => Exit::Failed,
    }
}

impl From<KmsError> for Failure {
    fn from(error: KmsError) -> Self {
        Failure {
            exit: exit_of_class(error.class, error.retryable),
            ..Failure::failed(error.to_string())
        }
        .help(error.advice())
    }
}

impl From<ProviderError> for Failure {
    fn from(error: ProviderError) -> Self {
        Failure {
            exit: exit_of_class(error.class, error.retryable),
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
                failure.help("if it has a newer format, open it with the newest version of this program")
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
                    failure.help("check the clocks of this host and of the one that sealed it")
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
                    "compare it with its last version in Git, and check its namespace and name; otherwise re-seal it",
                );
                Failure {
                    detail: Some(detail),
                    ..failure
                }
            }
            OpenError::Render(_) => Failure::failed(error.to_string())
                .help("correct the text under spec.template.render and re-seal"),
        }
    }
}
