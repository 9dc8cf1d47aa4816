//! Requests whose responses go through the decoder instead of kube's types. A read that the API server refuses with 429
//! or 5xx is retried on its own, so that one lost page does not restart a list.

use std::time::Duration;

use bytes::Bytes;
use http::header::{HeaderMap, RETRY_AFTER};
use http::{Request, Response};
use http_body::{Body as _, Frame};
use kube::Client;
use kube::client::Body;
use kube::core::Status;
use kube::core::response::StatusDetails;

/// How often a read is sent, if the API server keeps refusing it for the moment.
const ATTEMPTS: u32 = 3;
/// The delay after the first refusal; it doubles.
const RETRY: Duration = Duration::from_millis(100);
/// A refusal that requests a longer wait is returned to the caller.
const MAX_WAIT: Duration = Duration::from_secs(5);

/// Sends a request that only reads, and returns the body of its response. A refusal with 429 or 5xx is retried twice,
/// no earlier than its Retry-After.
///
/// # Errors
/// [`kube::Error::Api`] for an error response.
pub(in crate::controller) async fn read(client: &Client, request: Request<Vec<u8>>) -> kube::Result<Bytes> {
    let body = read_up_to(client, request, usize::MAX).await?;
    Ok(body.unwrap_or_default().into())
}

/// Like [`read`], but gives up, with `None`, as soon as the body is longer than `max` bytes.
pub(in crate::controller) async fn read_up_to(
    client: &Client,
    request: Request<Vec<u8>>,
    max: usize,
) -> kube::Result<Option<Vec<u8>>> {
    let mut failures = 0;
    loop {
        let error = match receive(client, request.clone(), max).await {
            Err(error) => error,
            received => return received,
        };
        failures += 1;
        match wait(&error, failures) {
            Some(wait) => tokio::time::sleep(wait).await,
            None => return Err(error),
        }
    }
}

/// Returns how long to wait before a read is sent again, after this number of failures; `None` if it is not.
fn wait(error: &kube::Error, failures: u32) -> Option<Duration> {
    let kube::Error::Api(status) = error else {
        return None;
    };
    if failures >= ATTEMPTS || !(status.code == 429 || status.code >= 500) {
        return None;
    }
    let details = status.details.as_ref();
    let requested = Duration::from_secs(details.map_or(0, |details| details.retry_after_seconds).into());
    let wait = RETRY
        .saturating_mul(1 << failures.saturating_sub(1))
        .max(requested);
    Some(wait).filter(|wait| *wait <= MAX_WAIT)
}

/// Sends a request and returns the body of its response.
///
/// # Errors
/// [`kube::Error::Api`] for an error response.
pub(in crate::controller) async fn send(client: &Client, request: Request<Vec<u8>>) -> kube::Result<Bytes> {
    let response = open(client, request).await?;
    response.into_body().collect_bytes().await
}

async fn receive(client: &Client, request: Request<Vec<u8>>, max: usize) -> kube::Result<Option<Vec<u8>>> {
    let mut body = open(client, request).await?.into_body();
    let mut received = Vec::new();
    while let Some(frame) = next_frame(&mut body).await {
        let Ok(data) = frame?.into_data() else { continue };
        if data.len() > max - received.len() {
            return Ok(None);
        }
        received.extend_from_slice(&data);
    }
    Ok(Some(received))
}

async fn next_frame(body: &mut Body) -> Option<kube::Result<Frame<Bytes>>> {
    std::future::poll_fn(|cx| std::pin::Pin::new(&mut *body).poll_frame(cx)).await
}

/// Sends a request and returns its response once the head has arrived.
async fn open(client: &Client, request: Request<Vec<u8>>) -> kube::Result<Response<Body>> {
    let response = client.send(request.map(Body::from)).await?;
    if response.status().is_success() {
        return Ok(response);
    }
    let (head, body) = response.into_parts();
    let bytes = body.collect_bytes().await.unwrap_or_default();
    let mut status: Status = serde_json::from_slice(&bytes).unwrap_or_default();
    if status.code == 0 {
        // Not a Status: from a proxy, or from the API server under overload. The body is not quoted.
        let reason = head.status.canonical_reason().unwrap_or_default();
        status = Status::failure(reason, reason);
        status.code = head.status.as_u16();
    }
    if let Some(seconds) = retry_after_seconds(&head.headers) {
        let details = status.details.get_or_insert(StatusDetails {
            name: String::new(),
            group: String::new(),
            kind: String::new(),
            uid: String::new(),
            causes: Vec::new(),
            retry_after_seconds: 0,
        });
        details.retry_after_seconds = details.retry_after_seconds.max(seconds);
    }
    Err(kube::Error::Api(Box::new(status)))
}

fn retry_after_seconds(headers: &HeaderMap) -> Option<u32> {
    headers.get(RETRY_AFTER)?.to_str().ok()?.parse().ok()
}

/// The lines of a watch.
pub(in crate::controller) struct Lines {
    body: Body,
    /// What was received and not returned yet.
    buffer: Vec<u8>,
    /// How much of `buffer` contains no end of line.
    scanned: usize,
}

impl Lines {
    /// Starts a watch.
    pub(in crate::controller) async fn open(
        client: &Client,
        request: Request<Vec<u8>>,
    ) -> kube::Result<Self> {
        Ok(Lines {
            body: open(client, request).await?.into_body(),
            buffer: Vec::new(),
            scanned: 0,
        })
    }

    /// Returns the next line, without its end; `None` at the end of the watch. Dropping the future loses nothing.
    pub(in crate::controller) async fn next(&mut self) -> Option<kube::Result<Vec<u8>>> {
        loop {
            if let Some(end) = memchr::memchr(b'\n', &self.buffer[self.scanned..]) {
                let rest = self.buffer.split_off(self.scanned + end + 1);
                let mut line = std::mem::replace(&mut self.buffer, rest);
                self.scanned = 0;
                line.pop();
                return Some(Ok(line));
            }
            self.scanned = self.buffer.len();
            match next_frame(&mut self.body).await {
                Some(Ok(frame)) => {
                    if let Ok(data) = frame.into_data() {
                        self.buffer.extend_from_slice(&data);
                    }
                }
                Some(Err(error)) => return Some(Err(error)),
                // An incomplete line was cut off with its connection; the next watch delivers it again.
                None => return None,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::VecDeque;
    use std::convert::Infallible;
    use std::sync::{Arc, Mutex};
    use tokio::time::Instant;

    /// Sends a read to a server that responds with these codes, the first ones with this Retry-After.
    async fn outcome(codes: &[u16], retry_after: Option<&str>) -> (kube::Result<Bytes>, Duration, usize) {
        let left = Arc::new(Mutex::new(codes.iter().copied().collect::<VecDeque<u16>>()));
        let (codes_left, header) = (left.clone(), retry_after.map(str::to_owned));
        let service = tower::service_fn(move |_: Request<Body>| {
            let code = crate::sync::lock(&codes_left)
                .pop_front()
                .expect("another response");
            let mut response = Response::builder().status(code);
            if let Some(value) = header.as_ref().filter(|_| code != 200) {
                response = response.header(RETRY_AFTER, value);
            }
            let response = response
                .body(Body::from(b"slow down".to_vec()))
                .expect("a response");
            std::future::ready(Ok::<_, Infallible>(response))
        });
        let client = Client::new(service, "default");
        let (request, start) = (
            Request::get("/api").body(Vec::new()).expect("a request"),
            Instant::now(),
        );
        let result = read(&client, request).await;
        let unused = crate::sync::lock(&left).len();
        (result, start.elapsed(), unused)
    }

    #[tokio::test(start_paused = true)]
    async fn refused_read_is_retried_on_its_own() {
        let (result, took, _) = outcome(&[503, 429, 200], None).await;
        assert_eq!(result.expect("the third"), "slow down");
        assert!((300..400).contains(&took.as_millis()), "{took:?}");
        let (result, took, _) = outcome(&[429, 200], Some("2")).await;
        assert!(result.is_ok() && took.as_secs() == 2, "{took:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn lasting_and_other_refusals_are_returned() {
        for (codes, retry_after, unused) in [
            (&[503, 503, 503, 200][..], None, 1),
            (&[429, 200], Some("30"), 1),
            (&[403, 200], None, 1),
        ] {
            let (result, _, left) = outcome(codes, retry_after).await;
            let Err(kube::Error::Api(status)) = result else {
                panic!("{codes:?} is an error")
            };
            assert_eq!((status.code, left), (codes[0], unused));
            assert!(
                !status.message.contains("slow down"),
                "a body that is not a Status is not quoted"
            );
            let seconds = status.details.map(|details| details.retry_after_seconds);
            assert_eq!(seconds, retry_after.map(|text| text.parse().expect("seconds")));
        }
    }
}
