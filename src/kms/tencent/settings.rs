//! The configuration of the client. Knows no flag names: the command line fills it.

use std::path::PathBuf;

use super::credentials::assumed_role::AssumedRole;
use super::credentials::environment::Environment;
use super::transport::endpoint::{Endpoint, Site};
use super::transport::limits::Limits;
use crate::kms::AllowedKeys;

/// The configuration of [`TencentKms`](super::TencentKms).
///
/// ```
/// use std::time::Duration;
///
/// use envelope_secrets::kms::AllowedKeys;
/// use envelope_secrets::kms::tencent::{Environment, Limits, Site, TencentSettings};
///
/// let settings = TencentSettings {
///     allowed: AllowedKeys::parse(["tencent-kms://ap-guangzhou/"])?,
///     site: Site::Internal,
///     environment: Environment::of_process(),
///     limits: Limits { attempts: 2, ..Limits::default() },
///     ..TencentSettings::default()
/// };
/// assert_eq!(settings.limits.connect, Duration::from_secs(3));
/// # Ok::<(), envelope_secrets::kms::AllowedKeyError>(())
/// ```
#[derive(Clone, Default)]
pub struct TencentSettings {
    /// The keys that may open documents. Sealing uses the keys that it is given.
    pub allowed: AllowedKeys,
    /// The hosts to call.
    pub site: Site,
    /// Replaces the KMS endpoint of the site, for every region.
    pub endpoint: Option<Endpoint>,
    /// Replaces the STS endpoint of the site.
    pub sts_endpoint: Option<Endpoint>,
    /// Replaces the metadata service of Tencent Cloud's instances.
    pub metadata_endpoint: Option<Endpoint>,
    /// A PEM file of certificate authorities to trust in addition to the system's.
    pub ca_file: Option<PathBuf>,
    /// Time and size limits of calls.
    pub limits: Limits,
    /// The credentials that take precedence over all other sources: a profile file, or a directory with the files
    /// `secretId`, `secretKey` and optionally `token`.
    pub credentials: Option<PathBuf>,
    /// A role to assume with the credentials of whichever source wins.
    pub role: Option<AssumedRole>,
    /// The environment variables to read.
    pub environment: Environment,
}
