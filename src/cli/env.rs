//! Every environment variable that the command line reads, by name, and the only place that reads them.

use std::path::PathBuf;

use super::failure::{Failure, Result};

/// KMS keys to seal with, separated by commas.
pub(super) const KEY: &str = "ENVELOPE_KEY";
/// The keyring of local keys.
pub(super) const KEYRING: &str = "ENVELOPE_KEYRING";
/// The region of keys of Tencent Cloud KMS that have no URI yet.
pub(super) const TENCENT_REGION: &str = "TENCENTCLOUD_REGION";
/// Flags of `controller`, each by its own name.
pub(super) const NAMESPACES: &str = "ENVELOPE_NAMESPACES";
pub(super) const ALLOW_KEY: &str = "ENVELOPE_ALLOW_KEY";
pub(super) const AUDIENCE: &str = "ENVELOPE_AUDIENCE";
pub(super) const KUBECONFIG: &str = "ENVELOPE_KUBECONFIG";
pub(super) const METRICS_ADDR: &str = "ENVELOPE_METRICS_ADDR";
pub(super) const PROBE_ADDR: &str = "ENVELOPE_PROBE_ADDR";
pub(super) const LOG_FORMAT: &str = "ENVELOPE_LOG_FORMAT";
pub(super) const LOG_LEVEL: &str = "ENVELOPE_LOG_LEVEL";
/// Set to anything: no colours (<https://no-color.org>).
pub(super) const NO_COLOR: &str = "NO_COLOR";
/// Where a person's configuration is; an absolute path (XDG Base Directory Specification).
const XDG_CONFIG_HOME: &str = "XDG_CONFIG_HOME";
const HOME: &str = "HOME";

/// The text of a variable; empty counts as not set.
pub(super) fn text(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// A path in a variable; empty counts as not set.
pub(super) fn path(name: &str) -> Option<PathBuf> {
    std::env::var_os(name)
        .filter(|value| !value.is_empty())
        .map(PathBuf::from)
}

/// Whether a variable is there and not empty.
pub(super) fn is_set(name: &str) -> bool {
    path(name).is_some()
}

/// A variable that is `true` or `false`; not set and empty count as `false`. What else it may hold is refused: `1` and
/// `yes` are meant as something.
pub(super) fn flag(name: &str) -> Result<bool> {
    let value = std::env::var_os(name).unwrap_or_default();
    match &*value.to_string_lossy() {
        "true" => Ok(true),
        "" | "false" => Ok(false),
        other => Err(
            Failure::usage(format!("{name}: {other:?} is neither true nor false"))
                .help("set it to true or false, or leave it out"),
        ),
    }
}

/// `${XDG_CONFIG_HOME:-~/.config}/envelope-secrets/keyring`; `None` without a home.
pub(super) fn default_keyring() -> Option<PathBuf> {
    let configuration = path(XDG_CONFIG_HOME)
        .filter(|path| path.is_absolute())
        .or_else(|| path(HOME).map(|home| home.join(".config")))?;
    Some(configuration.join("envelope-secrets").join("keyring"))
}
