use super::*;
use crate::controller::observe::object::Received;
use crate::controller::observe::secret_facts::SecretFacts;
use crate::sync::lock;
use bytes::Bytes;
use futures::StreamExt as _;
use http::Response;
use http_body::Frame;
use kube::client::Body;
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Mutex;
use std::task::{Context, Poll};

/// A body whose pieces are made when they are read.
struct Pieces {
    left: VecDeque<Bytes>,
    sent: Arc<Mutex<usize>>,
}

impl http_body::Body for Pieces {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let piece = self.left.pop_front();
        *lock(&self.sent) += piece.as_ref().map_or(0, Bytes::len);
        Poll::Ready(piece.map(|piece| Ok(Frame::data(piece))))
    }
}

/// An API server with objects of these sizes in bytes. Watches stay silent.
struct Server {
    sizes: Vec<usize>,
    /// The limits of the list requests.
    limits: Arc<Mutex<Vec<usize>>>,
    /// The number of bytes that were read.
    sent: Arc<Mutex<usize>>,
}

impl Server {
    fn new(sizes: Vec<usize>) -> Self {
        Server {
            sizes,
            limits: Arc::default(),
            sent: Arc::default(),
        }
    }

    fn client(&self) -> Client {
        let (sizes, limits, sent) = (self.sizes.clone(), self.limits.clone(), self.sent.clone());
        let service = tower::service_fn(move |request: Request<Body>| {
            let query = request.uri().query().unwrap_or_default().to_owned();
            let number = |name: &str| {
                let pair = query
                    .split('&')
                    .find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='));
                pair.and_then(|value| value.parse::<usize>().ok())
            };
            let limit = number("limit").expect("only lists");
            lock(&limits).push(limit);
            let left = page(&sizes, number("continue").unwrap_or_default(), limit);
            let sent = sent.clone();
            std::future::ready(Ok::<_, Infallible>(Response::new(Pieces { left, sent })))
        });
        Client::new(service, "default")
    }

    /// Lists everything and returns the names.
    async fn list<T: Slim + Send + 'static>(&self, metrics: &Arc<Metrics>) -> Vec<String> {
        let target = Target {
            kind: Kind::Objects,
            path: Kind::Objects.path(None),
            label_selector: None,
            metadata_only: false,
            watch: Duration::from_secs(290),
        };
        let events = events::<T>(self.client(), target, metrics.clone(), History::new());
        let mut events = std::pin::pin!(events);
        let mut names = Vec::new();
        loop {
            match events.next().await.expect("it never ends").expect("no failure") {
                Event::InitApply((key, _)) => names.push(key.name.to_string()),
                Event::InitDone => return names,
                _ => {}
            }
        }
    }
}

/// A page in pieces.
fn page(sizes: &[usize], from: usize, limit: usize) -> VecDeque<Bytes> {
    let until = (from + limit).min(sizes.len());
    let next = if until < sizes.len() {
        until.to_string()
    } else {
        String::new()
    };
    let mut pieces = VecDeque::from([Bytes::from(format!(
        r#"{{"metadata":{{"resourceVersion":"7","continue":"{next}"}},"items":["#
    ))]);
    for (index, size) in sizes.iter().enumerate().take(until).skip(from) {
        let comma = if index > from { "," } else { "" };
        let start = format!(
            r#"{comma}{{"metadata":{{"name":"o-{index}","namespace":"prod","uid":"u-{index}","resourceVersion":"1"}},"spec":""#
        );
        pieces.extend([
            start.into(),
            Bytes::from(vec![b'x'; *size]),
            Bytes::from_static(b"\"}"),
        ]);
    }
    pieces.push_back(Bytes::from_static(b"]}"));
    pieces
}

#[test]
fn page_size_follows_the_size_of_objects() {
    for (limit, count, bytes, next) in [
        (500, 0, 100, 500),
        (500, 500, 1 << 20, 500),
        (500, 500, 8 << 20, 500),
        (500, 500, 16 << 20, 250),
        (200, 200, 280 << 20, 5),
        (1, 1, 64 << 20, 1),
        (500, 10, 0, 500),
        (5, 5, 1000, 10),
        (5, 0, 100, 10),
    ] {
        assert_eq!(
            next_limit(limit, count, bytes),
            next,
            "{count} of {limit} objects in {bytes} bytes"
        );
    }
}

#[tokio::test]
async fn page_that_is_too_large_is_requested_again_with_half_the_objects() {
    const MIB: usize = 1 << 20;
    let server = Server::new(vec![900_000; 120]);
    let names = server.list::<Received>(&Metrics::new()).await;
    assert_eq!(
        names,
        (0..120).map(|index| format!("o-{index}")).collect::<Vec<_>>()
    );
    let limits = lock(&server.limits).clone();
    assert_eq!(limits[..6], [500, 250, 125, 62, 31, 15]);
    assert!(
        limits[6..].iter().all(|limit| (5..=15).contains(limit)),
        "{limits:?}"
    );
    let sent = *lock(&server.sent);
    assert!(
        sent < 120 * 900_000 + 5 * 18 * MIB + MIB,
        "{} MiB: a page is given up at 16 MiB",
        sent / MIB
    );
}

#[tokio::test]
async fn single_object_is_listed_whatever_its_size() {
    let server = Server::new(vec![10, 20 << 20, 10]);
    assert_eq!(
        server.list::<Received>(&Metrics::new()).await,
        ["o-0", "o-1", "o-2"]
    );
}

/// Decodes every object but one.
struct Picky;

impl Slim for Picky {
    type Wire = crate::controller::observe::object::RawObject;

    fn of(raw: Self::Wire) -> Option<(ObjectKey, Self)> {
        let (key, _) = <Received as Slim>::of(raw)?;
        (*key.name != *"o-1").then_some((key, Picky))
    }

    fn resource_version(&self) -> &'static str {
        "1"
    }
}

#[tokio::test]
async fn undecodable_objects_are_counted_and_stop_no_list() {
    let metrics = Metrics::new();
    let server = Server::new(vec![10; 4]);
    assert_eq!(server.list::<Picky>(&metrics).await, ["o-0", "o-2", "o-3"]);
    let counted = "envelope_secrets_undecodable_objects_total{resource=\"envelopesecrets\"} 1";
    assert!(metrics.encode().lines().any(|line| line == counted));
    assert_eq!(server.list::<SecretFacts>(&metrics).await.len(), 4);
}
