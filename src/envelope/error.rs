//! Failures of reading and opening a document, each with the stage of format-es1 section 9 that it belongs to.

use super::render::RenderError;

/// Where opening failed. For the debug log and tests; what the outside sees is [`OpenError::is_integrity`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Stage {
    /// Section 2.
    Structure,
    /// Section 9.2.
    Policy,
    /// No usable wrap, or no wrap gave a data key.
    Unwrap,
    /// The data key is not the one that was sealed with.
    Commitment,
    /// `seal.mac`.
    Seal,
    /// `templateMac` of a data key.
    Template,
    /// A value.
    Value,
    /// A render text over verified values.
    Render,
}

impl Stage {
    /// As format-es1 writes it.
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

/// STRUCTURE: the text is not a document of this format. Names fields and entries, never values.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {what}")]
pub struct StructureError {
    /// The path of the field, `spec.seal.time`; `document` for the text as a whole.
    pub field: String,
    /// What is wrong with it.
    pub what: String,
    /// Whether a newer reader might accept it.
    pub kind: StructureKind,
}

/// What kind of refusal a [`StructureError`] is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StructureKind {
    /// Wrong in every version of the format.
    Invalid,
    /// `spec.format` is a word that this reader does not know.
    UnknownFormat(String),
    /// A field that this reader does not know.
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

/// POLICY: the reader does not accept this document, before any KMS call.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PolicyError {
    /// The audience ("" when absent) is not one of those accepted.
    #[error("audience {0:?} is not accepted here")]
    Audience(String),
    /// The Secret type is refused.
    #[error("secret type {0:?} is refused")]
    SecretType(String),
    /// A template label that only the controller or kubectl may write.
    #[error("label {0:?} is reserved")]
    ReservedLabel(String),
    /// A template annotation that only the controller or kubectl may write.
    #[error("annotation {0:?} is reserved")]
    ReservedAnnotation(String),
    /// Sealed more than 24 h ahead of the reader's clock. Temporary.
    #[error("sealed at {0}, more than 24 h ahead of this machine's clock")]
    SealTimeInFuture(String),
}

impl PolicyError {
    /// Whether waiting alone can cure it.
    pub fn is_retryable(&self) -> bool {
        matches!(self, PolicyError::SealTimeInFuture(_))
    }
}

/// UNWRAP before any call: a data key has no wrap that this reader may use.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("none of the KMS keys {} may be used here", .keys.join(", "))]
pub struct NoUsableWrap {
    /// The data key's id.
    pub data_key: String,
    /// The key URIs of its wraps.
    pub keys: Vec<String>,
}

/// A failure after the first possible KMS call. `E` is the KMS's error.
#[derive(Debug, thiserror::Error)]
pub enum OpenError<E> {
    /// A permanent failure of UNWRAP to VALUE. All of them show this one face; the rest is for the debug log.
    #[error("the document does not open: it was changed after sealing, or sealed for another place or key")]
    Integrity {
        /// Debug log only.
        stage: Stage,
        /// The KMS's refusals that led here. Debug log only.
        refusals: Vec<E>,
    },
    /// A data key could not be had now: at least one of its wraps failed in a way that is not permanent.
    #[error("no wrap of data key {data_key} could be opened")]
    Unavailable {
        /// The data key's id.
        data_key: String,
        /// The failures that were not permanent, in the order of the wraps; never empty.
        failures: Vec<E>,
        /// How many wraps were refused for good besides.
        refused: usize,
    },
    /// A render text failed over verified values.
    #[error(transparent)]
    Render(RenderError),
}

impl<E> OpenError<E> {
    /// The stage, for the debug log and tests.
    pub fn stage(&self) -> Stage {
        match self {
            OpenError::Integrity { stage, .. } => *stage,
            OpenError::Unavailable { .. } => Stage::Unwrap,
            OpenError::Render(_) => Stage::Render,
        }
    }

    /// Whether this is one of the failures that must look alike to the outside (format-es1 section 9).
    pub fn is_integrity(&self) -> bool {
        matches!(self, OpenError::Integrity { .. })
    }
}
