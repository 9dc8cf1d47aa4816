//! What the controller was told, checked. Flags and their variables (`ENVELOPE_<FLAG>`) are read by the command
//! line; variables that the platform sets are read here.

use std::collections::BTreeSet;
use std::path::PathBuf;

use crate::envelope::names;

/// What `envelope controller` works on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ControllerConfig {
    /// The namespaces to work in; `None` for all of the cluster.
    pub namespaces: Option<Vec<String>>,
    /// The accepted audiences; none given accepts only documents without one.
    pub audiences: BTreeSet<String>,
    /// `None` for the usual places, then the pod's own account.
    pub kubeconfig: Option<PathBuf>,
}

/// A setting that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// `--namespaces`
    #[error("--namespaces: {0:?} is no name of a namespace; write names with commas between them")]
    Namespace(String),
    /// `--audience`
    #[error("--audience: {0:?} is no audience: lower-case letters, digits, - and ., at most 63")]
    Audience(String),
}

impl ControllerConfig {
    /// Checks what was typed. Namespaces are taken once each; an empty list means all of the cluster.
    pub fn new(
        namespaces: &[String],
        audiences: &[String],
        kubeconfig: Option<PathBuf>,
    ) -> Result<Self, ConfigError> {
        if let Some(bad) = namespaces.iter().find(|name| !names::is_namespace(name)) {
            return Err(ConfigError::Namespace(bad.clone()));
        }
        // "" accepts documents without an audience, beside those that are named.
        if let Some(bad) = audiences
            .iter()
            .find(|name| !name.is_empty() && !names::is_audience(name))
        {
            return Err(ConfigError::Audience(bad.clone()));
        }
        let once: BTreeSet<&String> = namespaces.iter().collect();
        let namespaces: Vec<String> = once.into_iter().cloned().collect();
        Ok(ControllerConfig {
            namespaces: (!namespaces.is_empty()).then_some(namespaces),
            audiences: audiences.iter().cloned().collect(),
            kubeconfig,
        })
    }
}

/// The name of this instance in events: the pod's, which the kubelet sets as the host's name.
pub fn instance() -> String {
    let name = std::env::var("HOSTNAME").unwrap_or_default();
    // The API server takes at most 128 characters, and at least one.
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
    fn what_is_typed_is_checked() {
        assert_eq!(config(&[], &[]).expect("fine").namespaces, None);
        let two = config(&["b", "a", "b"], &["", "prod-gz"]).expect("fine");
        assert_eq!(two.namespaces, Some(vec!["a".to_owned(), "b".to_owned()]));
        assert_eq!(two.audiences.len(), 2);
        assert_eq!(config(&["a", "B"], &[]), Err(ConfigError::Namespace("B".into())));
        assert_eq!(config(&[""], &[]), Err(ConfigError::Namespace(String::new())));
        assert_eq!(config(&[], &["Prod"]), Err(ConfigError::Audience("Prod".into())));
    }
}
