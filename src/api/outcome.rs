//! What a reconcile came to. Fields go in typed, so no caller builds a message (the texts stand in `message`).

use super::reason::{Reason, Verdict};
use crate::envelope::names::Place;
use crate::envelope::render::RenderError;
use crate::envelope::{PolicyError, SealTime, StructureError, StructureKind};

/// What stands in the cluster while an object does not get on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kept {
    /// The Secret of this generation.
    Generation(i64),
    /// No Secret that we wrote.
    Nothing,
}

/// What a KMS answered: for its support and its audit log. Never a raw body.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answer {
    /// The KMS's error code.
    pub code: Option<String>,
    /// Why, in one line.
    pub message: Option<String>,
    /// The KMS's id of the request.
    pub request_id: Option<String>,
}

/// Why the API server refused a Secret. Its own text is not kept: it can quote what was sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rejection {
    /// 422: the paths of the fields that it names.
    Invalid(Vec<String>),
    /// A `ResourceQuota` of the namespace.
    Quota,
    /// An admission webhook or policy.
    Admission,
    /// 413: too large for the API server or etcd.
    TooLarge,
}

/// What a reconcile came to. Its fields are names, codes and times of public things.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(
    missing_docs,
    reason = "the fields say what they are; the variants are those of `Reason`"
)]
pub enum Outcome {
    Synced {
        entries: usize,
        generation: i64,
        /// The highest time that was seen before, where this seal is older.
        older_than: Option<SealTime>,
    },
    Progressing {
        key: String,
    },
    KmsUnavailable {
        key: String,
        answer: Answer,
    },
    KmsThrottled {
        key: String,
        answer: Answer,
    },
    CredentialsUnavailable {
        key: String,
        /// Where the credentials come from, or should.
        source: String,
        answer: Answer,
    },
    ApiUnavailable {
        /// `503`, `timeout`.
        code: String,
    },
    SealTimeInFuture {
        time: String,
    },
    SecretMissing {
        because: Reason,
    },
    SecretDrifted {
        because: Reason,
    },
    InvalidDocument {
        field: String,
        what: String,
    },
    UnsupportedDocument {
        /// The format, or the path of the field.
        unknown: Unknown,
    },
    PolicyDenied {
        error: PolicyError,
        namespace: String,
    },
    NoUsableKey {
        keys: Vec<String>,
        namespace: String,
    },
    KmsDenied {
        identity: String,
        key: String,
        answer: Answer,
    },
    KmsMisconfigured {
        key: String,
        answer: Answer,
        advice: String,
    },
    KmsKeyUnusable {
        key: String,
        /// As the KMS names it.
        state: String,
        answer: Answer,
    },
    IntegrityError {
        /// [`sealed_elsewhere`].
        elsewhere: Option<String>,
    },
    RollbackRefused {
        time: SealTime,
        highest: SealTime,
    },
    RenderError {
        error: RenderError,
    },
    Conflict {
        name: String,
        namespace: String,
        /// Kind and name of the controller that owns the Secret, if one does.
        owner: Option<String>,
    },
    ImmutableSecret {
        name: String,
        /// The generation that it holds, if it is known.
        holds: Option<i64>,
        generation: i64,
    },
    SecretRejected {
        rejection: Rejection,
    },
    ApiForbidden {
        verb: String,
        namespace: String,
    },
}

/// What this version does not know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unknown {
    /// A word in `spec.format`.
    Format(String),
    /// The path of a field.
    Field(String),
}

impl From<&StructureError> for Outcome {
    fn from(error: &StructureError) -> Self {
        let unknown = match &error.kind {
            StructureKind::Invalid => {
                return Outcome::InvalidDocument {
                    field: error.field.clone(),
                    what: error.what.clone(),
                };
            }
            StructureKind::UnknownFormat(format) => Unknown::Format(format.clone()),
            StructureKind::UnknownField => Unknown::Field(error.field.clone()),
        };
        Outcome::UnsupportedDocument { unknown }
    }
}

impl Outcome {
    /// What a refusal by policy means in `namespace`.
    pub fn from_policy(error: PolicyError, namespace: &str) -> Self {
        match error {
            PolicyError::SealTimeInFuture(time) => Outcome::SealTimeInFuture { time },
            error => Outcome::PolicyDenied {
                error,
                namespace: namespace.to_owned(),
            },
        }
    }

    /// The reason.
    pub fn reason(&self) -> Reason {
        match self {
            Outcome::Synced { .. } => Reason::Synced,
            Outcome::Progressing { .. } => Reason::Progressing,
            Outcome::KmsUnavailable { .. } => Reason::KmsUnavailable,
            Outcome::KmsThrottled { .. } => Reason::KmsThrottled,
            Outcome::CredentialsUnavailable { .. } => Reason::CredentialsUnavailable,
            Outcome::ApiUnavailable { .. } => Reason::ApiUnavailable,
            Outcome::SealTimeInFuture { .. } => Reason::SealTimeInFuture,
            Outcome::SecretMissing { .. } => Reason::SecretMissing,
            Outcome::SecretDrifted { .. } => Reason::SecretDrifted,
            Outcome::InvalidDocument { .. } => Reason::InvalidDocument,
            Outcome::UnsupportedDocument { .. } => Reason::UnsupportedDocument,
            Outcome::PolicyDenied { .. } => Reason::PolicyDenied,
            Outcome::NoUsableKey { .. } => Reason::NoUsableKey,
            Outcome::KmsDenied { .. } => Reason::KmsDenied,
            Outcome::KmsMisconfigured { .. } => Reason::KmsMisconfigured,
            Outcome::KmsKeyUnusable { .. } => Reason::KmsKeyUnusable,
            Outcome::IntegrityError { .. } => Reason::IntegrityError,
            Outcome::RollbackRefused { .. } => Reason::RollbackRefused,
            Outcome::RenderError { .. } => Reason::RenderError,
            Outcome::Conflict { .. } => Reason::Conflict,
            Outcome::ImmutableSecret { .. } => Reason::ImmutableSecret,
            Outcome::SecretRejected { .. } => Reason::SecretRejected,
            Outcome::ApiForbidden { .. } => Reason::ApiForbidden,
        }
    }

    /// What the KMS answered, where it is about that.
    pub fn answer(&self) -> Option<&Answer> {
        match self {
            Outcome::KmsUnavailable { answer, .. }
            | Outcome::KmsThrottled { answer, .. }
            | Outcome::CredentialsUnavailable { answer, .. }
            | Outcome::KmsDenied { answer, .. }
            | Outcome::KmsMisconfigured { answer, .. }
            | Outcome::KmsKeyUnusable { answer, .. } => Some(answer),
            _ => None,
        }
    }

    /// What the reason says in the conditions.
    pub fn verdict(&self) -> Verdict {
        // Every reason of an outcome has one (a test holds that); a reason of events alone would need a person.
        self.reason().verdict().unwrap_or(Verdict::Stalled)
    }
}

/// The place that the annotation [`super::SEALED_FOR_ANNOTATION`] names, where it is well formed and another
/// than the object's own. A hint for a person: it decides nothing.
pub fn sealed_elsewhere(annotation: &str, namespace: &str, name: &str) -> Option<String> {
    let (for_namespace, for_name) = annotation.split_once('/')?;
    let here = for_namespace == namespace && (for_name == "*" || for_name == name);
    let shown_name = if for_name == "*" { name } else { for_name };
    let well_formed = !for_namespace.is_empty() && Place::new(Some(for_namespace), shown_name).is_ok();
    (well_formed && !here).then(|| annotation.to_owned())
}
