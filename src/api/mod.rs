//! The custom resource `EnvelopeSecret` as Kubernetes sees it: schema, status, conditions, and the one list of
//! reasons. No I/O. What stands under `spec` is defined in [`crate::envelope`] alone.

pub mod conditions;
mod crd;
mod message;
mod outcome;
mod reason;
mod status;
mod text;

pub use crd::{crd, crd_yaml};
pub use outcome::{Answer, Kept, Outcome, Rejection, Unknown, sealed_elsewhere};
pub use reason::{Reason, Verdict};
pub use status::{Applied, EnvelopeSecretStatus, Mode, Sealed};

/// The API group.
pub const GROUP: &str = "envelope-secrets.io";
/// The served and stored version.
pub const VERSION: &str = "v1";
/// The resource in URLs.
pub const PLURAL: &str = "envelopesecrets";
/// One of them.
pub const SINGULAR: &str = "envelopesecret";
/// For `kubectl get envsec`.
pub const SHORT_NAME: &str = "envsec";
/// For `kubectl get envelope-secrets`: all kinds of this product.
pub const CATEGORY: &str = "envelope-secrets";

/// The field manager of the Secrets that the controller applies.
pub const SECRET_MANAGER: &str = "envelope-secrets";
/// The field manager of the status that the controller applies.
pub const STATUS_MANAGER: &str = "envelope-secrets-status";

/// On a Secret: watch selector, ownership mark and consent (`owned`, `retained`, `merged`, ...).
pub const MANAGED_LABEL: &str = "envelope-secrets.io/managed";
/// On a Secret, for people: its value is [`SECRET_MANAGER`].
pub const MANAGED_BY_LABEL: &str = "app.kubernetes.io/managed-by";
/// On an `EnvelopeSecret`: where `envelope seal` sealed it for (`prod/db`, `prod/*`, `*`). A hint for people,
/// never used to open.
pub const SEALED_FOR_ANNOTATION: &str = "envelope-secrets.io/sealed-for";
/// On an `EnvelopeSecret`: `"true"` freezes Secret and status.
pub const SUSPEND_ANNOTATION: &str = "envelope-secrets.io/suspend";

#[cfg(test)]
mod tests;
