//! Names that Kubernetes users, dashboards and scripts see: group, resource, field managers, labels, annotations.

/// The API group.
pub const GROUP: &str = "envelope-secrets.io";
/// The served and stored version.
pub const VERSION: &str = "v1";
/// The resource name in URLs.
pub const PLURAL: &str = "envelopesecrets";
/// The singular resource name.
pub const SINGULAR: &str = "envelopesecret";
/// The short name: `kubectl get envsec`.
pub const SHORT_NAME: &str = "envsec";
/// The category: `kubectl get envelope-secrets` lists all kinds of this product.
pub const CATEGORY: &str = "envelope-secrets";

/// The field manager of the Secrets that the controller applies.
pub const SECRET_MANAGER: &str = "envelope-secrets";
/// The field manager of the status that the controller applies.
pub const STATUS_MANAGER: &str = "envelope-secrets-status";

/// On a Secret: watch selector, ownership mark and consent (`owned`, `retained`, `merged`, ...).
pub const MANAGED_LABEL: &str = "envelope-secrets.io/managed";
/// On a Secret, for human readers only. Its value is [`SECRET_MANAGER`].
pub const MANAGED_BY_LABEL: &str = "app.kubernetes.io/managed-by";
/// On an `EnvelopeSecret`: `"true"` suspends reconciliation of Secret and status.
pub const SUSPEND_ANNOTATION: &str = "envelope-secrets.io/suspend";
/// On an `EnvelopeSecret`: each new value requests one immediate retry; `status.lastHandledReconcileAt` repeats it.
pub const RECONCILE_AT_ANNOTATION: &str = "envelope-secrets.io/reconcile-at";
