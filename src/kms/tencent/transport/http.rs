//! HTTP/1.1 with time and size limits. Knows nothing of the API.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, RwLock};
use std::time::Duration;

use bytes::Bytes;
use reqwest::header::{HeaderMap, HeaderValue};
use reqwest::{Certificate, Client};
use zeroize::Zeroizing;

use super::clock::unix_now;
use super::endpoint::Endpoint;
use super::failure::{invalid_proxy, request_failed, response_too_long};
use super::limits::Limits;
use super::proxy::Proxies;
use super::setup::{SetupError, build, client_builder, read_authorities};
use crate::files::FileVersion;
use crate::kms::tencent::error::TencentError;
use crate::sync;

/// Limits of the metadata service, which is link-local: it responds immediately or does not exist.
const METADATA_CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
const METADATA_TIMEOUT: Duration = Duration::from_secs(2);
/// The first buffer of a body whose length is not announced, in bytes.
const INITIAL_BODY_CAPACITY: usize = 4096;

/// The HTTP clients: pooled connections, no redirects.
pub(in crate::kms::tencent) struct Http {
    /// For calls. Replaced when the file of certificate authorities changes; a request in flight keeps its client.
    clients: RwLock<Clients>,
    /// Never uses a proxy, and has a short timeout.
    metadata: Client,
    /// The proxies that `clients.remote` uses.
    proxies: Proxies,
    limits: Limits,
    ca_file: Option<CaFile>,
}

struct Clients {
    /// Uses the proxy in the environment, if there is one for the host.
    remote: Client,
    /// Never uses a proxy: for the local host.
    loopback: Client,
}

impl Clients {
    fn new(limits: &Limits, authorities: &[Certificate]) -> Result<Self, SetupError> {
        let builder = || client_builder(limits.connect).tls_certs_merge(authorities.to_vec());
        Ok(Clients {
            remote: build(builder())?,
            loopback: build(builder().no_proxy())?,
        })
    }
}

/// The file of certificate authorities.
struct CaFile {
    path: PathBuf,
    /// The state of the file that `clients` trust.
    loaded: Mutex<FileVersion>,
}

/// The result of [`Http::reload_authorities`].
#[derive(Debug)]
pub(in crate::kms::tencent) enum Reload {
    /// There is no file, or it has not changed.
    Unchanged,
    /// New connections trust the authorities in this file.
    Reloaded(PathBuf),
    /// The file changed and cannot be used. The previous authorities stay trusted; the next call tries again.
    Failed(SetupError),
}

/// A response of any status.
pub(in crate::kms::tencent) struct Response {
    pub(in crate::kms::tencent) status: u16,
    /// The server's clock minus the local one in seconds, if there is a `Date` header. One second counts as none.
    pub(super) skew: Option<i64>,
    /// May hold a data key.
    pub(in crate::kms::tencent) body: Zeroizing<Vec<u8>>,
}

impl Http {
    pub(in crate::kms::tencent) fn new(limits: Limits, ca_file: Option<&Path>) -> Result<Self, SetupError> {
        let (authorities, ca_file) = match ca_file {
            None => (Vec::new(), None),
            Some(path) => {
                let (authorities, version) = read_authorities(path)?;
                let file = CaFile {
                    path: path.to_owned(),
                    loaded: Mutex::new(version),
                };
                (authorities, Some(file))
            }
        };
        Ok(Http {
            clients: RwLock::new(Clients::new(&limits, &authorities)?),
            metadata: build(client_builder(METADATA_CONNECT_TIMEOUT).no_proxy())?,
            proxies: Proxies::from_environment(),
            limits,
            ca_file,
        })
    }

    /// Checks with one `stat` whether the file of certificate authorities changed, and reloads it if so. Blocks on the file
    /// system. Idle connections to servers that only the previous authorities vouch for are dropped.
    pub(in crate::kms::tencent) fn reload_authorities(&self) -> Reload {
        let Some(file) = &self.ca_file else {
            return Reload::Unchanged;
        };
        let mut loaded = sync::lock(&file.loaded);
        if FileVersion::of(&file.path).is_ok_and(|now| now == *loaded) {
            return Reload::Unchanged;
        }
        let reloaded = read_authorities(&file.path).and_then(|(authorities, version)| {
            let clients = Clients::new(&self.limits, &authorities)?;
            Ok((clients, version))
        });
        match reloaded {
            Ok((clients, version)) => {
                *sync::write(&self.clients) = clients;
                *loaded = version;
                Reload::Reloaded(file.path.clone())
            }
            Err(error) => Reload::Failed(error),
        }
    }

    /// Sends `body` and reads the whole response within `timeout`. `action` is for errors only.
    pub(super) async fn post(
        &self,
        action: &'static str,
        endpoint: &Endpoint,
        headers: HeaderMap,
        body: Bytes,
        timeout: Duration,
    ) -> Result<Response, TencentError> {
        let (client, host) = if endpoint.is_loopback() {
            (
                sync::read(&self.clients).loopback.clone(),
                endpoint.host().to_owned(),
            )
        } else {
            let route = self.proxies.route_to(endpoint);
            let host = route.map_err(|proxy| invalid_proxy(action, proxy))?;
            (sync::read(&self.clients).remote.clone(), host)
        };
        let request = client.post(endpoint.url().clone()).headers(headers).body(body);
        self.exchange(action, request, &host, timeout).await
    }

    /// Reads a path of the metadata service. Never through a proxy: the response depends on who connects.
    pub(in crate::kms::tencent) async fn get_metadata(
        &self,
        endpoint: &Endpoint,
        path: &str,
    ) -> Result<Response, TencentError> {
        let mut url = endpoint.url().clone();
        url.set_path(path);
        let timeout = METADATA_TIMEOUT.min(self.limits.request);
        self.exchange("credentials", self.metadata.get(url), endpoint.host(), timeout)
            .await
    }

    async fn exchange(
        &self,
        action: &'static str,
        request: reqwest::RequestBuilder,
        host: &str,
        timeout: Duration,
    ) -> Result<Response, TencentError> {
        let limit = self.limits.response_size;
        let failed = |error: reqwest::Error| request_failed(action, &error, host, timeout);
        let too_long = || response_too_long(action, host, limit);
        let mut response = request.timeout(timeout).send().await.map_err(failed)?;
        let status = response.status().as_u16();
        // Before the body, which may be slow.
        let date = response.headers().get("date").and_then(unix_seconds);
        let skew = date.map(|date| date - unix_now());
        let skew = skew.map(|skew| if skew.abs() <= 1 { 0 } else { skew });
        let announced = response
            .content_length()
            .and_then(|length| usize::try_from(length).ok());
        if announced.is_some_and(|length| length > limit) {
            return Err(too_long());
        }
        let mut body = Zeroizing::new(Vec::with_capacity(announced.unwrap_or(INITIAL_BODY_CAPACITY)));
        while let Some(chunk) = response.chunk().await.map_err(failed)? {
            if body.len() + chunk.len() > limit {
                return Err(too_long());
            }
            append(&mut body, &chunk);
        }
        Ok(Response { status, skew, body })
    }
}

/// Appends `chunk` and wipes the old buffer if the vector grows, which `Vec` alone would not do.
fn append(body: &mut Zeroizing<Vec<u8>>, chunk: &[u8]) {
    if body.capacity() - body.len() < chunk.len() {
        let mut larger = Zeroizing::new(Vec::with_capacity((body.len() + chunk.len()) * 2));
        larger.extend_from_slice(body);
        *body = larger;
    }
    body.extend_from_slice(chunk);
}

/// Parses a `Date` header (RFC 9110 section 5.6.7) as Unix seconds.
fn unix_seconds(value: &HeaderValue) -> Option<i64> {
    let zoned = jiff::fmt::rfc2822::parse(value.to_str().ok()?).ok()?;
    Some(zoned.timestamp().as_second())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn date_header_is_parsed_or_ignored() {
        let read = |text: &'static str| unix_seconds(&HeaderValue::from_static(text));
        assert_eq!(read("Tue, 14 Nov 2023 22:13:20 GMT"), Some(1_700_000_000));
        assert_eq!(read("yesterday"), None);
    }

    #[test]
    fn body_grows_without_losing_a_byte() {
        let mut body = Zeroizing::new(Vec::with_capacity(1));
        let whole: Vec<u8> = (0..200).collect();
        for chunk in whole.chunks(7) {
            append(&mut body, chunk);
        }
        assert_eq!(*body, whole);
    }

    #[test]
    fn clients_are_built_without_a_ca_file() {
        assert!(Http::new(Limits::default(), None).is_ok());
    }

    #[test]
    fn ca_file_without_a_certificate_is_rejected() {
        let file = tempfile::NamedTempFile::new().expect("a file");
        let error = Http::new(Limits::default(), Some(file.path())).err();
        assert!(matches!(error, Some(SetupError::CaEmpty(_))));
    }
}
