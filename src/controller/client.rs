//! The client of the API server. It does not retry (a retried POST can return 409), enforces a deadline on the progress of
//! every response, and records the activity of watches.

use std::collections::HashMap;
use std::future::Future;
use std::path::Path;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Buf;
use http::header::{HeaderValue, USER_AGENT};
use http::{Request, Response};
use http_body::{Frame, SizeHint};
use kube::client::{Body, ClientBuilder};
use kube::config::{InferConfigError, KubeConfigOptions, Kubeconfig, KubeconfigError};
use tokio::time::{Instant, Sleep};
use tower::{BoxError, Layer, Service};

use crate::sync::lock;

/// The client cannot be created, because its configuration is unusable. An unreachable API server is not such an error.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The file of `--kubeconfig` is unusable.
    #[error("cannot load the kubeconfig {path}: {}", kubeconfig_cause(.error))]
    Kubeconfig {
        /// The file.
        path: String,
        /// The cause. Not a `source`: the message contains it, without content of the file.
        error: KubeconfigError,
    },
    /// Neither `--kubeconfig`, a default kubeconfig nor a pod's service account is available.
    #[error("not running in a pod, and the kubeconfig cannot be loaded: {}", infer_cause(.0))]
    Infer(InferConfigError),
    /// A certificate, key or proxy in the configuration is unusable.
    #[error("cannot create the API server client: {}", client_cause(.0))]
    Client(kube::Error),
}

/// Hides the proxy URL, which kube's message quotes and which may contain a password.
fn client_cause(error: &kube::Error) -> String {
    match error {
        kube::Error::ProxyProtocolUnsupported { .. } | kube::Error::ProxyProtocolDisabled { .. } => {
            "the proxy (HTTPS_PROXY, or proxy-url in the kubeconfig) must begin with http://, https:// or socks5://"
                .to_owned()
        }
        other => other.to_string(),
    }
}

/// Hides the parser's message, which may quote lines of the file with keys and tokens.
fn kubeconfig_cause(error: &KubeconfigError) -> String {
    match error {
        KubeconfigError::Parse(_) => "it is not a valid kubeconfig in YAML".to_owned(),
        other => other.to_string(),
    }
}

fn infer_cause(error: &InferConfigError) -> String {
    let kubeconfig = std::error::Error::source(error).and_then(|source| source.downcast_ref());
    kubeconfig.map_or_else(|| "there is none".to_owned(), kubeconfig_cause)
}

/// Creates a client from `kubeconfig`, or from the default kubeconfig or the pod's service account.
///
/// # Errors
/// If the configuration is unusable. No request is sent.
pub(super) async fn connect(
    kubeconfig: Option<&Path>,
    deadline: Duration,
    activity: WatchActivity,
) -> Result<kube::Client, ConnectError> {
    let mut config = match kubeconfig {
        Some(path) => {
            let failed = |error| ConnectError::Kubeconfig {
                path: path.display().to_string(),
                error,
            };
            let file = Kubeconfig::read_from(path).map_err(failed)?;
            kube::Config::from_custom_kubeconfig(file, &KubeConfigOptions::default())
                .await
                .map_err(failed)?
        }
        None => kube::Config::infer().await.map_err(ConnectError::Infer)?,
    };
    config.default_retry = false;
    config.headers.push((USER_AGENT, user_agent()));
    config.connect_timeout = Some(deadline);
    config.write_timeout = Some(deadline);
    let builder = ClientBuilder::try_from(config).map_err(ConnectError::Client)?;
    Ok(builder.with_layer(&GuardLayer { deadline, activity }).build())
}

/// Names the program, its version and its part: operators find its requests in audit logs and in flow control.
fn user_agent() -> HeaderValue {
    const VALUE: &str = concat!("envelope-secrets/", env!("CARGO_PKG_VERSION"));
    let text = format!(
        "{VALUE} ({}/{}) controller",
        std::env::consts::OS,
        std::env::consts::ARCH
    );
    // The parts are plain ASCII.
    HeaderValue::from_str(&text).unwrap_or(HeaderValue::from_static(VALUE))
}

/// The time of the last response or body frame of each watch, by request path.
#[derive(Clone, Default)]
pub(super) struct WatchActivity(Arc<Mutex<HashMap<String, Instant>>>);

impl WatchActivity {
    fn record(&self, path: &str) {
        let mut all = lock(&self.0);
        match all.get_mut(path) {
            Some(at) => *at = Instant::now(),
            None => drop(all.insert(path.to_owned(), Instant::now())),
        }
    }

    /// Returns the time of the last activity of the watch with this path.
    pub(super) fn last(&self, path: &str) -> Option<Instant> {
        lock(&self.0).get(path).copied()
    }
}

#[derive(Clone)]
struct GuardLayer {
    deadline: Duration,
    activity: WatchActivity,
}

impl<S> Layer<S> for GuardLayer {
    type Service = Guard<S>;

    fn layer(&self, inner: S) -> Guard<S> {
        Guard {
            inner,
            layer: self.clone(),
        }
    }
}

struct Guard<S> {
    inner: S,
    layer: GuardLayer,
}

#[derive(Debug, thiserror::Error)]
#[error("no response within {0:?}")]
pub(super) struct TimedOut(pub(super) Duration);

impl<S, B> Service<Request<Body>> for Guard<S>
where
    S: Service<Request<Body>, Response = Response<B>>,
    S::Future: Send + 'static,
    S::Error: Into<BoxError>,
{
    type Response = Response<GuardedBody<B>>;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, BoxError>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let GuardLayer { deadline, activity } = self.layer.clone();
        let watched = is_watch(&request).then(|| request.uri().path().to_owned());
        let until = Instant::now() + deadline;
        let response = self.inner.call(request);
        Box::pin(async move {
            let response = tokio::time::timeout_at(until, response);
            let response = response
                .await
                .map_err(|_| TimedOut(deadline))?
                .map_err(Into::into)?;
            let watch = watched.filter(|_| response.status().is_success());
            let kind = if let Some(path) = watch {
                activity.record(&path);
                BodyKind::Watch { path, activity }
            } else {
                let sleep = Box::pin(tokio::time::sleep(deadline));
                BodyKind::Whole { sleep, deadline }
            };
            Ok(response.map(|inner| GuardedBody { inner, kind }))
        })
    }
}

fn is_watch<T>(request: &Request<T>) -> bool {
    request
        .uri()
        .query()
        .is_some_and(|query| query.split('&').any(|pair| pair == "watch=true"))
}

/// A response body that fails when no bytes arrive within the deadline: a large body over a slow connection may take longer
/// as a whole. For a watch, one that records each frame instead.
struct GuardedBody<B> {
    inner: B,
    kind: BodyKind,
}

enum BodyKind {
    Watch {
        path: String,
        activity: WatchActivity,
    },
    Whole {
        sleep: Pin<Box<Sleep>>,
        deadline: Duration,
    },
}

impl<B> http_body::Body for GuardedBody<B>
where
    B: http_body::Body + Unpin,
    B::Error: Into<BoxError>,
{
    type Data = B::Data;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, BoxError>>> {
        let this = self.get_mut();
        // First the body: a caller that polls late does not lose what has arrived.
        let frame = match (Pin::new(&mut this.inner).poll_frame(cx), &mut this.kind) {
            (Poll::Ready(frame), _) => frame,
            (Poll::Pending, BodyKind::Whole { sleep, deadline }) => {
                ready!(sleep.as_mut().poll(cx));
                return Poll::Ready(Some(Err(TimedOut(*deadline).into())));
            }
            (Poll::Pending, BodyKind::Watch { .. }) => return Poll::Pending,
        };
        match (&mut this.kind, &frame) {
            (BodyKind::Watch { path, activity }, Some(Ok(_))) => activity.record(path),
            (BodyKind::Whole { sleep, deadline }, Some(Ok(frame)))
                if frame.data_ref().is_some_and(Buf::has_remaining) =>
            {
                sleep.as_mut().reset(Instant::now() + *deadline);
            }
            _ => {}
        }
        Poll::Ready(frame.map(|frame| frame.map_err(Into::into)))
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::StreamExt as _;
    use kube::api::{Api, ListParams, WatchParams};
    use kube::core::ApiResource;
    use kube::core::DynamicObject;
    use std::convert::Infallible;

    /// How the fake API server responds to a request.
    #[derive(Clone, Copy)]
    enum Reply {
        None,
        HeadOnly,
        OneEvent,
    }

    /// A body with at most one frame that then stays open.
    struct Open(Option<&'static str>);

    impl http_body::Body for Open {
        type Data = axum::body::Bytes;
        type Error = Infallible;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Self::Data>, Infallible>>> {
            match self.0.take() {
                Some(text) => Poll::Ready(Some(Ok(Frame::data(text.into())))),
                None => Poll::Pending,
            }
        }
    }

    /// A body in pieces, one every 10 s; empty pieces follow.
    struct Slow {
        pieces: Vec<&'static str>,
        sleep: Pin<Box<Sleep>>,
    }

    impl http_body::Body for Slow {
        type Data = axum::body::Bytes;
        type Error = Infallible;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            cx: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Self::Data>, Infallible>>> {
            ready!(self.sleep.as_mut().poll(cx));
            self.sleep
                .as_mut()
                .reset(Instant::now() + Duration::from_secs(10));
            Poll::Ready(self.pieces.pop().map(|piece| Ok(Frame::data(piece.into()))))
        }
    }

    fn slow_client(pieces: Vec<&'static str>) -> kube::Client {
        let service = tower::service_fn(move |_: Request<Body>| {
            let pieces = pieces.clone();
            let sleep = Box::pin(tokio::time::sleep(Duration::from_secs(10)));
            std::future::ready(Ok::<_, Infallible>(Response::new(Slow { pieces, sleep })))
        });
        let layer = GuardLayer {
            deadline: Duration::from_secs(15),
            activity: WatchActivity::default(),
        };
        kube::Client::new(layer.layer(service), "default")
    }

    #[tokio::test(start_paused = true)]
    async fn deadline_bounds_progress_and_not_the_whole_body() {
        let before = Instant::now();
        let request = || Request::get("/api").body(Vec::new()).expect("a request");
        let text = slow_client(vec!["x"; 12])
            .request_text(request())
            .await
            .expect("a body");
        assert_eq!((text.len(), before.elapsed().as_secs()), (12, 130));
        let before = Instant::now();
        let stalled = slow_client(vec![""; 12]).request_text(request()).await;
        assert!(stalled.is_err(), "frames without bytes are no progress");
        assert!(
            (15..=25).contains(&before.elapsed().as_secs()),
            "{:?}",
            before.elapsed()
        );
    }

    fn client(reply: Reply, activity: WatchActivity) -> Api<DynamicObject> {
        let service = tower::service_fn(move |_: Request<Body>| async move {
            match reply {
                Reply::None => std::future::pending().await,
                Reply::HeadOnly => Ok::<_, Infallible>(Response::new(Open(None))),
                Reply::OneEvent => Ok(Response::new(Open(Some(concat!(
                    r#"{"type":"ADDED","object":{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"a"}}}"#,
                    "\n"
                ))))),
            }
        });
        let layer = GuardLayer {
            deadline: Duration::from_secs(15),
            activity,
        };
        let client = kube::Client::new(layer.layer(service), "default");
        Api::all_with(
            client,
            &ApiResource::erase::<k8s_openapi::api::core::v1::ConfigMap>(&()),
        )
    }

    #[tokio::test(start_paused = true)]
    async fn requests_without_a_response_time_out() {
        for reply in [Reply::None, Reply::HeadOnly] {
            let before = Instant::now();
            let error = client(reply, WatchActivity::default())
                .list(&ListParams::default())
                .await
                .expect_err("late");
            assert!(
                format!("{error:?}").contains("no response within 15s") || error.to_string().contains("15s"),
                "{error:?}"
            );
            assert_eq!(before.elapsed().as_secs(), 15);
        }
        let watch = client(Reply::None, WatchActivity::default());
        assert!(
            watch.watch(&WatchParams::default(), "0").await.is_err(),
            "the response head of a watch has a deadline too"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn watch_stays_open_and_its_activity_is_recorded() {
        let activity = WatchActivity::default();
        let mut events = client(Reply::OneEvent, activity.clone())
            .watch(&WatchParams::default(), "0")
            .await
            .expect("open")
            .boxed();
        let at_head = activity
            .last("/api/v1/configmaps")
            .expect("the response head is recorded");
        tokio::time::advance(Duration::from_secs(100)).await;
        assert!(events.next().await.expect("an event").is_ok());
        let at_event = activity.last("/api/v1/configmaps").expect("recorded");
        assert_eq!((at_event - at_head).as_secs(), 100);
        let more = tokio::time::timeout(Duration::from_secs(200), events.next()).await;
        assert!(more.is_err(), "still open long after the deadline of requests");
        assert_eq!(activity.last("/api/v1/secrets"), None);
    }

    #[tokio::test]
    async fn invalid_kubeconfig_is_not_quoted() {
        let file = tempfile::NamedTempFile::new().expect("a file");
        std::fs::write(file.path(), "users:\n- name: a\n  user: {token: [hunter2-token\n").expect("written");
        let connected = connect(
            Some(file.path()),
            Duration::from_secs(1),
            WatchActivity::default(),
        )
        .await;
        let Err(error) = connected else {
            panic!("no kubeconfig")
        };
        let text = format!("{error}");
        assert!(
            text.contains("it is not a valid kubeconfig in YAML") && !text.contains("hunter2"),
            "{text}"
        );
        let connected = connect(
            Some(Path::new("/nowhere")),
            Duration::from_secs(1),
            WatchActivity::default(),
        )
        .await;
        let Err(error) = connected else { panic!("no file") };
        assert!(error.to_string().contains("/nowhere"), "{error}");
    }
}
