//! What the controller remembers about one object between reconciles. Losing it is safe: it only saves calls.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::api::{Applied, Outcome, Reason, Sealed};
use crate::backoff::ExponentialBackoff;
use crate::controller::backoff::Backoff;
use crate::controller::decide::cures::{Blocked, CureLog};
use crate::controller::decide::damping::{Damping, Heals};
use crate::controller::decide::plan::Cause;
use crate::controller::observe::object::Object;
use crate::controller::observe::secret_facts::SecretFacts;

/// What is remembered about one object.
#[derive(Debug, Default)]
pub(in crate::controller) struct ObjectState {
    uid: Option<Arc<str>>,
    generation: i64,
    /// When this generation was first seen; `None` once its Secret is written.
    pub(in crate::controller) first_seen: Option<Instant>,
    failure: Option<Failure>,
    /// A refusal that only other keys can cure, and the last change of keys when it was found.
    refused: Option<(Blocked, u64)>,
    /// The last change of keys and credentials when the current attempt to open the document began.
    attempt: Option<u64>,
    /// The uid of the Secret that the last failed attempt found.
    pub(in crate::controller) failed_secret: Option<Box<str>>,
    /// A foreign Secret that no watch delivers.
    pub(in crate::controller) foreign: Option<ForeignSecret>,
    /// A success that is not in the status yet.
    pub(in crate::controller) unreported: Option<Unreported>,
    /// How often in succession a write was read live because the watch had not delivered it in time.
    pub(in crate::controller) overdue_reads: u32,
    /// Backoff of reads and status writes.
    pub(in crate::controller) status_retries: Backoff,
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

/// The last attempt, which failed.
#[derive(Debug)]
struct Failure {
    outcome: Outcome,
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
    /// Takes note of the current object. A new uid or generation is tried immediately.
    pub(in crate::controller) fn observe(&mut self, object: &Object, now: Instant) {
        if self.uid.as_ref() != Some(&object.uid) {
            *self = ObjectState {
                uid: Some(object.uid.clone()),
                ..ObjectState::default()
            };
        } else if self.generation == object.generation {
            return;
        }
        self.generation = object.generation;
        self.first_seen = Some(now);
        self.failure = None;
        self.refused = None;
        self.foreign = None;
    }

    /// Returns the last failure and the time of its retry, unless the retry is due.
    pub(in crate::controller) fn pending_retry(
        &self,
        cures: &CureLog,
        now: Instant,
    ) -> Option<(Outcome, Instant)> {
        let failure = self.failure.as_ref()?;
        if cures.may_cure(&failure.blocked, failure.last_cure) {
            return None;
        }
        let due = failure.backoff.due().filter(|due| now < *due)?;
        Some((failure.outcome.clone(), due))
    }

    /// Records that an attempt to open the document begins, after this change of keys and credentials.
    pub(in crate::controller) fn attempt(&mut self, last_cure: u64) {
        // An attempt that is still waiting for the KMS began earlier.
        self.attempt.get_or_insert(last_cure);
    }

    /// Records that the document must not be opened with the keys that are usable now.
    pub(in crate::controller) fn refused(&mut self, blocked: Blocked, last_cure: u64) {
        self.refused = Some((blocked, last_cure));
    }

    /// Whether keys or credentials have changed in a way that may cure what the object failed for.
    pub(in crate::controller) fn is_cured(&self, cures: &CureLog) -> bool {
        let failure = self
            .failure
            .as_ref()
            .map(|failure| (&failure.blocked, failure.last_cure));
        let refused = self.refused.as_ref().map(|(blocked, since)| (blocked, *since));
        let mut all = failure.into_iter().chain(refused);
        all.any(|(blocked, since)| cures.may_cure(blocked, since))
    }

    /// Records a failure and returns the time of its retry. `last_cure` is the last change of keys and credentials; if an
    /// attempt to open the document failed, the one when it began counts.
    pub(in crate::controller) fn failed(
        &mut self,
        outcome: Outcome,
        blocked: Blocked,
        last_cure: u64,
        now: Instant,
        retry: (Duration, Duration),
    ) -> Instant {
        let before = self.failure.take();
        let mut backoff = before.map(|failure| failure.backoff).unwrap_or_default();
        let due = backoff.failed(now, retry);
        self.failure = Some(Failure {
            outcome,
            blocked,
            last_cure: self.attempt.take().unwrap_or(last_cure),
            backoff,
        });
        self.refused = None;
        due
    }

    /// Whether the API server refused the last attempt: opening the document again cannot cure that.
    pub(in crate::controller) fn was_refused(&self) -> bool {
        let failure = self.failure.as_ref();
        failure.is_some_and(|failure| {
            matches!(
                failure.outcome.reason(),
                Reason::ApiForbidden
                    | Reason::ApiUnavailable
                    | Reason::SecretRejected
                    | Reason::ImmutableSecret
            )
        })
    }

    /// Returns an `ImmutableSecret` failure that concerns the Secret with this uid: as long as that Secret exists, no
    /// write can succeed.
    pub(in crate::controller) fn still_immutable(&self, secret_uid: Option<&str>) -> Option<Outcome> {
        let failure = self.failure.as_ref()?;
        let same = secret_uid.is_some() && self.failed_secret.as_deref() == secret_uid;
        (same && failure.outcome.reason() == Reason::ImmutableSecret).then(|| failure.outcome.clone())
    }

    /// Forgets an `ImmutableSecret` failure, because the Secret was deleted as its message advises.
    pub(in crate::controller) fn clear_immutable(&mut self) {
        let immutable = |failure: &Failure| matches!(failure.outcome, Outcome::ImmutableSecret { .. });
        if self.failure.as_ref().is_some_and(immutable) {
            self.failure = None;
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
        if let Some(Unreported { applied, sealed }) = &self.unreported {
            object.set_applied(applied.clone(), sealed.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::KmsResponse;
    use crate::controller::decide::cures::Cure;
    use crate::controller::observe::decode;
    use serde_json::json;

    const RETRY: (Duration, Duration) = (Duration::from_secs(1), Duration::from_mins(5));

    fn object(uid: &str, generation: i64) -> Object {
        let text = json!({"metadata": {"name": "db", "namespace": "prod", "uid": uid, "resourceVersion": "7",
                          "generation": generation}, "spec": {}});
        decode::item::<Object>(&text.to_string()).expect("an object").1
    }

    const KEY: &str = "local://fa1975b2";

    fn fail(state: &mut ObjectState, outcome: Outcome, now: Instant) -> Instant {
        let blocked = Blocked::new(outcome.reason(), [KEY].into_iter());
        state.failed(outcome, blocked, 0, now, RETRY)
    }

    fn throttled(code: &str, request: &str) -> Outcome {
        let response = KmsResponse {
            code: Some(code.into()),
            message: None,
            request_id: Some(request.into()),
        };
        Outcome::KmsThrottled {
            key: Box::default(),
            response,
        }
    }

    #[test]
    fn failure_is_retried_later_but_new_generation_immediately() {
        let now = Instant::now();
        let mut state = ObjectState::default();
        state.observe(&object("o-1", 1), now);
        let due = fail(&mut state, throttled("Limit", "r-1"), now);
        assert_eq!(
            state.pending_retry(&CureLog::default(), now),
            Some((throttled("Limit", "r-1"), due))
        );
        assert_eq!(state.pending_retry(&CureLog::default(), due), None, "due");
        let mut cures = CureLog::default();
        cures.record(&Cure::Keys(vec!["local://00000000".into()]));
        assert!(
            !state.is_cured(&cures) && state.pending_retry(&cures, now).is_some(),
            "another key"
        );
        cures.record(&Cure::Keys(vec![KEY.into()]));
        assert!(
            state.is_cured(&cures) && state.pending_retry(&cures, now).is_none(),
            "a key of its document"
        );
        state.observe(&object("o-1", 1), now);
        assert!(
            state.pending_retry(&CureLog::default(), now).is_some(),
            "same object"
        );
        state.observe(&object("o-1", 2), now);
        assert_eq!(
            state.pending_retry(&CureLog::default(), now),
            None,
            "new generation"
        );
        assert_eq!(state.first_seen, Some(now));
        state.succeeded();
        state.observe(&object("o-1", 2), now);
        assert_eq!(state.first_seen, None, "its Secret is already written");
        fail(&mut state, throttled("Limit", "r-1"), now);
        state.observe(&object("o-2", 2), now);
        assert_eq!(
            state.pending_retry(&CureLog::default(), now),
            None,
            "new object of the same name"
        );
    }

    #[test]
    fn change_during_an_attempt_cures_its_failure() {
        let now = Instant::now();
        let mut state = ObjectState::default();
        state.observe(&object("o-1", 1), now);
        let mut cures = CureLog::default();
        state.attempt(cures.last());
        cures.record(&Cure::Keys(vec![KEY.into()]));
        state.attempt(cures.last());
        let failed = |state: &mut ObjectState, cures: &CureLog| {
            let blocked = Blocked::new(Reason::KmsKeyUnusable, [KEY].into_iter());
            state.failed(throttled("Limit", "r-1"), blocked, cures.last(), now, RETRY);
        };
        failed(&mut state, &cures);
        assert!(state.is_cured(&cures), "the attempt began before the change");
        state.attempt(cures.last());
        failed(&mut state, &cures);
        assert!(!state.is_cured(&cures));
        state.refused(Blocked::new(Reason::NoUsableKey, [KEY].into_iter()), cures.last());
        cures.record(&Cure::Keys(vec![KEY.into()]));
        assert!(state.is_cured(&cures));
        state.succeeded();
        assert!(!state.is_cured(&cures));
    }

    #[test]
    fn each_overdue_read_doubles_the_wait_for_the_watch() {
        for (reads, seconds) in [(0, 30), (1, 60), (2, 120), (4, 480), (5, 600), (40, 600)] {
            let state = ObjectState {
                overdue_reads: reads,
                ..ObjectState::default()
            };
            let wait = state.expectation(Duration::from_secs(30));
            assert_eq!(wait.as_secs(), seconds, "{reads} reads");
        }
    }

    #[test]
    fn deleted_immutable_secret_ends_the_wait() {
        let now = Instant::now();
        let mut state = ObjectState::default();
        let immutable = Outcome::ImmutableSecret {
            name: "db".into(),
            holds: Some(1),
            generation: 2,
        };
        state.failed_secret = Some("s-1".into());
        fail(&mut state, immutable.clone(), now);
        assert!(state.was_refused());
        assert_eq!(state.still_immutable(Some("s-1")), Some(immutable));
        assert_eq!(state.still_immutable(Some("s-2")), None, "replaced");
        assert_eq!(state.still_immutable(None), None, "deleted");
        state.clear_immutable();
        assert!(!state.was_refused());
        assert_eq!(state.pending_retry(&CureLog::default(), now), None);
        fail(&mut state, throttled("Limit", "r-1"), now);
        state.clear_immutable();
        assert!(
            state.pending_retry(&CureLog::default(), now).is_some(),
            "other failures stay"
        );
    }

    #[test]
    fn success_overlays_the_object_until_it_is_in_the_status() {
        let mut state = ObjectState::default();
        let applied = Applied {
            generation: 1,
            ..Applied::default()
        };
        state.unreported = Some(Unreported {
            applied: applied.clone(),
            sealed: Sealed::default(),
        });
        let mut seen = object("o-1", 1);
        let status = crate::api::EnvelopeSecretStatus::default();
        assert!(seen.status.equals(&status));
        state.overlay(&mut seen);
        assert_eq!(seen.status.applied, Some(applied));
        assert!(
            seen.status.equals(&status),
            "the fingerprint is still that of the stored status"
        );
        state.status_written();
        let mut seen = object("o-1", 1);
        state.overlay(&mut seen);
        assert_eq!(seen.status.applied, None);
    }
}
