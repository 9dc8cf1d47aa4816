//! The slim stores: for the cluster, or for each namespace, one of objects and one of managed Secrets, with what
//! is expected of our own writes laid over them.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard};

use kube::runtime::watcher::Event;
use tokio::time::Instant;

use super::ObjectKey;
use super::cluster::SecretMeta;
use super::expect::{Belief, Expectations, Version};
use super::object::{Object, RawObject, StatusFacts};
use super::secret_facts::SecretFacts;
use crate::sync::lock;

/// All scopes of one controller.
pub(super) struct Stores {
    scopes: Vec<Arc<Scope>>,
}

/// One pair of stores: of one namespace, or of the cluster.
pub(super) struct Scope {
    /// `None` for the cluster.
    pub(super) namespace: Option<Box<str>>,
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    objects: Side<Object>,
    secrets: Side<SecretFacts>,
    /// What a write of the status left behind: the object's resourceVersion and its status.
    statuses: Expectations<(Box<str>, Arc<StatusFacts>)>,
    /// What a write or a read of the Secret left behind; `None` inside: it is not there.
    written: Expectations<Option<Arc<SecretFacts>>>,
}

struct Side<T> {
    live: HashMap<ObjectKey, Arc<T>>,
    /// What a list that is under way has brought so far.
    listing: Option<HashMap<ObjectKey, Arc<T>>>,
    complete: bool,
}

impl<T> Default for Side<T> {
    fn default() -> Self {
        Side {
            live: HashMap::new(),
            listing: None,
            complete: false,
        }
    }
}

/// What stands in the cluster as far as this process knows: stores and expectations.
#[derive(Clone, Debug, Default)]
pub(super) struct Observed {
    pub(super) object: Option<Object>,
    pub(super) secret: Option<Arc<SecretFacts>>,
    /// The watch has not delivered a write of ours in time: both have to be read.
    pub(super) overdue: bool,
}

trait Versioned {
    fn version(&self) -> Version;
}

impl Versioned for Object {
    fn version(&self) -> Version {
        Version::new(&self.uid, &self.resource_version)
    }
}

impl Versioned for SecretFacts {
    fn version(&self) -> Version {
        Version::new(&self.uid, &self.resource_version)
    }
}

impl Stores {
    /// One scope for each namespace, or one for the cluster.
    pub(super) fn new(namespaces: Option<&[String]>) -> Self {
        let scope = |namespace: Option<&str>| {
            Arc::new(Scope {
                namespace: namespace.map(Into::into),
                inner: Mutex::default(),
            })
        };
        let scopes = match namespaces {
            None => vec![scope(None)],
            Some(names) => names.iter().map(|name| scope(Some(name))).collect(),
        };
        Stores { scopes }
    }

    pub(super) fn scopes(&self) -> &[Arc<Scope>] {
        &self.scopes
    }

    /// The scope that `key` belongs to.
    pub(super) fn scope(&self, key: &ObjectKey) -> Option<&Arc<Scope>> {
        self.scopes.iter().find(|scope| {
            scope
                .namespace
                .as_deref()
                .is_none_or(|name| *name == *key.namespace)
        })
    }

    /// Whether both lists of at least one scope are complete.
    pub(super) fn any_complete(&self) -> bool {
        self.scopes.iter().any(|scope| scope.is_complete())
    }

    /// The keys of all objects.
    pub(super) fn keys(&self) -> Vec<ObjectKey> {
        self.scopes
            .iter()
            .flat_map(|scope| scope.lock().objects.live.keys().cloned().collect::<Vec<_>>())
            .collect()
    }

    /// How many objects have which reason in their status; the empty word for none.
    pub(super) fn reasons(&self) -> HashMap<String, usize> {
        let mut counts = HashMap::new();
        for scope in &self.scopes {
            for object in scope.lock().objects.live.values() {
                *counts
                    .entry(object.status.reason().unwrap_or_default().to_owned())
                    .or_default() += 1;
            }
        }
        counts
    }
}

impl Scope {
    /// Whether both lists are complete: before that, nothing may be planned.
    pub(super) fn is_complete(&self) -> bool {
        self.lock().is_complete()
    }

    /// Takes in what the watch of objects says; gives the keys to be looked at.
    pub(super) fn object_event(&self, event: Event<RawObject>) -> Vec<ObjectKey> {
        let mut inner = self.lock();
        match event {
            Event::Init => inner.objects.listing = Some(HashMap::new()),
            Event::InitApply(raw) => drop(inner.object_seen(raw, true)),
            Event::Apply(raw) => {
                let key = inner.object_seen(raw, false);
                return inner.if_complete(key);
            }
            Event::Delete(raw) => {
                if let Some((key, object)) = Object::of(raw) {
                    inner.objects.live.remove(&key);
                    inner.statuses.deleted(&key, &object.uid);
                    return inner.if_complete(Some(key));
                }
            }
            Event::InitDone => {
                let gone = inner.objects.swap();
                let Inner {
                    objects, statuses, ..
                } = &mut *inner;
                for (key, object) in &objects.live {
                    statuses.delivered(key, &object.version());
                }
                return inner.all_if_complete(gone);
            }
        }
        Vec::new()
    }

    /// Takes in what the watch of Secrets says; gives the keys to be looked at.
    pub(super) fn secret_event(&self, event: Event<SecretMeta>) -> Vec<ObjectKey> {
        let mut inner = self.lock();
        match event {
            Event::Init => inner.secrets.listing = Some(HashMap::new()),
            Event::InitApply(meta) => drop(inner.secret_seen(&meta, true)),
            Event::Apply(meta) => {
                let key = inner.secret_seen(&meta, false);
                return inner.with_object(key);
            }
            Event::Delete(meta) => {
                if let Some((key, facts)) = SecretFacts::of(&meta.metadata) {
                    inner.secrets.live.remove(&key);
                    inner.written.deleted(&key, &facts.uid);
                    return inner.with_object(Some(key));
                }
            }
            Event::InitDone => {
                inner.secrets.swap();
                let Inner { secrets, written, .. } = &mut *inner;
                for (key, secret) in &secrets.live {
                    written.delivered(key, &secret.version());
                }
                return inner.all_if_complete(Vec::new());
            }
        }
        Vec::new()
    }

    /// Stores and expectations of `key`.
    pub(super) fn observe(&self, key: &ObjectKey, now: Instant) -> Observed {
        let inner = self.lock();
        let mut observed = Observed {
            object: inner.objects.live.get(key).map(|object| Object::clone(object)),
            secret: inner.secrets.live.get(key).cloned(),
            overdue: false,
        };
        match inner.statuses.belief(key, now) {
            Belief::Nothing => {}
            Belief::Value((resource_version, status)) => {
                if let Some(object) = &mut observed.object {
                    object.resource_version.clone_from(resource_version);
                    object.status = status.clone();
                }
            }
            Belief::Overdue => observed.overdue = true,
        }
        match inner.written.belief(key, now) {
            Belief::Nothing => {}
            Belief::Value(secret) => observed.secret.clone_from(secret),
            Belief::Overdue => observed.overdue = true,
        }
        observed
    }

    /// The object alone, without what is expected of it.
    pub(super) fn object(&self, key: &ObjectKey) -> Option<Arc<Object>> {
        self.lock().objects.live.get(key).cloned()
    }

    /// A write or a read of the Secret begins.
    pub(super) fn secret_begin(&self, key: &ObjectKey) {
        let mut inner = self.lock();
        let live = inner.secrets.live.get(key).map(|secret| secret.version());
        inner.written.begin(key, live);
    }

    /// The Secret stands so; the watch will deliver it.
    pub(super) fn secret_stands(&self, key: &ObjectKey, facts: Arc<SecretFacts>, until: Instant) {
        let mut inner = self.lock();
        let live = inner.secrets.live.get(key).map(|secret| secret.version());
        inner
            .written
            .settle(key, facts.version(), live.as_ref(), Some(facts), until);
    }

    /// The Secret is not there, or is no Secret that the watch delivers.
    pub(super) fn secret_not_watched(&self, key: &ObjectKey, until: Instant) {
        let mut inner = self.lock();
        match inner.secrets.live.get(key).map(|secret| secret.version()) {
            // The event of its end is still to come.
            Some(live) => inner.written.settle_gone(key, live, None, until),
            None => inner.written.forget(key),
        }
    }

    /// The write or read of the Secret told nothing.
    pub(super) fn secret_unknown(&self, key: &ObjectKey) {
        self.lock().written.cancel(key);
    }

    /// A write of the status, or a read of the object, begins.
    pub(super) fn object_begin(&self, key: &ObjectKey) {
        let mut inner = self.lock();
        let live = inner.objects.live.get(key).map(|object| object.version());
        inner.statuses.begin(key, live);
    }

    /// The status of the object with this uid stands so.
    pub(super) fn status_stands(
        &self,
        key: &ObjectKey,
        version: Version,
        status: Arc<StatusFacts>,
        until: Instant,
    ) {
        let mut inner = self.lock();
        let live = inner.objects.live.get(key).map(|object| object.version());
        let value = (version.resource_version.clone(), status);
        inner.statuses.settle(key, version, live.as_ref(), value, until);
    }

    /// The write of the status, or the read of the object, told nothing.
    pub(super) fn object_unknown(&self, key: &ObjectKey) {
        self.lock().statuses.cancel(key);
    }

    /// The object was read: it stands so, or is gone. What the watch has delivered meanwhile is newer, or is followed
    /// by what is: an older answer must not take its place, for no other event would come.
    pub(super) fn object_read(&self, key: &ObjectKey, object: Option<Object>) {
        let mut inner = self.lock();
        if !inner.statuses.supersede(key) {
            return;
        }
        match object {
            Some(object) => drop(inner.objects.live.insert(key.clone(), Arc::new(object))),
            None => drop(inner.objects.live.remove(key)),
        }
    }

    /// Until when something is believed of `key` that no watch has delivered.
    pub(super) fn believed_until(&self, key: &ObjectKey) -> Option<Instant> {
        let inner = self.lock();
        let both = [inner.statuses.until(key), inner.written.until(key)];
        both.into_iter().flatten().min()
    }

    /// The object is gone: nothing is believed of what bears its name.
    pub(super) fn forget(&self, key: &ObjectKey) {
        let mut inner = self.lock();
        inner.statuses.forget(key);
        inner.written.forget(key);
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        lock(&self.inner)
    }
}

impl Inner {
    fn is_complete(&self) -> bool {
        self.objects.complete && self.secrets.complete
    }

    fn if_complete(&self, key: Option<ObjectKey>) -> Vec<ObjectKey> {
        key.filter(|_| self.is_complete()).into_iter().collect()
    }

    /// A Secret without an object is nobody's work: it is foreign, or the garbage collector's.
    fn with_object(&self, key: Option<ObjectKey>) -> Vec<ObjectKey> {
        self.if_complete(key.filter(|key| self.objects.live.contains_key(key)))
    }

    /// After a list everything may differ, also what was deleted while no watch ran and gives no event.
    fn all_if_complete(&self, gone: Vec<ObjectKey>) -> Vec<ObjectKey> {
        if !self.is_complete() {
            return Vec::new();
        }
        let all: HashSet<ObjectKey> = self.objects.live.keys().cloned().chain(gone).collect();
        all.into_iter().collect()
    }

    fn object_seen(&mut self, raw: RawObject, listed: bool) -> Option<ObjectKey> {
        let (key, object) = Object::of(raw)?;
        // What a list brings stands in the store only when the list is whole.
        if !listed {
            self.statuses.delivered(&key, &object.version());
        }
        self.objects.put(key.clone(), object, listed);
        Some(key)
    }

    fn secret_seen(&mut self, meta: &SecretMeta, listed: bool) -> Option<ObjectKey> {
        let (key, facts) = SecretFacts::of(&meta.metadata)?;
        if !listed {
            self.written.delivered(&key, &facts.version());
        }
        self.secrets.put(key.clone(), facts, listed);
        Some(key)
    }
}

impl<T> Side<T> {
    fn put(&mut self, key: ObjectKey, value: T, listed: bool) {
        match &mut self.listing {
            Some(listing) if listed => listing.insert(key, Arc::new(value)),
            _ => self.live.insert(key, Arc::new(value)),
        };
    }

    /// The list is complete: gives the keys that it does not have any more.
    fn swap(&mut self) -> Vec<ObjectKey> {
        let mut old = std::mem::replace(&mut self.live, self.listing.take().unwrap_or_default());
        self.complete = true;
        old.retain(|key, _| !self.live.contains_key(key));
        old.into_keys().collect()
    }
}

#[cfg(test)]
mod tests;
