//! What the controller remembers of one object between two reconciles. All of it may be lost: it saves calls.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::backoff::Backoff;
use super::object::Object;
use super::secret_facts::SecretFacts;
use crate::api::{Applied, Outcome, Sealed};

/// See the module.
#[derive(Debug, Default)]
pub(super) struct KeyState {
    uid: Option<Arc<str>>,
    generation: i64,
    /// When this generation was first seen, until its Secret is written.
    pub(super) first_seen: Option<Instant>,
    /// What the last try came to, if it failed.
    failure: Option<Failure>,
    /// A Secret that is somebody else's, which no watch shows.
    pub(super) foreign: Option<Foreign>,
    /// A success that the status does not tell yet.
    unrecorded: Option<(Applied, Sealed)>,
    /// The retries of writing the status.
    pub(super) report: Backoff,
}

#[derive(Debug)]
struct Failure {
    outcome: Outcome,
    /// Of what may be opened; another one is reason to try at once.
    epoch: u64,
    backoff: Backoff,
}

/// A look at somebody else's Secret, and when the next one is due.
#[derive(Debug)]
pub(super) struct Foreign {
    pub(super) facts: Arc<SecretFacts>,
    pub(super) looks: Backoff,
}

impl KeyState {
    /// Another object, or another generation, is tried at once.
    pub(super) fn meet(&mut self, object: &Object, now: Instant) {
        if self.uid.as_ref() != Some(&object.uid) {
            *self = KeyState {
                uid: Some(object.uid.clone()),
                ..KeyState::default()
            };
        } else if self.generation == object.generation {
            return;
        }
        self.generation = object.generation;
        self.first_seen = Some(now);
        self.failure = None;
        self.foreign = None;
    }

    /// The outcome of a failure that still waits for its next try, and when that is.
    pub(super) fn waiting(&self, epoch: u64, now: Instant) -> Option<(Outcome, Instant)> {
        let failure = self.failure.as_ref().filter(|failure| failure.epoch == epoch)?;
        let due = failure.backoff.due().filter(|due| now < *due)?;
        Some((failure.outcome.clone(), due))
    }

    /// Remembers a failure; gives when the next try is due.
    pub(super) fn failed(
        &mut self,
        outcome: Outcome,
        epoch: u64,
        now: Instant,
        retry: (Duration, Duration),
    ) -> Instant {
        let before = self.failure.take();
        let mut backoff = before.map(|failure| failure.backoff).unwrap_or_default();
        let due = backoff.failed(now, retry);
        self.failure = Some(Failure {
            outcome,
            epoch,
            backoff,
        });
        due
    }

    /// The Secret is gone. One that was immutable stood in the way, and its message asks for this deletion: nothing
    /// waits for it any more.
    pub(super) fn no_longer_immutable(&mut self) {
        let immutable = |failure: &Failure| matches!(failure.outcome, Outcome::ImmutableSecret { .. });
        if self.failure.as_ref().is_some_and(immutable) {
            self.failure = None;
        }
    }

    /// A success: nothing waits any more, and a later repair is no delivery.
    pub(super) fn succeeded(&mut self) {
        self.first_seen = None;
        self.failure = None;
        self.foreign = None;
    }

    /// The Secret was written, or proved, so; the status is still to say it.
    pub(super) fn unrecorded(&mut self, applied: Applied, sealed: Sealed) {
        self.unrecorded = Some((applied, sealed));
    }

    /// The status says everything.
    pub(super) fn recorded(&mut self) {
        self.unrecorded = None;
        self.report = Backoff::default();
    }

    /// Lays what the status does not tell yet over `object`.
    pub(super) fn overlay(&self, object: &mut Object) {
        if let Some((applied, sealed)) = &self.unrecorded {
            object.succeeded(applied.clone(), sealed.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::Answer;
    use crate::controller::object::RawObject;
    use serde_json::json;

    const RETRY: (Duration, Duration) = (Duration::from_secs(1), Duration::from_mins(5));

    fn object(uid: &str, generation: i64) -> Object {
        let text = json!({"metadata": {"name": "db", "namespace": "prod", "uid": uid, "resourceVersion": "7",
                          "generation": generation}, "spec": {}});
        let raw: RawObject = serde_json::from_str(&text.to_string()).expect("an object");
        Object::of(raw).expect("whole").1
    }

    fn throttled(code: &str, request: &str) -> Outcome {
        let answer = Answer {
            code: Some(code.into()),
            message: None,
            request_id: Some(request.into()),
        };
        Outcome::KmsThrottled {
            key: "local://x".into(),
            answer,
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_failure_waits_and_another_generation_does_not() {
        let now = Instant::now();
        let mut state = KeyState::default();
        state.meet(&object("o-1", 1), now);
        let due = state.failed(throttled("Limit", "r-1"), 0, now, RETRY);
        assert_eq!(state.waiting(0, now), Some((throttled("Limit", "r-1"), due)));
        assert_eq!(state.waiting(0, due), None, "its time has come");
        assert_eq!(state.waiting(1, now), None, "another keyring");
        state.meet(&object("o-1", 1), now);
        assert!(state.waiting(0, now).is_some(), "the same object");
        state.meet(&object("o-1", 2), now);
        assert_eq!(state.waiting(0, now), None, "another generation");
        assert_eq!(state.first_seen, Some(now));
        state.succeeded();
        state.meet(&object("o-1", 2), now);
        assert_eq!(state.first_seen, None, "what stands was delivered before");
        state.failed(throttled("Limit", "r-1"), 0, now, RETRY);
        state.meet(&object("o-2", 2), now);
        assert_eq!(state.waiting(0, now), None, "another object of the same name");
    }

    #[tokio::test(start_paused = true)]
    async fn an_immutable_secret_that_is_gone_is_waited_for_no_longer() {
        let now = Instant::now();
        let mut state = KeyState::default();
        let immutable = Outcome::ImmutableSecret {
            name: "db".into(),
            holds: Some(1),
            generation: 2,
        };
        state.failed(immutable, 0, now, RETRY);
        state.no_longer_immutable();
        assert_eq!(state.waiting(0, now), None);
        state.failed(throttled("Limit", "r-1"), 0, now, RETRY);
        state.no_longer_immutable();
        assert!(
            state.waiting(0, now).is_some(),
            "any other failure stays what it was"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_success_lies_over_the_object_until_it_is_recorded() {
        let mut state = KeyState::default();
        let applied = Applied {
            generation: 1,
            ..Applied::default()
        };
        state.unrecorded(applied.clone(), Sealed::default());
        let mut seen = object("o-1", 1);
        let status = crate::api::EnvelopeSecretStatus::default();
        assert!(seen.status.is(&status));
        state.overlay(&mut seen);
        assert_eq!(seen.status.applied, Some(applied));
        assert!(
            seen.status.is(&status),
            "what stands there is still told apart from what is to be written"
        );
        state.recorded();
        let mut seen = object("o-1", 1);
        state.overlay(&mut seen);
        assert_eq!(seen.status.applied, None);
    }
}
