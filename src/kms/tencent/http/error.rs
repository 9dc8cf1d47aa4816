//! Why no answer came, told by the errors' types and not by their texts.

use std::error::Error as _;
use std::path::PathBuf;
use std::time::Duration;

use rustls::InvalidMessage;

use crate::files::ReadError;

/// No answer came.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(in crate::kms::tencent) enum HttpError {
    #[error("cannot connect to {host}: {why}")]
    Connect { host: String, why: String },
    /// The handshake failed; it may go well the next time.
    #[error("cannot connect to {host} securely: {why}")]
    Tls { host: String, why: String },
    /// The server is not the one that was meant.
    #[error("cannot trust {host}: {why}")]
    Untrusted { host: String, why: String },
    #[error("{0} does not speak TLS")]
    NoTls(String),
    /// Names the variable.
    #[error("the proxy in {0} is no address")]
    Proxy(&'static str),
    #[error("{host} did not answer within {}", seconds(*.after))]
    Slow { host: String, after: Duration },
    #[error("the connection to {host} broke: {why}")]
    Broken { host: String, why: String },
    #[error("the answer of {host} is longer than {limit} bytes")]
    Long { host: String, limit: usize },
    #[error("the request cannot be sent: {0}")]
    Unsendable(String),
}

impl HttpError {
    /// Whether the same request may go well later.
    pub(in crate::kms::tencent) fn is_retryable(&self) -> bool {
        !matches!(
            self,
            HttpError::Untrusted { .. }
                | HttpError::NoTls(_)
                | HttpError::Proxy(_)
                | HttpError::Unsendable(_)
        )
    }

    /// Whether the server may have had the request.
    pub(in crate::kms::tencent) fn may_have_sent(&self) -> bool {
        self.is_retryable() && !matches!(self, HttpError::Connect { .. } | HttpError::Tls { .. })
    }

    pub(in crate::kms::tencent) fn advice(&self) -> &'static str {
        match self {
            HttpError::Connect { .. } | HttpError::Slow { .. } => {
                "check the network, the proxy (HTTPS_PROXY, NO_PROXY) and the endpoint; then try again"
            }
            HttpError::Broken { .. } => {
                "check the endpoint (https:// or http://, the port), the network and the proxy (HTTPS_PROXY, NO_PROXY); \
                 then try again"
            }
            HttpError::NoTls(_) => {
                "check the endpoint's port; one that speaks plain HTTP is written with http://"
            }
            HttpError::Tls { .. } => {
                "check the endpoint, and what stands between that may take part in TLS; then try again"
            }
            HttpError::Untrusted { .. } => {
                "check the endpoint's certificate; if a proxy or a private endpoint has an authority of its own, name its \
                 file with --tencent-ca-file"
            }
            HttpError::Proxy(_) => {
                "write it like http://proxy.example:3128, without a blank or a path; in a user name or password write @ as \
                 %40, / as %2F, # as %23"
            }
            HttpError::Long { .. } => "check the endpoint: the KMS's answers are short",
            HttpError::Unsendable(_) => "check the credentials and the endpoint for stray characters",
        }
    }
}

/// Why the clients cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum HttpSetupError {
    /// The file of certificate authorities cannot be read.
    #[error("cannot read the certificate authorities in {}: {source}", .path.display())]
    CaRead {
        /// The file.
        path: PathBuf,
        /// The system's answer.
        source: ReadError,
    },
    /// It holds no certificate.
    #[error("{} holds no certificate in PEM", .0.display())]
    CaEmpty(PathBuf),
    /// TLS or the proxy's address.
    #[error("cannot set up HTTP: {0}")]
    Client(String),
}

impl HttpSetupError {
    /// What a person can do.
    pub fn advice(&self) -> &'static str {
        match self {
            HttpSetupError::CaRead { .. } | HttpSetupError::CaEmpty(_) => {
                "name a file with certificates in PEM (-----BEGIN CERTIFICATE-----)"
            }
            HttpSetupError::Client(_) => "check HTTPS_PROXY and the system's certificates",
        }
    }
}

pub(super) fn failure(error: &reqwest::Error, host: &str, after: Duration) -> HttpError {
    let (host, why) = (host.to_owned(), cause(error));
    if error.is_builder() {
        HttpError::Unsendable(why)
    } else if let Some(tls) = tls_error(error) {
        match tls {
            rustls::Error::InvalidCertificate(_) => HttpError::Untrusted { host, why },
            rustls::Error::InvalidMessage(InvalidMessage::InvalidContentType) => HttpError::NoTls(host),
            _ => HttpError::Tls { host, why },
        }
    } else if error.is_timeout() && !error.is_connect() {
        HttpError::Slow { host, after }
    } else if error.is_connect() {
        HttpError::Connect { host, why }
    } else {
        HttpError::Broken { host, why }
    }
}

/// `10 s`, `0.3 s`: what is left of a call's time is no round number.
pub(in crate::kms::tencent) fn seconds(time: Duration) -> String {
    let text = format!("{:.1}", time.as_secs_f64());
    format!("{} s", text.trim_end_matches(".0"))
}

/// What TLS says of it, if it is about that.
fn tls_error(error: &reqwest::Error) -> Option<&rustls::Error> {
    let mut link = error.source();
    while let Some(error) = link {
        if let Some(tls) = error.downcast_ref() {
            return Some(tls);
        }
        link = match error.downcast_ref::<std::io::Error>() {
            // `source` passes over what an `io::Error` holds.
            Some(io) => io
                .get_ref()
                .map(|inner| inner as &(dyn std::error::Error + 'static)),
            None => error.source(),
        };
    }
    None
}

/// The innermost reason, which says most and names no URL.
pub(super) fn cause(error: &reqwest::Error) -> String {
    let mut innermost: &dyn std::error::Error = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    if error.source().is_none() {
        return "the request failed".to_owned();
    }
    innermost.to_string()
}
