//! Reconciles that end without a result, because a live read failed or the Secret changed before each write.

use super::clock::now;
use super::reconciler::{Finished, Outcome, Reconciler, Snapshot, Step};
use crate::api::{Finding, NotRestored};
use crate::controller::act::api_error::Refusal;
use crate::controller::decide::plan::SecretState;

impl Reconciler<'_> {
    /// Reports a live read that was refused or failed, with what is known about the object.
    pub(in crate::controller) async fn report_unread(&mut self, refusal: Refusal) -> Finished {
        let (namespace, name) = (&*self.key.namespace, &*self.key.name);
        tracing::warn!(namespace, name, reason = %refusal.finding.reason(), "a live read failed; retrying with backoff");
        let Some(snapshot) = self.current_snapshot() else {
            return self.retry_later(Outcome::ReadFailed);
        };
        match self.fail(&snapshot, refusal).await {
            Step::Finished(finished) => finished,
            // The object itself changed, or cannot be read either.
            Step::Replan | Step::Unread(_) => self.retry_later(Outcome::ReadFailed),
        }
    }

    /// Reports that another client changed the object or the Secret in each round. If that kept the Secret from being
    /// written, this was a heal and a failed attempt like any other: events alone do not repeat it, however many follow.
    pub(in crate::controller) async fn report_contended(&mut self) -> Finished {
        let snapshot = self.current_snapshot().filter(|_| self.write_conflicted);
        let Some(snapshot) = snapshot else {
            return self.retry_later(Outcome::Contended);
        };
        self.state.heals.abandon();
        let same_generation = snapshot.applied_generation() == Some(snapshot.object.generation);
        let finding = match snapshot.secret_state {
            SecretState::Drifted if same_generation => snapshot.contested_by(snapshot.manager()),
            _ => Finding::ApiUnavailable {
                request: "writing the secret",
                code: "409".to_owned(),
            },
        };
        match self.fail(&snapshot, finding).await {
            Step::Finished(finished) if finished.outcome == Outcome::Failed => Finished {
                outcome: Outcome::Contended,
                ..finished
            },
            Step::Finished(finished) => finished,
            Step::Replan | Step::Unread(_) => self.retry_later(Outcome::Contended),
        }
    }

    /// Returns what is known now; `None` if there is no object whose status may be written.
    fn current_snapshot(&mut self) -> Option<Snapshot> {
        let observed = self.cache.observe(self.key, now().into());
        let mut object = observed
            .object
            .filter(|object| !object.deleting && !object.wishes.suspended)?;
        self.state.observe(&object, self.queued_at);
        self.state.overlay(&mut object);
        let secret = observed.secret.or_else(|| self.live_read.unwatched().cloned());
        Some(self.snapshot(object, secret))
    }
}

impl Snapshot {
    /// Returns the name of the field manager that changed the Secret, if known.
    pub(in crate::controller) fn manager(&self) -> Option<&str> {
        let foreign = self.secret.as_ref()?.fields.foreign.as_deref()?;
        Some(&foreign.manager)
    }

    /// Returns the finding that this manager changes the Secret again each time.
    pub(in crate::controller) fn contested_by(&self, manager: Option<&str>) -> Finding {
        let cause = NotRestored::Contested(manager.map(str::to_owned));
        if self.secret.is_none() {
            Finding::SecretMissing { cause }
        } else {
            Finding::SecretDrifted { cause }
        }
    }

    fn applied_generation(&self) -> Option<i64> {
        self.object.status.applied().map(|applied| applied.generation)
    }
}
