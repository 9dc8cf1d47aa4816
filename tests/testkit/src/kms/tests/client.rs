//! A small client with one persistent connection, which signs requests and reads responses.

use std::collections::BTreeMap;
use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::Value;

use crate::kms::auth::tests::authorization;
use crate::kms::{Emulator, REGION, SECRET_ID, SECRET_KEY};

/// A connection, and the credentials and parameters of its requests.
pub(super) struct Client {
    stream: BufReader<TcpStream>,
    host: String,
    pub(super) secret_id: String,
    pub(super) secret_key: String,
    pub(super) token: Option<String>,
    pub(super) region: String,
    pub(super) service: String,
    pub(super) version: String,
    /// `Authorization: SKIP`.
    pub(super) unsigned: bool,
    pub(super) content_type: String,
    /// How far the client's clock is ahead of the host's, in seconds.
    pub(super) ahead: i64,
}

/// A response.
pub(super) struct Received {
    pub(super) status: u16,
    pub(super) headers: BTreeMap<String, String>,
    pub(super) body: Vec<u8>,
}

impl Client {
    pub(super) fn new(emulator: &Emulator) -> Self {
        let host = emulator.endpoint().replace("http://", "");
        let stream = TcpStream::connect(&host).expect("connected");
        stream
            .set_read_timeout(Some(Duration::from_mins(1)))
            .expect("a timeout");
        Client {
            stream: BufReader::new(stream),
            host,
            secret_id: SECRET_ID.to_owned(),
            secret_key: SECRET_KEY.to_owned(),
            token: None,
            region: REGION.to_owned(),
            service: "kms".to_owned(),
            version: "2019-01-18".to_owned(),
            unsigned: false,
            content_type: "application/json".to_owned(),
            ahead: 0,
        }
    }

    /// A client for STS.
    pub(super) fn for_sts(emulator: &Emulator) -> Self {
        Client {
            service: "sts".to_owned(),
            version: "2018-08-13".to_owned(),
            ..Client::new(emulator)
        }
    }

    /// Uses the credentials in a response of STS from now on.
    pub(super) fn use_credentials(&mut self, issued: &Value) {
        let text = |name: &str| issued["Credentials"][name].as_str().expect(name).to_owned();
        (self.secret_id, self.secret_key) = (text("TmpSecretId"), text("TmpSecretKey"));
        self.token = Some(text("Token"));
    }

    /// Sends a `GET` request and returns the status and the body.
    pub(super) fn get(endpoint: &str, path: &str) -> (u16, String) {
        let host = endpoint.replace("http://", "");
        let mut stream = TcpStream::connect(&host).expect("connected");
        let head = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
        stream.write_all(head.as_bytes()).expect("sent");
        let received = read(&mut BufReader::new(stream)).expect("a response");
        (received.status, String::from_utf8(received.body).expect("text"))
    }

    /// Sends a request and reads the complete response.
    pub(super) fn send(&mut self, action: &str, body: &str) -> io::Result<Received> {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock");
        let now = i64::try_from(since.as_secs()).expect("a clock") + self.ahead;
        let mut authorization = authorization(
            &self.secret_id,
            &self.secret_key,
            &self.host,
            &self.service,
            body.as_bytes(),
            now,
        );
        if self.unsigned {
            "SKIP".clone_into(&mut authorization);
        }
        let token = self.token.as_ref();
        let token = token.map_or(String::new(), |token| format!("X-TC-Token: {token}\r\n"));
        let head = format!(
            "POST / HTTP/1.1\r\nHost: {}\r\nContent-Type: {}\r\nX-TC-Action: {action}\r\nX-TC-Version: {}\r\n\
             X-TC-Region: {}\r\nX-TC-Timestamp: {now}\r\nAuthorization: {authorization}\r\n{token}Content-Length: {}\r\n\r\n",
            self.host,
            self.content_type,
            self.version,
            self.region,
            body.len()
        );
        let stream = self.stream.get_mut();
        stream.write_all(&[head.as_bytes(), body.as_bytes()].concat())?;
        read(&mut self.stream)
    }

    /// Sends a request and returns the fields of the response.
    pub(super) fn call(&mut self, action: &str, body: &Value) -> Value {
        let received = self.send(action, &body.to_string()).expect("a response");
        assert_eq!(
            (received.status, received.headers["content-type"].as_str()),
            (200, "application/json")
        );
        let mut envelope: Value = serde_json::from_slice(&received.body).expect("JSON");
        let fields = envelope["Response"].take();
        assert_eq!(fields["RequestId"].as_str().map(str::len), Some(36));
        fields
    }

    /// Sends a request and returns the error code; empty for success.
    pub(super) fn code(&mut self, action: &str, body: &Value) -> String {
        let fields = self.call(action, body);
        fields["Error"]["Code"].as_str().unwrap_or_default().to_owned()
    }
}

fn read(stream: &mut BufReader<TcpStream>) -> io::Result<Received> {
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if line.trim().is_empty() {
            break;
        }
        lines.push(line.trim().to_owned());
    }
    let status = lines[0]
        .split(' ')
        .nth(1)
        .expect("a status")
        .parse()
        .expect("a number");
    let headers: BTreeMap<String, String> = lines[1..]
        .iter()
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
        .collect();
    let length: usize = headers["content-length"].parse().expect("a length");
    let mut body = vec![0; length];
    stream.read_exact(&mut body)?;
    Ok(Received {
        status,
        headers,
        body,
    })
}
