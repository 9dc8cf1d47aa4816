//! The broker: the pure parts behind a lock, and the tasks that open documents.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Instant;

use futures::FutureExt as _;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::answer::{Answer, Host, Note, Slot};
use super::core::Next;
use super::opening::Opening;
use super::request::{ObjectName, Request};
use super::settings::BrokerSettings;
use super::shared::{Shared, now};
use super::table::{Asked, Ticket};
use crate::kms::{KeyUri, Registry};
use crate::sync::lock;

/// Opens documents within the limits of their KMS keys. `R` is the [refusal](Host::Refusal) of its host.
///
/// Any task may ask; [`Broker::run`] does the work.
pub struct Broker<R>(Arc<Shared<R>>);

/// The current state of a broker, for gauges.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gauges {
    /// Requests that wait or run.
    pub pending: usize,
    /// Cached data keys.
    pub cached_data_keys: usize,
    /// KMS keys whose circuit breaker is open.
    pub open_breakers: usize,
}

impl<R: Send + 'static> Broker<R> {
    /// Creates a broker without requests.
    pub fn new(settings: BrokerSettings) -> Self {
        Broker(Arc::new(Shared::new(settings)))
    }

    /// Returns the answer for this uid and generation of an object, or requests it. [`Host::answered`] reports when it
    /// is there.
    pub fn ask(&self, request: &Request) -> Asked<Answer<R>> {
        let asked = lock(&self.0.core).ask(request, now());
        if matches!(asked, Asked::Pending(_)) {
            self.0.gate.wake.notify_one();
        }
        asked
    }

    /// Returns the answer for this uid and generation of an object, if it is there, and requests nothing.
    pub fn take(&self, request: &Request) -> Option<Answer<R>> {
        lock(&self.0.core).table.take(request)
    }

    /// Returns the current point in the sequence of answers, for [`Broker::release`].
    pub fn ticket(&self) -> Ticket {
        lock(&self.0.core).table.ticket()
    }

    /// Drops the object's answer if it arrived before `ticket`: the reconcile that took the ticket could have asked for
    /// it and did not. With `withdraw`, drops its waiting request too.
    pub fn release(&self, object: &ObjectName, ticket: Ticket, withdraw: bool) {
        lock(&self.0.core).table.release(object, ticket, withdraw);
    }

    /// Drops every cached data key: after a change of policy, allowed keys or credentials, a restored etcd, or loss of
    /// leadership. Calls in flight store nothing.
    pub fn clear(&self) {
        lock(&self.0.core).cache.clear();
    }

    /// The number of requests of a namespace that wait.
    pub fn waiting(&self, namespace: &str) -> usize {
        lock(&self.0.core).table.waiting_of(namespace)
    }

    /// Returns the current state for gauges.
    pub fn gauges(&self) -> Gauges {
        let mut core = lock(&self.0.core);
        Gauges {
            pending: core.table.pending(),
            cached_data_keys: core.cache.len(),
            open_breakers: core.breakers.open(now()),
        }
    }

    /// Serves requests until `stop`. Openings in flight are then aborted.
    pub async fn run(&self, host: Arc<dyn Host<Refusal = R>>, registry: Registry, stop: CancellationToken) {
        let mut running = JoinSet::new();
        let work = async {
            loop {
                while running.try_join_next().is_some() {}
                match self.next() {
                    Started::Request(request, grant, slot, since) => {
                        host.note(Note::Started(now().saturating_duration_since(since)));
                        running.spawn(serve(
                            self.0.clone(),
                            host.clone(),
                            registry.clone(),
                            request,
                            grant,
                            slot,
                        ));
                    }
                    Started::Nothing(Some(at)) => tokio::select! {
                        () = self.0.gate.wake.notified() => {}
                        () = tokio::time::sleep_until(at.into()) => {}
                    },
                    Started::Nothing(None) => self.0.gate.wake.notified().await,
                }
            }
        };
        stop.run_until_cancelled(work).await;
    }

    fn next(&self) -> Started {
        let mut core = lock(&self.0.core);
        let mut slots = lock(&self.0.gate.slots);
        match core.next(&slots, now()) {
            Next::Start(request, grant, since) => {
                let namespace = request.object.namespace.clone();
                slots.started(&namespace);
                let slot = Slot::taken(self.0.gate.clone(), namespace);
                Started::Request(request, grant, slot, since)
            }
            Next::Wait(at) => Started::Nothing(at),
        }
    }
}

enum Started {
    Request(Request, Option<KeyUri>, Slot, Instant),
    Nothing(Option<Instant>),
}

/// Serves one request.
async fn serve<R: Send + 'static>(
    shared: Arc<Shared<R>>,
    host: Arc<dyn Host<Refusal = R>>,
    registry: Registry,
    request: Request,
    grant: Option<KeyUri>,
    slot: Slot,
) {
    let mut guard = AnswerGuard {
        shared,
        host,
        request,
        answer: Some(Answer::Broken),
    };
    let opening = Opening {
        shared: &guard.shared,
        host: &*guard.host,
        registry: &registry,
        request: &guard.request,
        grant,
    };
    // A panic is an answer, so that the object backs off. Its payload may quote the document.
    let answer = AssertUnwindSafe(opening.run(slot)).catch_unwind().await;
    guard.answer = answer.unwrap_or(Some(Answer::Broken));
}

/// Records the answer on drop, even if the task was cancelled. Without an answer, the request waits again.
struct AnswerGuard<R: Send + 'static> {
    shared: Arc<Shared<R>>,
    host: Arc<dyn Host<Refusal = R>>,
    request: Request,
    answer: Option<Answer<R>>,
}

impl<R: Send + 'static> Drop for AnswerGuard<R> {
    fn drop(&mut self) {
        match self.answer.take() {
            Some(answer) => {
                self.host.note(Note::Answered(answer.as_str()));
                let unwanted = lock(&self.shared.core).table.finish(&self.request, answer);
                drop(unwanted);
                self.host.answered(&self.request);
            }
            None => lock(&self.shared.core).table.requeue(self.request.clone()),
        }
        self.shared.gate.wake.notify_one();
    }
}
