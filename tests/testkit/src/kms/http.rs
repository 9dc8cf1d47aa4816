//! A small and strict HTTP/1.1 server with persistent connections.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::time::Duration;

/// The API's limit for requests signed with TC3: 10 MB.
const MAX_BODY: u64 = 10 << 20;
const MAX_HEAD: u64 = 32 << 10;

/// A request.
pub(crate) struct Request {
    pub(super) method: String,
    /// Without the query.
    pub(super) path: String,
    /// The raw query, after `?`.
    pub(super) query: String,
    /// Names in lower case, in the order of the request.
    headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
    /// Whether the client wants to keep the connection open.
    pub(super) keep_alive: bool,
}

impl Request {
    /// Returns the value of a header; `None` if it is missing or duplicated.
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        let mut of_name = self.headers.iter().filter(|(other, _)| other == name);
        let (_, value) = of_name.next()?;
        of_name.next().is_none().then_some(value)
    }

    /// Names in lower case with values, in the order of the request.
    pub(super) fn headers(&self) -> impl Iterator<Item = (&str, &str)> {
        self.headers
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
    }

    #[cfg(test)]
    pub(super) fn new(method: &str, query: &str, headers: &[(&str, &str)], body: &[u8]) -> Self {
        let owned = |(name, value): &(&str, &str)| (name.to_ascii_lowercase(), (*value).to_owned());
        Request {
            method: method.to_owned(),
            path: "/".to_owned(),
            query: query.to_owned(),
            headers: headers.iter().map(owned).collect(),
            body: body.to_vec(),
            keep_alive: true,
        }
    }
}

/// Why no request was read.
pub(super) enum ReadError {
    /// The client closed the connection or was idle for too long.
    Closed,
    /// The request is invalid or not supported; the HTTP status to respond with.
    Bad(u16),
}

impl From<io::Error> for ReadError {
    fn from(_: io::Error) -> Self {
        ReadError::Closed
    }
}

/// Reads the next request of a connection.
pub(super) fn read<S: Read>(stream: &mut BufReader<S>) -> Result<Request, ReadError> {
    let mut head = stream.by_ref().take(MAX_HEAD);
    let first = line(&mut head)?;
    let words: Vec<&str> = first.split(' ').collect();
    let [method, target, version @ ("HTTP/1.1" | "HTTP/1.0")] = words[..] else {
        return Err(ReadError::Bad(400));
    };
    let mut headers = Vec::new();
    loop {
        let line = line(&mut head)?;
        if line.is_empty() {
            break;
        }
        let (name, value) = line.split_once(':').ok_or(ReadError::Bad(400))?;
        if name.is_empty() || name.contains(char::is_whitespace) {
            return Err(ReadError::Bad(400));
        }
        headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let mut request = Request {
        method: method.to_owned(),
        path: path.to_owned(),
        query: query.to_owned(),
        headers,
        body: Vec::new(),
        keep_alive: version == "HTTP/1.1",
    };
    match request
        .header("connection")
        .map(str::to_ascii_lowercase)
        .as_deref()
    {
        Some("close") => request.keep_alive = false,
        Some("keep_alive-alive") => request.keep_alive = true,
        _ => {}
    }
    if request.header("transfer-encoding").is_some() {
        return Err(ReadError::Bad(411)); // no client of the API sends chunked bodies
    }
    let length = match request.header("content-length") {
        None if request.headers.iter().any(|(name, _)| name == "content-length") => {
            return Err(ReadError::Bad(400));
        }
        None => 0,
        Some(text) => text.parse().map_err(|_| ReadError::Bad(400))?,
    };
    if length > MAX_BODY {
        return Err(ReadError::Bad(413));
    }
    let read = stream.by_ref().take(length).read_to_end(&mut request.body)?;
    if u64::try_from(read).unwrap_or_default() < length {
        return Err(ReadError::Closed);
    }
    Ok(request)
}

fn line(stream: &mut io::Take<impl BufRead>) -> Result<String, ReadError> {
    let mut bytes = Vec::new();
    stream.read_until(b'\n', &mut bytes)?;
    match bytes.pop() {
        Some(b'\n') => {}
        _ if stream.limit() == 0 => return Err(ReadError::Bad(431)),
        _ => return Err(ReadError::Closed),
    }
    if bytes.last() == Some(&b'\r') {
        bytes.pop();
    }
    String::from_utf8(bytes).map_err(|_| ReadError::Bad(400))
}

/// A response, and how it is sent.
pub(crate) struct Response {
    pub(crate) status: u16,
    pub(crate) content_type: String,
    pub(crate) body: Vec<u8>,
    /// The server's clock for the `Date` header, in Unix seconds; `None` omits the header.
    pub(crate) date: Option<i64>,
    pub(crate) delivery: Delivery,
}

/// How a response is sent.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Delivery {
    /// Immediately and completely.
    Whole,
    /// The headers immediately, the body in pieces over this time.
    Slow(Duration),
    /// The headers and half of the body; then the connection is closed.
    Cut,
    /// Not at all: the connection is closed.
    Dropped,
}

/// The number of pieces of a slow body.
const PIECES: usize = 8;

/// Writes a response and returns whether the connection stays open. `sleep` returns `false` if the server is stopping.
pub(super) fn write(
    stream: &mut impl Write,
    response: &Response,
    keep_alive: bool,
    sleep: impl Fn(Duration) -> bool,
) -> io::Result<bool> {
    let keep_alive = keep_alive && !matches!(response.delivery, Delivery::Cut | Delivery::Dropped);
    let head = format!(
        "HTTP/1.1 {} {}\r\n{}Content-Type: {}\r\nContent-Length: {}\r\nConnection: {}\r\n\r\n",
        response.status,
        reason(response.status),
        response.date.map(date).unwrap_or_default(),
        response.content_type,
        response.body.len(),
        if keep_alive { "keep_alive-alive" } else { "close" },
    );
    match response.delivery {
        Delivery::Dropped => {}
        Delivery::Whole => stream.write_all(&[head.as_bytes(), &response.body].concat())?,
        Delivery::Cut => {
            let half = &response.body[..response.body.len() / 2];
            stream.write_all(&[head.as_bytes(), half].concat())?;
        }
        Delivery::Slow(time) => {
            stream.write_all(head.as_bytes())?;
            stream.flush()?;
            let piece = response.body.len().div_ceil(PIECES).max(1);
            for piece in response.body.chunks(piece) {
                if !sleep(time / u32::try_from(PIECES).unwrap_or(1)) {
                    return Ok(false);
                }
                stream.write_all(piece)?;
                stream.flush()?;
            }
        }
    }
    stream.flush()?;
    Ok(keep_alive)
}

fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        400 => "Bad Request",
        404 => "Not Found",
        405 => "Method Not Allowed",
        411 => "Length Required",
        413 => "Content Too Large",
        431 => "Request Header Fields Too Large",
        500 => "Internal Server Error",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        _ => "Other",
    }
}

/// The `Date` header in the format of RFC 9110.
fn date(seconds: i64) -> String {
    let time = jiff::Timestamp::from_second(seconds).unwrap_or_default();
    time.strftime("Date: %a, %d %b %Y %H:%M:%S GMT\r\n").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Result<Request, ReadError> {
        read(&mut BufReader::new(text.as_bytes()))
    }

    fn status(text: &str) -> u16 {
        match of(text) {
            Err(ReadError::Bad(status)) => status,
            Err(ReadError::Closed) => 0,
            Ok(_) => 200,
        }
    }

    #[test]
    fn consecutive_requests_on_one_connection_are_read() {
        let text = "POST /?a=b%20c HTTP/1.1\r\nHost: x:1\r\nX-Tc-Action:  Decrypt \r\nContent-Length: 3\r\n\r\n{ }\
                    GET /latest HTTP/1.1\nhost: y\nConnection: Close\n\n";
        let mut stream = BufReader::new(text.as_bytes());
        let first = read(&mut stream).ok().expect("a request");
        assert_eq!(
            (first.method.as_str(), first.path.as_str(), first.query.as_str()),
            ("POST", "/", "a=b%20c")
        );
        assert_eq!(
            (
                first.header("x-tc-action"),
                first.body.as_slice(),
                first.keep_alive
            ),
            (Some("Decrypt"), &b"{ }"[..], true)
        );
        let second = read(&mut stream).ok().expect("a request");
        assert_eq!(
            (second.path.as_str(), second.header("host"), second.keep_alive),
            ("/latest", Some("y"), false)
        );
        assert!(matches!(read(&mut stream), Err(ReadError::Closed)));
    }

    #[test]
    fn invalid_requests_and_closed_connections_are_distinguished() {
        for (text, expected) in [
            ("", 0),
            ("POST / HTTP/1.1\r\nContent-Length: 5\r\n\r\n{}", 0),
            ("POST / HTTP/2\r\n\r\n", 400),
            ("POST  / HTTP/1.1\r\n\r\n", 400),
            ("POST / HTTP/1.1\r\nno header\r\n\r\n", 400),
            (
                "POST / HTTP/1.1\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}",
                400,
            ),
            ("POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n{}", 400),
            (
                "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
                411,
            ),
            ("POST / HTTP/1.1\r\nContent-Length: 10485761\r\n\r\n", 413),
            (
                &format!("POST / HTTP/1.1\r\nx: {}\r\n\r\n", "y".repeat(40_000)),
                431,
            ),
        ] {
            assert_eq!(status(text), expected, "{text:.60}");
        }
        let twice = of("POST / HTTP/1.1\r\nHost: a\r\nhost: b\r\n\r\n")
            .ok()
            .expect("a request");
        assert_eq!(twice.header("host"), None, "a duplicate header is ambiguous");
    }

    #[test]
    fn responses_have_length_and_date_and_can_be_cut() {
        let response = |delivery| Response {
            status: 200,
            content_type: "application/json".to_owned(),
            body: b"{\"a\":1}".to_vec(),
            date: Some(1_700_000_000),
            delivery,
        };
        let written = |delivery, keep_alive| {
            let mut out = Vec::new();
            let keep_alive = write(&mut out, &response(delivery), keep_alive, |_| true).expect("written");
            (String::from_utf8(out).expect("text"), keep_alive)
        };
        let whole = "HTTP/1.1 200 OK\r\nDate: Tue, 14 Nov 2023 22:13:20 GMT\r\nContent-Type: application/json\r\n\
                     Content-Length: 7\r\nConnection: keep_alive-alive\r\n\r\n{\"a\":1}";
        assert_eq!(written(Delivery::Whole, true), (whole.to_owned(), true));
        assert_eq!(
            written(Delivery::Slow(Duration::ZERO), true),
            (whole.to_owned(), true)
        );
        assert_eq!(written(Delivery::Dropped, true), (String::new(), false));
        let (cut, keep_alive) = written(Delivery::Cut, true);
        assert!(
            cut.contains("Content-Length: 7") && cut.ends_with("\r\n\r\n{\"a") && !keep_alive,
            "{cut}"
        );
    }
}
