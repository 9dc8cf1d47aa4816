//! HTTP for the kubelet and for Prometheus: `/livez`, `/readyz`, `/metrics`. None of them touches a Secret.

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

/// An address to listen on: `HOST:PORT`, or `:PORT` for every address of the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ListenAddr {
    /// One address.
    One(SocketAddr),
    /// Every address, IPv6 and IPv4 where the machine has both.
    Every(u16),
}

/// A text that is no [`ListenAddr`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no address to listen on: write :PORT or ADDRESS:PORT, [ADDRESS]:PORT for IPv6")]
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

/// An address that cannot be listened on.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address}: {source}")]
pub struct BindError {
    address: ListenAddr,
    source: io::Error,
}

/// Opens the port, so that a taken one is known before anything else starts.
pub async fn bind(address: ListenAddr) -> Result<TcpListener, BindError> {
    let bound = match address {
        ListenAddr::One(one) => TcpListener::bind(one).await,
        // A socket of IPv6 takes IPv4 too on Linux; where IPv6 is switched off it cannot be had.
        ListenAddr::Every(port) => match TcpListener::bind((Ipv6Addr::UNSPECIFIED, port)).await {
            Ok(listener) => Ok(listener),
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => Err(error),
            Err(_) => TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).await,
        },
    };
    bound.map_err(|source| BindError { address, source })
}

/// Whether the process is well: `Err` says what is not, in one line.
pub type Check = Arc<dyn Fn() -> Result<(), String> + Send + Sync>;

/// `/livez` and `/readyz`: 200 `ok`, or 503 and what is missing.
pub fn probes(live: Check, ready: Check) -> Router {
    let route = |check: Check| {
        get(move || {
            let answer = match check() {
                Ok(()) => (StatusCode::OK, "ok\n".to_owned()),
                Err(what) => (StatusCode::SERVICE_UNAVAILABLE, format!("{what}\n")),
            };
            std::future::ready(answer)
        })
    };
    Router::new()
        .route("/livez", route(live))
        .route("/readyz", route(ready))
}

/// `/metrics`.
pub fn metrics(metrics: Arc<Metrics>) -> Router {
    let scrape = move || {
        let answer = ([(header::CONTENT_TYPE, metrics::CONTENT_TYPE)], metrics.encode()).into_response();
        std::future::ready(answer)
    };
    Router::new().route("/metrics", get(scrape))
}

/// Serves until `stop` is ready; answers that are under way are finished.
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
    fn addresses() {
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
    async fn a_taken_port_is_named() {
        let first = bind("127.0.0.1:0".parse().expect("an address"))
            .await
            .expect("a free port");
        let taken = ListenAddr::One(first.local_addr().expect("an address"));
        let error = bind(taken).await.expect_err("taken");
        assert!(
            error
                .to_string()
                .starts_with(&format!("cannot listen on {taken}: ")),
            "{error}"
        );
    }

    async fn fetch(address: SocketAddr, path: &str) -> String {
        let mut stream = TcpStream::connect(address).await.expect("connected");
        let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.expect("sent");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.expect("an answer");
        answer
    }

    #[tokio::test]
    async fn answers_and_ends() {
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
        let answer = fetch(address, "/readyz").await;
        assert!(
            answer.starts_with("HTTP/1.1 503") && answer.contains("no list is complete"),
            "{answer}"
        );
        is_ready.store(true, Ordering::Relaxed);
        assert!(fetch(address, "/readyz").await.starts_with("HTTP/1.1 200"));
        let answer = fetch(address, "/metrics").await;
        assert!(
            answer.contains("openmetrics-text") && answer.contains("envelope_secrets_build_info"),
            "{answer}"
        );
        assert!(fetch(address, "/secrets").await.starts_with("HTTP/1.1 404"));

        stop.cancel();
        server.await.expect("no panic").expect("no error");
    }
}
