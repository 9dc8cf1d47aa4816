//! The types of one reconcile. Its steps are in `reconcile`, `live_read`, `apply` and `report`.

use std::sync::Arc;
use std::time::Instant;

use super::clock::now;
use super::context::Context;
use super::opener::Opening;
use crate::api::{Finding, Reason};
use crate::controller::act::api_error::Refusal;
use crate::controller::backoff::Backoff;
use crate::controller::decide::desired::Desired;
use crate::controller::decide::object_state::ObjectState;
use crate::controller::decide::plan::SecretState;
use crate::controller::key::ObjectKey;
use crate::controller::observe::object::Object;
use crate::controller::observe::secret_facts::SecretFacts;
use crate::controller::observe::store::NamespaceCache;
use crate::controller::timings::Timings;

/// What a reconcile did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::controller) enum Outcome {
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
    /// The object is suspended: nothing was written.
    Suspended,
    /// A failed attempt is not due for its retry yet.
    Waiting,
    /// A correction is delayed, because another client changes the Secret or the status again each time.
    Damped,
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
    /// The reconcile panicked.
    Broken,
}

impl Outcome {
    /// Returns the metric label `outcome`.
    pub(in crate::controller) fn as_str(self) -> &'static str {
        match self {
            Outcome::Gone => "gone",
            Outcome::LeftAlone => "left",
            Outcome::Skipped => "skipped",
            Outcome::StatusWritten => "status",
            Outcome::Restamped => "restamped",
            Outcome::Refused => "refused",
            Outcome::Opening => "opening",
            Outcome::Suspended => "suspended",
            Outcome::Waiting => "waiting",
            Outcome::Damped => "damped",
            Outcome::Failed => "failed",
            Outcome::Written => "written",
            Outcome::Verified => "verified",
            Outcome::Contended => "contended",
            Outcome::ReadFailed => "unread",
            Outcome::StatusWriteFailed => "unreported",
            Outcome::Terminating => "ending",
            Outcome::Broken => "broken",
        }
    }

    /// Whether the reconcile has found that the document need not be opened now.
    pub(in crate::controller) fn needs_no_opening(self) -> bool {
        matches!(
            self,
            Outcome::Gone
                | Outcome::LeftAlone
                | Outcome::Skipped
                | Outcome::StatusWritten
                | Outcome::Restamped
                | Outcome::Refused
                | Outcome::Suspended
                | Outcome::Terminating
        )
    }
}

/// The result of a reconcile.
pub(in crate::controller) struct Finished {
    pub(in crate::controller) outcome: Outcome,
    /// The reason for the metric label `reason`; `None` if there is nothing to report.
    pub(in crate::controller) reason: Option<Reason>,
    /// When to reconcile again without another trigger.
    pub(in crate::controller) requeue_at: Option<Instant>,
}

impl Finished {
    /// A result that leaves the status alone and needs no requeue.
    pub(in crate::controller) fn silently(outcome: Outcome) -> Self {
        Finished {
            outcome,
            reason: None,
            requeue_at: None,
        }
    }
}

/// What follows one round of a reconcile.
pub(in crate::controller) enum Step {
    /// The observed state has changed: observe and plan again, immediately.
    Replan,
    Finished(Finished),
    /// A live read was refused or failed: the current state is unknown.
    Unread(Refusal),
}

/// The observed state that one round is based on.
pub(in crate::controller) struct Snapshot {
    pub(in crate::controller) object: Object,
    pub(in crate::controller) secret: Option<Arc<SecretFacts>>,
    /// The desired state of the Secret, or why the document must not be opened.
    pub(in crate::controller) desired: Result<Desired, Finding>,
    pub(in crate::controller) secret_state: SecretState,
}

impl Snapshot {
    /// Returns the URIs of the KMS keys of all wraps; none if the document is not acceptable.
    pub(in crate::controller) fn wrap_keys(&self) -> impl Iterator<Item = &str> {
        let facts = self
            .object
            .summary
            .facts
            .as_ref()
            .ok()
            .filter(|_| self.desired.is_ok());
        let data_keys = facts.into_iter().flat_map(|facts| &facts.data_keys);
        data_keys.flat_map(|data_key| &data_key.keys).map(|key| &**key)
    }
}

/// The result of reading the Secret by name. The watch delivers only Secrets with our label.
pub(in crate::controller) enum LiveRead {
    NotRead,
    /// There is no Secret, or it has our label: then the watch delivers it.
    AbsentOrWatched,
    /// A Secret without our label.
    Unwatched(Arc<SecretFacts>),
}

impl LiveRead {
    pub(in crate::controller) fn unwatched(&self) -> Option<&Arc<SecretFacts>> {
        match self {
            LiveRead::NotRead | LiveRead::AbsentOrWatched => None,
            LiveRead::Unwatched(facts) => Some(facts),
        }
    }
}

/// One reconcile of one object.
#[expect(
    clippy::struct_excessive_bools,
    reason = "independent facts, not states of one machine"
)]
pub(in crate::controller) struct Reconciler<'a> {
    pub(in crate::controller) context: &'a Context,
    pub(in crate::controller) cache: &'a NamespaceCache,
    pub(in crate::controller) key: &'a ObjectKey,
    /// When this reconcile was queued.
    pub(in crate::controller) queued_at: Instant,
    pub(in crate::controller) state: Box<ObjectState>,
    /// The result of opening the document, if it arrived and was not consumed yet.
    pub(in crate::controller) opening: Option<Opening>,
    pub(in crate::controller) live_read: LiveRead,
    /// Whether this reconcile has read object and Secret before opening the document again.
    pub(in crate::controller) facts_checked: bool,
    /// When a request by the annotation `reconcile-at` is due that came too soon after others.
    pub(in crate::controller) request_due: Option<Instant>,
    /// Whether a write of the Secret was refused, because the Secret or the object had changed.
    pub(in crate::controller) write_conflicted: bool,
    /// Whether this reconcile has deleted the Secret to create it with another type.
    pub(in crate::controller) recreated: bool,
    /// The last change of keys and credentials when this reconcile began.
    pub(in crate::controller) last_cure: u64,
    /// The object is gone: nothing about it needs to be remembered.
    pub(in crate::controller) object_gone: bool,
}

/// Keeps the state for the next reconcile, however this one ends: without its backoff, an object whose reconcile panics
/// would be opened again at every event.
impl Drop for Reconciler<'_> {
    fn drop(&mut self) {
        if self.object_gone {
            self.cache.forget(self.key);
        } else {
            let state = std::mem::take(&mut self.state);
            self.context.states().insert(self.key.clone(), state);
        }
    }
}

impl Reconciler<'_> {
    /// Finishes: there is no object to maintain a Secret for. The garbage collector deletes the Secret.
    pub(in crate::controller) fn finish_gone(&mut self) -> Step {
        self.object_gone = true;
        Step::Finished(Finished::silently(Outcome::Gone))
    }

    /// Finishes without touching the status; retries with backoff.
    pub(in crate::controller) fn retry_later(&mut self, outcome: Outcome) -> Finished {
        Finished {
            requeue_at: Some(next_retry(&mut self.state.status_retries, &self.context.timings)),
            ..Finished::silently(outcome)
        }
    }

    /// Returns the time until which the watch is expected to deliver a write made now.
    pub(in crate::controller) fn new_expectation_deadline(&self) -> tokio::time::Instant {
        tokio::time::Instant::now() + self.state.expectation(self.context.timings.expectation)
    }
}

/// Counts a failure in `backoff` and returns the time of the next retry.
pub(in crate::controller) fn next_retry(backoff: &mut Backoff, timings: &Timings) -> Instant {
    backoff.failed(now(), (timings.retry_min, timings.retry_max))
}
