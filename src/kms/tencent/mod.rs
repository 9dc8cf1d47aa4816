//! Tencent Cloud KMS (service `kms`, API 2019-01-18), called directly over HTTPS.
//!
//! Each part uses only those above it: `error`, `server_text` and `key`; `transport`, which makes calls of the API;
//! `credentials`, which signs them; `client`, which joins both; `actions`, one method per action of KMS; `kms_impl`, the
//! trait [`Kms`](super::Kms); `provider` and `manage`, the trait [`Provider`](super::Provider).

mod actions;
mod client;
mod credentials;
mod error;
mod key;
mod kms_impl;
mod manage;
mod provider;
#[cfg(feature = "live-tests")]
mod raw;
mod server_text;
mod settings;
mod transport;

pub use actions::metadata::{KeyMetadata, ListedKey, NewKey};
pub use client::TencentKms;
pub use credentials::assumed_role::AssumedRole;
pub use credentials::environment::Environment;
pub use credentials::source::{CredentialStatus, Source};
pub use error::TencentError;
pub use key::{FORM, SCHEME, is_key, is_region};
#[cfg(feature = "live-tests")]
pub use provider::from_variables;
pub use provider::{PROVIDER, TencentProvider};
pub use settings::TencentSettings;
pub use transport::endpoint::{Endpoint, EndpointError, Site};
pub use transport::limits::Limits;
pub use transport::setup::SetupError;

#[cfg(test)]
mod tests;
