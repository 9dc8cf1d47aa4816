//! The reconcile loop: runs what the work queue holds, within its bounds.

use std::sync::Arc;
use std::time::Instant;

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::clock::now;
use super::context::Context;
use super::opener::name_of;
use super::queue::Next;
use super::reconcile::reconcile;
use super::reconciler::Outcome;
use crate::controller::key::ObjectKey;
use crate::lanes::Bounds;

/// Concurrent reconciles, and the most of one namespace while others wait: twice as many as concurrent writes, so that
/// planning does not wait for those.
pub(in crate::controller) const RECONCILES: Bounds = Bounds {
    total: 64,
    contended: 16,
};

/// The running reconciles.
#[derive(Clone, Default)]
pub(in crate::controller) struct Reconciles {
    tracker: TaskTracker,
    abort: CancellationToken,
}

impl Reconciles {
    /// Runs a reconcile, unless it is aborted.
    fn spawn(&self, reconcile: impl Future<Output = ()> + Send + 'static) {
        let abort = self.abort.clone();
        self.tracker
            .spawn(async move { abort.run_until_cancelled_owned(reconcile).await });
    }

    /// Waits for all reconciles until `deadline`, then aborts the rest. None of them sends a request afterwards.
    pub(in crate::controller) async fn finish(&self, deadline: tokio::time::Instant) {
        self.tracker.close();
        if tokio::time::timeout_at(deadline, self.tracker.wait())
            .await
            .is_err()
        {
            let running = self.tracker.len();
            tracing::warn!(running, "aborting reconciles that did not finish in time");
            self.abort.cancel();
            self.tracker.wait().await;
        }
    }
}

/// Reconciles the queued keys until `stop`.
pub(in crate::controller) async fn run(
    context: Arc<Context>,
    reconciles: Reconciles,
    stop: CancellationToken,
) {
    let dispatch = async {
        context.schema.known().await;
        loop {
            let Next {
                key,
                waited,
                queued_at,
            } = context.queue.next().await;
            context.metrics.lane_waited("reconcile", waited);
            let context = context.clone();
            reconciles.spawn(async move {
                let mut guard = DoneGuard {
                    context,
                    key,
                    started: now(),
                    requeue_at: None,
                    finished: false,
                };
                guard.requeue_at = reconcile(&guard.context, &guard.key, queued_at.into()).await;
                guard.finished = true;
                drop(guard);
            });
        }
    };
    stop.run_until_cancelled(dispatch).await;
}

/// Returns the key to the queue on drop; after a panic with a delay. An aborted reconcile is dropped too.
struct DoneGuard {
    context: Arc<Context>,
    key: ObjectKey,
    started: Instant,
    requeue_at: Option<Instant>,
    finished: bool,
}

impl Drop for DoneGuard {
    fn drop(&mut self) {
        if !self.finished {
            if std::thread::panicking() {
                let (namespace, name) = (&*self.key.namespace, &*self.key.name);
                tracing::error!(namespace, name, "reconcile panicked; requeued");
                let took = now().saturating_duration_since(self.started);
                let metrics = &self.context.metrics;
                metrics.reconciled(Outcome::Broken.as_str(), "", took);
                // An answer that is not used keeps a plaintext and its slot.
                let broker = &self.context.broker;
                broker.release(&name_of(&self.key), broker.ticket(), true);
            }
            self.requeue_at = Some(now() + self.context.timings.retry_max);
            if let Some(cache) = self.context.stores.cache(&self.key) {
                cache.abandon(&self.key);
            }
        }
        self.context
            .queue
            .done(&self.key, self.requeue_at.map(Into::into));
    }
}
