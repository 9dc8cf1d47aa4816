//! The client of the API server: no retries of its own (a retried POST may come back as 409), a deadline on every
//! answer, and a stamp on every sign of life of a watch, whose bookmarks the watcher swallows.

use std::collections::HashMap;
use std::future::Future;
use std::path::Path;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use http::{Request, Response};
use http_body::{Frame, SizeHint};
use kube::client::{Body, ClientBuilder};
use kube::config::{InferConfigError, KubeConfigOptions, Kubeconfig, KubeconfigError};
use tokio::time::{Instant, Sleep};
use tower::{BoxError, Layer, Service};

use crate::sync::lock;

/// Why there is no client: the configuration cannot be used. That the API server does not answer is no reason.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// `--kubeconfig` cannot be read.
    #[error("cannot use the kubeconfig {path}: {}", why(.error))]
    Kubeconfig {
        /// The file.
        path: String,
        /// Why. No source: it is told in full, less what a kubeconfig holds.
        error: KubeconfigError,
    },
    /// No `--kubeconfig`, none in the usual places, and this is no pod.
    #[error("not in a pod, and the kubeconfig cannot be used: {}", why_not_found(.0))]
    Infer(InferConfigError),
    /// Certificates or keys in the configuration cannot be used.
    #[error("cannot use the configuration of the API server: {}", why_not_used(.0))]
    Client(kube::Error),
}

/// kube shows the whole address of a proxy, which may hold a password.
fn why_not_used(error: &kube::Error) -> String {
    match error {
        kube::Error::ProxyProtocolUnsupported { .. } | kube::Error::ProxyProtocolDisabled { .. } => {
            "its proxy (HTTPS_PROXY, or proxy-url in the kubeconfig) does not begin with http://, https:// or socks5://"
                .to_owned()
        }
        other => other.to_string(),
    }
}

/// A parser's message may show lines of the file, which holds keys and tokens.
fn why(error: &KubeconfigError) -> String {
    match error {
        KubeconfigError::Parse(_) => "it is no YAML of a kubeconfig".to_owned(),
        other => other.to_string(),
    }
}

fn why_not_found(error: &InferConfigError) -> String {
    let kubeconfig = std::error::Error::source(error).and_then(|source| source.downcast_ref());
    kubeconfig.map_or_else(|| "there is none".to_owned(), why)
}

/// A client after `kubeconfig`, or after the usual places and the pod's own account.
pub(super) async fn connect(
    kubeconfig: Option<&Path>,
    deadline: Duration,
    signs: SignsOfLife,
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
    config.connect_timeout = Some(deadline);
    config.write_timeout = Some(deadline);
    let builder = ClientBuilder::try_from(config).map_err(ConnectError::Client)?;
    Ok(builder.with_layer(&GuardLayer { deadline, signs }).build())
}

/// When each watch last heard anything of the API server, by the path of its resource.
#[derive(Clone, Default)]
pub(super) struct SignsOfLife(Arc<Mutex<HashMap<String, Instant>>>);

impl SignsOfLife {
    fn stamp(&self, path: &str) {
        let mut all = lock(&self.0);
        match all.get_mut(path) {
            Some(at) => *at = Instant::now(),
            None => drop(all.insert(path.to_owned(), Instant::now())),
        }
    }

    /// The last sign of life of the watch of this path.
    pub(super) fn last(&self, path: &str) -> Option<Instant> {
        lock(&self.0).get(path).copied()
    }
}

#[derive(Clone)]
struct GuardLayer {
    deadline: Duration,
    signs: SignsOfLife,
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
#[error("no answer within {0:?}")]
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
        let GuardLayer { deadline, signs } = self.layer.clone();
        let watched = is_watch(&request).then(|| request.uri().path().to_owned());
        let until = Instant::now() + deadline;
        let answer = self.inner.call(request);
        Box::pin(async move {
            let answer = tokio::time::timeout_at(until, answer);
            let answer = answer
                .await
                .map_err(|_| TimedOut(deadline))?
                .map_err(Into::into)?;
            let watch = watched.filter(|_| answer.status().is_success());
            let kind = if let Some(path) = watch {
                signs.stamp(&path);
                BodyKind::Watch { path, signs }
            } else {
                let sleep = Box::pin(tokio::time::sleep_until(until));
                BodyKind::Whole { sleep, deadline }
            };
            Ok(answer.map(|inner| GuardedBody { inner, kind }))
        })
    }
}

fn is_watch<T>(request: &Request<T>) -> bool {
    request
        .uri()
        .query()
        .is_some_and(|query| query.split('&').any(|pair| pair == "watch=true"))
}

/// A body that ends with an error at its deadline, or one of a watch that stamps each frame.
struct GuardedBody<B> {
    inner: B,
    kind: BodyKind,
}

enum BodyKind {
    Watch {
        path: String,
        signs: SignsOfLife,
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
        if let BodyKind::Whole { sleep, deadline } = &mut this.kind
            && sleep.as_mut().poll(cx).is_ready()
        {
            return Poll::Ready(Some(Err(TimedOut(*deadline).into())));
        }
        let frame = ready!(Pin::new(&mut this.inner).poll_frame(cx));
        if let (BodyKind::Watch { path, signs }, Some(Ok(_))) = (&this.kind, &frame) {
            signs.stamp(path);
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

    /// What a fake API server does with one request.
    #[derive(Clone, Copy)]
    enum Answer {
        Silence,
        HeadOnly,
        OneEvent,
    }

    /// A body that gives one event, or nothing, and then stays open.
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

    fn client(answer: Answer, signs: SignsOfLife) -> Api<DynamicObject> {
        let service = tower::service_fn(move |_: Request<Body>| async move {
            match answer {
                Answer::Silence => std::future::pending().await,
                Answer::HeadOnly => Ok::<_, Infallible>(Response::new(Open(None))),
                Answer::OneEvent => Ok(Response::new(Open(Some(concat!(
                    r#"{"type":"ADDED","object":{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"a"}}}"#,
                    "\n"
                ))))),
            }
        });
        let layer = GuardLayer {
            deadline: Duration::from_secs(15),
            signs,
        };
        let client = kube::Client::new(layer.layer(service), "default");
        Api::all_with(
            client,
            &ApiResource::erase::<k8s_openapi::api::core::v1::ConfigMap>(&()),
        )
    }

    #[tokio::test(start_paused = true)]
    async fn nothing_waits_for_an_answer_for_ever() {
        for answer in [Answer::Silence, Answer::HeadOnly] {
            let before = Instant::now();
            let error = client(answer, SignsOfLife::default())
                .list(&ListParams::default())
                .await
                .expect_err("late");
            assert!(
                format!("{error:?}").contains("no answer within 15s") || error.to_string().contains("15s"),
                "{error:?}"
            );
            assert_eq!(before.elapsed().as_secs(), 15);
        }
        let watch = client(Answer::Silence, SignsOfLife::default());
        assert!(
            watch.watch(&WatchParams::default(), "0").await.is_err(),
            "the head of a watch has a deadline too"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_watch_stays_open_and_its_frames_are_stamped() {
        let signs = SignsOfLife::default();
        let mut events = client(Answer::OneEvent, signs.clone())
            .watch(&WatchParams::default(), "0")
            .await
            .expect("open")
            .boxed();
        let at_head = signs
            .last("/api/v1/configmaps")
            .expect("the head is a sign of life");
        tokio::time::advance(Duration::from_secs(100)).await;
        assert!(events.next().await.expect("an event").is_ok());
        let at_event = signs.last("/api/v1/configmaps").expect("stamped");
        assert_eq!((at_event - at_head).as_secs(), 100);
        let more = tokio::time::timeout(Duration::from_secs(200), events.next()).await;
        assert!(
            more.is_err(),
            "still open long after the deadline of other requests"
        );
        assert_eq!(signs.last("/api/v1/secrets"), None);
    }

    #[tokio::test]
    async fn a_broken_kubeconfig_is_not_quoted() {
        let file = tempfile::NamedTempFile::new().expect("a file");
        std::fs::write(file.path(), "users:\n- name: a\n  user: {token: [hunter2-token\n").expect("written");
        let connected = connect(Some(file.path()), Duration::from_secs(1), SignsOfLife::default()).await;
        let Err(error) = connected else {
            panic!("no kubeconfig")
        };
        let text = format!("{error}");
        assert!(
            text.contains("it is no YAML of a kubeconfig") && !text.contains("hunter2"),
            "{text}"
        );
        let connected = connect(
            Some(Path::new("/nowhere")),
            Duration::from_secs(1),
            SignsOfLife::default(),
        )
        .await;
        let Err(error) = connected else { panic!("no file") };
        assert!(error.to_string().contains("/nowhere"), "{error}");
    }
}
