//! The writes of one reconcile: the Secret, and the status.

use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use tokio::time::Instant;

use super::events::Event;
use super::expect::Version;
use super::object::{Object, StatusFacts};
use super::opener::Answer;
use super::plan::{Cause, RENDERER};
use super::reconcile::{End, Run, Scene, Step, pause};
use super::refusal::Refused;
use super::secret::{Precondition, SecretBody, cleanup, disown};
use super::secret_facts::{Holder, SecretFacts};
use super::status::{desired, rollback, synced};
use crate::api::{Applied, EnvelopeSecretStatus, Kept, Mode, Outcome, Reason, Rejection, Sealed, Verdict};
use crate::envelope::{Opened, Rollback, SealTime};

impl Run<'_> {
    /// The document is open: the Secret is written if it has to be, then the status.
    pub(super) async fn write(&mut self, scene: Scene, cause: Cause, answer: Answer) -> Step {
        let Ok(opened) = &answer.result else {
            return Step::Again;
        };
        let facts = match cause {
            // Other wraps of the same document: that it opened is all that was to be proved.
            Cause::Verify => match scene.secret.clone() {
                Some(facts) => facts,
                None => return Step::Again,
            },
            _ => match self.put(&scene, cause, opened).await {
                Ok(facts) => facts,
                Err(refused) => return self.not_put(&scene, refused, answer).await,
            },
        };
        self.succeeded(scene, cause, opened, &facts).await
    }

    /// Writes the Secret and makes it exact.
    async fn put(
        &mut self,
        scene: &Scene,
        cause: Cause,
        opened: &Opened,
    ) -> Result<Arc<SecretFacts>, Refused> {
        if cause == Cause::Missing {
            self.confirm(scene).await?;
        }
        let precondition = match &scene.secret {
            None => Precondition::Absent,
            Some(facts) => Precondition::Is {
                uid: facts.uid.clone(),
                resource_version: facts.resource_version.clone(),
            },
        };
        let object_uid = &*scene.object.uid;
        let body = SecretBody {
            key: self.key,
            object_uid,
            opened,
            precondition: &precondition,
        };
        let cluster = &self.context.cluster;
        self.scope.secret_begin(self.key);
        let mut meta = cluster.apply_secret(&body).await?;
        if let Some(operations) = cleanup(&meta, opened.document(), object_uid) {
            meta = cluster.patch_secret(self.key, operations).await?;
        }
        // Metadata without an identity is no answer of an API server; what stands there has to be looked at.
        let (_, facts) = SecretFacts::of(&meta).ok_or(Refused::Conflict)?;
        let facts = Arc::new(facts);
        self.scope
            .secret_stands(self.key, facts.clone(), self.believed_until());
        Ok(facts)
    }

    /// A Secret may be gone because its object is: the two watches do not keep the order of things. It must not
    /// come back then.
    async fn confirm(&mut self, scene: &Scene) -> Result<(), Refused> {
        self.scope.object_begin(self.key);
        let read = self.context.cluster.object(self.key).await;
        let stands = read.as_ref().is_ok_and(|object| {
            object
                .as_ref()
                .is_some_and(|object| object.uid == scene.object.uid && !object.deleting)
        });
        if stands || read.is_err() {
            self.scope.object_unknown(self.key);
        }
        let object = read?;
        if stands {
            return Ok(());
        }
        self.scope.object_read(self.key, object);
        Err(Refused::Conflict)
    }

    /// The Secret was not written.
    async fn not_put(&mut self, scene: &Scene, refused: Refused, answer: Answer) -> Step {
        self.scope.secret_unknown(self.key);
        let outcome = match refused {
            Refused::Conflict => {
                self.answer = Some(answer);
                return self.look().await;
            }
            // The namespace is gone or going: there is nobody to tell.
            Refused::NotFound | Refused::NamespaceEnding => {
                return Step::End(End {
                    did: "ending",
                    reason: None,
                    alarm: None,
                });
            }
            Refused::Immutable(fields)
                if fields.iter().any(|field| field == "data" || field == "immutable") =>
            {
                let holds = scene
                    .object
                    .status
                    .applied
                    .as_ref()
                    .map(|applied| applied.generation);
                let generation = scene.object.generation;
                Outcome::ImmutableSecret {
                    name: self.key.name.to_string(),
                    holds,
                    generation,
                }
            }
            Refused::Immutable(fields) => Outcome::SecretRejected {
                rejection: Rejection::Invalid(fields),
            },
            Refused::Because(outcome) => {
                let outcome = *outcome;
                if is_owned_twice(scene, &outcome) {
                    self.answer = Some(answer);
                    return self.disown(scene).await;
                }
                outcome
            }
        };
        self.failed(scene, outcome).await
    }

    async fn disown(&mut self, scene: &Scene) -> Step {
        let cluster = &self.context.cluster;
        let read = cluster.secret(self.key).await;
        let operations = match &read {
            Ok(Some(meta)) => disown(meta, &scene.object.uid),
            _ => None,
        };
        if let Some(operations) = operations
            && let Err(Refused::Because(outcome)) = cluster.patch_secret(self.key, operations).await
        {
            return self.failed(scene, *outcome).await;
        }
        self.look().await
    }

    /// The Secret stands as opened: remembered until the status says so.
    async fn succeeded(
        &mut self,
        mut scene: Scene,
        cause: Cause,
        opened: &Opened,
        facts: &SecretFacts,
    ) -> Step {
        let before = scene.object.status.clone();
        let document = opened.document();
        let (written_at, did) = match (&before.applied, cause) {
            (Some(applied), Cause::Verify) => (applied.time.clone(), "verified"),
            _ => (
                SealTime::now().map(|now| now.to_string()).unwrap_or_default(),
                "written",
            ),
        };
        let digest = scene
            .document
            .as_ref()
            .map(|(_, described)| described.digest.clone())
            .unwrap_or_default();
        let applied = Applied {
            generation: scene.object.generation,
            digest,
            mode: Mode::Owned.as_str().to_owned(),
            renderer: RENDERER,
            secret_uid: facts.uid.to_string(),
            secret_resource_version: facts.resource_version.to_string(),
            entries: i64::try_from(opened.entries().len()).unwrap_or(i64::MAX),
            time: written_at,
        };
        let mark = document.seal_mark();
        let sealed = Sealed::after(before.sealed.as_ref(), &mark);
        self.state.unrecorded(applied.clone(), sealed.clone());
        if let Some(seen) = self.state.first_seen.take()
            && cause != Cause::Verify
        {
            self.context.metrics.secret_written(seen.elapsed());
        }
        self.announce(&scene, cause, &applied, &sealed);
        if rollback(before.sealed.as_ref(), &mark) != Rollback::None {
            let highest = before
                .sealed
                .as_ref()
                .map(|sealed| sealed.highest_time.as_str())
                .unwrap_or_default();
            let note = format!(
                "sealed at {}, but a seal of {highest} was opened before",
                mark.time
            );
            tracing::warn!(namespace = &*self.key.namespace, name = &*self.key.name, "{note}");
            self.event(&scene, Reason::RollbackDetected, true, note);
        }
        scene.object.succeeded(applied, sealed);
        self.settle(&scene, did).await
    }

    fn announce(&self, scene: &Scene, cause: Cause, applied: &Applied, sealed: &Sealed) {
        let reason = match (cause, &scene.secret) {
            (Cause::Verify, _) => return,
            (Cause::Missing | Cause::Edited, _) => Reason::DriftHealed,
            (Cause::New, None) => Reason::SecretCreated,
            (Cause::New | Cause::Changed, _) => Reason::SecretUpdated,
        };
        let note = synced(applied, Some(sealed)).message(Kept::Nothing);
        let (namespace, name, uid) = (&*self.key.namespace, &*self.key.name, &*scene.object.uid);
        tracing::info!(namespace, name, uid, generation = applied.generation, %reason, "{note}");
        self.event(scene, reason, false, note);
    }

    /// Writes the status, if it says anything else than what stands there.
    pub(super) async fn report(
        &mut self,
        scene: &Scene,
        outcome: &Outcome,
        did: &'static str,
        alarm: Option<Instant>,
    ) -> Step {
        let object = &scene.object;
        let reason = Some(outcome.reason());
        let spec = scene
            .document
            .as_ref()
            .ok()
            .map(|(accepted, _)| accepted.document().spec());
        let exists = scene
            .secret
            .as_deref()
            .is_some_and(|facts| !matches!(facts.holder, Holder::Foreign(_)));
        let status = desired(object, spec, outcome, exists, Timestamp::now());
        if object.status.is(&status) {
            if did == "failed" {
                self.repeated(object, outcome);
            }
            self.state.recorded();
            return Step::End(End { did, reason, alarm });
        }
        if !self.context.schema.keeps_status() {
            // It would be pruned. What was done stays in memory until the CRD fits.
            return Step::End(End {
                did: "unreported",
                reason,
                alarm,
            });
        }
        self.scope.object_begin(self.key);
        match self
            .context
            .cluster
            .apply_status(self.key, &object.resource_version, &status)
            .await
        {
            Ok(meta) => {
                self.tell(scene, outcome, &status);
                self.reported(&meta, status);
                Step::End(End {
                    did: if did == "skipped" { "status" } else { did },
                    reason,
                    alarm,
                })
            }
            Err(refused) => {
                self.scope.object_unknown(self.key);
                self.not_reported(refused, reason, alarm).await
            }
        }
    }

    fn reported(&mut self, meta: &ObjectMeta, status: EnvelopeSecretStatus) {
        self.state.recorded();
        let (uid, version) = (meta.uid.as_deref(), meta.resource_version.as_deref());
        let version = Version::new(uid.unwrap_or_default(), version.unwrap_or_default());
        let facts = Arc::new(StatusFacts::of(status));
        self.scope
            .status_stands(self.key, version, facts, self.believed_until());
    }

    async fn not_reported(
        &mut self,
        refused: Refused,
        reason: Option<Reason>,
        alarm: Option<Instant>,
    ) -> Step {
        match refused {
            Refused::Conflict => self.look_at_object().await,
            Refused::NotFound | Refused::NamespaceEnding => Step::End(End {
                did: "ending",
                reason: None,
                alarm: None,
            }),
            Refused::Immutable(_) | Refused::Because(_) => {
                let why = match refused {
                    Refused::Because(outcome) => Some(outcome.reason()),
                    _ => None,
                };
                let advice = if why == Some(Reason::ApiForbidden) {
                    ": the controller may not patch envelopesecrets/status there, check its Role"
                } else {
                    ""
                };
                let (namespace, name) = (&*self.key.namespace, &*self.key.name);
                tracing::warn!(
                    namespace,
                    name,
                    reason = why.map_or("immutable", Reason::as_str),
                    "the API server does not take the status{advice}; tried again"
                );
                let due = pause(&mut self.state.report, &self.context.timings);
                let alarm = Some(alarm.map_or(due, |alarm| alarm.min(due)));
                Step::End(End {
                    did: "unreported",
                    reason,
                    alarm,
                })
            }
        }
    }

    /// The status says it already, but the KMS has a new name for its refusal.
    fn repeated(&self, object: &Object, outcome: &Outcome) {
        let Some(request_id) = outcome.answer().and_then(|answer| answer.request_id.as_deref()) else {
            return;
        };
        let (namespace, name, uid) = (&*self.key.namespace, &*self.key.name, &*object.uid);
        let reason = outcome.reason();
        tracing::debug!(namespace, name, uid, %reason, request_id, "the same refusal again");
    }

    /// A log line and an event, where the status tells a person something new that is no success.
    fn tell(&self, scene: &Scene, outcome: &Outcome, status: &EnvelopeSecretStatus) {
        if outcome.verdict() == Verdict::Ready {
            return;
        }
        if scene.object.status.says(status) {
            return self.repeated(&scene.object, outcome);
        }
        let ready = status.conditions.first();
        let message = outcome.note(ready.map_or("", |ready| &ready.message));
        let (namespace, name, uid) = (&*self.key.namespace, &*self.key.name, &*scene.object.uid);
        let (generation, kms_key) = (scene.object.generation, status.kms_key.as_deref());
        let request_id = outcome.answer().and_then(|answer| answer.request_id.as_deref());
        tracing::warn!(namespace, name, uid, generation, reason = %outcome.reason(), kms_key, request_id, "{message}");
        self.event(scene, outcome.reason(), true, message);
    }

    fn event(&self, scene: &Scene, reason: Reason, warning: bool, note: String) {
        let uid = scene.object.uid.clone();
        self.context.events.send(Event {
            key: self.key.clone(),
            uid,
            reason,
            warning,
            note,
        });
    }
}

/// Whether an earlier object of this name still controls the Secret, which the API server refuses to change.
fn is_owned_twice(scene: &Scene, outcome: &Outcome) -> bool {
    let names_owners = |field: &String| field.starts_with("metadata.ownerReferences");
    let refused = matches!(outcome, Outcome::SecretRejected { rejection: Rejection::Invalid(fields) }
        if fields.iter().any(names_owners));
    let held = |facts: &SecretFacts| {
        matches!(facts.holder, Holder::Object(_)) && !facts.holder.is_exactly(&scene.object.uid)
    };
    refused && scene.secret.as_deref().is_some_and(held)
}
