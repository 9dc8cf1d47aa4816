//! Reading what no watch has shown: a Secret without our label, and what stands after a write was refused.

use std::sync::Arc;

use super::reconcile::{Run, Step};
use super::refusal::Refused;
use super::secret_facts::{Holder, SecretFacts};
use crate::api::MANAGED_LABEL;

/// What a look at the Secret by name found; what the watch shows is not repeated here.
pub(super) enum Looked {
    NotYet,
    Nothing,
    Unwatched(Arc<SecretFacts>),
}

impl Looked {
    pub(super) fn facts(&self) -> Option<&Arc<SecretFacts>> {
        match self {
            Looked::NotYet | Looked::Nothing => None,
            Looked::Unwatched(facts) => Some(facts),
        }
    }
}

impl Run<'_> {
    /// Asks for the Secret by name.
    pub(super) async fn look(&mut self) -> Step {
        self.scope.secret_begin(self.key);
        let answer = self.context.cluster.secret(self.key).await;
        let meta = match answer {
            Ok(meta) => meta,
            Err(refused) => {
                self.scope.secret_unknown(self.key);
                return self.unread(&refused);
            }
        };
        let watched = meta
            .as_ref()
            .and_then(|meta| meta.labels.as_ref())
            .is_some_and(|l| l.contains_key(MANAGED_LABEL));
        let facts = meta
            .as_ref()
            .and_then(SecretFacts::of)
            .map(|(_, facts)| Arc::new(facts));
        match &facts {
            Some(facts) if watched => {
                self.scope
                    .secret_stands(self.key, facts.clone(), self.believed_until());
            }
            _ => self.scope.secret_not_watched(self.key, self.believed_until()),
        }
        if facts
            .as_ref()
            .is_none_or(|facts| !matches!(facts.holder, Holder::Foreign(_)))
        {
            self.state.foreign = None;
        }
        self.looked = facts
            .filter(|_| !watched)
            .map_or(Looked::Nothing, Looked::Unwatched);
        Step::Again
    }

    /// Reads the object anew.
    pub(super) async fn look_at_object(&mut self) -> Step {
        self.scope.object_begin(self.key);
        match self.context.cluster.object(self.key).await {
            Ok(object) => {
                self.scope.object_read(self.key, object);
                Step::Again
            }
            Err(refused) => {
                self.scope.object_unknown(self.key);
                self.unread(&refused)
            }
        }
    }

    /// The watch has not delivered a write of ours.
    pub(super) async fn read_both(&mut self) -> Step {
        match self.look_at_object().await {
            Step::Again => self.look().await,
            end @ Step::End(_) => end,
        }
    }

    /// Something could not be read: nothing is known that could be said.
    fn unread(&mut self, refused: &Refused) -> Step {
        match refused {
            Refused::NotFound | Refused::NamespaceEnding => self.gone(),
            Refused::Conflict | Refused::Immutable(_) => Step::End(self.later("unread")),
            Refused::Because(outcome) => {
                let (namespace, name) = (&*self.key.namespace, &*self.key.name);
                tracing::warn!(namespace, name, reason = %outcome.reason(), "the API server does not show the object");
                Step::End(self.later("unread"))
            }
        }
    }
}
