//! The validated configuration of the controller. The command line reads flags and their environment variables
//! (`ENVELOPE_<FLAG>`); variables set by the platform are read here.

use std::collections::BTreeSet;
use std::path::PathBuf;

use crate::envelope::names;

/// The configuration of `envelope controller`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ControllerConfig {
    /// The namespaces to watch; `None` for the whole cluster.
    pub namespaces: Option<Vec<String>>,
    /// The accepted audiences. If empty, only documents without an audience are accepted.
    pub audiences: BTreeSet<String>,
    /// The kubeconfig file; `None` for the default kubeconfig, then the pod's service account.
    pub kubeconfig: Option<PathBuf>,
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
