//! The pair of stores of one namespace, or of the whole cluster: the events that they ingest, and what planning observes.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock};

use kube::runtime::watcher::Event;
use tokio::time::Instant;

use super::items::{Items, Versioned};
use crate::controller::key::ObjectKey;
use crate::controller::observe::documents::Documents;
use crate::controller::observe::expectations::{Delivery, Expectations, Overlay, Version};
use crate::controller::observe::object::{Object, Received};
use crate::controller::observe::secret_facts::SecretFacts;
use crate::controller::observe::summary::{Summary, Texts, spec_hash};
use crate::controller::observe::watch::{Condition, WatchStream};
use crate::metrics::Metrics;
use crate::sync::lock;

/// The pair of stores of one namespace, or of the whole cluster.
pub(in crate::controller) struct NamespaceCache {
    /// `None` for the whole cluster.
    pub(in crate::controller) namespace: Option<Box<str>>,
    /// The streams that feed the two stores.
    streams: OnceLock<[Arc<WatchStream>; 2]>,
    /// Queues a key whose state turns out to differ from the one that was planned on.
    on_news: OnceLock<Arc<dyn Fn(ObjectKey) + Send + Sync>>,
    documents: Arc<Documents>,
    metrics: Arc<Metrics>,
    texts: Mutex<Texts>,
    inner: Mutex<Inner>,
}

#[derive(Default)]
pub(super) struct Inner {
    pub(super) objects: Items<Object>,
    pub(super) secrets: Items<SecretFacts>,
    /// Expected results of status writes and live reads of objects.
    pub(super) expected_objects: Expectations<ExpectedObject>,
    /// Expected results of writes and live reads of Secrets; an inner `None` means that the Secret does not exist.
    pub(super) expected_secrets: Expectations<Option<Arc<SecretFacts>>>,
}

/// What is expected of an object.
#[derive(Clone)]
pub(super) enum ExpectedObject {
    /// The result of a status write: the whole object, as it was written on.
    Written(Arc<Object>),
    /// What a live read returned; `None` if there is no object.
    Read(Option<Arc<Object>>),
}

/// The observed state of one object: stores plus expectations.
#[derive(Clone, Debug, Default)]
pub(in crate::controller) struct Observed {
    pub(in crate::controller) object: Option<Object>,
    pub(in crate::controller) secret: Option<Arc<SecretFacts>>,
    /// The watch has not delivered one of our writes in time: object and Secret have to be read.
    pub(in crate::controller) overdue: bool,
}

impl Versioned for Object {
    fn version(&self) -> Version {
        Version::new(&self.uid, &self.resource_version)
    }

    fn is_older_than(&self, other: &Self) -> bool {
        self.uid == other.uid && self.generation < other.generation
    }
}

impl Versioned for SecretFacts {
    fn version(&self) -> Version {
        Version::new(&self.uid, &self.resource_version)
    }

    // The generation of a Secret is always 0.
    fn is_older_than(&self, _: &Self) -> bool {
        false
    }
}

impl NamespaceCache {
    pub(super) fn new(namespace: Option<&str>, documents: Arc<Documents>, metrics: Arc<Metrics>) -> Self {
        NamespaceCache {
            namespace: namespace.map(Into::into),
            streams: OnceLock::new(),
            on_news: OnceLock::new(),
            documents,
            metrics,
            texts: Mutex::default(),
            inner: Mutex::default(),
        }
    }

    pub(super) fn on_news(&self, queue: Arc<dyn Fn(ObjectKey) + Send + Sync>) {
        // Called once; a second call is ignored.
        let _ = self.on_news.set(queue);
    }

    /// Queues `key` if there is news about it.
    pub(super) fn report(&self, key: &ObjectKey, news: bool) {
        if let Some(queue) = self.on_news.get().filter(|_| news) {
            queue(key.clone());
        }
    }

    pub(super) fn forget_expectations(&self) {
        let mut inner = self.lock();
        inner.expected_objects = Expectations::default();
        inner.expected_secrets = Expectations::default();
    }

    /// Returns the keys of all objects.
    pub(in crate::controller) fn keys(&self) -> Vec<ObjectKey> {
        self.lock().objects.live.keys().cloned().collect()
    }

    pub(super) fn count_reasons(&self, counts: &mut HashMap<String, usize>) {
        for object in self.lock().objects.live.values() {
            let reason = object.status.reason().unwrap_or_default();
            match counts.get_mut(reason) {
                Some(count) => *count += 1,
                None => drop(counts.insert(reason.to_owned(), 1)),
            }
        }
    }

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
    pub(in crate::controller) fn object_event(&self, event: Event<(ObjectKey, Received)>) -> Vec<ObjectKey> {
        match event {
            Event::Init => {
                let mut inner = self.lock();
                for key in inner.objects.begin() {
                    self.documents.remove(&key);
                }
                inner.expected_objects.list_begins();
                Vec::new()
            }
            Event::InitApply((key, received)) => {
                let object = self.summarized(&key, received);
                self.lock().objects.list(key, object);
                Vec::new()
            }
            Event::Apply((key, received)) => {
                let object = self.summarized(&key, received);
                let mut inner = self.lock();
                let delivery = inner.expected_objects.delivered(&key, &object.version());
                inner
                    .expected_objects
                    .drop_if(&key, |_, expected| expected.is_superseded_by(&object));
                inner.objects.put(key.clone(), object);
                if delivery == Delivery::News {
                    return inner.if_complete(key);
                }
                Vec::new()
            }
            Event::Delete((key, received)) => {
                self.documents.remove(&key);
                let mut inner = self.lock();
                inner.objects.live.remove(&key);
                inner.expected_objects.deleted(&key, &received.uid);
                inner.if_complete(key)
            }
            Event::InitDone => {
                let mut inner = self.lock();
                let was_complete = inner.is_complete();
                let Inner {
                    objects,
                    expected_objects,
                    ..
                } = &mut *inner;
                let listing = objects.listing.get_or_insert_default();
                let deliveries =
                    expected_objects.list_ends(|key| listing.get(key).map(|object| object.version()));
                let changed = objects.swap(&deliveries);
                for key in changed.iter().filter(|key| !objects.live.contains_key(*key)) {
                    self.documents.remove(key);
                }
                inner.after_list(was_complete, changed)
            }
        }
    }

    /// Ingests an event of the Secret watch; returns the keys to reconcile.
    pub(in crate::controller) fn secret_event(
        &self,
        event: Event<(ObjectKey, SecretFacts)>,
    ) -> Vec<ObjectKey> {
        let mut inner = self.lock();
        match event {
            Event::Init => {
                inner.secrets.begin();
                inner.expected_secrets.list_begins();
            }
            Event::InitApply((key, facts)) => inner.secrets.list(key, facts),
            Event::Apply((key, facts)) => {
                let delivery = inner.expected_secrets.delivered(&key, &facts.version());
                inner.secrets.put(key.clone(), facts);
                if delivery == Delivery::News {
                    return inner.with_object(key);
                }
            }
            Event::Delete((key, facts)) => {
                inner.secrets.live.remove(&key);
                inner.expected_secrets.deleted(&key, &facts.uid);
                return inner.with_object(key);
            }
            Event::InitDone => {
                let was_complete = inner.is_complete();
                let Inner {
                    secrets,
                    expected_secrets,
                    ..
                } = &mut *inner;
                let listing = secrets.listing.get_or_insert_default();
                let deliveries =
                    expected_secrets.list_ends(|key| listing.get(key).map(|facts| facts.version()));
                let changed = secrets.swap(&deliveries);
                return inner.after_list(was_complete, changed);
            }
        }
        Vec::new()
    }

    /// Returns the object with its summary: that of the stored object if the document is the same, or a new one. Keeps the
    /// document.
    pub(super) fn summarized(&self, key: &ObjectKey, received: Received) -> Object {
        let hash = spec_hash(received.spec.get());
        let stored = self.lock().summary(key, &received, hash);
        let summary = stored.unwrap_or_else(|| {
            self.metrics.document_parsed("summary");
            let texts = &mut lock(&self.texts);
            Arc::new(Summary::of(key, &received.uid, received.spec.get(), texts))
        });
        self.documents
            .keep(key, &received.uid, received.generation, &received.spec);
        received.into_object(summary)
    }

    /// Returns the observed state of `key`: stores plus expectations.
    pub(in crate::controller) fn observe(&self, key: &ObjectKey, now: Instant) -> Observed {
        let inner = self.lock();
        let mut observed = Observed {
            object: inner.objects.live.get(key).map(|object| Object::clone(object)),
            secret: inner.secrets.live.get(key).cloned(),
            overdue: false,
        };
        match inner.expected_objects.overlay(key, now) {
            Overlay::None => {}
            Overlay::Value(ExpectedObject::Read(object)) => {
                observed.object = object.as_deref().cloned();
            }
            // It applies to one uid only.
            Overlay::Value(ExpectedObject::Written(object)) => {
                if observed.object.as_ref().is_none_or(|live| live.uid == object.uid) {
                    observed.object = Some(Object::clone(object));
                }
            }
            Overlay::Overdue => observed.overdue = true,
        }
        match inner.expected_secrets.overlay(key, now) {
            Overlay::None => {}
            Overlay::Value(secret) => observed.secret.clone_from(secret),
            Overlay::Overdue => observed.overdue = true,
        }
        observed
    }

    /// Returns the object as it is observed.
    pub(in crate::controller) fn object(&self, key: &ObjectKey) -> Option<Arc<Object>> {
        self.lock().observed_object(key, Instant::now())
    }

    /// Returns the keys whose expected version the watch has not delivered in time, each once; none while a stream is not
    /// synced: it will deliver the version, or everything.
    pub(in crate::controller) fn overdue(&self, now: Instant) -> Vec<ObjectKey> {
        if !self.is_synced() {
            return Vec::new();
        }
        let mut inner = self.lock();
        let mut overdue = inner.expected_objects.overdue(now);
        overdue.extend(inner.expected_secrets.overdue(now));
        overdue
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Inner> {
        lock(&self.inner)
    }
}

impl ExpectedObject {
    fn object(&self) -> Option<&Arc<Object>> {
        match self {
            ExpectedObject::Written(object) => Some(object),
            ExpectedObject::Read(object) => object.as_ref(),
        }
    }

    /// Whether what the watch delivered is newer, although it is not the expected version.
    fn is_superseded_by(&self, delivered: &Object) -> bool {
        match self {
            // Another object of the same name: what was written on is gone.
            ExpectedObject::Written(object) if object.uid != delivered.uid => true,
            _ => self
                .object()
                .is_some_and(|object| object.is_older_than(delivered)),
        }
    }
}

impl Inner {
    fn is_complete(&self) -> bool {
        self.objects.complete && self.secrets.complete
    }

    /// Returns the object as it is observed, whether or not its expectation is overdue.
    pub(super) fn observed_object(&self, key: &ObjectKey, now: Instant) -> Option<Arc<Object>> {
        let live = self.objects.live.get(key);
        match self.expected_objects.overlay(key, now) {
            Overlay::Value(ExpectedObject::Read(object)) => object.clone(),
            Overlay::Value(ExpectedObject::Written(object))
                if live.is_none_or(|live| live.uid == object.uid) =>
            {
                Some(object.clone())
            }
            _ => live.cloned(),
        }
    }

    /// Returns the summary of a stored object with the same uid, generation and document.
    fn summary(&self, key: &ObjectKey, received: &Received, spec_hash: u64) -> Option<Arc<Summary>> {
        let expected = self.expected_objects.value(key).and_then(ExpectedObject::object);
        let mut stored = self.objects.live.get(key).into_iter().chain(expected);
        let same = stored.find(|object| {
            object.uid == received.uid
                && object.generation == received.generation
                && object.summary.is_of(spec_hash)
        });
        same.map(|object| object.summary.clone())
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

    /// Returns the keys to reconcile after a list: all of them after the first one, then those that differ. Deletions in a
    /// gap between two watches produce no event.
    fn after_list(&self, was_complete: bool, changed: Vec<ObjectKey>) -> Vec<ObjectKey> {
        if !self.is_complete() {
            Vec::new()
        } else if was_complete {
            changed
        } else {
            self.objects.live.keys().cloned().collect()
        }
    }
}
