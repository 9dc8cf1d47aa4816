//! Live reads of what no watch has delivered: a Secret without our label, and the current state after a conflict.

use std::sync::Arc;

use super::reconciler::{LiveRead, Outcome, Reconciler, Step};
use crate::controller::act::api_error::ApiError;
use crate::controller::decide::ownership::is_foreign;
use crate::controller::observe::secret_facts::SecretFacts;
use crate::controller::observe::wishes::Mark;

impl Reconciler<'_> {
    /// Reads the Secret's metadata by name.
    pub(in crate::controller) async fn read_secret(&mut self) -> Step {
        self.cache.secret_request(self.key);
        let meta = match self.context.cluster.secret(self.key).await {
            Ok(meta) => meta,
            Err(error) => {
                self.cache.secret_unknown(self.key);
                return self.read_failed(error);
            }
        };
        let facts = meta
            .as_ref()
            .and_then(SecretFacts::of_meta)
            .map(|(_, facts)| Arc::new(facts));
        let watched = facts.as_ref().is_some_and(|facts| facts.mark != Mark::Absent);
        match &facts {
            Some(facts) if watched => {
                self.cache
                    .secret_confirmed(self.key, facts.clone(), self.new_expectation_deadline());
            }
            _ => self
                .cache
                .secret_unwatched(self.key, self.new_expectation_deadline()),
        }
        if facts.as_ref().is_none_or(|facts| !is_foreign(facts)) {
            self.state.foreign = None;
        }
        self.live_read = facts
            .filter(|_| !watched)
            .map_or(LiveRead::AbsentOrWatched, LiveRead::Unwatched);
        Step::Replan
    }

    /// Re-reads the object.
    pub(in crate::controller) async fn read_object(&mut self) -> Step {
        self.cache.object_request(self.key);
        match self.context.cluster.object(self.key).await {
            Ok(object) => {
                self.cache
                    .object_read(self.key, object, self.new_expectation_deadline());
                Step::Replan
            }
            Err(error) => {
                self.cache.object_unknown(self.key);
                self.read_failed(error)
            }
        }
    }

    /// Reads object and Secret, because the watch has not delivered one of our writes in time.
    pub(in crate::controller) async fn read_both(&mut self) -> Step {
        match self.read_object().await {
            Step::Replan => self.read_secret().await,
            other => other,
        }
    }

    pub(in crate::controller) fn read_failed(&mut self, error: ApiError) -> Step {
        match error {
            ApiError::NotFound | ApiError::NamespaceTerminating => self.finish_gone(),
            ApiError::Conflict | ApiError::ImmutableField(_) | ApiError::NotWriter => {
                Step::Finished(self.retry_later(Outcome::ReadFailed))
            }
            ApiError::Reportable(refusal) => Step::Unread(*refusal),
        }
    }
}
