//! The slim stores: one of objects and one of managed Secrets, for the cluster or for each namespace, with expectations of
//! our own writes as an overlay (docs/design/controller.md#stores-and-streams).

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock};

use kube::runtime::watcher::Event;
use tokio::time::Instant;

use super::expectations::{Expectations, Overlay, Version};
use super::object::{Object, StatusFacts};
use super::secret_facts::SecretFacts;
use super::watch::{Condition, WatchStream};
use crate::controller::key::ObjectKey;
use crate::sync::lock;

/// All stores of one controller.
pub(in crate::controller) struct Stores {
    caches: Vec<Arc<NamespaceCache>>,
}

/// The pair of stores of one namespace, or of the whole cluster.
pub(in crate::controller) struct NamespaceCache {
    /// `None` for the whole cluster.
    pub(in crate::controller) namespace: Option<Box<str>>,
    /// The streams that feed the two stores.
    streams: OnceLock<[Arc<WatchStream>; 2]>,
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    objects: Store<Object>,
    secrets: Store<SecretFacts>,
    /// Expected results of status writes: the object's resourceVersion and status.
    statuses: Expectations<(Box<str>, Arc<StatusFacts>)>,
    /// Expected results of writes and live reads of Secrets; an inner `None` means that the Secret does not exist.
    secret_writes: Expectations<Option<Arc<SecretFacts>>>,
}

/// The observed objects of one kind.
struct Store<T> {
    live: HashMap<ObjectKey, Arc<T>>,
    /// The items of a list that is not complete yet.
    listing: Option<HashMap<ObjectKey, Arc<T>>>,
    complete: bool,
}

impl<T> Default for Store<T> {
    fn default() -> Self {
        Store {
            live: HashMap::new(),
            listing: None,
            complete: false,
        }
    }
}

/// The observed state of one object: stores plus expectations.
#[derive(Clone, Debug, Default)]
pub(in crate::controller) struct Observed {
    pub(in crate::controller) object: Option<Object>,
    pub(in crate::controller) secret: Option<Arc<SecretFacts>>,
    /// The watch has not delivered one of our writes in time: object and Secret have to be read.
    pub(in crate::controller) overdue: bool,
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
    /// Creates one pair of stores per namespace, or one for the whole cluster.
    pub(in crate::controller) fn new(namespaces: Option<&[String]>) -> Self {
        let cache = |namespace: Option<&str>| {
            Arc::new(NamespaceCache {
                namespace: namespace.map(Into::into),
                streams: OnceLock::new(),
                inner: Mutex::default(),
            })
        };
        let caches = match namespaces {
            None => vec![cache(None)],
            Some(names) => names.iter().map(|name| cache(Some(name))).collect(),
        };
        Stores { caches }
    }

    /// Returns all pairs of stores.
    pub(in crate::controller) fn caches(&self) -> &[Arc<NamespaceCache>] {
        &self.caches
    }

    /// Returns the stores that `key` belongs to.
    pub(in crate::controller) fn cache(&self, key: &ObjectKey) -> Option<&Arc<NamespaceCache>> {
        self.caches.iter().find(|cache| {
            cache
                .namespace
                .as_deref()
                .is_none_or(|name| *name == *key.namespace)
        })
    }

    /// Whether both lists of at least one namespace, or of the cluster, are complete.
    pub(in crate::controller) fn any_complete(&self) -> bool {
        self.caches.iter().any(|cache| cache.is_complete())
    }

    /// Drops all expectations: the cluster is not in the state that they were derived from.
    pub(in crate::controller) fn forget_expectations(&self) {
        for cache in &self.caches {
            let mut inner = cache.lock();
            inner.statuses = Expectations::default();
            inner.secret_writes = Expectations::default();
        }
    }

    /// Returns the keys of all objects.
    pub(in crate::controller) fn keys(&self) -> Vec<ObjectKey> {
        self.caches
            .iter()
            .flat_map(|cache| cache.lock().objects.live.keys().cloned().collect::<Vec<_>>())
            .collect()
    }

    /// Counts the objects by the reason in their status; an empty string stands for none.
    pub(in crate::controller) fn reasons(&self) -> HashMap<String, usize> {
        let mut counts = HashMap::new();
        for cache in &self.caches {
            for object in cache.lock().objects.live.values() {
                *counts
                    .entry(object.status.reason().unwrap_or_default().to_owned())
                    .or_default() += 1;
            }
        }
        counts
    }
}

impl NamespaceCache {
    /// Whether both lists are complete. Nothing may be planned before that.
    pub(in crate::controller) fn is_complete(&self) -> bool {
        self.lock().is_complete()
    }

    /// Names the streams that feed the stores.
    pub(in crate::controller) fn set_streams(&self, streams: [Arc<WatchStream>; 2]) {
        // Called once; a second call is ignored.
        let _ = self.streams.set(streams);
    }

    /// Whether both streams deliver changes.
    pub(in crate::controller) fn is_synced(&self) -> bool {
        let streams = self.streams.get().into_iter().flatten();
        streams
            .into_iter()
            .all(|stream| stream.condition() == Condition::Synced)
    }

    /// Ingests an event of the object watch; returns the keys to reconcile.
    pub(in crate::controller) fn object_event(&self, event: Event<(ObjectKey, Object)>) -> Vec<ObjectKey> {
        let mut inner = self.lock();
        match event {
            Event::Init => inner.objects.listing = Some(HashMap::new()),
            Event::InitApply((key, object)) => inner.objects.put(key, object, true),
            Event::Apply((key, object)) => {
                inner.statuses.delivered(&key, &object.version());
                inner.objects.put(key.clone(), object, false);
                return inner.if_complete(key);
            }
            Event::Delete((key, object)) => {
                inner.objects.live.remove(&key);
                inner.statuses.deleted(&key, &object.uid);
                return inner.if_complete(key);
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

    /// Ingests an event of the Secret watch; returns the keys to reconcile.
    pub(in crate::controller) fn secret_event(
        &self,
        event: Event<(ObjectKey, SecretFacts)>,
    ) -> Vec<ObjectKey> {
        let mut inner = self.lock();
        match event {
            Event::Init => inner.secrets.listing = Some(HashMap::new()),
            Event::InitApply((key, facts)) => inner.secrets.put(key, facts, true),
            Event::Apply((key, facts)) => {
                inner.secret_writes.delivered(&key, &facts.version());
                inner.secrets.put(key.clone(), facts, false);
                return inner.with_object(key);
            }
            Event::Delete((key, facts)) => {
                inner.secrets.live.remove(&key);
                inner.secret_writes.deleted(&key, &facts.uid);
                return inner.with_object(key);
            }
            Event::InitDone => {
                inner.secrets.swap();
                let Inner {
                    secrets,
                    secret_writes,
                    ..
                } = &mut *inner;
                for (key, secret) in &secrets.live {
                    secret_writes.delivered(key, &secret.version());
                }
                return inner.all_if_complete(Vec::new());
            }
        }
        Vec::new()
    }

    /// Returns the observed state of `key`: stores plus expectations.
    pub(in crate::controller) fn observe(&self, key: &ObjectKey, now: Instant) -> Observed {
        let inner = self.lock();
        let mut observed = Observed {
            object: inner.objects.live.get(key).map(|object| Object::clone(object)),
            secret: inner.secrets.live.get(key).cloned(),
            overdue: false,
        };
        match inner.statuses.overlay(key, now) {
            Overlay::None => {}
            Overlay::Value((resource_version, status)) => {
                if let Some(object) = &mut observed.object {
                    object.resource_version.clone_from(resource_version);
                    object.status = status.clone();
                }
            }
            Overlay::Overdue => observed.overdue = true,
        }
        match inner.secret_writes.overlay(key, now) {
            Overlay::None => {}
            Overlay::Value(secret) => observed.secret.clone_from(secret),
            Overlay::Overdue => observed.overdue = true,
        }
        observed
    }

    /// Returns the object in the store, without expectations.
    pub(in crate::controller) fn object(&self, key: &ObjectKey) -> Option<Arc<Object>> {
        self.lock().objects.live.get(key).cloned()
    }

    /// Records that a write or live read of the Secret is about to be sent.
    pub(in crate::controller) fn secret_request(&self, key: &ObjectKey) {
        let mut inner = self.lock();
        let live = inner.secrets.live.get(key).map(|secret| secret.version());
        inner.secret_writes.request(key, live);
    }

    /// Records the result of a write or live read of a Secret that the watch will deliver.
    pub(in crate::controller) fn secret_confirmed(
        &self,
        key: &ObjectKey,
        facts: Arc<SecretFacts>,
        until: Instant,
    ) {
        let mut inner = self.lock();
        let live = inner.secrets.live.get(key).map(|secret| secret.version());
        inner
            .secret_writes
            .confirm(key, facts.version(), live.as_ref(), Some(facts), until);
    }

    /// Records that there is no Secret, or only one that the watch does not deliver.
    pub(in crate::controller) fn secret_unwatched(&self, key: &ObjectKey, until: Instant) {
        let mut inner = self.lock();
        match inner.secrets.live.get(key).map(|secret| secret.version()) {
            // Its Delete event has not arrived yet.
            Some(live) => inner.secret_writes.confirm_absent(key, live, None, until),
            None => inner.secret_writes.forget(key),
        }
    }

    /// Records that the write or live read of the Secret failed.
    pub(in crate::controller) fn secret_unknown(&self, key: &ObjectKey) {
        self.lock().secret_writes.cancel(key);
    }

    /// Records that a status write or a live read of the object is about to be sent.
    pub(in crate::controller) fn object_request(&self, key: &ObjectKey) {
        let mut inner = self.lock();
        let live = inner.objects.live.get(key).map(|object| object.version());
        inner.statuses.request(key, live);
    }

    /// Records the result of a status write.
    pub(in crate::controller) fn status_confirmed(
        &self,
        key: &ObjectKey,
        version: Version,
        status: Arc<StatusFacts>,
        until: Instant,
    ) {
        let mut inner = self.lock();
        let live = inner.objects.live.get(key).map(|object| object.version());
        let value = (version.resource_version.clone(), status);
        inner.statuses.confirm(key, version, live.as_ref(), value, until);
    }

    /// Records that the status write or the live read of the object failed.
    pub(in crate::controller) fn object_unknown(&self, key: &ObjectKey) {
        self.lock().statuses.cancel(key);
    }

    /// Records the result of a live read of the object; `None` if it does not exist. If the watch delivered something about
    /// it in the meantime, the result is dropped: it may be older, and no further event would correct the store.
    pub(in crate::controller) fn object_read(&self, key: &ObjectKey, object: Option<Object>) {
        let mut inner = self.lock();
        if !inner.statuses.supersede(key) {
            return;
        }
        match object {
            Some(object) => drop(inner.objects.live.insert(key.clone(), Arc::new(object))),
            None => drop(inner.objects.live.remove(key)),
        }
    }

    /// Returns the earliest deadline by which a watch should deliver what is expected of `key`.
    pub(in crate::controller) fn next_expectation_deadline(&self, key: &ObjectKey) -> Option<Instant> {
        let inner = self.lock();
        let both = [inner.statuses.until(key), inner.secret_writes.until(key)];
        both.into_iter().flatten().min()
    }

    /// Drops all expectations of `key`, because the object is gone.
    pub(in crate::controller) fn forget(&self, key: &ObjectKey) {
        let mut inner = self.lock();
        inner.statuses.forget(key);
        inner.secret_writes.forget(key);
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        lock(&self.inner)
    }
}

impl Inner {
    fn is_complete(&self) -> bool {
        self.objects.complete && self.secrets.complete
    }

    fn if_complete(&self, key: ObjectKey) -> Vec<ObjectKey> {
        Some(key).filter(|_| self.is_complete()).into_iter().collect()
    }

    /// Ignores a Secret without an object: it is foreign, or left to the garbage collector.
    fn with_object(&self, key: ObjectKey) -> Vec<ObjectKey> {
        if self.objects.live.contains_key(&key) {
            self.if_complete(key)
        } else {
            Vec::new()
        }
    }

    /// Returns all keys after a list: anything may have changed, including deletions in a gap, which produce no event.
    fn all_if_complete(&self, gone: Vec<ObjectKey>) -> Vec<ObjectKey> {
        if !self.is_complete() {
            return Vec::new();
        }
        let all: HashSet<ObjectKey> = self.objects.live.keys().cloned().chain(gone).collect();
        all.into_iter().collect()
    }
}

impl<T> Store<T> {
    /// Stores an item. A listed one reaches the store only when its list is complete.
    fn put(&mut self, key: ObjectKey, value: T, listed: bool) {
        match &mut self.listing {
            Some(listing) if listed => listing.insert(key, Arc::new(value)),
            _ => self.live.insert(key, Arc::new(value)),
        };
    }

    /// Replaces the contents with the complete list. Returns the keys that are no longer present.
    fn swap(&mut self) -> Vec<ObjectKey> {
        let mut old = std::mem::replace(&mut self.live, self.listing.take().unwrap_or_default());
        self.complete = true;
        old.retain(|key, _| !self.live.contains_key(key));
        old.into_keys().collect()
    }
}

#[cfg(test)]
mod tests;
