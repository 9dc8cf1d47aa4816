//! The custom resource `EnvelopeSecret` as Kubernetes sees it: schema, status, conditions, and the single list of
//! reasons. No I/O. The fields of `spec` are defined only in [`crate::envelope`].

pub mod conditions;
mod crd;
mod finding;
mod message;
mod names;
mod reason;
mod sealed_for;
mod status;
mod text;

pub use crd::{crd, crd_yaml};
pub use finding::{Finding, Kept, KmsKey, KmsResponse, NotRestored, Rejection, Unsupported};
pub use message::healed;
pub use names::{
    CATEGORY, GROUP, MANAGED_BY_LABEL, MANAGED_LABEL, PLURAL, RECONCILE_AT_ANNOTATION, SECRET_MANAGER,
    SHORT_NAME, SINGULAR, STATUS_MANAGER, SUSPEND_ANNOTATION, VERSION,
};
pub use reason::{Reason, Verdict};
pub use sealed_for::{SEALED_FOR_ANNOTATION, sealed_elsewhere, sealed_for};
pub use status::{Applied, EnvelopeSecretStatus, Mode, Sealed};

#[cfg(test)]
mod tests;
