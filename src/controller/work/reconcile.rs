//! One reconcile: observe, plan, act. It has at most one request in flight, so the number of concurrent reconciles
//! bounds the number of concurrent writes.

use std::sync::Arc;
use std::time::Instant;

use super::clock::now;
use super::context::Context;
use super::opener::{Opening, name_of, request};
use super::opening::opening_of;
use super::reader::kms_key;
use super::reconciler::{Finished, LiveRead, Outcome, Reconciler, Snapshot, Step, next_retry};
use crate::api::{Finding, NotRestored, Reason};
use crate::controller::act::api_error::Refusal;
use crate::controller::decide::cures::Blocked;
use crate::controller::decide::damping::Admission;
use crate::controller::decide::desired::Desired;
use crate::controller::decide::object_state::{ForeignSecret, Request};
use crate::controller::decide::plan::{self, Cause, Plan, SecretState, View};
use crate::controller::decide::status::{reported_finding, synced};
use crate::controller::decide::waiting::report_at;
use crate::controller::key::ObjectKey;
use crate::controller::observe::object::Object;
use crate::controller::observe::secret_facts::SecretFacts;
use crate::kms::broker::{Asked, Request as OpenRequest};

/// How often a reconcile restarts because the observed state changed, before it backs off.
const MAX_ROUNDS: usize = 5;

/// Brings the Secret of the object `key`, which was queued at `queued_at`, to its desired state. Returns when to reconcile it
/// again.
pub(in crate::controller) async fn reconcile(
    context: &Context,
    key: &ObjectKey,
    queued_at: Instant,
) -> Option<Instant> {
    let ticket = context.broker.ticket();
    let cache = context
        .stores
        .cache(key)
        .filter(|cache| cache.is_complete() && context.relists.is_current(cache.namespace.as_deref()));
    let Some(cache) = cache else {
        // A list that completes later queues the object again, if it still exists then. An answer must not wait for it: it
        // keeps a plaintext and its slot.
        context.broker.release(&name_of(key), ticket, true);
        return None;
    };
    let started = now();
    let state = context.states().remove(key).unwrap_or_default();
    let last_cure = context.cures().last();
    let mut reconciler = Reconciler {
        context,
        cache,
        key,
        queued_at,
        state,
        opening: None,
        live_read: LiveRead::NotRead,
        facts_checked: false,
        last_cure,
        request_due: None,
        write_conflicted: false,
        recreated: false,
        object_gone: false,
    };
    let finished = reconciler.run().await;
    // An answer that this reconcile could have used and did not is of no use to a later one.
    let withdraw = finished.outcome.needs_no_opening();
    context.broker.release(&name_of(key), ticket, withdraw);
    let (request_due, object_gone) = (reconciler.request_due, reconciler.object_gone);
    drop(reconciler);
    // A cure that was recorded meanwhile did not find this state among the others. Nor did one that was recorded before this
    // reconcile, if the attempt that failed now had begun before it.
    let failed = finished.outcome == Outcome::Failed;
    let cured_meanwhile = {
        let states = context.states();
        let cures = context.cures();
        let state = states
            .get(key)
            .filter(|_| !object_gone && (failed || cures.last() > last_cure));
        state.filter(|state| state.is_cured(&cures)).map(|_| now())
    };
    let reason = finished.reason.map_or("", Reason::as_str);
    context.metrics.reconciled(
        finished.outcome.as_str(),
        reason,
        now().saturating_duration_since(started),
    );
    finished
        .requeue_at
        .into_iter()
        .chain(cured_meanwhile)
        .chain(request_due)
        .min()
}

impl Reconciler<'_> {
    async fn run(&mut self) -> Finished {
        if let Some(foreign) = &self.state.foreign
            && foreign.rechecks.is_waiting(now())
        {
            self.live_read = LiveRead::Unwatched(foreign.facts.clone());
        } else if self.state.foreign.is_some() {
            match self.read_secret().await {
                Step::Replan => {}
                Step::Finished(finished) => return finished,
                Step::Unread(refusal) => return self.report_unread(refusal).await,
            }
        }
        for _ in 0..MAX_ROUNDS {
            match self.round().await {
                Step::Replan => {}
                Step::Finished(finished) => return finished,
                Step::Unread(refusal) => return self.report_unread(refusal).await,
            }
        }
        self.report_contended().await
    }

    async fn round(&mut self) -> Step {
        let now = now();
        let observed = self.cache.observe(self.key, now.into());
        if observed.overdue {
            if !self.cache.is_synced() {
                // The stream has to recover first: it delivers the write, or everything.
                return Step::Finished(Finished {
                    requeue_at: Some(now + self.context.timings.expectation),
                    ..Finished::silently(Outcome::ReadFailed)
                });
            }
            self.state.overdue_reads = self.state.overdue_reads.saturating_add(1);
            return self.read_both().await;
        }
        if self.cache.next_expectation_deadline(self.key).is_none() {
            self.state.overdue_reads = 0;
        }
        let Some(mut object) = observed.object else {
            return self.finish_gone();
        };
        self.state.observe(&object, self.queued_at);
        if !object.wishes.suspended {
            match self
                .state
                .handle_request(&object, now, &self.context.timings.damping)
            {
                Request::None => {}
                Request::Granted => self.live_read = LiveRead::NotRead,
                Request::Delayed(until) => self.request_due = Some(until),
            }
        }
        self.state.overlay(&mut object);
        let secret_state_known = observed.secret.is_some() || !matches!(self.live_read, LiveRead::NotRead);
        let secret = observed.secret.or_else(|| self.live_read.unwatched().cloned());
        let snapshot = self.snapshot(object, secret);
        let view = View {
            object: Some(&snapshot.object),
            secret: snapshot.secret.as_deref(),
            secret_state: snapshot.secret_state,
            secret_state_known,
            desired: snapshot.desired.as_ref(),
        };
        let plan = plan::plan(view);
        if plan != Plan::Gone && self.state.suspend(plan == Plan::Suspended) {
            self.announce_suspension(&snapshot, plan == Plan::Suspended);
        }
        match plan {
            Plan::Gone => self.finish_gone(),
            // No watch reports the deletion of a Secret without our label.
            Plan::LeaveAlone if self.live_read.unwatched().is_some() => {
                Step::Finished(self.retry_later(Outcome::LeftAlone))
            }
            Plan::LeaveAlone => Step::Finished(Finished::silently(Outcome::LeftAlone)),
            Plan::Held => self.report_held(&snapshot).await,
            Plan::Suspended => Step::Finished(Finished::silently(Outcome::Suspended)),
            Plan::ReadSecret => self.read_secret().await,
            Plan::Refuse(finding) => self.refuse(&snapshot, finding).await,
            Plan::Foreign(owner) => self.report_conflict(&snapshot, owner).await,
            Plan::Skip => self.report_synced(&snapshot, Outcome::Skipped).await,
            Plan::Restamp => self.restamp(snapshot).await,
            Plan::Open(cause) => self.open(snapshot, cause).await,
        }
    }

    pub(in crate::controller) fn snapshot(
        &self,
        object: Object,
        secret: Option<Arc<SecretFacts>>,
    ) -> Snapshot {
        let document = self.context.reader.check(self.key, &object);
        let desired = document.map(|document| Desired::of(&object, document));
        let secret_state = match plan::secret_state(&object, secret.as_deref(), desired.as_ref().ok()) {
            // It was found edited and is not restored yet. The user who did that can also have written its managedFields.
            SecretState::Intact if self.state.heals.is_pending() => SecretState::Drifted,
            state => state,
        };
        Snapshot {
            object,
            secret,
            desired,
            secret_state,
        }
    }

    /// Reports that the Secret is intact under another resourceVersion.
    async fn restamp(&mut self, mut snapshot: Snapshot) -> Step {
        let (Some(secret), Some(mut applied)) = (&snapshot.secret, snapshot.object.status.applied()) else {
            return Step::Replan;
        };
        if let Admission::Delayed { until, .. } =
            self.state.restamps.request(now(), &self.context.timings.damping)
        {
            return Step::Finished(Finished {
                requeue_at: Some(until),
                ..Finished::silently(Outcome::Damped)
            });
        }
        applied.secret_resource_version = secret.resource_version.to_string();
        let sealed = snapshot.object.status.sealed().unwrap_or_default();
        snapshot.object.set_applied(applied, sealed);
        self.report_synced(&snapshot, Outcome::Restamped).await
    }

    /// Reports that the document must not be opened. Only for a seal time in the future can a retry succeed: any other
    /// refusal changes only with the object or the keyring.
    async fn refuse(&mut self, snapshot: &Snapshot, finding: Finding) -> Step {
        if finding.reason() == Reason::SealTimeInFuture {
            return self.fail(snapshot, finding).await;
        }
        if let Finding::NoUsableKey { keys, .. } = &finding {
            let blocked = Blocked::new(finding.reason(), keys.iter().map(String::as_str));
            self.state.refused(blocked, self.last_cure);
        }
        self.report(snapshot, &finding, Outcome::Refused, None).await
    }

    /// Reports that a finalizer still holds the deleted Secret. Where no watch delivers the Secret, it is re-read with backoff.
    async fn report_held(&mut self, snapshot: &Snapshot) -> Step {
        let requeue_at = self
            .live_read
            .unwatched()
            .map(|_| next_retry(&mut self.state.status_retries, &self.context.timings));
        let cause = NotRestored::Held;
        let finding = Finding::SecretMissing { cause };
        self.report(snapshot, &finding, Outcome::LeftAlone, requeue_at)
            .await
    }

    /// Reports that the Secret is foreign. A Secret that no watch delivers is re-read with backoff.
    async fn report_conflict(&mut self, snapshot: &Snapshot, owner: Option<Box<str>>) -> Step {
        let finding = Finding::Conflict {
            name: self.key.name.to_string(),
            namespace: self.key.namespace.to_string(),
            owner: owner.map(String::from),
        };
        let requeue_at = self.live_read.unwatched().map(|facts| {
            let foreign = self.state.foreign.take();
            let mut rechecks = foreign.map(|foreign| foreign.rechecks).unwrap_or_default();
            let timings = &self.context.timings;
            let due = rechecks.failed(now(), (timings.foreign_min, timings.foreign_max));
            self.state.foreign = Some(Box::new(ForeignSecret {
                facts: facts.clone(),
                rechecks,
            }));
            due
        });
        self.report(snapshot, &finding, Outcome::Refused, requeue_at)
            .await
    }

    /// Queues the document for opening, or acts on the result if it has arrived.
    async fn open(&mut self, snapshot: Snapshot, cause: Cause) -> Step {
        let object = &snapshot.object;
        let usable = |key: &str| self.context.reader.is_usable(key);
        let request = request(self.key, object, cause, usable);
        let is_current =
            |opening: &Opening| opening.uid == object.uid && opening.generation == object.generation;
        let answered = || {
            let answer = self.context.broker.take(&request)?;
            opening_of(answer, self.key, object)
        };
        if let Some(opening) = self.opening.take().filter(is_current).or_else(answered) {
            return self.act_on(snapshot, cause, opening).await;
        }
        if cause == Cause::Missing {
            self.state.secret_deleted();
        }
        let pending = self.state.pending_retry(&self.context.cures(), now());
        if let Some((finding, due)) = pending {
            return self
                .report_failure(&snapshot, finding, Outcome::Waiting, due)
                .await;
        }
        // A Decrypt cannot cure a refusal by the API server: first see whether the facts are readable again.
        if self.state.was_refused() && !self.facts_checked {
            self.facts_checked = true;
            return self.read_both().await;
        }
        if let Some(finding) = self.state.still_refused(snapshot.secret.as_deref()) {
            return self.fail(&snapshot, finding).await;
        }
        if let Some(step) = self.damp(&snapshot, cause).await {
            return step;
        }
        if !self.state.is_attempting() {
            if let Some(step) = self.probe(&snapshot, cause).await {
                return step;
            }
            let (namespace, name, uid) = (&*self.key.namespace, &*self.key.name, &*snapshot.object.uid);
            let (generation, cause) = (snapshot.object.generation, cause.as_str());
            tracing::debug!(
                namespace,
                name,
                uid,
                generation,
                cause,
                "the document is to be opened"
            );
        }
        self.state.attempt(self.last_cure);
        match self.context.broker.ask(&request) {
            Asked::Pending(since) => self.wait(&snapshot, &request, since).await,
            // It arrived during this reconcile.
            Asked::Answer(answer) => match opening_of(answer, self.key, &snapshot.object) {
                Some(opening) => self.act_on(snapshot, cause, opening).await,
                None => Step::Replan,
            },
        }
    }

    /// Acts on the result of opening the document.
    async fn act_on(&mut self, snapshot: Snapshot, cause: Cause, opening: Opening) -> Step {
        match opening.result {
            Err(finding) => self.fail(&snapshot, finding).await,
            Ok(_) => self.apply(snapshot, cause, opening).await,
        }
    }

    /// Finishes until the broker has answered. A request that has waited long is reported, once.
    async fn wait(&mut self, snapshot: &Snapshot, request: &OpenRequest, since: Instant) -> Step {
        let waiting = self.context.broker.waiting(&self.key.namespace);
        let patience = self.context.timings.progressing;
        let due = report_at(since, patience, &snapshot.object.uid, waiting);
        let now = now();
        let Some(key) = request.keys.first().filter(|_| due <= now) else {
            // Asking again moves the request to the first class, long before it is reported if many wait.
            let ask_again = Some(since + patience).filter(|at| *at > now);
            return Step::Finished(Finished {
                requeue_at: Some(ask_again.unwrap_or(due)),
                ..Finished::silently(Outcome::Opening)
            });
        };
        let key = Box::new(kms_key(key));
        let waiting = Finding::Progressing { key };
        let finding = reported_finding(waiting, &snapshot.object, snapshot.secret_state, true);
        self.report(snapshot, &finding, Outcome::Opening, None).await
    }

    /// Reports that healing the Secret again has to wait, because another client changes it each time; `None` if it may be
    /// healed now.
    async fn damp(&mut self, snapshot: &Snapshot, cause: Cause) -> Option<Step> {
        if !self.state.is_heal(cause) {
            return None;
        }
        let times = &self.context.timings.damping;
        let admission = self.state.heals.request(snapshot.manager(), now(), times);
        let Admission::Delayed { until, begins } = admission else {
            return None;
        };
        if begins {
            self.context.metrics.heal_damped();
        }
        let finding = snapshot.contested_by(self.state.heals.manager());
        Some(
            self.report(snapshot, &finding, Outcome::Damped, Some(until))
                .await,
        )
    }

    /// Records a failed attempt, reports it and schedules the retry.
    pub(in crate::controller) async fn fail(
        &mut self,
        snapshot: &Snapshot,
        refusal: impl Into<Refusal>,
    ) -> Step {
        let Refusal { finding, retry_after } = refusal.into();
        let timings = &self.context.timings;
        let retry = if self.state.is_rejected_for_values(&finding) {
            (timings.rejected_min, timings.rejected_max)
        } else {
            (timings.retry_min, timings.retry_max)
        };
        let blocked = Blocked::new(finding.reason(), snapshot.wrap_keys());
        let mut due = self
            .state
            .failed(finding.clone(), blocked, self.last_cure, now(), retry);
        if let Some(wait) = retry_after {
            due = self.state.not_before(now() + wait).unwrap_or(due);
        }
        self.state.failed_secret.clone_from(&snapshot.secret);
        self.report_failure(snapshot, finding, Outcome::Failed, due).await
    }

    async fn report_failure(
        &mut self,
        snapshot: &Snapshot,
        finding: Finding,
        outcome: Outcome,
        due: Instant,
    ) -> Step {
        let readable = snapshot.desired.is_ok();
        let finding = reported_finding(finding, &snapshot.object, snapshot.secret_state, readable);
        self.report(snapshot, &finding, outcome, Some(due)).await
    }

    /// Reports that the Secret is as written: at most the status is written.
    pub(in crate::controller) async fn report_synced(
        &mut self,
        snapshot: &Snapshot,
        outcome: Outcome,
    ) -> Step {
        let status = &snapshot.object.status;
        let Some(applied) = status.applied() else {
            return Step::Replan;
        };
        self.state.succeeded();
        let finding = synced(&applied, status.sealed().as_ref());
        self.report(snapshot, &finding, outcome, None).await
    }
}
