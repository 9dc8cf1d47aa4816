//! The controller's HTTP server, for the kubelet and Prometheus: `/livez`, `/readyz`, `/metrics`. No endpoint handles
//! Secrets. What the probes check is defined in `controller::health`.

use std::future::Future;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse as _;
use axum::routing::get;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::metrics::{self, Metrics};

/// A listen address: `HOST:PORT`, or `:PORT` for all addresses of the host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ListenAddr {
    /// One address.
    Address(SocketAddr),
    /// This port on all addresses of the host, IPv6 and IPv4 where available.
    AllInterfaces(u16),
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
            return port.parse().map(ListenAddr::AllInterfaces).map_err(|_| bad());
        }
        text.parse().map(ListenAddr::Address).map_err(|_| bad())
    }
}

impl std::fmt::Display for ListenAddr {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            ListenAddr::Address(address) => address.fmt(f),
            ListenAddr::AllInterfaces(port) => write!(f, ":{port}"),
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
        ListenAddr::Address(one) => TcpListener::bind(one).await,
        // On Linux an IPv6 socket accepts IPv4 connections too. Fall back to IPv4 if IPv6 is disabled.
        ListenAddr::AllInterfaces(port) => match TcpListener::bind((Ipv6Addr::UNSPECIFIED, port)).await {
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

/// How long a client may take to send the header of a request, or to start the next one.
const HEADER_TIMEOUT: Duration = Duration::from_secs(5);
/// Maximum number of open connections; further ones wait to be accepted.
const MAX_CONNECTIONS: usize = 64;
/// How long responses in progress may take after `stop`.
const SHUTDOWN_GRACE: Duration = Duration::from_secs(1);
/// The delay after a failed `accept`, for example for lack of file descriptors.
const ACCEPT_RETRY: Duration = Duration::from_millis(100);

/// Serves until `stop` resolves, then lets responses in progress finish for a second. No client can delay the return:
/// connections that are still open then, idle or with an incomplete request, are closed.
pub async fn serve(listener: TcpListener, router: Router, stop: impl Future<Output = ()> + Send + 'static) {
    let closing = CancellationToken::new();
    let mut connections = JoinSet::new();
    tokio::select! {
        () = accept(&listener, router, &closing, &mut connections) => {}
        () = stop => {}
    }
    drop(listener);
    closing.cancel();
    let finished = async { while connections.join_next().await.is_some() {} };
    // On a timeout, the remaining connections are aborted.
    let _ = tokio::time::timeout(SHUTDOWN_GRACE, finished).await;
    connections.shutdown().await;
}

/// Accepts connections and never returns.
async fn accept(
    listener: &TcpListener,
    router: Router,
    closing: &CancellationToken,
    connections: &mut JoinSet<()>,
) {
    let permits = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    while let Ok(permit) = permits.clone().acquire_owned().await {
        match listener.accept().await {
            Ok((stream, _)) => {
                while connections.try_join_next().is_some() {}
                connections.spawn(serve_one(stream, router.clone(), closing.clone(), permit));
            }
            Err(_) => tokio::time::sleep(ACCEPT_RETRY).await,
        }
    }
}

/// Serves one connection, until the client or `closing` ends it.
async fn serve_one(
    stream: TcpStream,
    router: Router,
    closing: CancellationToken,
    _permit: OwnedSemaphorePermit,
) {
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
    let mut connection = std::pin::pin!(connection);
    tokio::select! {
        // An error concerns only this client.
        _ = connection.as_mut() => return,
        () = closing.cancelled() => connection.as_mut().graceful_shutdown(),
    }
    let _ = connection.await;
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicBool, Ordering};
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    #[test]
    fn listen_addresses_are_parsed() {
        assert_eq!(":8080".parse(), Ok(ListenAddr::AllInterfaces(8080)));
        assert_eq!(
            "127.0.0.1:0".parse(),
            Ok(ListenAddr::Address((Ipv4Addr::LOCALHOST, 0).into()))
        );
        assert_eq!(
            "[::1]:1".parse(),
            Ok(ListenAddr::Address((Ipv6Addr::LOCALHOST, 1).into()))
        );
        for bad in ["", ":", ":x", ":65536", "8080", "localhost:1", "::1:1"] {
            assert!(bad.parse::<ListenAddr>().is_err(), "{bad}");
        }
        assert_eq!(ListenAddr::AllInterfaces(8080).to_string(), ":8080");
    }

    #[tokio::test]
    async fn port_in_use_is_reported_with_its_address() {
        let first = bind("127.0.0.1:0".parse().expect("an address"))
            .await
            .expect("a free port");
        let in_use = ListenAddr::Address(first.local_addr().expect("an address"));
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
        server.await.expect("no panic");
    }

    async fn listening() -> (SocketAddr, CancellationToken, tokio::task::JoinHandle<()>) {
        let listener = bind("127.0.0.1:0".parse().expect("an address"))
            .await
            .expect("a free port");
        let address = listener.local_addr().expect("an address");
        let stop = CancellationToken::new();
        let router = probes(Arc::new(|| Ok(())), Arc::new(|| Ok(())));
        let server = tokio::spawn(serve(listener, router, stop.clone().cancelled_owned()));
        (address, stop, server)
    }

    #[tokio::test]
    async fn open_connections_do_not_delay_the_stop() {
        let (address, stop, server) = listening().await;
        let mut incomplete = TcpStream::connect(address).await.expect("connected");
        incomplete
            .write_all(b"GET /livez HTTP/1.1\r\n")
            .await
            .expect("sent");
        let _idle = TcpStream::connect(address).await.expect("connected");
        assert!(fetch(address, "/livez").await.starts_with("HTTP/1.1 200"));
        stop.cancel();
        let ended = tokio::time::timeout(SHUTDOWN_GRACE + Duration::from_millis(500), server);
        ended.await.expect("in time").expect("no panic");
    }

    #[tokio::test]
    async fn incomplete_request_is_closed_after_the_header_timeout() {
        let (address, _stop, _server) = listening().await;
        let mut incomplete = TcpStream::connect(address).await.expect("connected");
        incomplete
            .write_all(b"GET /livez HTTP/1.1\r\n")
            .await
            .expect("sent");
        let mut rest = Vec::new();
        let closed = tokio::time::timeout(HEADER_TIMEOUT * 2, incomplete.read_to_end(&mut rest));
        assert!(closed.await.is_ok(), "still open");
    }

    #[tokio::test]
    async fn connections_are_bounded() {
        let (address, _stop, _server) = listening().await;
        let mut open = Vec::new();
        for _ in 0..MAX_CONNECTIONS {
            open.push(TcpStream::connect(address).await.expect("connected"));
        }
        let mut next = std::pin::pin!(fetch(address, "/livez"));
        let early = tokio::time::timeout(Duration::from_millis(300), next.as_mut()).await;
        assert!(early.is_err(), "one more than the bound is served");
        open.pop();
        assert!(next.await.starts_with("HTTP/1.1 200"));
    }
}
