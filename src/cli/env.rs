//! The environment variables of the command line, other than those of KMS providers.

/// KMS keys to seal with, separated by commas.
pub(super) const KEY: &str = "ENVELOPE_KEY";
/// Flags of `controller`.
pub(super) const NAMESPACES: &str = "ENVELOPE_NAMESPACES";
pub(super) const ALLOW_KEY: &str = "ENVELOPE_ALLOW_KEY";
pub(super) const AUDIENCE: &str = "ENVELOPE_AUDIENCE";
pub(super) const KUBECONFIG: &str = "ENVELOPE_KUBECONFIG";
pub(super) const METRICS_ADDR: &str = "ENVELOPE_METRICS_ADDR";
pub(super) const PROBE_ADDR: &str = "ENVELOPE_PROBE_ADDR";
pub(super) const LOG_FORMAT: &str = "ENVELOPE_LOG_FORMAT";
pub(super) const LOG_LEVEL: &str = "ENVELOPE_LOG_LEVEL";
/// Any value disables colours (<https://no-color.org>).
pub(super) const NO_COLOR: &str = "NO_COLOR";

/// The value of a variable; empty counts as unset.
pub(super) fn text(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// Whether a variable is set and not empty.
pub(super) fn is_set(name: &str) -> bool {
    std::env::var_os(name).is_some_and(|value| !value.is_empty())
}
