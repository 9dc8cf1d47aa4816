//! The result of a reconcile. Its fields are typed, so no caller builds a message (the texts are in `message`).

use super::reason::{Reason, Verdict};
use crate::envelope::render::RenderError;
use crate::envelope::{PolicyError, SealTime, StructureError, StructureKind};

/// The current Secret, as a failure message reports it (`{kept}` in docs/troubleshooting.md). Findings whose message
/// does not mention it, such as `Synced`, ignore it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kept {
    /// The Secret still holds this generation.
    Generation(i64),
    /// There is no Secret of ours: it was never written, or was deleted since.
    Nothing,
}

/// What a KMS returned with a failure: for its support and its audit log. Never a raw body.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KmsResponse {
    /// The KMS's error code.
    pub code: Option<String>,
    /// The KMS's error message, or the cause of a network failure, in one line.
    pub message: Option<String>,
    /// The KMS's request id.
    pub request_id: Option<String>,
}

/// A KMS key, and how messages name its service.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KmsKey {
    /// The key's URI.
    pub uri: String,
    /// The service: `Tencent Cloud KMS`.
    pub service: String,
    /// The region, where the service has regions.
    pub region: Option<String>,
}

/// Why the API server rejected a Secret. Its message is dropped: it can quote what was sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rejection {
    /// 422: the paths of the invalid fields, as far as it names them.
    Invalid(Vec<String>),
    /// A `ResourceQuota` of the namespace.
    Quota,
    /// An admission webhook or policy.
    Admission,
    /// 413: too large for the API server or etcd.
    TooLarge,
    /// The type of the Secret with this name would change.
    TypeChange(String),
}

/// The result of a reconcile. Its fields hold only public names, codes and times.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(
    missing_docs,
    reason = "the field names are self-explanatory; the variants are those of `Reason`"
)]
pub enum Finding {
    Synced {
        entries: usize,
        generation: i64,
        /// The highest seal time already seen, if this seal is older.
        older_than: Option<SealTime>,
    },
    Progressing {
        key: Box<KmsKey>,
    },
    KmsUnavailable {
        key: Box<KmsKey>,
        response: KmsResponse,
    },
    KmsThrottled {
        key: Box<KmsKey>,
        response: KmsResponse,
    },
    CredentialsUnavailable {
        key: Box<KmsKey>,
        /// Where the credentials come from, or should come from.
        source: String,
        response: KmsResponse,
    },
    ApiUnavailable {
        /// What failed: `writing the secret`, `reading the envelopesecret`.
        request: &'static str,
        /// `503`, `timeout`.
        code: String,
    },
    SealTimeInFuture {
        time: String,
    },
    SecretMissing {
        cause: NotRestored,
    },
    SecretDrifted {
        cause: NotRestored,
    },
    InvalidDocument {
        field: String,
        what: String,
    },
    UnsupportedDocument {
        unsupported: Unsupported,
    },
    PolicyDenied {
        error: PolicyError,
        namespace: String,
    },
    NoUsableKey {
        keys: Vec<String>,
        namespace: String,
        /// What to do, by the provider of the keys.
        advice: String,
    },
    KmsDenied {
        identity: String,
        key: Box<KmsKey>,
        response: KmsResponse,
    },
    KmsMisconfigured {
        key: Box<KmsKey>,
        response: KmsResponse,
        advice: String,
    },
    KmsKeyUnusable {
        key: Box<KmsKey>,
        /// As the KMS reports it.
        state: String,
        response: KmsResponse,
    },
    IntegrityError {
        /// The place that the annotation `sealed-for` names, if it is another one.
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
        /// Kind and name of the Secret's controller owner, if it has one.
        owner: Option<String>,
    },
    ImmutableSecret {
        name: String,
        /// The generation that it holds, if known.
        holds: Option<i64>,
        generation: i64,
    },
    SecretRejected {
        rejection: Rejection,
    },
    ApiForbidden {
        verb: String,
        /// `secrets` or `envelopesecrets`.
        resource: &'static str,
        namespace: String,
    },
}

/// Why a missing or edited Secret is not restored yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NotRestored {
    /// Restoring it failed for this reason.
    Failed(Reason),
    /// It is changed or deleted again each time, so the next attempt is delayed. The name of the field manager that changes
    /// it, if known.
    Contested(Option<String>),
    /// It is being deleted, but a finalizer holds it.
    Held,
}

/// What this version does not support.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unsupported {
    /// The value of `spec.format`.
    Format(String),
    /// The path of an unknown field.
    Field(String),
    /// Reading or opening it panics: a bug of this version, whatever the document is. The payload of the panic is not kept,
    /// because it may quote the document.
    Panic,
}

impl From<&StructureError> for Finding {
    fn from(error: &StructureError) -> Self {
        let unsupported = match &error.kind {
            StructureKind::Invalid => {
                return Finding::InvalidDocument {
                    field: error.field.clone(),
                    what: error.what.clone(),
                };
            }
            StructureKind::UnknownFormat(format) => Unsupported::Format(format.clone()),
            StructureKind::UnknownField => Unsupported::Field(error.field.clone()),
        };
        Finding::UnsupportedDocument { unsupported }
    }
}

impl Finding {
    /// Converts a refusal by policy for a document in `namespace`.
    pub fn from_policy(error: PolicyError, namespace: &str) -> Self {
        match error {
            PolicyError::SealTimeInFuture(time) => Finding::SealTimeInFuture { time },
            error => Finding::PolicyDenied {
                error,
                namespace: namespace.to_owned(),
            },
        }
    }

    /// Returns the reason for conditions, events and metrics.
    pub fn reason(&self) -> Reason {
        match self {
            Finding::Synced { .. } => Reason::Synced,
            Finding::Progressing { .. } => Reason::Progressing,
            Finding::KmsUnavailable { .. } => Reason::KmsUnavailable,
            Finding::KmsThrottled { .. } => Reason::KmsThrottled,
            Finding::CredentialsUnavailable { .. } => Reason::CredentialsUnavailable,
            Finding::ApiUnavailable { .. } => Reason::ApiUnavailable,
            Finding::SealTimeInFuture { .. } => Reason::SealTimeInFuture,
            Finding::SecretMissing { .. } => Reason::SecretMissing,
            Finding::SecretDrifted { .. } => Reason::SecretDrifted,
            Finding::InvalidDocument { .. } => Reason::InvalidDocument,
            Finding::UnsupportedDocument { .. } => Reason::UnsupportedDocument,
            Finding::PolicyDenied { .. } => Reason::PolicyDenied,
            Finding::NoUsableKey { .. } => Reason::NoUsableKey,
            Finding::KmsDenied { .. } => Reason::KmsDenied,
            Finding::KmsMisconfigured { .. } => Reason::KmsMisconfigured,
            Finding::KmsKeyUnusable { .. } => Reason::KmsKeyUnusable,
            Finding::IntegrityError { .. } => Reason::IntegrityError,
            Finding::RollbackRefused { .. } => Reason::RollbackRefused,
            Finding::RenderError { .. } => Reason::RenderError,
            Finding::Conflict { .. } => Reason::Conflict,
            Finding::ImmutableSecret { .. } => Reason::ImmutableSecret,
            Finding::SecretRejected { .. } => Reason::SecretRejected,
            Finding::ApiForbidden { .. } => Reason::ApiForbidden,
        }
    }

    /// Returns what the KMS returned, for failures of a KMS call.
    pub fn response(&self) -> Option<&KmsResponse> {
        match self {
            Finding::KmsUnavailable { response, .. }
            | Finding::KmsThrottled { response, .. }
            | Finding::CredentialsUnavailable { response, .. }
            | Finding::KmsDenied { response, .. }
            | Finding::KmsMisconfigured { response, .. }
            | Finding::KmsKeyUnusable { response, .. } => Some(response),
            _ => None,
        }
    }

    /// Returns the conditions that the reason stands for.
    pub fn verdict(&self) -> Verdict {
        // Every reason of a finding has a verdict; a test checks this.
        self.reason().verdict().unwrap_or(Verdict::Stalled)
    }
}
