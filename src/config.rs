//! The validated configuration of the controller. The command line reads flags and their environment variables
//! (`ENVELOPE_<FLAG>`); variables set by the platform are read here.

use std::collections::BTreeSet;
use std::path::PathBuf;

use crate::envelope::names;
use crate::kms::broker::BrokerSettings;

/// The configuration of `envelope controller`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ControllerConfig {
    /// The namespaces to watch; `None` for the whole cluster.
    pub namespaces: Option<Vec<String>>,
    /// The accepted audiences. If empty, only documents without an audience are accepted.
    pub audiences: BTreeSet<String>,
    /// The kubeconfig file; `None` for the default kubeconfig, then the pod's service account.
    pub kubeconfig: Option<PathBuf>,
    /// The total size of the documents that are kept in memory.
    pub document_cache: ByteSize,
    /// The limits of KMS calls and of the data key cache.
    pub broker: BrokerSettings,
}

/// A number of bytes, written like a Kubernetes quantity: `64MiB`, `64Mi`, or a plain number.
///
/// ```
/// use envelope_secrets::config::ByteSize;
///
/// assert_eq!("64MiB".parse(), Ok(ByteSize(64 * 1024 * 1024)));
/// assert_eq!("1Gi".parse(), Ok(ByteSize(1 << 30)));
/// assert_eq!("0".parse(), Ok(ByteSize(0)));
/// assert!("64MB".parse::<ByteSize>().is_err() && "-1".parse::<ByteSize>().is_err());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ByteSize(pub usize);

impl ByteSize {
    /// The default of `--document-cache`.
    pub const DOCUMENT_CACHE: ByteSize = ByteSize(64 << 20);
}

impl std::str::FromStr for ByteSize {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (number, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()));
        let shift = match unit.strip_suffix('B').unwrap_or(unit) {
            "" if unit.is_empty() => Some(0),
            "Ki" => Some(10),
            "Mi" => Some(20),
            "Gi" => Some(30),
            _ => None,
        };
        let bytes = shift.and_then(|shift| number.parse::<usize>().ok()?.checked_mul(1 << shift));
        bytes.map(ByteSize).ok_or_else(|| {
            format!("{text:?} is not a valid size; use a number of bytes with the unit KiB, MiB or GiB, as in 64MiB")
        })
    }
}

impl std::fmt::Display for ByteSize {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            0 => f.write_str("0"),
            bytes if bytes % (1 << 30) == 0 => write!(f, "{}GiB", bytes >> 30),
            bytes if bytes % (1 << 20) == 0 => write!(f, "{}MiB", bytes >> 20),
            bytes if bytes % (1 << 10) == 0 => write!(f, "{}KiB", bytes >> 10),
            bytes => write!(f, "{bytes}"),
        }
    }
}

/// An invalid setting.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// `--namespaces`
    #[error("--namespaces: {0:?} is not a valid namespace name; separate names with commas")]
    Namespace(String),
    /// `--audience`
    #[error("--audience: {0:?} is not a valid audience; use at most 63 lower-case letters, digits, - and .")]
    Audience(String),
}

impl ControllerConfig {
    /// Validates the settings. Duplicate namespaces are removed; an empty list means the whole cluster.
    ///
    /// # Errors
    /// If a namespace or audience is not a valid name.
    pub fn new(
        namespaces: &[String],
        audiences: &[String],
        kubeconfig: Option<PathBuf>,
    ) -> Result<Self, ConfigError> {
        if let Some(bad) = namespaces.iter().find(|name| !names::is_namespace(name)) {
            return Err(ConfigError::Namespace(bad.clone()));
        }
        // "" accepts documents without an audience in addition to the named ones.
        if let Some(bad) = audiences
            .iter()
            .find(|name| !name.is_empty() && !names::is_audience(name))
        {
            return Err(ConfigError::Audience(bad.clone()));
        }
        let unique: BTreeSet<&String> = namespaces.iter().collect();
        let namespaces: Vec<String> = unique.into_iter().cloned().collect();
        Ok(ControllerConfig {
            namespaces: (!namespaces.is_empty()).then_some(namespaces),
            audiences: audiences.iter().cloned().collect(),
            kubeconfig,
            document_cache: ByteSize::DOCUMENT_CACHE,
            broker: BrokerSettings::default(),
        })
    }
}

/// Returns the name of this instance for events: the pod name, which the kubelet sets as the host name.
pub fn instance() -> String {
    let name = std::env::var("HOSTNAME").unwrap_or_default();
    // The API server requires 1 to 128 characters.
    if name.is_empty() {
        "unknown".to_owned()
    } else {
        name.chars().take(128).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(namespaces: &[&str], audiences: &[&str]) -> Result<ControllerConfig, ConfigError> {
        let owned = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
        ControllerConfig::new(&owned(namespaces), &owned(audiences), None)
    }

    #[test]
    fn sizes_round_trip_through_their_text() {
        for text in ["64MiB", "1GiB", "3KiB", "1000", "0"] {
            let size: ByteSize = text.parse().expect("valid");
            assert_eq!(size.to_string(), text);
        }
        assert_eq!("64Mi".parse(), Ok(ByteSize::DOCUMENT_CACHE));
        for text in [
            "",
            "MiB",
            "64MB",
            "64M",
            "B",
            "1.5MiB",
            "-1",
            "+1",
            "64 MiB",
            "99999999999999999999",
            "99999999999GiB",
        ] {
            assert!(text.parse::<ByteSize>().is_err(), "{text}");
        }
    }

    #[test]
    fn settings_are_validated() {
        assert_eq!(config(&[], &[]).expect("valid").namespaces, None);
        let two = config(&["b", "a", "b"], &["", "prod-gz"]).expect("valid");
        assert_eq!(two.namespaces, Some(vec!["a".to_owned(), "b".to_owned()]));
        assert_eq!(two.audiences.len(), 2);
        assert_eq!(config(&["a", "B"], &[]), Err(ConfigError::Namespace("B".into())));
        assert_eq!(config(&[""], &[]), Err(ConfigError::Namespace(String::new())));
        assert_eq!(config(&[], &["Prod"]), Err(ConfigError::Audience("Prod".into())));
    }
}
