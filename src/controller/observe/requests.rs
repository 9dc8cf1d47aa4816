//! Requests whose responses go through the decoder instead of kube's types. A read that the API server refuses with 429
//! or 5xx is retried on its own, so that one lost page does not restart a list.

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body as _;
use kube::Client;
use kube::client::Body;
use kube::core::Status;

/// Sends a request and returns the body of its response.
///
/// # Errors
/// [`kube::Error::Api`] for an error response.
pub(in crate::controller) async fn send(client: &Client, request: Request<Vec<u8>>) -> kube::Result<Bytes> {
    let response = open(client, request).await?;
    response.into_body().collect_bytes().await
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
    Err(kube::Error::Api(Box::new(status)))
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
    pub(in crate::controller) async fn open(client: &Client, request: Request<Vec<u8>>) -> kube::Result<Self> {
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
            let frame = std::future::poll_fn(|cx| std::pin::Pin::new(&mut self.body).poll_frame(cx)).await;
            match frame {
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
