//! Writing the Secret of an opened document.

use std::sync::Arc;

use jiff::Timestamp;

use super::clock::now;
use super::opener::Opening;
use super::reconciler::{Finished, Outcome, Reconciler, Snapshot, Step};
use crate::api::{Applied, Finding, Kept, Reason, Rejection, Sealed, healed};
use crate::controller::act::api_error::ApiError;
use crate::controller::act::secret::{Precondition, SecretBody, cleanup, disown};
use crate::controller::decide::desired::Desired;
use crate::controller::decide::object_state::Unreported;
use crate::controller::decide::ownership::{Ownership, ownership};
use crate::controller::decide::plan::Cause;
use crate::controller::decide::status::{rollback, synced};
use crate::controller::observe::secret_facts::{Owner, SecretFacts};
use crate::envelope::{Opened, Rollback, SealMark};

impl Reconciler<'_> {
    /// Writes the Secret of an opened document if necessary, then the status.
    pub(in crate::controller) async fn apply(
        &mut self,
        snapshot: Snapshot,
        cause: Cause,
        opening: Opening,
    ) -> Step {
        let (Ok(opened), Ok(desired)) = (&opening.result, snapshot.desired.clone()) else {
            return Step::Replan;
        };
        let facts = match cause {
            // The same document under new wraps: opening it has verified them.
            Cause::Verify => match snapshot.secret.clone() {
                Some(facts) => facts,
                None => return Step::Replan,
            },
            _ => match self.write_secret(&snapshot, &desired, cause, opened).await {
                Ok(facts) => {
                    self.write_conflicted = false;
                    facts
                }
                Err(error) => return self.write_failed(&snapshot, error, opening).await,
            },
        };
        let mark = opened.document().seal_mark();
        // The plaintext is not needed for the status, nor is its slot, which others may wait for.
        drop(opening);
        self.record_success(snapshot, &desired, cause, &mark, &facts)
            .await
    }

    /// Writes the Secret, then removes what is not part of the document.
    async fn write_secret(
        &mut self,
        snapshot: &Snapshot,
        desired: &Desired,
        cause: Cause,
        opened: &Opened,
    ) -> Result<Arc<SecretFacts>, ApiError> {
        if cause == Cause::Missing {
            self.confirm_object(snapshot).await?;
        }
        let precondition = Precondition::of(snapshot.secret.as_deref());
        let body = SecretBody {
            key: self.key,
            desired,
            opened,
            precondition: &precondition,
        };
        let writer = &self.context.writer;
        self.state.overdue_reads = 0;
        self.cache.secret_request(self.key);
        let mut meta = writer.apply_secret(&body).await?;
        if let Some(operations) = cleanup(&meta, opened.document(), desired) {
            meta = writer.patch_secret(self.key, operations).await?;
        }
        // A response without uid or resourceVersion is not one of an API server: the Secret has to be re-read.
        let (_, facts) = SecretFacts::of_meta(&meta).ok_or(ApiError::Conflict)?;
        let facts = Arc::new(facts);
        self.cache
            .secret_confirmed(self.key, facts.clone(), self.new_expectation_deadline());
        Ok(facts)
    }

    /// Checks that the object still exists before its missing Secret is created again. The two watches are not ordered,
    /// so the Secret may be missing because its object was deleted.
    async fn confirm_object(&mut self, snapshot: &Snapshot) -> Result<(), ApiError> {
        self.cache.object_request(self.key);
        let read = self.context.cluster.object(self.key).await;
        let confirmed = read.as_ref().is_ok_and(|object| {
            object
                .as_ref()
                .is_some_and(|object| object.uid == snapshot.object.uid && !object.deleting)
        });
        if confirmed || read.is_err() {
            self.cache.object_unknown(self.key);
        }
        let object = read?;
        if confirmed {
            return Ok(());
        }
        self.cache
            .object_read(self.key, object, self.new_expectation_deadline());
        Err(ApiError::Conflict)
    }

    async fn write_failed(&mut self, snapshot: &Snapshot, error: ApiError, opening: Opening) -> Step {
        self.cache.secret_unknown(self.key);
        let finding = match error {
            ApiError::Conflict => {
                self.write_conflicted = true;
                self.opening = Some(opening);
                return self.read_secret().await;
            }
            ApiError::NotFound | ApiError::NamespaceTerminating | ApiError::NotWriter => {
                return Step::Finished(Finished::silently(Outcome::Terminating));
            }
            ApiError::ImmutableField(fields)
                if fields.iter().any(|field| field == "data" || field == "immutable") =>
            {
                let applied = snapshot.object.status.applied();
                Finding::ImmutableSecret {
                    name: self.key.name.to_string(),
                    holds: applied.map(|applied| applied.generation),
                    generation: snapshot.object.generation,
                }
            }
            ApiError::ImmutableField(fields) if fields == ["type"] => {
                return self.recreate(snapshot, opening).await;
            }
            ApiError::ImmutableField(fields) => Finding::SecretRejected {
                rejection: Rejection::Invalid(fields),
            },
            ApiError::Reportable(refusal) => {
                if has_obsolete_owner(snapshot, &refusal.finding) {
                    self.opening = Some(opening);
                    return self.remove_obsolete_owners(snapshot).await;
                }
                drop(opening);
                return self.fail(snapshot, *refusal).await;
            }
        };
        drop(opening);
        self.fail(snapshot, finding).await
    }

    /// Removes the ownerReferences to earlier incarnations of the object, then plans again.
    async fn remove_obsolete_owners(&mut self, snapshot: &Snapshot) -> Step {
        let read = self.context.cluster.secret(self.key).await;
        let operations = match (&read, &snapshot.desired) {
            (Ok(Some(meta)), Ok(desired)) => disown(meta, desired),
            _ => None,
        };
        if let Some(operations) = operations
            && let Err(ApiError::Reportable(refusal)) =
                self.context.writer.patch_secret(self.key, operations).await
        {
            return self.fail(snapshot, *refusal).await;
        }
        // Without the patch, or after a refused one, the Secret has changed.
        self.write_conflicted = true;
        self.read_secret().await
    }

    /// Records that the Secret holds the opened document, and reports it.
    async fn record_success(
        &mut self,
        mut snapshot: Snapshot,
        desired: &Desired,
        cause: Cause,
        mark: &SealMark,
        facts: &SecretFacts,
    ) -> Step {
        let before = snapshot.object.status.sealed();
        let (time, outcome) = match (snapshot.object.status.applied(), cause) {
            (Some(applied), Cause::Verify) => (applied.time, Outcome::Verified),
            _ => (
                Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
                Outcome::Written,
            ),
        };
        let applied = desired.applied(snapshot.object.generation, facts, time);
        let sealed = Sealed::after(before.as_ref(), mark);
        self.state.unreported = Some(Box::new(Unreported {
            applied: applied.clone(),
            sealed: sealed.clone(),
        }));
        let delivered = snapshot.object.status.applied().map(|applied| applied.generation);
        if let Some(seen) = self.state.first_seen.take()
            && cause != Cause::Verify
            // Otherwise it was delivered before the controller started.
            && delivered != Some(snapshot.object.generation)
        {
            self.context
                .metrics
                .secret_written(now().saturating_duration_since(seen));
        }
        self.announce(&snapshot, cause, &applied, &sealed);
        // A heal writes the same seal again: that is no further rollback.
        let seal_is_new = before.as_ref().is_none_or(|before| before.mac != sealed.mac);
        if seal_is_new && rollback(before.as_ref(), mark) != Rollback::None {
            let highest = before
                .as_ref()
                .map(|sealed| sealed.highest_time.as_str())
                .unwrap_or_default();
            let note = format!("sealed at {}, but {highest} was already seen", mark.time);
            tracing::warn!(namespace = &*self.key.namespace, name = &*self.key.name, "{note}");
            self.send_event(&snapshot, Reason::RollbackDetected, true, note);
        }
        snapshot.object.set_applied(applied, sealed);
        self.report_synced(&snapshot, outcome).await
    }

    /// Logs the write of a Secret and sends its event.
    fn announce(&self, snapshot: &Snapshot, cause: Cause, applied: &Applied, sealed: &Sealed) {
        let reason = match (cause, &snapshot.secret) {
            (Cause::Verify, _) => return,
            _ if self.recreated => Reason::SecretRecreated,
            (Cause::Missing | Cause::Edited, _) => Reason::DriftHealed,
            (Cause::New, None) => Reason::SecretCreated,
            (Cause::New | Cause::Changed, _) => Reason::SecretUpdated,
        };
        let mut note = synced(applied, Some(sealed)).message(Kept::Nothing);
        if reason == Reason::DriftHealed {
            note = healed(&note, self.state.heals.manager());
        }
        let (namespace, name, uid) = (&*self.key.namespace, &*self.key.name, &*snapshot.object.uid);
        tracing::info!(namespace, name, uid, generation = applied.generation, %reason, "{note}");
        self.send_event(snapshot, reason, false, note);
    }
}

/// Whether an earlier incarnation of the object still is the Secret's controller: the API server rejects a write that
/// would add a second one.
fn has_obsolete_owner(snapshot: &Snapshot, finding: &Finding) -> bool {
    let names_owners = |field: &String| field.starts_with("metadata.ownerReferences");
    let rejected = matches!(finding, Finding::SecretRejected { rejection: Rejection::Invalid(fields) }
        if fields.iter().any(names_owners));
    let owned_by_another = |facts: &SecretFacts| {
        matches!(facts.owner, Owner::Object(_))
            && ownership(facts, &snapshot.object.uid) != Ownership::Current
    };
    rejected && snapshot.secret.as_deref().is_some_and(owned_by_another)
}
