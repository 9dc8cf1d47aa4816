//! HTTP/1.1 as a server, small and strict: one request, one answer, and the connection stays.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::time::Duration;

/// What the API takes with TC3 (10 MB).
const MAX_BODY: u64 = 10 << 20;
const MAX_HEAD: u64 = 32 << 10;

/// A request as it came over the wire.
pub(super) struct Request {
    pub(super) method: String,
    /// Without the query.
    pub(super) path: String,
    /// What stands behind `?`, as it was sent.
    pub(super) query: String,
    /// Names in lower case, in the order in which they came.
    headers: Vec<(String, String)>,
    pub(super) body: Vec<u8>,
    /// The client wants the connection to stay.
    pub(super) keep: bool,
}

impl Request {
    /// `None` when it is missing or given twice.
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        let mut of_name = self.headers.iter().filter(|(other, _)| other == name);
        let (_, value) = of_name.next()?;
        of_name.next().is_none().then_some(value)
    }

    /// Names in lower case, in the order in which they came.
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
            keep: true,
        }
    }
}

/// What came instead of a request.
pub(super) enum Unread {
    /// The client is gone, or was quiet for too long.
    Ended,
    /// No HTTP/1.1 as it is spoken here: the status to answer with.
    Bad(u16),
}

impl From<io::Error> for Unread {
    fn from(_: io::Error) -> Self {
        Unread::Ended
    }
}

/// Reads the next request of a connection.
pub(super) fn read<S: Read>(stream: &mut BufReader<S>) -> Result<Request, Unread> {
    let mut head = stream.by_ref().take(MAX_HEAD);
    let first = line(&mut head)?;
    let words: Vec<&str> = first.split(' ').collect();
    let [method, target, version @ ("HTTP/1.1" | "HTTP/1.0")] = words[..] else {
        return Err(Unread::Bad(400));
    };
    let mut headers = Vec::new();
    loop {
        let line = line(&mut head)?;
        if line.is_empty() {
            break;
        }
        let (name, value) = line.split_once(':').ok_or(Unread::Bad(400))?;
        if name.is_empty() || name.contains(char::is_whitespace) {
            return Err(Unread::Bad(400));
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
        keep: version == "HTTP/1.1",
    };
    match request
        .header("connection")
        .map(str::to_ascii_lowercase)
        .as_deref()
    {
        Some("close") => request.keep = false,
        Some("keep-alive") => request.keep = true,
        _ => {}
    }
    if request.header("transfer-encoding").is_some() {
        return Err(Unread::Bad(411)); // no client of the API sends its body in pieces
    }
    let length = match request.header("content-length") {
        None if request.headers.iter().any(|(name, _)| name == "content-length") => {
            return Err(Unread::Bad(400));
        }
        None => 0,
        Some(text) => text.parse().map_err(|_| Unread::Bad(400))?,
    };
    if length > MAX_BODY {
        return Err(Unread::Bad(413));
    }
    let read = stream.by_ref().take(length).read_to_end(&mut request.body)?;
    if u64::try_from(read).unwrap_or_default() < length {
        return Err(Unread::Ended);
    }
    Ok(request)
}

fn line(stream: &mut io::Take<impl BufRead>) -> Result<String, Unread> {
    let mut bytes = Vec::new();
    stream.read_until(b'\n', &mut bytes)?;
    match bytes.pop() {
        Some(b'\n') => {}
        _ if stream.limit() == 0 => return Err(Unread::Bad(431)),
        _ => return Err(Unread::Ended),
    }
    if bytes.last() == Some(&b'\r') {
        bytes.pop();
    }
    String::from_utf8(bytes).map_err(|_| Unread::Bad(400))
}

/// An answer, and how it goes out.
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) content_type: String,
    pub(super) body: Vec<u8>,
    /// The server's clock, in Unix seconds, when it is told.
    pub(super) date: Option<i64>,
    pub(super) way: Way,
}

/// How an answer goes out.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    /// At once and whole.
    Whole,
    /// The head at once, the body in pieces over this time.
    Slow(Duration),
    /// The head and half of the body, then the end of the connection.
    Cut,
    /// The end of the connection, without a byte.
    Nothing,
}

/// How many pieces a slow body comes in.
const PIECES: usize = 8;

/// Writes it; whether the connection may stay. `sleep` gives `false` when the server is being stopped.
pub(super) fn write(
    stream: &mut impl Write,
    answer: &Answer,
    keep: bool,
    sleep: impl Fn(Duration) -> bool,
) -> io::Result<bool> {
    let keep = keep && !matches!(answer.way, Way::Cut | Way::Nothing);
    let head = format!(
        "HTTP/1.1 {} {}\r\n{}Content-Type: {}\r\nContent-Length: {}\r\nConnection: {}\r\n\r\n",
        answer.status,
        reason(answer.status),
        answer.date.map(date).unwrap_or_default(),
        answer.content_type,
        answer.body.len(),
        if keep { "keep-alive" } else { "close" },
    );
    match answer.way {
        Way::Nothing => {}
        Way::Whole => stream.write_all(&[head.as_bytes(), &answer.body].concat())?,
        Way::Cut => {
            let half = &answer.body[..answer.body.len() / 2];
            stream.write_all(&[head.as_bytes(), half].concat())?;
        }
        Way::Slow(time) => {
            stream.write_all(head.as_bytes())?;
            stream.flush()?;
            let piece = answer.body.len().div_ceil(PIECES).max(1);
            for piece in answer.body.chunks(piece) {
                if !sleep(time / u32::try_from(PIECES).unwrap_or(1)) {
                    return Ok(false);
                }
                stream.write_all(piece)?;
                stream.flush()?;
            }
        }
    }
    stream.flush()?;
    Ok(keep)
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

/// The header, as RFC 9110 writes it.
fn date(seconds: i64) -> String {
    let time = jiff::Timestamp::from_second(seconds).unwrap_or_default();
    time.strftime("Date: %a, %d %b %Y %H:%M:%S GMT\r\n").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Result<Request, Unread> {
        read(&mut BufReader::new(text.as_bytes()))
    }

    fn status(text: &str) -> u16 {
        match of(text) {
            Err(Unread::Bad(status)) => status,
            Err(Unread::Ended) => 0,
            Ok(_) => 200,
        }
    }

    #[test]
    fn requests_follow_one_another_on_a_connection() {
        let text = "POST /?a=b%20c HTTP/1.1\r\nHost: x:1\r\nX-Tc-Action:  Decrypt \r\nContent-Length: 3\r\n\r\n{ }\
                    GET /latest HTTP/1.1\nhost: y\nConnection: Close\n\n";
        let mut stream = BufReader::new(text.as_bytes());
        let first = read(&mut stream).ok().expect("a request");
        assert_eq!(
            (first.method.as_str(), first.path.as_str(), first.query.as_str()),
            ("POST", "/", "a=b%20c")
        );
        assert_eq!(
            (first.header("x-tc-action"), first.body.as_slice(), first.keep),
            (Some("Decrypt"), &b"{ }"[..], true)
        );
        let second = read(&mut stream).ok().expect("a request");
        assert_eq!(
            (second.path.as_str(), second.header("host"), second.keep),
            ("/latest", Some("y"), false)
        );
        assert!(matches!(read(&mut stream), Err(Unread::Ended)));
    }

    #[test]
    fn what_is_no_request_is_told_apart_from_an_end() {
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
        assert_eq!(twice.header("host"), None, "which of two is meant?");
    }

    #[test]
    fn the_answer_says_how_long_it_is_and_what_time_it_is() {
        let answer = |way| Answer {
            status: 200,
            content_type: "application/json".to_owned(),
            body: b"{\"a\":1}".to_vec(),
            date: Some(1_700_000_000),
            way,
        };
        let written = |way, keep| {
            let mut out = Vec::new();
            let keep = write(&mut out, &answer(way), keep, |_| true).expect("written");
            (String::from_utf8(out).expect("text"), keep)
        };
        let whole = "HTTP/1.1 200 OK\r\nDate: Tue, 14 Nov 2023 22:13:20 GMT\r\nContent-Type: application/json\r\n\
                     Content-Length: 7\r\nConnection: keep-alive\r\n\r\n{\"a\":1}";
        assert_eq!(written(Way::Whole, true), (whole.to_owned(), true));
        assert_eq!(written(Way::Slow(Duration::ZERO), true), (whole.to_owned(), true));
        assert_eq!(written(Way::Nothing, true), (String::new(), false));
        let (cut, keep) = written(Way::Cut, true);
        assert!(
            cut.contains("Content-Length: 7") && cut.ends_with("\r\n\r\n{\"a") && !keep,
            "{cut}"
        );
    }
}
