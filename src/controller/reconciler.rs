//! The types of one reconcile. The steps are in `reconcile`, `live_read`, `apply` and `report`.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use tokio::time::Instant;

use super::backoff::Backoff;
use super::context::Context;
use super::key::ObjectKey;
use super::object::Object;
use super::object_state::ObjectState;
use super::opener::Opening;
use super::plan::{Desired, SecretState};
use super::secret_facts::SecretFacts;
use super::store::NamespaceCache;
use super::timings::Timings;
use crate::api::{Outcome, Reason};
use crate::envelope::Accepted;

/// What a reconcile did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Action {
    /// The object does not exist or is being deleted.
    Gone,
    /// Left alone: a newer controller wrote the Secret, or the Secret is being deleted.
    LeftAlone,
    /// Nothing to do.
    Skipped,
    /// Only the status was written.
    StatusWritten,
    /// The Secret is intact under a new resourceVersion, and the status now records that version.
    Restamped,
    /// The document or the Secret's ownership does not allow a write.
    Refused,
    /// The document was queued for opening.
    Opening,
    /// A failed attempt is not due for its retry yet.
    Waiting,
    /// An attempt failed; a retry is scheduled.
    Failed,
    /// The Secret was written.
    Written,
    /// The document was opened to verify its new wraps.
    Verified,
    /// The observed state kept changing.
    Contended,
    /// A live read failed; it is retried.
    ReadFailed,
    /// Writing the status failed; it is retried.
    StatusWriteFailed,
    /// The namespace is being deleted, or the object is gone.
    Terminating,
}

impl Action {
    /// Returns the metric label `outcome`.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Action::Gone => "gone",
            Action::LeftAlone => "left",
            Action::Skipped => "skipped",
            Action::StatusWritten => "status",
            Action::Restamped => "restamped",
            Action::Refused => "refused",
            Action::Opening => "opening",
            Action::Waiting => "waiting",
            Action::Failed => "failed",
            Action::Written => "written",
            Action::Verified => "verified",
            Action::Contended => "contended",
            Action::ReadFailed => "unread",
            Action::StatusWriteFailed => "unreported",
            Action::Terminating => "ending",
        }
    }
}

/// The result of a reconcile.
pub(super) struct Finished {
    pub(super) action: Action,
    /// The reason for the metric label `reason`; `None` if there is nothing to report.
    pub(super) reason: Option<Reason>,
    /// When to reconcile again without another trigger.
    pub(super) requeue_at: Option<Instant>,
}

impl Finished {
    /// A result that leaves the status alone and needs no requeue.
    pub(super) fn silently(action: Action) -> Self {
        Finished {
            action,
            reason: None,
            requeue_at: None,
        }
    }
}

/// What follows one round of a reconcile.
pub(super) enum Step {
    /// The observed state has changed: observe and plan again, immediately.
    Replan,
    Finished(Finished),
    /// A live read was refused or failed: the current state is unknown.
    Unread(Outcome),
}

/// The observed state that one round is based on.
pub(super) struct Snapshot {
    pub(super) object: Object,
    pub(super) secret: Option<Arc<SecretFacts>>,
    pub(super) document: Result<(Accepted, Desired), Outcome>,
    pub(super) secret_state: SecretState,
}

/// The result of reading the Secret by name. The watch delivers only Secrets with our label.
pub(super) enum LiveRead {
    NotRead,
    /// There is no Secret, or it has our label: then the watch delivers it.
    AbsentOrWatched,
    /// A Secret without our label.
    Unwatched(Arc<SecretFacts>),
}

impl LiveRead {
    pub(super) fn unwatched(&self) -> Option<&Arc<SecretFacts>> {
        match self {
            LiveRead::NotRead | LiveRead::AbsentOrWatched => None,
            LiveRead::Unwatched(facts) => Some(facts),
        }
    }
}

/// One reconcile of one object.
pub(super) struct Reconciler<'a> {
    pub(super) context: &'a Context,
    pub(super) cache: &'a NamespaceCache,
    pub(super) key: &'a ObjectKey,
    pub(super) state: ObjectState,
    /// The result of opening the document, if it arrived and was not consumed yet.
    pub(super) opening: Option<Opening>,
    pub(super) live_read: LiveRead,
    /// Whether this reconcile has read object and Secret before opening the document again.
    pub(super) facts_checked: bool,
    /// The object is gone: nothing about it needs to be remembered.
    pub(super) object_gone: bool,
}

impl Reconciler<'_> {
    /// Finishes: there is no object to maintain a Secret for. The garbage collector deletes the Secret.
    pub(super) fn finish_gone(&mut self) -> Step {
        self.object_gone = true;
        Step::Finished(Finished::silently(Action::Gone))
    }

    /// Finishes without touching the status; retries with backoff.
    pub(super) fn retry_later(&mut self, action: Action) -> Finished {
        Finished {
            requeue_at: Some(next_retry(&mut self.state.status_retries, &self.context.timings)),
            ..Finished::silently(action)
        }
    }

    /// Returns the time until which the watch is expected to deliver a write made now.
    pub(super) fn new_expectation_deadline(&self) -> Instant {
        Instant::now() + self.state.expectation(self.context.timings.expectation)
    }

    pub(super) fn epoch(&self) -> u64 {
        self.context.epoch.load(Ordering::Relaxed)
    }
}

/// Counts a failure in `backoff` and returns the time of the next retry.
pub(super) fn next_retry(backoff: &mut Backoff, timings: &Timings) -> Instant {
    backoff.failed(Instant::now(), (timings.retry_min, timings.retry_max))
}
