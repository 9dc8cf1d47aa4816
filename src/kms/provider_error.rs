//! The error of configuring a provider and of its key commands.

use std::path::PathBuf;

use super::Class;

/// A provider cannot be configured, or a key command failed. Carries no credential and no key material.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ProviderError {
    /// What it means for the caller.
    pub class: Class,
    /// What failed and why.
    pub message: String,
    /// What to do.
    pub advice: String,
    /// Whether the same call may succeed later without any change, whatever the class.
    pub retryable: bool,
    /// The file at fault, if there is one.
    pub file: Option<PathBuf>,
}

impl ProviderError {
    /// An error in the configuration or in the arguments.
    pub fn configuration(message: impl Into<String>, advice: impl Into<String>) -> Self {
        ProviderError {
            class: Class::Configuration,
            message: message.into(),
            advice: advice.into(),
            retryable: false,
            file: None,
        }
    }
}
