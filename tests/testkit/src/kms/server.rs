//! Connections: one thread for each, HTTP or HTTPS on loopback.

use std::collections::HashMap;
use std::io::{BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use super::http::{self, Delivery, ReadError, Request, Response};
use crate::plane::pki::Pair;

/// The idle timeout of a connection.
const IDLE: Duration = Duration::from_secs(75);

/// Returns the response to a request, and how long to wait before it is sent.
pub(crate) type Handler = dyn Fn(&Request) -> (Response, Duration) + Send + Sync;

/// A running server, which stops when dropped.
pub(crate) struct Server {
    address: SocketAddr,
    open: Arc<OpenConnections>,
    accepting: Option<JoinHandle<()>>,
}

/// The open connections, and whether the server is stopping.
#[derive(Default)]
struct OpenConnections {
    inner: Mutex<Connections>,
    stopping: Condvar,
}

#[derive(Default)]
struct Connections {
    stopped: bool,
    next: u64,
    streams: HashMap<u64, TcpStream>,
}

impl OpenConnections {
    fn lock(&self) -> MutexGuard<'_, Connections> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sleeps. Returns `false` early if the server is stopping.
    fn sleep(&self, time: Duration) -> bool {
        let deadline = Instant::now() + time;
        let mut inner = self.lock();
        while !inner.stopped {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return true;
            }
            let waited = self.stopping.wait_timeout(inner, left);
            inner = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        false
    }

    /// Registers a connection. Returns its number, or `None` if the server is stopping.
    fn add(&self, stream: &TcpStream) -> Option<u64> {
        let copy = stream.try_clone().ok()?;
        let mut inner = self.lock();
        if inner.stopped {
            return None;
        }
        let number = inner.next;
        inner.next += 1;
        inner.streams.insert(number, copy);
        Some(number)
    }

    fn remove(&self, number: u64) {
        self.lock().streams.remove(&number);
    }
}

impl Server {
    pub(crate) fn start(address: SocketAddr, tls: Option<&Pair>, handler: Arc<Handler>) -> Result<Self> {
        let listener = TcpListener::bind(address).with_context(|| format!("cannot listen on {address}"))?;
        let address = listener.local_addr()?;
        let tls = tls.map(tls_config).transpose()?;
        let open = Arc::new(OpenConnections::default());
        let accepting = {
            let open = Arc::clone(&open);
            std::thread::spawn(move || accept(&listener, tls.as_ref(), &open, &handler))
        };
        Ok(Server {
            address,
            open,
            accepting: Some(accepting),
        })
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        {
            let mut inner = self.open.lock();
            inner.stopped = true;
            for stream in inner.streams.values() {
                let _ = stream.shutdown(Shutdown::Both);
            }
        }
        self.open.stopping.notify_all();
        // Connects to wake the accepting thread.
        let woken = TcpStream::connect_timeout(&self.address, Duration::from_secs(5)).is_ok();
        if let Some(accepting) = self.accepting.take().filter(|_| woken) {
            let _ = accepting.join();
        }
    }
}

fn tls_config(pair: &Pair) -> Result<Arc<ServerConfig>> {
    let certificate = CertificateDer::from_pem_slice(pair.certificate.as_bytes())?;
    let key = PrivateKeyDer::from_pem_slice(pair.key.as_bytes())?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)?;
    Ok(Arc::new(config))
}

fn accept(
    listener: &TcpListener,
    tls: Option<&Arc<ServerConfig>>,
    open: &Arc<OpenConnections>,
    handler: &Arc<Handler>,
) {
    for stream in listener.incoming() {
        let Ok(stream) = stream else {
            // Most likely out of file descriptors, until other connections are closed.
            if open.sleep(Duration::from_millis(20)) {
                continue;
            }
            return;
        };
        let Some(number) = open.add(&stream) else {
            return;
        };
        let (tls, open, handler) = (tls.cloned(), Arc::clone(open), Arc::clone(handler));
        std::thread::spawn(move || {
            let _ = stream.set_read_timeout(Some(IDLE));
            let _ = stream.set_write_timeout(Some(IDLE));
            let _ = stream.set_nodelay(true);
            match tls {
                None => serve(stream, &open, &*handler),
                Some(config) => {
                    if let Ok(connection) = ServerConnection::new(config) {
                        serve(StreamOwned::new(connection, stream), &open, &*handler);
                    }
                }
            }
            open.remove(number);
        });
    }
}

/// Serves one connection until either side closes it.
fn serve<S: Read + Write>(stream: S, open: &OpenConnections, handler: &Handler) {
    let mut stream = BufReader::new(stream);
    loop {
        let (response, latency, keep_alive) = match http::read(&mut stream) {
            Ok(request) => {
                let (response, latency) = handler(&request);
                (response, latency, request.keep_alive)
            }
            Err(ReadError::Bad(status)) => (bad(status), Duration::ZERO, false),
            Err(ReadError::Closed) => return,
        };
        if !latency.is_zero() && !open.sleep(latency) {
            return;
        }
        let written = http::write(stream.get_mut(), &response, keep_alive, |time| open.sleep(time));
        if !matches!(written, Ok(true)) {
            return;
        }
    }
}

fn bad(status: u16) -> Response {
    Response {
        status,
        content_type: "text/plain".to_owned(),
        body: b"not a valid HTTP/1.1 request\n".to_vec(),
        date: None,
        delivery: Delivery::Whole,
    }
}
