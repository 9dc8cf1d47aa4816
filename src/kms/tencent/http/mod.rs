//! HTTP/1.1 with limits: one request, one answer. Knows nothing of the API.

mod error;
mod proxy;

use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use reqwest::{Certificate, Client, ClientBuilder, redirect};
use zeroize::Zeroizing;

pub use error::HttpSetupError;
pub(super) use error::{HttpError, seconds};

use super::endpoint::Endpoint;
use super::rpc::unix_now;
use super::settings::Limits;
use crate::files::{self, ReadError};
use error::{cause, failure};
use proxy::Proxies;

/// A file of authorities, in bytes: that of a whole system has some hundred thousand.
const MOST_AUTHORITIES: u64 = 16 << 20;
/// How long an idle connection is kept.
const IDLE: Duration = Duration::from_secs(25);

/// A request's body: wiped when the last part of it was sent.
pub(super) fn body(bytes: Zeroizing<Vec<u8>>) -> Bytes {
    Bytes::from_owner(bytes)
}

/// The metadata service is on this very machine's host: it answers at once or is not there.
const METADATA_CONNECT: Duration = Duration::from_secs(1);
const METADATA_TIME: Duration = Duration::from_secs(2);

/// The clients: pooled connections, no redirects.
pub(super) struct Http {
    /// Through the environment's proxy, if it names one for the host.
    outward: Client,
    /// Never through a proxy: for this machine.
    loopback: Client,
    /// Never through a proxy, and short of patience.
    metadata: Client,
    /// What `outward` goes by.
    proxies: Proxies,
    limits: Limits,
}

/// An answer of any status.
pub(super) struct Answer {
    pub(super) status: u16,
    /// The server's clock less this machine's, in seconds, if it told its own; a second of difference is none.
    pub(super) ahead: Option<i64>,
    /// May hold a data key.
    pub(super) body: Zeroizing<Vec<u8>>,
}

impl Http {
    pub(super) fn new(limits: Limits, ca_file: Option<&Path>) -> Result<Self, HttpSetupError> {
        let authorities = ca_file.map(read_authorities).transpose()?.unwrap_or_default();
        let failed = |error: reqwest::Error| HttpSetupError::Client(cause(&error));
        let plain = || builder(limits.connect).tls_certs_merge(authorities.clone());
        Ok(Http {
            outward: plain().build().map_err(failed)?,
            loopback: plain().no_proxy().build().map_err(failed)?,
            metadata: builder(METADATA_CONNECT).no_proxy().build().map_err(failed)?,
            proxies: Proxies::of_environment(),
            limits,
        })
    }

    /// Sends `body` and reads the whole answer, within `time`.
    pub(super) async fn post(
        &self,
        endpoint: &Endpoint,
        headers: HeaderMap,
        body: Bytes,
        time: Duration,
    ) -> Result<Answer, HttpError> {
        let (client, host) = if endpoint.is_loopback() {
            (&self.loopback, endpoint.host().to_owned())
        } else {
            (&self.outward, self.proxies.way_to(endpoint)?)
        };
        let request = client.post(endpoint.url().clone()).headers(headers).body(body);
        exchange(request, &host, time, self.limits.answer).await
    }

    /// Reads a path of the metadata service. Never through a proxy: it answers by who asks.
    pub(super) async fn get_metadata(&self, endpoint: &Endpoint, path: &str) -> Result<Answer, HttpError> {
        let mut url = endpoint.url().clone();
        url.set_path(path);
        let time = METADATA_TIME.min(self.limits.request);
        exchange(self.metadata.get(url), endpoint.host(), time, self.limits.answer).await
    }
}

fn builder(connect: Duration) -> ClientBuilder {
    Client::builder()
        .http1_only()
        .redirect(redirect::Policy::none())
        .retry(reqwest::retry::never()) // each attempt is signed anew, by the caller
        .connect_timeout(connect)
        .pool_idle_timeout(IDLE)
        .user_agent(concat!("envelope-secrets/", env!("CARGO_PKG_VERSION")))
}

async fn exchange(
    request: reqwest::RequestBuilder,
    host: &str,
    time: Duration,
    limit: usize,
) -> Result<Answer, HttpError> {
    let failed = |error: reqwest::Error| failure(&error, host, time);
    let mut response = request.timeout(time).send().await.map_err(failed)?;
    let status = response.status().as_u16();
    // Now, and not when a slow body is at its end.
    let ahead = response.headers().get("date").and_then(unix_seconds);
    let ahead = ahead.map(|date| date - unix_now());
    let ahead = ahead.map(|ahead| if ahead.abs() <= 1 { 0 } else { ahead });
    let announced = response
        .content_length()
        .and_then(|length| usize::try_from(length).ok());
    let long = || HttpError::Long {
        host: host.to_owned(),
        limit,
    };
    if announced.is_some_and(|length| length > limit) {
        return Err(long());
    }
    let mut body = Zeroizing::new(Vec::with_capacity(announced.unwrap_or(4096)));
    while let Some(chunk) = response.chunk().await.map_err(failed)? {
        if body.len() + chunk.len() > limit {
            return Err(long());
        }
        append(&mut body, &chunk);
    }
    Ok(Answer { status, ahead, body })
}

/// A vector that grows leaves its old buffer behind; this one wipes it.
fn append(body: &mut Zeroizing<Vec<u8>>, chunk: &[u8]) {
    if body.capacity() - body.len() < chunk.len() {
        let mut larger = Zeroizing::new(Vec::with_capacity((body.len() + chunk.len()) * 2));
        larger.extend_from_slice(body);
        *body = larger;
    }
    body.extend_from_slice(chunk);
}

/// `Date`, as RFC 9110 writes it.
fn unix_seconds(value: &HeaderValue) -> Option<i64> {
    let zoned = jiff::fmt::rfc2822::parse(value.to_str().ok()?).ok()?;
    Some(zoned.timestamp().as_second())
}

fn read_authorities(path: &Path) -> Result<Vec<Certificate>, HttpSetupError> {
    let read = files::open(path).map_err(ReadError::from);
    let read = read.and_then(|file| files::read(&file, MOST_AUTHORITIES));
    let (pem, _) = read.map_err(|source| HttpSetupError::CaRead {
        path: path.to_owned(),
        source,
    })?;
    match Certificate::from_pem_bundle(&pem) {
        Ok(certificates) if !certificates.is_empty() => Ok(certificates),
        _ => Err(HttpSetupError::CaEmpty(path.to_owned())),
    }
}

/// Adds a header; `secret` ones are kept out of every debug output.
pub(super) fn set(
    headers: &mut HeaderMap,
    name: &'static str,
    value: &str,
    secret: bool,
) -> Result<(), HttpError> {
    let mut value = HeaderValue::from_str(value).map_err(|_| {
        HttpError::Unsendable(format!(
            "the value of the header {name} has a forbidden character"
        ))
    })?;
    value.set_sensitive(secret);
    headers.insert(HeaderName::from_static(name), value);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::pipe;

    #[test]
    fn a_date_is_read_as_servers_write_it() {
        let read = |text: &'static str| unix_seconds(&HeaderValue::from_static(text));
        assert_eq!(read("Tue, 14 Nov 2023 22:13:20 GMT"), Some(1_700_000_000));
        assert_eq!(read("yesterday"), None);
    }

    #[test]
    fn a_body_grows_without_losing_a_byte() {
        let mut body = Zeroizing::new(Vec::with_capacity(1));
        let whole: Vec<u8> = (0..200).collect();
        for chunk in whole.chunks(7) {
            append(&mut body, chunk);
        }
        assert_eq!(*body, whole);
    }

    #[test]
    fn a_file_of_authorities_must_hold_one() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("ca.pem");
        let new = || Http::new(Limits::default(), Some(&path)).err().expect("refused");
        assert!(matches!(new(), HttpSetupError::CaRead { .. }));
        pipe(&path);
        assert!(new().to_string().ends_with("not a regular file"));
        std::fs::remove_file(&path).expect("removed");
        std::fs::write(&path, "no certificate").expect("written");
        assert!(matches!(new(), HttpSetupError::CaEmpty(_)));
        assert!(Http::new(Limits::default(), None).is_ok());
    }

    #[test]
    fn a_header_takes_no_line_break_and_its_error_no_value() {
        let mut headers = HeaderMap::new();
        let error = set(&mut headers, "x-tc-token", "hunter2\r\nx: y", true).expect_err("refused");
        assert!(!error.to_string().contains("hunter2"), "{error}");
        set(&mut headers, "x-tc-token", "hunter2", true).expect("set");
        assert!(!format!("{headers:?}").contains("hunter2"));
    }
}
