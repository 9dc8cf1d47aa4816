//! Failures of reading and opening a document, each with its stage (docs/format-es1.md#9-opening).

use super::render::RenderError;

/// The stage at which opening failed.
///
/// For the debug log and for tests. [`OpenError::is_integrity`] decides what may be shown to anyone else.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Stage {
    /// The document breaks a rule of section 2.
    Structure,
    /// The reader's policy refuses the document (section 9, step 2).
    Policy,
    /// A data key has no usable wrap, or no wrap could be unwrapped.
    Unwrap,
    /// The unwrapped data key is not the one that the document was sealed with.
    Commitment,
    /// `seal.mac` does not match.
    Seal,
    /// The `templateMac` of a data key does not match.
    Template,
    /// A value could not be decrypted.
    Value,
    /// A render text failed over verified values.
    Render,
}

impl Stage {
    /// Returns the name that `docs/format-es1.md` uses.
    pub fn as_str(self) -> &'static str {
        match self {
            Stage::Structure => "STRUCTURE",
            Stage::Policy => "POLICY",
            Stage::Unwrap => "UNWRAP",
            Stage::Commitment => "COMMITMENT",
            Stage::Seal => "SEAL",
            Stage::Template => "TEMPLATE",
            Stage::Value => "VALUE",
            Stage::Render => "RENDER",
        }
    }
}

impl std::fmt::Display for Stage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// STRUCTURE: the text is not a well-formed document. Names fields and entries, never values.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {what}")]
pub struct StructureError {
    /// The path of the field, like `spec.seal.time`; `document` for the text as a whole.
    pub field: String,
    /// What is wrong with the field.
    pub what: String,
    /// Whether a newer reader might accept the document.
    pub kind: StructureKind,
}

/// The kind of a [`StructureError`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StructureKind {
    /// Invalid in every version of the format.
    Invalid,
    /// `spec.format` names a format that this reader does not know.
    UnknownFormat(String),
    /// The document has a field that this reader does not know.
    UnknownField,
}

impl StructureError {
    pub(crate) fn invalid(field: impl Into<String>, what: impl Into<String>) -> Self {
        StructureError {
            field: field.into(),
            what: what.into(),
            kind: StructureKind::Invalid,
        }
    }
}

/// POLICY: the reader refuses the document before any KMS call.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PolicyError {
    /// The audience ("" if absent) is not among the accepted ones.
    #[error("audience {0:?} is not accepted here")]
    Audience(String),
    /// The Secret type is refused.
    #[error("secret type {0:?} is refused")]
    SecretType(String),
    /// A template label is reserved for the controller and kubectl.
    #[error("label {0:?} is reserved")]
    ReservedLabel(String),
    /// A template annotation is reserved for the controller and kubectl.
    #[error("annotation {0:?} is reserved")]
    ReservedAnnotation(String),
    /// `seal.time` is more than 24 h ahead of the reader's clock. Retryable.
    #[error("sealed at {0}, more than 24 h ahead of the local clock")]
    SealTimeInFuture(String),
}

impl PolicyError {
    /// Returns whether the same document can be accepted later.
    pub fn is_retryable(&self) -> bool {
        matches!(self, PolicyError::SealTimeInFuture(_))
    }
}

/// UNWRAP before any KMS call: a data key has no wrap that this reader may use.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("none of the KMS keys {} may be used here", .keys.join(", "))]
pub struct NoUsableWrap {
    /// The id of the data key.
    pub data_key: String,
    /// The key URIs of its wraps.
    pub keys: Vec<String>,
}

/// A failure after the first KMS call became possible. `E` is the error type of the KMS.
#[derive(Debug, thiserror::Error)]
pub enum OpenError<E> {
    /// A permanent failure from UNWRAP to VALUE.
    ///
    /// All of them display the same text, so that the text is not an oracle; the fields are for the debug log only.
    #[error(
        "the document cannot be opened: it was changed after sealing, or sealed for another namespace, name or KMS key"
    )]
    Integrity {
        /// The stage of the failure. Debug log only.
        stage: Stage,
        /// The refusals of the KMS that led to the failure. Debug log only.
        refusals: Vec<E>,
    },
    /// A data key is unavailable: the KMS could not or would not decrypt at least one of its wraps, and none opened.
    #[error("data key {data_key} could not be unwrapped")]
    Unavailable {
        /// The id of the data key.
        data_key: String,
        /// Why, in the order of the wraps; never empty.
        failures: Vec<E>,
        /// How many other wraps failed permanently.
        refused: usize,
    },
    /// A render text failed over verified values.
    #[error(transparent)]
    Render(RenderError),
}

impl<E> OpenError<E> {
    /// Returns the stage, for the debug log and for tests.
    pub fn stage(&self) -> Stage {
        match self {
            OpenError::Integrity { stage, .. } => *stage,
            OpenError::Unavailable { .. } => Stage::Unwrap,
            OpenError::Render(_) => Stage::Render,
        }
    }

    /// Returns whether this is one of the failures that must be indistinguishable from outside (section 9).
    pub fn is_integrity(&self) -> bool {
        matches!(self, OpenError::Integrity { .. })
    }
}
