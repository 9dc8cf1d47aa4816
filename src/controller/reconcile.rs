//! One reconcile: what stands there, what the plan says, and the requests around it. At most one request is under
//! way at any time, so the number of reconciles bounds the writes.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use tokio::time::Instant;

use super::ObjectKey;
use super::Timings;
use super::backoff::Backoff;
use super::cluster::Cluster;
use super::events::Events;
use super::look::Looked;
use super::object::Object;
use super::opener::{Answer, Opener};
use super::plan::{self, Cause, Described, Plan, Standing, View};
use super::queue::Queue;
use super::reader::Reader;
use super::schema::Schema;
use super::secret::describe;
use super::secret_facts::SecretFacts;
use super::state::{Foreign, KeyState};
use super::status::{shown, synced};
use super::store::{Scope, Stores};
use crate::api::{Outcome, Reason};
use crate::envelope::Accepted;
use crate::metrics::Metrics;
use crate::sync::lock;

/// How often a reconcile starts anew because what it judged had changed, before it waits.
const ROUNDS: usize = 5;

/// What every reconcile works with.
pub(super) struct Context {
    pub(super) stores: Stores,
    pub(super) queue: Queue,
    pub(super) cluster: Cluster,
    pub(super) reader: Reader,
    pub(super) opener: Opener,
    pub(super) events: Events,
    pub(super) schema: Schema,
    pub(super) metrics: Arc<Metrics>,
    pub(super) timings: Timings,
    /// Grows whenever what may be opened changes.
    pub(super) epoch: AtomicU64,
    pub(super) states: Mutex<HashMap<ObjectKey, KeyState>>,
}

impl Context {
    /// Every object is looked at once more.
    pub(super) fn queue_all(&self) {
        for key in self.stores.keys() {
            self.queue.add(key);
        }
    }

    /// Other keys or credentials are there: what was refused for them is tried at once.
    pub(super) fn try_all_anew(&self) {
        self.epoch.fetch_add(1, Ordering::Relaxed);
        self.queue_all();
    }

    fn states(&self) -> MutexGuard<'_, HashMap<ObjectKey, KeyState>> {
        lock(&self.states)
    }
}

/// What a reconcile came to.
pub(super) struct End {
    /// The metric label `outcome`.
    pub(super) did: &'static str,
    /// What the status says; `None` where nothing is said.
    pub(super) reason: Option<Reason>,
    /// When to look again without being asked.
    pub(super) alarm: Option<Instant>,
}

/// What comes after one round.
pub(super) enum Step {
    /// What was judged has changed: look and plan again.
    Again,
    End(End),
}

/// One round's view of the object.
pub(super) struct Scene {
    pub(super) object: Object,
    pub(super) secret: Option<Arc<SecretFacts>>,
    pub(super) document: Result<(Accepted, Described), Outcome>,
    pub(super) standing: Standing,
}

/// One reconcile.
pub(super) struct Run<'a> {
    pub(super) context: &'a Context,
    pub(super) scope: &'a Scope,
    pub(super) key: &'a ObjectKey,
    pub(super) state: KeyState,
    pub(super) answer: Option<Answer>,
    pub(super) looked: Looked,
    gone: bool,
}

/// Brings the object of `key` and its Secret to where they should be; gives when to look again.
pub(super) async fn reconcile(context: &Context, key: &ObjectKey) -> Option<Instant> {
    let scope = context.stores.scope(key).filter(|scope| scope.is_complete())?;
    let started = Instant::now();
    let state = context.states().remove(key).unwrap_or_default();
    let answer = context.opener.take(key);
    let mut run = Run {
        context,
        scope,
        key,
        state,
        answer,
        looked: Looked::NotYet,
        gone: false,
    };
    let end = run.run().await;
    if run.gone {
        scope.forget(key);
    } else {
        context.states().insert(key.clone(), run.state);
    }
    let reason = end.reason.map_or("", Reason::as_str);
    context.metrics.reconciled(end.did, reason, started.elapsed());
    // A list after a gap may never deliver what is believed: nothing else would ask again.
    let doubt = scope.believed_until(key).filter(|until| *until > started);
    end.alarm.into_iter().chain(doubt).min()
}

impl Run<'_> {
    async fn run(&mut self) -> End {
        if let Some(foreign) = &self.state.foreign
            && foreign.looks.is_waiting(Instant::now())
        {
            self.looked = Looked::Unwatched(foreign.facts.clone());
        } else if self.state.foreign.is_some()
            && let Step::End(end) = self.look().await
        {
            return end;
        }
        for _ in 0..ROUNDS {
            if let Step::End(end) = self.round().await {
                return end;
            }
        }
        // Somebody keeps writing: not now.
        self.later("contended")
    }

    async fn round(&mut self) -> Step {
        let now = Instant::now();
        let observed = self.scope.observe(self.key, now);
        if observed.overdue {
            return self.read_both().await;
        }
        let Some(mut object) = observed.object else {
            return self.gone();
        };
        self.state.meet(&object, now);
        self.state.overlay(&mut object);
        let looked = observed.secret.is_some() || !matches!(self.looked, Looked::NotYet);
        let secret = observed.secret.or_else(|| self.looked.facts().cloned());
        let document = self.context.reader.accept(self.key, &object).map(|accepted| {
            let described = describe(accepted.document(), &object.uid);
            (accepted, described)
        });
        let fields = document.as_ref().ok().map(|(_, described)| described.fields);
        let standing = plan::standing(&object, secret.as_deref(), fields);
        let scene = Scene {
            object,
            secret,
            document,
            standing,
        };
        let view = View {
            object: Some(&scene.object),
            secret: scene.secret.as_deref(),
            looked,
            document: scene.document.as_ref().map(|(_, described)| described),
        };
        match plan::plan(view) {
            Plan::Gone => self.gone(),
            // No watch tells when a Secret without our label has ended.
            Plan::Leave if self.looked.facts().is_some() => Step::End(self.later("left")),
            Plan::Leave => Step::End(End {
                did: "left",
                reason: None,
                alarm: None,
            }),
            Plan::Look => self.look().await,
            Plan::Refuse(outcome) => self.refuse(&scene, outcome).await,
            Plan::Foreign(owner) => self.foreign(&scene, owner).await,
            Plan::Skip => self.settle(&scene, "skipped").await,
            Plan::Restamp => self.restamp(scene).await,
            Plan::Open(cause) => self.open(scene, cause).await,
        }
    }

    /// There is nothing to keep. A Secret of ours is the garbage collector's.
    pub(super) fn gone(&mut self) -> Step {
        self.gone = true;
        Step::End(End {
            did: "gone",
            reason: None,
            alarm: None,
        })
    }

    /// The Secret stands: at most the status is written.
    pub(super) async fn settle(&mut self, scene: &Scene, did: &'static str) -> Step {
        let status = &scene.object.status;
        let Some(applied) = &status.applied else {
            return Step::Again;
        };
        self.state.succeeded();
        let outcome = synced(applied, status.sealed.as_ref());
        self.report(scene, &outcome, did, None).await
    }

    /// The Secret stands under another resourceVersion.
    async fn restamp(&mut self, mut scene: Scene) -> Step {
        let (Some(secret), Some(mut applied)) = (&scene.secret, scene.object.status.applied.clone()) else {
            return Step::Again;
        };
        applied.secret_resource_version = secret.resource_version.to_string();
        let sealed = scene.object.status.sealed.clone().unwrap_or_default();
        scene.object.succeeded(applied, sealed);
        self.settle(&scene, "restamped").await
    }

    /// The document may not be opened. Only a clock can change that without a change of object or keyring.
    async fn refuse(&mut self, scene: &Scene, outcome: Outcome) -> Step {
        if outcome.reason() == Reason::SealTimeInFuture {
            return self.failed(scene, outcome).await;
        }
        self.report(scene, &outcome, "refused", None).await
    }

    /// The Secret is somebody else's. What no watch shows is looked at again, ever more rarely.
    async fn foreign(&mut self, scene: &Scene, owner: Option<Box<str>>) -> Step {
        let outcome = Outcome::Conflict {
            name: self.key.name.to_string(),
            namespace: self.key.namespace.to_string(),
            owner: owner.map(String::from),
        };
        let unwatched = self.looked.facts();
        let alarm = unwatched.map(|facts| {
            let mut looks = self
                .state
                .foreign
                .take()
                .map(|foreign| foreign.looks)
                .unwrap_or_default();
            let timings = &self.context.timings;
            let due = looks.failed(Instant::now(), (timings.foreign_min, timings.foreign_max));
            self.state.foreign = Some(Foreign {
                facts: facts.clone(),
                looks,
            });
            due
        });
        self.report(scene, &outcome, "refused", alarm).await
    }

    /// The document has to be opened: asked for, or answered already.
    async fn open(&mut self, scene: Scene, cause: Cause) -> Step {
        let object = &scene.object;
        let fits = |answer: &Answer| answer.uid == object.uid && answer.generation == object.generation;
        match self.answer.take().filter(fits) {
            Some(Answer {
                result: Err(outcome), ..
            }) => self.failed(&scene, outcome).await,
            Some(answer) => self.write(scene, cause, answer).await,
            None => {
                if cause == Cause::Missing {
                    self.state.no_longer_immutable();
                }
                if let Some((outcome, due)) = self.state.waiting(self.epoch(), Instant::now()) {
                    return self.show(&scene, outcome, "waiting", due).await;
                }
                self.context.opener.ask(self.key);
                Step::End(End {
                    did: "opening",
                    reason: Some(Reason::Progressing),
                    alarm: None,
                })
            }
        }
    }

    /// A try failed: remembered, shown, and tried again later.
    pub(super) async fn failed(&mut self, scene: &Scene, outcome: Outcome) -> Step {
        let timings = &self.context.timings;
        let retry = (timings.retry_min, timings.retry_max);
        let due = self
            .state
            .failed(outcome.clone(), self.epoch(), Instant::now(), retry);
        self.show(scene, outcome, "failed", due).await
    }

    async fn show(&mut self, scene: &Scene, outcome: Outcome, did: &'static str, due: Instant) -> Step {
        let outcome = shown(outcome, &scene.object, scene.standing, scene.document.is_ok());
        self.report(scene, &outcome, did, Some(due)).await
    }

    /// Ends without a word; looks again after a pause that grows.
    pub(super) fn later(&mut self, did: &'static str) -> End {
        let due = pause(&mut self.state.report, &self.context.timings);
        End {
            did,
            reason: None,
            alarm: Some(due),
        }
    }

    pub(super) fn believed_until(&self) -> Instant {
        Instant::now() + self.context.timings.expectation
    }

    fn epoch(&self) -> u64 {
        self.context.epoch.load(Ordering::Relaxed)
    }
}

/// The next try of what `backoff` counts.
pub(super) fn pause(backoff: &mut Backoff, timings: &Timings) -> Instant {
    backoff.failed(Instant::now(), (timings.retry_min, timings.retry_max))
}
