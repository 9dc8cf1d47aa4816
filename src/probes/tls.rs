//! The certificate of the metrics server, which is replaced when its files change.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, RwLock};

use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, NoServerSessionStorage, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{InconsistentKeys, ServerConfig};

use crate::files::{self, FileVersion, ReadError};
use crate::sync;

/// The largest file, in bytes. A chain of certificates has some thousand.
const MAX_LEN: u64 = 1 << 20;

/// A file of the certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TlsFile {
    /// The chain of certificates, the server's first.
    Certificate,
    /// The private key.
    Key,
}

impl std::fmt::Display for TlsFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            TlsFile::Certificate => "certificate",
            TlsFile::Key => "private key",
        })
    }
}

/// Why the certificate cannot be used. Never contains content of a file.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read.
    #[error("cannot read the {file} {}: {source}", .path.display())]
    Read {
        /// Which one.
        file: TlsFile,
        /// Its path.
        path: PathBuf,
        /// The cause.
        source: ReadError,
    },
    /// A file holds no certificate or no private key, or a damaged one.
    #[error("{} contains no valid {file} in PEM", .path.display())]
    Invalid {
        /// Which one.
        file: TlsFile,
        /// Its path.
        path: PathBuf,
    },
    /// The key belongs to another certificate.
    #[error("the private key {} does not match the certificate {}", .key.display(), .certificate.display())]
    Mismatch {
        /// The certificate.
        certificate: PathBuf,
        /// The key.
        key: PathBuf,
    },
    /// The TLS library refuses its settings.
    #[error("cannot set up TLS: {0}")]
    Setup(rustls::Error),
}

impl TlsError {
    /// What the user can do about it.
    pub fn advice(&self) -> &'static str {
        match self {
            TlsError::Read { .. } => {
                "name files that the controller can read, as mounted from a Secret of type kubernetes.io/tls"
            }
            TlsError::Invalid { .. } => {
                "use PEM files: a certificate chain, the server's certificate first, and its key"
            }
            TlsError::Mismatch { .. } => "use the key that the certificate was issued for",
            TlsError::Setup(_) => "report this as a bug",
        }
    }
}

/// The result of [`Tls::reload`].
#[derive(Debug)]
pub enum Reload {
    /// The files have not changed.
    Unchanged,
    /// New connections get the certificate in the files.
    Reloaded,
    /// The files changed and cannot be used. The previous certificate stays; the next call tries again.
    Failed(TlsError),
}

/// TLS 1.2 or 1.3 with a certificate from files. No Debug: it holds a key.
pub struct Tls {
    certificate: PathBuf,
    key: PathBuf,
    /// The states of the files that were loaded.
    loaded: Mutex<Versions>,
    current: Arc<Current>,
    config: Arc<ServerConfig>,
}

type Versions = [FileVersion; 2];

/// The certificate of new connections.
struct Current(RwLock<Arc<CertifiedKey>>);

impl ResolvesServerCert for Current {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(sync::read(&self.0).clone())
    }
}

impl std::fmt::Debug for Current {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Current")
    }
}

impl Tls {
    /// Reads a chain of certificates and the private key, both PEM.
    ///
    /// # Errors
    /// If a file cannot be used.
    pub fn open(certificate: &Path, key: &Path) -> Result<Self, TlsError> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let (loaded, versions) = load(certificate, key, &provider)?;
        let current = Arc::new(Current(RwLock::new(Arc::new(loaded))));
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(TlsError::Setup)?
            .with_no_client_auth()
            .with_cert_resolver(current.clone());
        // A resumed session would not present the new certificate, and scrapes are rare.
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Tls {
            certificate: certificate.to_owned(),
            key: key.to_owned(),
            loaded: Mutex::new(versions),
            current,
            config: Arc::new(config),
        })
    }

    /// Checks with two `stat`s whether the files changed, and reloads them if so. Blocks on the file system. Open
    /// connections keep their certificate.
    pub fn reload(&self) -> Reload {
        let mut loaded = sync::lock(&self.loaded);
        let before = self.versions();
        if before.as_ref().is_some_and(|now| *now == *loaded) {
            return Reload::Unchanged;
        }
        match load(&self.certificate, &self.key, self.config.crypto_provider()) {
            Ok((certified, versions)) => {
                *sync::write(&self.current.0) = Arc::new(certified);
                *loaded = versions;
                Reload::Reloaded
            }
            // One file was replaced between the reads of both: the next call sees a pair.
            Err(_) if self.versions() != before => Reload::Unchanged,
            Err(error) => Reload::Failed(error),
        }
    }

    fn versions(&self) -> Option<Versions> {
        let of = |path: &Path| FileVersion::of(path).ok();
        Some([of(&self.certificate)?, of(&self.key)?])
    }

    pub(super) fn config(&self) -> Arc<ServerConfig> {
        self.config.clone()
    }
}

fn load(
    certificate: &Path,
    key: &Path,
    provider: &CryptoProvider,
) -> Result<(CertifiedKey, Versions), TlsError> {
    let (chain, chain_version) = read(TlsFile::Certificate, certificate, |pem| {
        let chain: Vec<_> = CertificateDer::pem_slice_iter(pem)
            .collect::<Result<_, _>>()
            .ok()?;
        Some(chain).filter(|chain| !chain.is_empty())
    })?;
    let (der, key_version) = read(TlsFile::Key, key, |pem| PrivateKeyDer::from_pem_slice(pem).ok())?;
    let invalid = |file, path: &Path| TlsError::Invalid {
        file,
        path: path.to_owned(),
    };
    let signing = provider.key_provider.load_private_key(der);
    let certified = CertifiedKey::new(chain, signing.map_err(|_| invalid(TlsFile::Key, key))?);
    match certified.keys_match() {
        Ok(()) | Err(rustls::Error::InconsistentKeys(InconsistentKeys::Unknown)) => {
            Ok((certified, [chain_version, key_version]))
        }
        Err(rustls::Error::InconsistentKeys(_)) => Err(TlsError::Mismatch {
            certificate: certificate.to_owned(),
            key: key.to_owned(),
        }),
        Err(_) => Err(invalid(TlsFile::Certificate, certificate)),
    }
}

fn read<T>(
    file: TlsFile,
    path: &Path,
    parse: impl FnOnce(&[u8]) -> Option<T>,
) -> Result<(T, FileVersion), TlsError> {
    let bytes = files::open(path)
        .map_err(ReadError::from)
        .and_then(|open| files::read(&open, MAX_LEN));
    let (bytes, version) = bytes.map_err(|source| TlsError::Read {
        file,
        path: path.to_owned(),
        source,
    })?;
    match parse(&bytes) {
        Some(parsed) => Ok((parsed, version)),
        None => Err(TlsError::Invalid {
            file,
            path: path.to_owned(),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    use testkit::{Authority, Pair};

    struct Files(tempfile::TempDir);

    impl Files {
        fn new(pair: &Pair) -> Self {
            let files = Files(tempfile::tempdir().expect("a directory"));
            files.replace("tls.crt", &pair.certificate);
            files.replace("tls.key", &pair.key);
            files
        }

        fn path(&self, name: &str) -> PathBuf {
            self.0.path().join(name)
        }

        /// Replaces a file in one step.
        fn replace(&self, name: &str, content: &str) {
            fs::write(self.path("next"), content).expect("written");
            fs::rename(self.path("next"), self.path(name)).expect("renamed");
        }

        fn open(&self) -> Result<Tls, TlsError> {
            Tls::open(&self.path("tls.crt"), &self.path("tls.key"))
        }
    }

    fn pair() -> Pair {
        let authority = Authority::new().expect("an authority");
        authority.server("x", &["localhost"]).expect("a certificate")
    }

    fn error(files: &Files) -> String {
        files.open().map(|_| ()).expect_err("refused").to_string()
    }

    fn leaf(tls: &Tls) -> Vec<u8> {
        sync::read(&tls.current.0).cert[0].to_vec()
    }

    #[test]
    fn certificate_and_key_must_be_readable_and_belong_together() {
        let (one, other) = (pair(), pair());
        let files = Files::new(&one);
        assert!(files.open().is_ok());
        files.replace("tls.key", &other.key);
        assert!(
            error(&files).contains("does not match the certificate"),
            "{}",
            error(&files)
        );
        files.replace("tls.key", &one.certificate);
        assert!(
            error(&files).ends_with("tls.key contains no valid private key in PEM"),
            "{}",
            error(&files)
        );
        files.replace("tls.key", &one.key);
        for bad in [
            "",
            "no certificate",
            &one.key,
            "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
        ] {
            files.replace("tls.crt", bad);
            assert!(
                error(&files).ends_with("tls.crt contains no valid certificate in PEM"),
                "{bad}: {}",
                error(&files)
            );
        }
        fs::remove_file(files.path("tls.crt")).expect("removed");
        assert!(
            error(&files).starts_with("cannot read the certificate "),
            "{}",
            error(&files)
        );
        files::pipe(&files.path("tls.crt"));
        assert!(error(&files).ends_with("not a regular file"), "{}", error(&files));
    }

    #[test]
    fn changed_pair_is_used_and_a_broken_one_keeps_the_old() {
        let (one, other) = (pair(), pair());
        let files = Files::new(&one);
        let tls = files.open().expect("a pair");
        let first = leaf(&tls);
        assert!(matches!(tls.reload(), Reload::Unchanged));

        files.replace("tls.crt", &other.certificate);
        let Reload::Failed(TlsError::Mismatch { .. }) = tls.reload() else {
            panic!("the key belongs to the first certificate")
        };
        assert_eq!(leaf(&tls), first);
        files.replace("tls.key", &other.key);
        assert!(matches!(tls.reload(), Reload::Reloaded));
        assert!(leaf(&tls) != first);
        assert!(matches!(tls.reload(), Reload::Unchanged));

        fs::remove_file(files.path("tls.key")).expect("removed");
        for _ in 0..2 {
            assert!(
                matches!(tls.reload(), Reload::Failed(TlsError::Read { .. })),
                "tried again"
            );
        }
        files.replace("tls.key", &other.key);
        assert!(matches!(tls.reload(), Reload::Reloaded));
    }
}
