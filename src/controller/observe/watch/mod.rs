//! The watch streams. Each has its own error handling, backoff and state: a failing stream does not delay the others, and
//! none ever ends.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::{Stream, StreamExt as _};
use kube::runtime::watcher::{self, Event};
use tokio::time::Instant;

use crate::controller::backoff::Backoff;
use crate::controller::client::WatchActivity;
use crate::controller::observe::kind::Kind;
use crate::metrics::Metrics;
use crate::sync::lock;

/// How often the task of an idle stream records that it is alive.
const HEARTBEAT: Duration = Duration::from_secs(30);

/// How long a watch must have lived for its next failure to count as the first.
const STABLE: Duration = Duration::from_secs(30);
/// The longest wait that a response can request.
const MAX_RETRY_AFTER: Duration = Duration::from_mins(1);

/// The condition of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::controller) enum Condition {
    /// No list is complete yet.
    Starting,
    /// A list has completed, and the watch is running.
    Synced,
    /// The controller lacks permission to list or watch.
    Forbidden,
    /// The API server does not serve the resource.
    Missing,
    /// The API server is unreachable or returns errors.
    Unreachable,
}

impl Condition {
    pub(in crate::controller) const ALL: [Condition; 5] = [
        Condition::Starting,
        Condition::Synced,
        Condition::Forbidden,
        Condition::Missing,
        Condition::Unreachable,
    ];

    /// Returns the metric label.
    pub(in crate::controller) fn as_str(self) -> &'static str {
        match self {
            Condition::Starting => "starting",
            Condition::Synced => "synced",
            Condition::Forbidden => "forbidden",
            Condition::Missing => "missing",
            Condition::Unreachable => "unreachable",
        }
    }
}

/// The observable state of one stream.
pub(in crate::controller) struct WatchStream {
    pub(in crate::controller) kind: Kind,
    /// `None` for the whole cluster.
    namespace: Option<Box<str>>,
    /// The request path.
    path: String,
    activity: WatchActivity,
    state: Mutex<State>,
}

struct State {
    condition: Condition,
    /// The last logged error, so that repetitions are not logged.
    logged: String,
    failed_at: Option<Instant>,
    started: Instant,
    /// When the stream was last polled.
    polled: Instant,
    complete: bool,
}

impl WatchStream {
    pub(in crate::controller) fn new(
        kind: Kind,
        namespace: Option<&str>,
        path: String,
        activity: WatchActivity,
    ) -> Arc<Self> {
        let state = State {
            condition: Condition::Starting,
            logged: String::new(),
            failed_at: None,
            started: Instant::now(),
            polled: Instant::now(),
            complete: false,
        };
        Arc::new(WatchStream {
            kind,
            namespace: namespace.map(Into::into),
            path,
            activity,
            state: Mutex::new(state),
        })
    }

    /// Returns the current condition. A watch that recovers produces no event, so later activity of the API server counts
    /// as recovery.
    pub(in crate::controller) fn condition(&self) -> Condition {
        let state = self.lock();
        match (state.failed_at, self.activity.last(&self.path)) {
            (Some(failed), Some(heard)) if state.complete && heard > failed => Condition::Synced,
            _ => state.condition,
        }
    }

    /// Returns the time since the API server last sent something.
    pub(in crate::controller) fn age(&self) -> Duration {
        let started = self.lock().started;
        self.activity
            .last(&self.path)
            .map_or(started, |heard| heard.max(started))
            .elapsed()
    }

    /// Returns the time since the stream was last polled.
    pub(in crate::controller) fn unpolled(&self) -> Duration {
        self.lock().polled.elapsed()
    }

    /// Returns why the stream is not synced, for the readiness probe.
    pub(in crate::controller) fn failure(&self) -> Option<String> {
        let condition = self.condition();
        let place = self.place();
        (condition != Condition::Synced)
            .then(|| format!("{} {place}: {}", self.kind.resource(), condition.as_str()))
    }

    fn place(&self) -> String {
        match &self.namespace {
            Some(namespace) => format!("in namespace {namespace}"),
            None => "in all namespaces".to_owned(),
        }
    }

    fn succeeded(&self, complete: bool) {
        let mut state = self.lock();
        state.complete |= complete;
        if state.complete {
            state.condition = Condition::Synced;
        }
        state.failed_at = None;
        if !state.logged.is_empty() && state.complete {
            state.logged.clear();
            tracing::info!(
                stream = self.kind.as_str(),
                namespace = self.namespace.as_deref(),
                "the watch has recovered"
            );
        }
    }

    fn failed(&self, error: &watcher::Error, metrics: &Metrics) {
        let (condition, message) = self.explain(error);
        metrics.stream_failed(self.kind.as_str(), condition.as_str());
        let mut state = self.lock();
        state.condition = condition;
        state.failed_at = Some(Instant::now());
        // An expired watch is normal: a list follows immediately.
        if is_expired(error) || state.logged == message {
            tracing::debug!(
                stream = self.kind.as_str(),
                namespace = self.namespace.as_deref(),
                "{message}"
            );
            return;
        }
        tracing::warn!(
            stream = self.kind.as_str(),
            namespace = self.namespace.as_deref(),
            "{message}"
        );
        state.logged = message;
    }

    /// Returns the condition and the log message for an error, with a command that helps.
    fn explain(&self, error: &watcher::Error) -> (Condition, String) {
        let (resource, place) = (self.kind.resource(), self.place());
        match status(error) {
            Some((403, text)) => {
                let flag = self.namespace.as_deref().map_or_else(
                    || "--all-namespaces".to_owned(),
                    |namespace| format!("--namespace {namespace}"),
                );
                let message = format!(
                    "the controller is not allowed to list and watch {resource} {place} ({text}); grant it, or set \
                     --namespaces; to check: kubectl auth can-i list {resource} {flag} --as USER; retrying"
                );
                (Condition::Forbidden, message)
            }
            Some((404, _)) if self.kind == Kind::Objects => {
                let message = "the CustomResourceDefinition is not installed; run: \
                               envelope crd | kubectl apply --server-side -f -; retrying";
                (Condition::Missing, message.to_owned())
            }
            Some((code, text)) => {
                let message = format!(
                    "cannot watch {resource} {place}: the API server returned {code} ({text}); retrying"
                );
                (Condition::Unreachable, message)
            }
            None => {
                let message = format!(
                    "cannot watch {resource} {place}: {}; check the API server's address and the network; retrying",
                    transport(error)
                );
                (Condition::Unreachable, message)
            }
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        lock(&self.state)
    }
}

/// Returns code and message of an error response of the API server.
fn status(error: &watcher::Error) -> Option<(u16, &str)> {
    match error {
        watcher::Error::InitialListFailed(kube::Error::Api(status))
        | watcher::Error::WatchStartFailed(kube::Error::Api(status))
        | watcher::Error::WatchFailed(kube::Error::Api(status))
        | watcher::Error::WatchError(status) => Some((status.code, &status.message)),
        _ => None,
    }
}

/// Returns the wait that the API server requests (Retry-After); zero if it requests none.
fn retry_after(error: &watcher::Error) -> Duration {
    let seconds = match error {
        watcher::Error::InitialListFailed(kube::Error::Api(status))
        | watcher::Error::WatchStartFailed(kube::Error::Api(status)) => {
            status.details.as_ref().map(|details| details.retry_after_seconds)
        }
        _ => None,
    };
    Duration::from_secs(seconds.unwrap_or_default().into()).min(MAX_RETRY_AFTER)
}

fn is_expired(error: &watcher::Error) -> bool {
    status(error).is_some_and(|(code, _)| code == 410)
}

/// Describes a failure below HTTP. An unreadable response is not quoted: it contains objects of the cluster.
fn transport(error: &watcher::Error) -> String {
    let inner = match error {
        watcher::Error::InitialListFailed(inner)
        | watcher::Error::WatchStartFailed(inner)
        | watcher::Error::WatchFailed(inner) => inner,
        watcher::Error::NoResourceVersion | watcher::Error::WatchError(_) => return error.to_string(),
    };
    if matches!(inner, kube::Error::SerdeError(_) | kube::Error::FromUtf8(_)) {
        return "unreadable response".to_owned();
    }
    // The outermost error is only "ServiceError" or "HyperError"; its sources say what happened.
    let mut text = inner.to_string();
    let mut next = std::error::Error::source(inner);
    while let Some(cause) = next {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        next = cause.source();
    }
    text
}

/// Passes `events` to `handle` and waits out errors with backoff, until `events` ends.
pub(in crate::controller) async fn follow<K>(
    stream: Arc<WatchStream>,
    events: impl Stream<Item = watcher::Result<Event<K>>>,
    metrics: Arc<Metrics>,
    retry: (Duration, Duration),
    handle: impl Fn(Event<K>),
) {
    let mut events = std::pin::pin!(events);
    let mut backoff = Backoff::default();
    // Of watches that expire soon after their list: a complete list does not show that it can be watched from.
    let mut expiries = Backoff::default();
    let mut started = Instant::now();
    loop {
        stream.lock().polled = Instant::now();
        let item = match tokio::time::timeout(HEARTBEAT, events.next()).await {
            Ok(Some(item)) => item,
            Ok(None) => return,
            // Idle. Dropping `next` loses nothing.
            Err(_) => continue,
        };
        match item {
            Ok(event) => {
                // The watcher emits Init before it sends the list request: no success yet.
                if !matches!(event, Event::Init) {
                    // Only a complete list counts: after single items, a bad page would be requested without backoff.
                    if matches!(event, Event::InitDone) {
                        backoff = Backoff::default();
                        started = Instant::now();
                    }
                    stream.succeeded(matches!(event, Event::InitDone));
                }
                handle(event);
            }
            Err(error) => {
                stream.failed(&error, &metrics);
                if !matches!(error, watcher::Error::InitialListFailed(_)) && started.elapsed() >= STABLE {
                    backoff = Backoff::default();
                    expiries = Backoff::default();
                }
                let mut due: Instant = backoff.failed(Instant::now().into_std(), retry).into();
                if is_expired(&error) {
                    due = due.max(expiries.failed(Instant::now().into_std(), retry).into());
                }
                tokio::time::sleep_until(due.max(Instant::now() + retry_after(&error))).await;
                started = Instant::now();
            }
        }
    }
}

#[cfg(test)]
mod tests;
