//! Reporting the result of a reconcile: status, event and log line.

use std::sync::Arc;
use std::time::Instant;

use jiff::Timestamp;

use super::clock::now;
use super::reconciler::{Finished, Outcome, Reconciler, Snapshot, Step, next_retry};
use crate::api::{EnvelopeSecretStatus, Finding, Reason, Verdict};
use crate::controller::act::api_error::ApiError;
use crate::controller::act::events::Event;
use crate::controller::decide::damping::Admission;
use crate::controller::decide::ownership::is_foreign;
use crate::controller::decide::status::{content, desired_status};
use crate::controller::observe::decode::Meta;
use crate::controller::observe::expectations::Version;
use crate::controller::observe::object::Object;
use crate::controller::observe::status_facts::StatusFacts;

impl Reconciler<'_> {
    /// Writes the status if it differs from the current one, and finishes.
    pub(in crate::controller) async fn report(
        &mut self,
        snapshot: &Snapshot,
        finding: &Finding,
        outcome: Outcome,
        requeue_at: Option<Instant>,
    ) -> Step {
        // The plaintext is not needed for the status, nor is its slot, which others may wait for.
        self.opening = None;
        let object = &snapshot.object;
        let finished = |outcome| {
            Step::Finished(Finished {
                outcome,
                reason: Some(finding.reason()),
                requeue_at,
            })
        };
        let ours_exists = snapshot
            .secret
            .as_deref()
            .is_some_and(|secret| !is_foreign(secret));
        let mut status = desired_status(
            object,
            snapshot.desired.is_ok(),
            finding,
            ours_exists,
            Timestamp::now(),
        );
        if let Some(value) = &self.state.handled_request {
            status.last_handled_reconcile_at = Some(value.to_string());
        }
        if object.status.equals(&status) {
            if outcome == Outcome::Failed {
                self.log_repetition(object, finding);
            }
            self.state.status_written();
            return finished(outcome);
        }
        let content = content(&status);
        if self.state.reported == Some(content)
            && let Admission::Delayed { until, .. } =
                (self.state.status_restores).request(now(), &self.context.timings.damping)
        {
            // Another client overwrites the status again each time.
            return Step::Finished(Finished {
                outcome: Outcome::Damped,
                reason: Some(finding.reason()),
                requeue_at: Some(requeue_at.map_or(until, |at| at.min(until))),
            });
        }
        if !self.context.schema.keeps_status() {
            // The API server would prune it. The result stays in memory until the CRD is updated.
            return finished(Outcome::StatusWriteFailed);
        }
        self.cache.object_request(self.key);
        let writer = &self.context.writer;
        match writer
            .apply_status(self.key, &object.resource_version, &status)
            .await
        {
            Ok(meta) => {
                self.announce_failure(snapshot, finding, &status);
                self.state.reported = Some(content);
                self.status_written(&meta, status);
                finished(match outcome {
                    Outcome::Skipped => Outcome::StatusWritten,
                    other => other,
                })
            }
            Err(error) => {
                self.cache.object_unknown(self.key);
                self.status_failed(error, finding.reason(), requeue_at).await
            }
        }
    }

    fn status_written(&mut self, meta: &Meta, status: EnvelopeSecretStatus) {
        self.state.status_written();
        let (uid, version) = (meta.uid.as_deref(), meta.resource_version.as_deref());
        let version = Version::new(uid.unwrap_or_default(), version.unwrap_or_default());
        let facts = Arc::new(StatusFacts::of(status));
        self.cache
            .status_confirmed(self.key, version, facts, self.new_expectation_deadline());
    }

    async fn status_failed(&mut self, error: ApiError, reason: Reason, requeue_at: Option<Instant>) -> Step {
        let mut requested = None;
        let cause = match error {
            ApiError::Conflict => return self.read_object().await,
            ApiError::NotFound | ApiError::NamespaceTerminating | ApiError::NotWriter => {
                return Step::Finished(Finished::silently(Outcome::Terminating));
            }
            ApiError::ImmutableField(_) => None,
            ApiError::Reportable(refusal) => {
                requested = refusal.retry_after;
                Some(refusal.finding.reason())
            }
        };
        let advice = if cause == Some(Reason::ApiForbidden) {
            ": the controller is not allowed to patch envelopesecrets/status; check its Role"
        } else {
            ""
        };
        let (namespace, name) = (&*self.key.namespace, &*self.key.name);
        tracing::warn!(
            namespace,
            name,
            reason = cause.map_or("ImmutableField", Reason::as_str),
            "writing the status failed{advice}; retrying with backoff"
        );
        let mut due = next_retry(&mut self.state.status_retries, &self.context.timings);
        if let Some(wait) = requested {
            due = self.state.status_retries.not_before(now() + wait);
        }
        Step::Finished(Finished {
            outcome: Outcome::StatusWriteFailed,
            reason: Some(reason),
            requeue_at: Some(requeue_at.map_or(due, |at| at.min(due))),
        })
    }

    /// Logs the request id of a failure that the status already reports.
    fn log_repetition(&self, object: &Object, finding: &Finding) {
        let Some(request_id) = request_id(finding) else {
            return;
        };
        let (namespace, name, uid) = (&*self.key.namespace, &*self.key.name, &*object.uid);
        let reason = finding.reason();
        tracing::debug!(namespace, name, uid, %reason, request_id, "the KMS call failed again for the same reason");
    }

    /// Logs a new failure and sends its event. A success is announced where the Secret is written.
    fn announce_failure(&mut self, snapshot: &Snapshot, finding: &Finding, status: &EnvelopeSecretStatus) {
        // Waiting is not a failure, and thousands of objects may wait at the same time.
        if finding.verdict() == Verdict::Ready || finding.reason() == Reason::Progressing {
            return;
        }
        if snapshot.object.status.reads_like(status) {
            return self.log_repetition(&snapshot.object, finding);
        }
        let ready = status.conditions.first();
        let message = finding.note(ready.map_or("", |ready| &ready.message));
        let (namespace, name, uid) = (&*self.key.namespace, &*self.key.name, &*snapshot.object.uid);
        let (generation, kms_key) = (snapshot.object.generation, status.kms_key.as_deref());
        let request_id = request_id(finding);
        let reason = finding.reason();
        if self.state.admits_log(now(), &self.context.timings.damping) {
            tracing::warn!(namespace, name, uid, generation, %reason, kms_key, request_id, "{message}");
        } else {
            tracing::debug!(namespace, name, uid, generation, %reason, kms_key, request_id, "{message}");
        }
        self.send_event(snapshot, finding.reason(), true, message);
    }

    /// Sends the event that reconciliation was suspended or resumed.
    pub(in crate::controller) fn announce_suspension(&mut self, snapshot: &Snapshot, suspended: bool) {
        let (reason, note) = if suspended {
            let note = "the annotation envelope-secrets.io/suspend freezes the secret and this status";
            (Reason::Suspended, note)
        } else {
            (Reason::Resumed, "the secret is reconciled again")
        };
        let (namespace, name, uid) = (&*self.key.namespace, &*self.key.name, &*snapshot.object.uid);
        if self.state.admits_log(now(), &self.context.timings.damping) {
            tracing::info!(namespace, name, uid, %reason, "{note}");
        } else {
            tracing::debug!(namespace, name, uid, %reason, "{note}");
        }
        self.send_event(snapshot, reason, false, note.to_owned());
    }

    /// Queues an event about the object.
    pub(in crate::controller) fn send_event(
        &self,
        snapshot: &Snapshot,
        reason: Reason,
        warning: bool,
        note: String,
    ) {
        self.context.events.send(Event {
            key: self.key.clone(),
            uid: snapshot.object.uid.clone(),
            reason,
            warning,
            note,
        });
    }
}

fn request_id(finding: &Finding) -> Option<&str> {
    finding.response()?.request_id.as_deref()
}
