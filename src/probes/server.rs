//! The server: bounded connections, deadlines for slow clients, and a shutdown that no client delays.

use std::collections::VecDeque;
use std::future::Future;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{AbortHandle, JoinSet};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use super::tls::Tls;

/// How long a client may take for the TLS handshake, to send the header of a request, or to start the next one.
const HEADER_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a connection may stay open in all, for a client that does not read its responses.
const MAX_LIFETIME: Duration = Duration::from_mins(1);
/// Maximum number of open connections. A further one closes the oldest, so that clients that only hold connections cannot
/// keep out the kubelet, whose failed probes would restart the container.
const MAX_CONNECTIONS: usize = 64;
/// How long responses in progress may take after `stop`.
const SHUTDOWN_GRACE: Duration = Duration::from_secs(1);
/// The delay after a failed `accept`, for example for lack of file descriptors.
const ACCEPT_RETRY: Duration = Duration::from_millis(100);

/// Serves until `stop` resolves, then lets responses in progress finish for a second. No client can delay the return:
/// connections that are still open then, idle or with an incomplete request, are closed.
pub async fn serve(listener: TcpListener, router: Router, stop: impl Future<Output = ()> + Send + 'static) {
    run(listener, router, None, stop).await;
}

/// Like [`serve`], over TLS. A connection counts towards the bound before its handshake is complete.
pub async fn serve_tls(
    listener: TcpListener,
    router: Router,
    tls: &Tls,
    stop: impl Future<Output = ()> + Send + 'static,
) {
    run(listener, router, Some(TlsAcceptor::from(tls.config())), stop).await;
}

async fn run(
    listener: TcpListener,
    router: Router,
    tls: Option<TlsAcceptor>,
    stop: impl Future<Output = ()> + Send + 'static,
) {
    let closing = CancellationToken::new();
    let mut connections = JoinSet::new();
    let handler = Handler {
        router,
        tls,
        closing: closing.clone(),
    };
    tokio::select! {
        () = accept(&listener, &handler, &mut connections) => {}
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
async fn accept(listener: &TcpListener, handler: &Handler, connections: &mut JoinSet<()>) {
    let mut open = VecDeque::new(); // oldest first
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            tokio::time::sleep(ACCEPT_RETRY).await;
            continue;
        };
        while connections.try_join_next().is_some() {}
        open.retain(|connection: &AbortHandle| !connection.is_finished());
        if open.len() == MAX_CONNECTIONS
            && let Some(oldest) = open.pop_front()
        {
            oldest.abort();
        }
        open.push_back(connections.spawn(handler.clone().accepted(stream)));
    }
}

/// Serves connections.
#[derive(Clone)]
struct Handler {
    router: Router,
    tls: Option<TlsAcceptor>,
    closing: CancellationToken,
}

impl Handler {
    /// Serves one connection, until the client or `closing` ends it. An error concerns only this client.
    async fn accepted(self, stream: TcpStream) {
        let Some(tls) = self.tls.clone() else {
            return self.serve(stream).await;
        };
        let handshake = tokio::time::timeout(HEADER_TIMEOUT, tls.accept(stream));
        let accepted = tokio::select! {
            accepted = handshake => accepted,
            () = self.closing.cancelled() => return,
        };
        if let Ok(Ok(stream)) = accepted {
            self.serve(stream).await;
        }
    }

    async fn serve(self, stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) {
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEADER_TIMEOUT)
            .serve_connection(TokioIo::new(stream), TowerToHyperService::new(self.router));
        let mut connection = std::pin::pin!(connection);
        tokio::select! {
            _ = connection.as_mut() => return,
            () = self.closing.cancelled() => {}
            () = tokio::time::sleep(MAX_LIFETIME) => {}
        }
        connection.as_mut().graceful_shutdown();
        let _ = tokio::time::timeout(SHUTDOWN_GRACE, connection).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::SocketAddr;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};

    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use crate::metrics::Metrics;
    use crate::probes::{Check, bind, metrics, probes};

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

    async fn is_closed(mut connection: TcpStream) -> bool {
        let mut rest = Vec::new();
        let closed = connection.read_to_end(&mut rest);
        tokio::time::timeout(HEADER_TIMEOUT / 2, closed).await.is_ok()
    }

    #[tokio::test]
    async fn connection_beyond_the_bound_closes_the_oldest() {
        let (address, _stop, _server) = listening().await;
        let mut open = VecDeque::new();
        for _ in 0..MAX_CONNECTIONS {
            let mut held = TcpStream::connect(address).await.expect("connected");
            held.write_all(b"GET /livez HTTP/1.1\r\n").await.expect("sent");
            open.push_back(held);
        }
        assert!(fetch(address, "/livez").await.starts_with("HTTP/1.1 200"));
        let oldest = open.pop_front().expect("the oldest");
        assert!(is_closed(oldest).await, "more than the bound are open");
        let newest = open.pop_back().expect("the newest");
        assert!(!is_closed(newest).await, "more than the oldest is closed");
    }

    #[tokio::test(start_paused = true)]
    async fn client_that_reads_no_response_is_closed() {
        let (mut client, server) = tokio::io::duplex(256);
        let handler = Handler {
            router: metrics(Metrics::new()),
            tls: None,
            closing: CancellationToken::new(),
        };
        let task = tokio::spawn(handler.serve(server));
        client
            .write_all(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")
            .await
            .expect("sent");
        let closed = tokio::time::timeout(Duration::from_mins(10), task).await;
        closed.expect("still open").expect("no panic");
    }

    /// A server over TLS, and a client that trusts its certificate.
    async fn listening_tls() -> (
        SocketAddr,
        CancellationToken,
        tokio::task::JoinHandle<()>,
        reqwest::Client,
    ) {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let authority = testkit::Authority::new().expect("an authority");
        let pair = authority
            .server("metrics", &["127.0.0.1"])
            .expect("a certificate");
        let directory = tempfile::tempdir().expect("a directory");
        let (certificate, key) = (directory.path().join("tls.crt"), directory.path().join("tls.key"));
        std::fs::write(&certificate, pair.certificate).expect("written");
        std::fs::write(&key, pair.key).expect("written");
        let tls = Tls::open(&certificate, &key).expect("a pair");
        let listener = bind("127.0.0.1:0".parse().expect("an address"))
            .await
            .expect("a free port");
        let address = listener.local_addr().expect("an address");
        let stop = CancellationToken::new();
        let (router, stopped) = (metrics(Metrics::new()), stop.clone().cancelled_owned());
        let server = tokio::spawn(async move { serve_tls(listener, router, &tls, stopped).await });
        let trusted = reqwest::Certificate::from_pem(authority.certificate.as_bytes()).expect("PEM");
        let client = reqwest::Client::builder().no_proxy().tls_certs_only([trusted]);
        (address, stop, server, client.build().expect("a client"))
    }

    #[tokio::test]
    async fn metrics_are_served_over_tls_only() {
        let (address, stop, server, client) = listening_tls().await;
        let response = client.get(format!("https://{address}/metrics")).send().await;
        let text = response.expect("a response").text().await.expect("text");
        assert!(text.contains("envelope_secrets_build_info"), "{text}");
        let mut plain = TcpStream::connect(address).await.expect("connected");
        plain
            .write_all(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")
            .await
            .expect("sent");
        let mut response = Vec::new();
        let _ = plain.read_to_end(&mut response).await;
        let response = String::from_utf8_lossy(&response);
        assert!(!response.contains("HTTP"), "{response}");
        stop.cancel();
        server.await.expect("no panic");
    }

    /// The first bytes of a TLS handshake record; the rest never follows.
    const INCOMPLETE_HANDSHAKE: &[u8] = &[22, 3, 1, 2, 0, 1, 0, 1];

    #[tokio::test]
    async fn incomplete_handshakes_do_not_delay_the_stop() {
        let (address, stop, server, client) = listening_tls().await;
        let mut incomplete = TcpStream::connect(address).await.expect("connected");
        incomplete.write_all(INCOMPLETE_HANDSHAKE).await.expect("sent");
        let _idle = TcpStream::connect(address).await.expect("connected");
        // Later connections are served, so the earlier ones are accepted.
        let response = client.get(format!("https://{address}/metrics")).send().await;
        assert!(response.expect("a response").status().is_success());
        stop.cancel();
        let ended = tokio::time::timeout(SHUTDOWN_GRACE + Duration::from_millis(500), server);
        ended.await.expect("in time").expect("no panic");
    }

    #[tokio::test]
    async fn incomplete_handshake_is_closed_after_its_deadline() {
        let (address, _stop, _server, _client) = listening_tls().await;
        let mut incomplete = TcpStream::connect(address).await.expect("connected");
        incomplete.write_all(INCOMPLETE_HANDSHAKE).await.expect("sent");
        let mut rest = Vec::new();
        let closed = tokio::time::timeout(HEADER_TIMEOUT * 2, incomplete.read_to_end(&mut rest));
        assert!(closed.await.is_ok(), "still open");
    }
}
