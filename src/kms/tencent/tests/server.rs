//! A server on loopback that responds as scripted and records its requests.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;

use crate::kms::tencent::Endpoint;

/// A request as received.
#[derive(Clone)]
pub(crate) struct Received {
    pub(crate) line: String,
    /// Names in lower case.
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) body: Vec<u8>,
    /// The number of its connection, from 0.
    pub(crate) connection: usize,
}

impl Received {
    pub(crate) fn action(&self) -> &str {
        self.header("x-tc-action")
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).expect("JSON")
    }
}

/// How the server responds.
pub(crate) enum Reply {
    /// HTTP 200 with `{"Response": ...}`.
    Response(Value),
    /// The same, with the server's clock this many seconds ahead.
    ResponseAt(Value, i64),
    /// HTTP 200 with an API error.
    Error(&'static str, &'static str),
    /// The same, with the server's clock this many seconds ahead.
    ErrorAt(&'static str, i64),
    /// Any status and body.
    Raw(u16, &'static str),
    /// These bytes, then the connection is closed.
    Bytes(Vec<u8>),
    /// Nothing, while the connection stays open.
    Silence,
}

/// The request id of all responses.
pub(crate) const REQUEST_ID: &str = "0bc82ec0-ecb7-4bf4-8fe5-e86b7c5f2c54";

type Script = dyn Fn(usize, &Received) -> Reply + Send + Sync;

/// The requests received so far.
#[derive(Default)]
struct Log {
    requests: Mutex<Vec<Received>>,
    arrivals: Notify,
}

/// Stops when dropped.
pub(crate) struct Server {
    address: std::net::SocketAddr,
    log: Arc<Log>,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Server {
    /// `script` gets the number of the request, from 0, and the request.
    pub(crate) async fn start(script: impl Fn(usize, &Received) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let log = Arc::new(Log::default());
        let (kept, script): (_, Arc<Script>) = (Arc::clone(&log), Arc::new(script));
        let task = tokio::spawn(async move {
            let mut connections = tokio::task::JoinSet::new();
            for connection in 0.. {
                let Ok((stream, _)) = listener.accept().await else {
                    return;
                };
                connections.spawn(serve(stream, connection, Arc::clone(&kept), Arc::clone(&script)));
            }
        });
        Server { address, log, task }
    }

    pub(crate) fn endpoint(&self) -> Endpoint {
        Endpoint::parse(&format!("http://{}", self.address), false).expect("loopback")
    }

    pub(crate) fn host(&self) -> String {
        self.address.to_string()
    }

    pub(crate) fn received(&self) -> Vec<Received> {
        self.log.requests.lock().expect("no panic").clone()
    }

    /// Returns the requests of one action; "" for the metadata service.
    pub(crate) fn received_of(&self, action: &str) -> Vec<Received> {
        let requests = self.received().into_iter();
        requests.filter(|request| request.action() == action).collect()
    }

    /// Waits until `count` requests of an action have been received.
    pub(crate) async fn wait_for(&self, action: &str, count: usize) {
        let waiting = async {
            loop {
                // Registered before checking, so that no request is missed.
                let arrival = self.log.arrivals.notified();
                if self.received_of(action).len() >= count {
                    return;
                }
                arrival.await;
            }
        };
        let waited = tokio::time::timeout(std::time::Duration::from_secs(20), waiting).await;
        assert!(waited.is_ok(), "no request number {count} of {action}");
    }
}

async fn serve(mut stream: TcpStream, connection: usize, log: Arc<Log>, script: Arc<Script>) {
    while let Some(request) = read_request(&mut stream, connection).await {
        let number = {
            let mut all = log.requests.lock().expect("no panic");
            all.push(request.clone());
            all.len() - 1
        };
        log.arrivals.notify_waiters();
        match response(script(number, &request)) {
            Some((bytes, keep)) => {
                if stream.write_all(&bytes).await.is_err() || !keep {
                    return;
                }
            }
            None => std::future::pending().await,
        }
    }
}

/// Returns the bytes of the response, and whether the connection is kept.
fn response(reply: Reply) -> Option<(Vec<u8>, bool)> {
    let error = |code: &str, message: &str| serde_json::json!({"Response": {"Error": {"Code": code, "Message": message}, "RequestId": REQUEST_ID}});
    let (status, headers, body) = match reply {
        Reply::Response(mut fields) => {
            fields["RequestId"] = REQUEST_ID.into();
            (
                200,
                String::new(),
                serde_json::json!({"Response": fields}).to_string(),
            )
        }
        Reply::ResponseAt(mut fields, ahead) => {
            fields["RequestId"] = REQUEST_ID.into();
            (
                200,
                date(ahead),
                serde_json::json!({"Response": fields}).to_string(),
            )
        }
        Reply::Error(code, message) => (200, String::new(), error(code, message).to_string()),
        Reply::ErrorAt(code, ahead) => (200, date(ahead), error(code, "no").to_string()),
        Reply::Raw(status, body) => (status, String::new(), body.to_owned()),
        Reply::Bytes(bytes) => return Some((bytes, false)),
        Reply::Silence => return None,
    };
    let head = format!(
        "HTTP/1.1 {status} X\r\nContent-Type: application/json\r\n{headers}Content-Length: {}\r\n\r\n",
        body.len()
    );
    Some(([head.into_bytes(), body.into_bytes()].concat(), true))
}

/// Returns the `Date` header of a server whose clock is this many seconds ahead.
fn date(ahead: i64) -> String {
    let now = jiff::Timestamp::now() + jiff::SignedDuration::from_secs(ahead);
    let date = now.strftime("%a, %d %b %Y %H:%M:%S GMT");
    format!("Date: {date}\r\n")
}

async fn read_request(stream: &mut TcpStream, connection: usize) -> Option<Received> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.ok()?);
    }
    let head = String::from_utf8(head).expect("ASCII");
    let mut lines = head.lines();
    let line = lines.next().expect("a request line").to_owned();
    let headers: BTreeMap<String, String> = lines
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
        .collect();
    let length = headers
        .get("content-length")
        .map_or(0, |text| text.parse().expect("a length"));
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await.ok()?;
    Some(Received {
        line,
        headers,
        body,
        connection,
    })
}
