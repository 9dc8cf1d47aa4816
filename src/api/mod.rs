//! The custom resource `EnvelopeSecret` as Kubernetes sees it: schema, status, conditions, and the single list of
//! reasons. No I/O. The fields of `spec` are defined only in [`crate::envelope`].

pub mod conditions;
mod crd;
mod message;
mod names;
mod outcome;
mod reason;
mod status;
mod text;

pub use crd::{crd, crd_yaml};
pub use names::{
    CATEGORY, GROUP, MANAGED_BY_LABEL, MANAGED_LABEL, PLURAL, SEALED_FOR_ANNOTATION, SECRET_MANAGER,
    SHORT_NAME, SINGULAR, STATUS_MANAGER, SUSPEND_ANNOTATION, VERSION,
};
pub use outcome::{Kept, KmsKey, KmsResponse, Outcome, Rejection, Unsupported, sealed_elsewhere};
pub use reason::{Reason, Verdict};
pub use status::{Applied, EnvelopeSecretStatus, Mode, Sealed};

#[cfg(test)]
mod tests;
