//! The environment variables of the command line, other than those of KMS providers.

use super::failure::{Failure, Result};

/// KMS keys, separated by commas.
pub(super) const KEY: &str = "ENVELOPE_KEY";
/// Flags of `controller`.
pub(super) const NAMESPACES: &str = "ENVELOPE_NAMESPACES";
pub(super) const ALLOW_KEY: &str = "ENVELOPE_ALLOW_KEY";
pub(super) const AUDIENCE: &str = "ENVELOPE_AUDIENCE";
pub(super) const KMS_QPS: &str = "ENVELOPE_KMS_QPS";
pub(super) const KMS_NAMESPACE_QPS: &str = "ENVELOPE_KMS_NAMESPACE_QPS";
pub(super) const DATA_KEY_CACHE_SIZE: &str = "ENVELOPE_DATA_KEY_CACHE_SIZE";
pub(super) const DATA_KEY_CACHE_TTL: &str = "ENVELOPE_DATA_KEY_CACHE_TTL";
pub(super) const KUBECONFIG: &str = "ENVELOPE_KUBECONFIG";
pub(super) const DOCUMENT_CACHE: &str = "ENVELOPE_DOCUMENT_CACHE";
pub(super) const METRICS_ADDR: &str = "ENVELOPE_METRICS_ADDR";
pub(super) const METRICS_TLS_CERT: &str = "ENVELOPE_METRICS_TLS_CERT";
pub(super) const METRICS_TLS_KEY: &str = "ENVELOPE_METRICS_TLS_KEY";
pub(super) const METRICS_AUTH: &str = "ENVELOPE_METRICS_AUTH";
pub(super) const PROBE_ADDR: &str = "ENVELOPE_PROBE_ADDR";
pub(super) const LOG_FORMAT: &str = "ENVELOPE_LOG_FORMAT";
pub(super) const LOG_LEVEL: &str = "ENVELOPE_LOG_LEVEL";
/// Any value disables colours (<https://no-color.org>).
pub(super) const NO_COLOR: &str = "NO_COLOR";

/// The value of a variable; blank counts as unset. Fails if it is not UTF-8.
pub(super) fn text(name: &str) -> Result<Option<String>> {
    let value = std::env::var_os(name).map(|value| value.into_string().map_err(|_| not_utf_8(name)));
    Ok(value.transpose()?.filter(|value| !value.trim().is_empty()))
}

/// The failure for a variable that is not UTF-8.
pub(super) fn not_utf_8(name: &str) -> Failure {
    Failure::usage(format!("{name}: the value is not valid UTF-8")).help("set it to plain text, or unset it")
}

/// Whether a variable is set and not empty.
pub(super) fn is_set(name: &str) -> bool {
    std::env::var_os(name).is_some_and(|value| !value.is_empty())
}
