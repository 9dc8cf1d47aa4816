//! A server on loopback that answers by a script and remembers what it was asked.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;

use crate::kms::tencent::Endpoint;

/// A request as it came over the wire.
#[derive(Clone)]
pub(crate) struct Asked {
    pub(crate) line: String,
    /// Names in lower case.
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) body: Vec<u8>,
    /// The connection that it came over, counted from 0.
    pub(crate) connection: usize,
}

impl Asked {
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

/// What the server does with a request.
pub(crate) enum Reply {
    /// HTTP 200 with `{"Response": ...}`.
    Response(Value),
    /// The same, the server's clock being so many seconds ahead.
    ResponseAt(Value, i64),
    /// HTTP 200 with an error.
    Error(&'static str, &'static str),
    /// The same, the server's clock being so many seconds ahead.
    ErrorAt(&'static str, i64),
    /// Any status and body.
    Raw(u16, &'static str),
    /// These bytes, then the end of the connection.
    Bytes(Vec<u8>),
    /// Nothing, for as long as the client waits.
    Silence,
}

/// `{"Response":{"Error":...}}` with the request id of all answers here.
pub(crate) const REQUEST_ID: &str = "0bc82ec0-ecb7-4bf4-8fe5-e86b7c5f2c54";

type Script = dyn Fn(usize, &Asked) -> Reply + Send + Sync;

/// The requests so far.
#[derive(Default)]
struct Log {
    asked: Mutex<Vec<Asked>>,
    arrivals: Notify,
}

/// Ends when it is dropped.
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
    pub(crate) async fn start(script: impl Fn(usize, &Asked) -> Reply + Send + Sync + 'static) -> Self {
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

    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.log.asked.lock().expect("no panic").clone()
    }

    /// The requests of one action; for the metadata service, which has none, "".
    pub(crate) fn asked_for(&self, action: &str) -> Vec<Asked> {
        let asked = self.asked().into_iter();
        asked.filter(|asked| asked.action() == action).collect()
    }

    /// Waits for the request number `count` of an action.
    pub(crate) async fn until_asked_for(&self, action: &str, count: usize) {
        let waiting = async {
            loop {
                // Before the look: a request in between is not missed.
                let arrival = self.log.arrivals.notified();
                if self.asked_for(action).len() >= count {
                    return;
                }
                arrival.await;
            }
        };
        let waited = tokio::time::timeout(std::time::Duration::from_secs(20), waiting).await;
        assert!(waited.is_ok(), "no request number {count} for {action}");
    }
}

async fn serve(mut stream: TcpStream, connection: usize, log: Arc<Log>, script: Arc<Script>) {
    while let Some(asked) = read_request(&mut stream, connection).await {
        let number = {
            let mut all = log.asked.lock().expect("no panic");
            all.push(asked.clone());
            all.len() - 1
        };
        log.arrivals.notify_waiters();
        match answer(script(number, &asked)) {
            Some((bytes, keep)) => {
                if stream.write_all(&bytes).await.is_err() || !keep {
                    return;
                }
            }
            None => std::future::pending().await,
        }
    }
}

/// The bytes of the answer, and whether the connection stays.
fn answer(reply: Reply) -> Option<(Vec<u8>, bool)> {
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

/// The header, from a server whose clock is so many seconds ahead.
fn date(ahead: i64) -> String {
    let now = jiff::Timestamp::now() + jiff::SignedDuration::from_secs(ahead);
    let date = now.strftime("%a, %d %b %Y %H:%M:%S GMT");
    format!("Date: {date}\r\n")
}

async fn read_request(stream: &mut TcpStream, connection: usize) -> Option<Asked> {
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
    Some(Asked {
        line,
        headers,
        body,
        connection,
    })
}
