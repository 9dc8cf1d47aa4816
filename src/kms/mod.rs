//! Key management services: the traits that each provider implements, and what all of them share.
//!
//! A provider is one directory here and one entry in the registry: [`Provider`] describes and configures it, [`Kms`]
//! makes its calls, [`KeyManager`] serves `envelope keys`. Nothing in this module knows Kubernetes.

mod allow_list;
mod allowed;
pub mod broker;
mod client;
mod credentials;
mod diagnosis;
mod error;
pub mod local;
mod manage;
mod open;
mod provider;
mod provider_error;
mod registry;
mod settings;
pub mod tencent;
mod uri;
mod wrap;

pub use allow_list::AllowedKeyError;
pub use allowed::AllowedKeys;
pub use client::{
    Access, Change, Cures, GeneratedDataKey, KeyDescription, Kms, Rotation, action, random_data_key,
};
pub use credentials::HeldCredentials;
pub use diagnosis::{Evidence, Finding, MAX_CLOCK_SKEW, Severity, clock_difference, diagnose_service, utc};
pub use error::{Class, KmsError};
pub use manage::{CreatedKey, Disposal, KeyFilter, KeyInfo, KeyManager, NewKey, Notes, RotationChange};
pub use open::open;
pub use provider::{Caller, Capability, Configured, Provider, UriKind};
pub use provider_error::ProviderError;
pub use registry::{
    FinishedCall, Registry, can, classify_uri, is_key, provider_of, provider_of_scheme, providers, register,
    require_provider,
};
pub use settings::{Given, Setting, SettingKind, Settings, Variable};
pub use uri::{KeyUri, KeyUriError};
pub use wrap::wrap_new_data_key;

#[cfg(test)]
mod tests;
