//! The construction of the HTTP clients.

use std::path::{Path, PathBuf};
use std::time::Duration;

use reqwest::{Certificate, Client, ClientBuilder, redirect};

use super::failure::cause;
use crate::files::{self, FileVersion, ReadError};

/// The largest file of certificate authorities, in bytes. A system's bundle has some hundred thousand.
const MAX_CA_FILE: u64 = 16 << 20;
/// How long an idle connection is kept.
const IDLE_TIMEOUT: Duration = Duration::from_secs(25);

/// Why [`TencentKms::new`](crate::kms::tencent::TencentKms::new) failed.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// The file of certificate authorities cannot be read.
    #[error("cannot read the certificate authorities in {}: {source}", .path.display())]
    CaRead {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: ReadError,
    },
    /// The file of certificate authorities holds no certificate.
    #[error("{} contains no PEM certificate", .0.display())]
    CaEmpty(PathBuf),
    /// TLS or the proxy configuration is not usable.
    #[error("cannot set up the HTTP client: {0}")]
    Client(String),
}

impl SetupError {
    /// What the user can do about it.
    pub fn advice(&self) -> &'static str {
        match self {
            SetupError::CaRead { .. } | SetupError::CaEmpty(_) => {
                "name a file with certificates in PEM (-----BEGIN CERTIFICATE-----)"
            }
            SetupError::Client(_) => "check HTTPS_PROXY and the system's certificates",
        }
    }
}

/// Returns the options that all clients share.
pub(super) fn client_builder(connect_timeout: Duration) -> ClientBuilder {
    Client::builder()
        .http1_only()
        .redirect(redirect::Policy::none())
        .retry(reqwest::retry::never()) // the caller signs each attempt
        .connect_timeout(connect_timeout)
        .pool_idle_timeout(IDLE_TIMEOUT)
        .user_agent(concat!("envelope-secrets/", env!("CARGO_PKG_VERSION")))
}

/// Builds a client.
pub(super) fn build(builder: ClientBuilder) -> Result<Client, SetupError> {
    builder.build().map_err(|error| SetupError::Client(cause(&error)))
}

/// Reads the PEM certificates in a file, at least one, and the state of the file.
pub(super) fn read_authorities(path: &Path) -> Result<(Vec<Certificate>, FileVersion), SetupError> {
    let read = files::open(path).map_err(ReadError::from);
    let read = read.and_then(|file| files::read(&file, MAX_CA_FILE));
    let (pem, version) = read.map_err(|source| SetupError::CaRead {
        path: path.to_owned(),
        source,
    })?;
    match Certificate::from_pem_bundle(&pem) {
        Ok(certificates) if !certificates.is_empty() => Ok((certificates, version)),
        _ => Err(SetupError::CaEmpty(path.to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::pipe;

    #[test]
    fn ca_file_must_be_a_regular_file_with_a_certificate() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("ca.pem");
        let error = || read_authorities(&path).expect_err("rejected");
        assert!(matches!(error(), SetupError::CaRead { .. }));
        pipe(&path);
        assert!(error().to_string().ends_with("not a regular file"));
        std::fs::remove_file(&path).expect("removed");
        std::fs::write(&path, "no certificate").expect("written");
        assert!(matches!(error(), SetupError::CaEmpty(_)));
    }
}
