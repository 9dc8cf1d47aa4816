//! HTTP endpoints for the kubelet and Prometheus: `/livez`, `/readyz`, `/metrics`. None of them handles Secrets.

use std::future::Future;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use axum::Router;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse as _;
use axum::routing::get;
use tokio::net::TcpListener;

use crate::metrics::{self, Metrics};

/// A listen address: `HOST:PORT`, or `:PORT` for all addresses of the host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ListenAddr {
    /// A single address.
    One(SocketAddr),
    /// All addresses, IPv6 and IPv4 where available.
    Every(u16),
}

/// An invalid [`ListenAddr`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a valid listen address; use :PORT, ADDRESS:PORT or, for IPv6, [ADDRESS]:PORT")]
pub struct ListenAddrError(String);

impl std::str::FromStr for ListenAddr {
    type Err = ListenAddrError;

    fn from_str(text: &str) -> Result<Self, ListenAddrError> {
        let bad = || ListenAddrError(text.to_owned());
        if let Some(port) = text.strip_prefix(':') {
            return port.parse().map(ListenAddr::Every).map_err(|_| bad());
        }
        text.parse().map(ListenAddr::One).map_err(|_| bad())
    }
}

impl std::fmt::Display for ListenAddr {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            ListenAddr::One(address) => address.fmt(f),
            ListenAddr::Every(port) => write!(f, ":{port}"),
        }
    }
}

/// Listening on an address failed.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address}: {source}")]
pub struct BindError {
    address: ListenAddr,
    source: io::Error,
}

/// Binds the address. Called before anything else starts, so that a port already in use is reported early.
///
/// # Errors
/// If the address cannot be bound.
pub async fn bind(address: ListenAddr) -> Result<TcpListener, BindError> {
    let bound = match address {
        ListenAddr::One(one) => TcpListener::bind(one).await,
        // On Linux an IPv6 socket accepts IPv4 connections too. Fall back to IPv4 if IPv6 is disabled.
        ListenAddr::Every(port) => match TcpListener::bind((Ipv6Addr::UNSPECIFIED, port)).await {
            Ok(listener) => Ok(listener),
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => Err(error),
            Err(_) => TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).await,
        },
    };
    bound.map_err(|source| BindError { address, source })
}

/// A health check; `Err` is the cause in one line.
pub type Check = Arc<dyn Fn() -> Result<(), String> + Send + Sync>;

/// Returns the routes `/livez` and `/readyz`: 200 `ok`, or 503 and the cause.
pub fn probes(live: Check, ready: Check) -> Router {
    let route = |check: Check| {
        get(move || {
            let response = match check() {
                Ok(()) => (StatusCode::OK, "ok\n".to_owned()),
                Err(cause) => (StatusCode::SERVICE_UNAVAILABLE, format!("{cause}\n")),
            };
            std::future::ready(response)
        })
    };
    Router::new()
        .route("/livez", route(live))
        .route("/readyz", route(ready))
}

/// Returns the route `/metrics`.
pub fn metrics(metrics: Arc<Metrics>) -> Router {
    let scrape = move || {
        let response = ([(header::CONTENT_TYPE, metrics::CONTENT_TYPE)], metrics.encode()).into_response();
        std::future::ready(response)
    };
    Router::new().route("/metrics", get(scrape))
}

/// Serves until `stop` resolves, then lets responses in progress finish.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    stop: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    axum::serve(listener, router).with_graceful_shutdown(stop).await
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicBool, Ordering};
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpStream;
    use tokio_util::sync::CancellationToken;

    #[test]
    fn listen_addresses_are_parsed() {
        assert_eq!(":8080".parse(), Ok(ListenAddr::Every(8080)));
        assert_eq!(
            "127.0.0.1:0".parse(),
            Ok(ListenAddr::One((Ipv4Addr::LOCALHOST, 0).into()))
        );
        assert_eq!(
            "[::1]:1".parse(),
            Ok(ListenAddr::One((Ipv6Addr::LOCALHOST, 1).into()))
        );
        for bad in ["", ":", ":x", ":65536", "8080", "localhost:1", "::1:1"] {
            assert!(bad.parse::<ListenAddr>().is_err(), "{bad}");
        }
        assert_eq!(ListenAddr::Every(8080).to_string(), ":8080");
    }

    #[tokio::test]
    async fn port_in_use_is_reported_with_its_address() {
        let first = bind("127.0.0.1:0".parse().expect("an address"))
            .await
            .expect("a free port");
        let in_use = ListenAddr::One(first.local_addr().expect("an address"));
        let error = bind(in_use).await.expect_err("in use");
        assert!(
            error
                .to_string()
                .starts_with(&format!("cannot listen on {in_use}: ")),
            "{error}"
        );
    }

    async fn fetch(address: SocketAddr, path: &str) -> String {
        let mut stream = TcpStream::connect(address).await.expect("connected");
        let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.expect("sent");
        let mut response = String::new();
        stream.read_to_string(&mut response).await.expect("a response");
        response
    }

    #[tokio::test]
    async fn endpoints_respond_until_stopped() {
        let listener = bind("127.0.0.1:0".parse().expect("an address"))
            .await
            .expect("a free port");
        let address = listener.local_addr().expect("an address");
        let is_ready = Arc::new(AtomicBool::new(false));
        let ready: Check = Arc::new({
            let is_ready = is_ready.clone();
            move || {
                is_ready
                    .load(Ordering::Relaxed)
                    .then_some(())
                    .ok_or("no list is complete".to_owned())
            }
        });
        let router = probes(Arc::new(|| Ok(())), ready).merge(metrics(Metrics::new()));
        let stop = CancellationToken::new();
        let server = tokio::spawn(serve(listener, router, stop.clone().cancelled_owned()));

        assert!(fetch(address, "/livez").await.starts_with("HTTP/1.1 200"));
        let response = fetch(address, "/readyz").await;
        assert!(
            response.starts_with("HTTP/1.1 503") && response.contains("no list is complete"),
            "{response}"
        );
        is_ready.store(true, Ordering::Relaxed);
        assert!(fetch(address, "/readyz").await.starts_with("HTTP/1.1 200"));
        let response = fetch(address, "/metrics").await;
        assert!(
            response.contains("openmetrics-text") && response.contains("envelope_secrets_build_info"),
            "{response}"
        );
        assert!(fetch(address, "/secrets").await.starts_with("HTTP/1.1 404"));

        stop.cancel();
        server.await.expect("no panic").expect("no error");
    }
}
