//! What the controller remembers about one object between reconciles. Losing it is safe: it only saves calls.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::api::{Applied, Finding, Reason, Rejection, Sealed};
use crate::backoff::ExponentialBackoff;
use crate::controller::backoff::Backoff;
use crate::controller::decide::cures::{Blocked, CureLog};
use crate::controller::decide::damping::{Admission, Damping, DampingTimes, Heals};
use crate::controller::decide::plan::Cause;
use crate::controller::observe::object::Object;
use crate::controller::observe::secret_facts::SecretFacts;

/// What is remembered about one object. There is one for each object, also while nothing is wrong with it: what is rare is
/// boxed.
#[derive(Debug, Default)]
pub(in crate::controller) struct ObjectState {
    uid: Option<Arc<str>>,
    generation: i64,
    /// When this generation was first seen; `None` once its Secret is written.
    pub(in crate::controller) first_seen: Option<Instant>,
    failure: Option<Box<Failure>>,
    /// A refusal that only other keys can cure, and the last change of keys when it was found.
    refused: Option<Box<(Blocked, u64)>>,
    /// The last change of keys and credentials when the current attempt to open the document began.
    attempt: Option<u64>,
    /// The Secret that the last failed attempt found.
    pub(in crate::controller) failed_secret: Option<Arc<SecretFacts>>,
    /// Whether a dry run without values has not been refused since the last failure.
    pub(in crate::controller) probed: bool,
    /// A foreign Secret that no watch delivers.
    pub(in crate::controller) foreign: Option<Box<ForeignSecret>>,
    /// A success that is not in the status yet.
    pub(in crate::controller) unreported: Option<Box<Unreported>>,
    /// How often in succession a write was read live because the watch had not delivered it in time.
    pub(in crate::controller) overdue_reads: u32,
    /// Backoff of reads and status writes.
    pub(in crate::controller) status_retries: Backoff,
    /// The value of the annotation `reconcile-at` that was handled last.
    pub(in crate::controller) handled_request: Option<Box<str>>,
    requests: Damping,
    /// Log lines about changes that users cause.
    announcements: Option<Box<Damping>>,
    /// Whether the object was suspended when it was last reconciled; `None` if it was not reconciled yet.
    suspended: Option<bool>,
    /// The generation that was last found applied.
    synced_generation: Option<i64>,
    /// Heals of the Secret.
    pub(in crate::controller) heals: Heals,
    /// Status writes because of a new resourceVersion of an intact Secret.
    pub(in crate::controller) restamps: Damping,
    /// The content of the last status write.
    pub(in crate::controller) reported: Option<u64>,
    /// Status writes that restore that content.
    pub(in crate::controller) status_restores: Damping,
}

/// What the annotation `reconcile-at` requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::controller) enum Request {
    /// Nothing new.
    None,
    /// A retry now.
    Granted,
    /// A retry, but there were too many of late: not before this time.
    Delayed(Instant),
}

/// The last attempt, which failed.
#[derive(Debug)]
struct Failure {
    finding: Finding,
    blocked: Blocked,
    /// The last change of keys and credentials when the attempt began; a later one may cure it.
    last_cure: u64,
    backoff: Backoff,
}

/// A foreign Secret as it was last read, and the backoff of re-reading it.
#[derive(Debug)]
pub(in crate::controller) struct ForeignSecret {
    pub(in crate::controller) facts: Arc<SecretFacts>,
    pub(in crate::controller) rechecks: Backoff,
}

/// The fields of the status that record a success.
#[derive(Debug)]
pub(in crate::controller) struct Unreported {
    pub(in crate::controller) applied: Applied,
    pub(in crate::controller) sealed: Sealed,
}

impl ObjectState {
    /// Takes note of the current object. A new uid or generation is tried immediately. `since` is when its event was queued.
    pub(in crate::controller) fn observe(&mut self, object: &Object, since: Instant) {
        if self.uid.as_ref() != Some(&object.uid) {
            *self = ObjectState {
                uid: Some(object.uid.clone()),
                ..ObjectState::default()
            };
        } else if self.generation == object.generation {
            return;
        }
        self.generation = object.generation;
        self.first_seen = Some(since);
        self.failure = None;
        self.refused = None;
        self.attempt = None;
        self.probed = false;
        self.foreign = None;
    }

    /// Handles the annotation `reconcile-at`: for a new value, what failed is retried immediately.
    pub(in crate::controller) fn handle_request(
        &mut self,
        object: &Object,
        now: Instant,
        times: &DampingTimes,
    ) -> Request {
        let Some(value) = &object.wishes.reconcile_at else {
            return Request::None;
        };
        let handled = object.status.last_handled_reconcile_at.as_deref();
        if handled == Some(value) || self.handled_request.as_ref() == Some(value) {
            return Request::None;
        }
        // A value that changes all the time must not replace every backoff.
        if let Admission::Delayed { until, .. } = self.requests.request(now, times) {
            return Request::Delayed(until);
        }
        self.handled_request = Some(value.clone());
        self.failure = None;
        self.foreign = None;
        self.heals.expedite();
        Request::Granted
    }

    /// Whether another change of the object may be logged at its own level. Otherwise a user who changes it all the time would
    /// fill the log.
    pub(in crate::controller) fn admits_log(&mut self, now: Instant, times: &DampingTimes) -> bool {
        let announcements = self.announcements.get_or_insert_default();
        announcements.request(now, times) == Admission::Granted
    }

    /// Records whether the object is suspended. Returns whether that has changed.
    pub(in crate::controller) fn suspend(&mut self, suspended: bool) -> bool {
        self.suspended.replace(suspended) == Some(!suspended)
    }

    /// Returns the last failure and the time of its retry, unless the retry is due.
    pub(in crate::controller) fn pending_retry(
        &self,
        cures: &CureLog,
        now: Instant,
    ) -> Option<(Finding, Instant)> {
        let failure = self.failure.as_ref()?;
        if cures.may_cure(&failure.blocked, failure.last_cure) {
            return None;
        }
        let due = failure.backoff.due().filter(|due| now < *due)?;
        Some((failure.finding.clone(), due))
    }

    /// Records that an attempt to open the document begins, after this change of keys and credentials.
    pub(in crate::controller) fn attempt(&mut self, last_cure: u64) {
        // An attempt that is still waiting for the KMS began earlier.
        self.attempt.get_or_insert(last_cure);
    }

    /// Records that the document must not be opened with the keys that are usable now.
    pub(in crate::controller) fn refused(&mut self, blocked: Blocked, last_cure: u64) {
        self.refused = Some(Box::new((blocked, last_cure)));
    }

    /// Whether keys or credentials have changed in a way that may cure what the object failed for.
    pub(in crate::controller) fn is_cured(&self, cures: &CureLog) -> bool {
        let failure = self
            .failure
            .as_ref()
            .map(|failure| (&failure.blocked, failure.last_cure));
        let refused = self.refused.as_deref().map(|(blocked, since)| (blocked, *since));
        let mut all = failure.into_iter().chain(refused);
        all.any(|(blocked, since)| cures.may_cure(blocked, since))
    }

    /// Records a failure and returns the time of its retry. `last_cure` is the last change of keys and credentials; if an
    /// attempt to open the document failed, the one when it began counts.
    pub(in crate::controller) fn failed(
        &mut self,
        finding: Finding,
        blocked: Blocked,
        last_cure: u64,
        now: Instant,
        retry: (Duration, Duration),
    ) -> Instant {
        let before = self.failure.take();
        let mut backoff = before.map(|failure| failure.backoff).unwrap_or_default();
        let due = backoff.failed(now, retry);
        self.failure = Some(Box::new(Failure {
            finding,
            blocked,
            last_cure: self.attempt.take().unwrap_or(last_cure),
            backoff,
        }));
        self.refused = None;
        self.probed = false;
        due
    }

    /// Delays the retry of the last failure to `at`, unless it is due later. Returns its time; `None` if there is no failure.
    pub(in crate::controller) fn not_before(&mut self, at: Instant) -> Option<Instant> {
        Some(self.failure.as_mut()?.backoff.not_before(at))
    }

    /// Whether the API server refused the last attempt: opening the document again cannot cure that.
    pub(in crate::controller) fn was_refused(&self) -> bool {
        let failure = self.failure.as_ref();
        failure.is_some_and(|failure| {
            matches!(
                failure.finding.reason(),
                Reason::ApiForbidden
                    | Reason::ApiUnavailable
                    | Reason::SecretRejected
                    | Reason::ImmutableSecret
            )
        })
    }

    /// Returns the failure if this Secret is its cause: as long as an immutable Secret exists, or one of another type is
    /// unchanged, no write can succeed.
    pub(in crate::controller) fn still_refused(&self, secret: Option<&SecretFacts>) -> Option<Finding> {
        let failure = self.failure.as_ref()?;
        let (failed, now) = (self.failed_secret.as_deref()?, secret?);
        let same = failed.uid == now.uid;
        let unchanged = same && failed.resource_version == now.resource_version;
        let refused = match &failure.finding {
            Finding::ImmutableSecret { .. } => same,
            finding => is_type_change(finding) && unchanged,
        };
        refused.then(|| failure.finding.clone())
    }

    /// Forgets a failure that an existing Secret caused, because it was deleted as its message advises.
    pub(in crate::controller) fn secret_deleted(&mut self) {
        let by_secret = |failure: &Failure| {
            matches!(failure.finding, Finding::ImmutableSecret { .. }) || is_type_change(&failure.finding)
        };
        if self.failure.as_deref().is_some_and(by_secret) {
            self.failure = None;
        }
    }

    /// Whether a document is being opened.
    pub(in crate::controller) fn is_attempting(&self) -> bool {
        self.attempt.is_some()
    }

    /// Whether the API server refused the last write for what a dry run without values can show.
    pub(in crate::controller) fn may_be_probed(&self) -> bool {
        self.failure
            .as_ref()
            .is_some_and(|failure| match &failure.finding {
                Finding::ApiForbidden { .. } | Finding::ApiUnavailable { .. } => true,
                Finding::SecretRejected { rejection } => {
                    matches!(rejection, Rejection::Quota | Rejection::Admission)
                }
                _ => false,
            })
    }

    /// Whether the API server rejected the values: the same document is rejected each time.
    pub(in crate::controller) fn is_rejected_for_values(&self, finding: &Finding) -> bool {
        match finding {
            Finding::SecretRejected { rejection } => {
                self.probed || matches!(rejection, Rejection::Invalid(_) | Rejection::TooLarge)
            }
            Finding::ApiForbidden { .. } => self.probed,
            _ => false,
        }
    }

    /// Whether opening the document for `cause` would apply a generation again that was applied before.
    pub(in crate::controller) fn is_heal(&self, cause: Cause) -> bool {
        matches!(cause, Cause::Missing | Cause::Edited) || self.synced_generation == Some(self.generation)
    }

    /// Records a success: nothing is left to retry, and a later repair does not count as delivery of this generation.
    pub(in crate::controller) fn succeeded(&mut self) {
        self.first_seen = None;
        self.failure = None;
        self.refused = None;
        self.attempt = None;
        self.probed = false;
        self.foreign = None;
        self.synced_generation = Some(self.generation);
        self.heals.finish();
    }

    /// Returns how long the watch may take to deliver a write: `first`, doubled by each live read in succession, up to 20
    /// times as long (30 s to 10 min).
    pub(in crate::controller) fn expectation(&self, first: Duration) -> Duration {
        let cap = first.saturating_mul(20);
        ExponentialBackoff { first, cap }.delay(self.overdue_reads.saturating_add(1))
    }

    /// Records that the status is up to date.
    pub(in crate::controller) fn status_written(&mut self) {
        self.unreported = None;
        self.status_retries = Backoff::default();
    }

    /// Overlays a success that is not in the status yet onto `object`.
    pub(in crate::controller) fn overlay(&self, object: &mut Object) {
        if let Some(Unreported { applied, sealed }) = self.unreported.as_deref() {
            object.set_applied(applied.clone(), sealed.clone());
        }
    }
}

fn is_type_change(finding: &Finding) -> bool {
    matches!(
        finding,
        Finding::SecretRejected {
            rejection: Rejection::TypeChange(_)
        }
    )
}

#[cfg(test)]
mod tests;
