//! The results of our own requests. They override the stores until the watch delivers them.

use std::sync::Arc;

use tokio::time::Instant;

use super::cache::{ExpectedObject, NamespaceCache};
use super::items::Versioned as _;
use crate::controller::key::ObjectKey;
use crate::controller::observe::expectations::Version;
use crate::controller::observe::object::{Object, Received};
use crate::controller::observe::secret_facts::SecretFacts;
use crate::controller::observe::status_facts::StatusFacts;

impl NamespaceCache {
    /// Records that a write or live read of the Secret is about to be sent.
    pub(in crate::controller) fn secret_request(&self, key: &ObjectKey) {
        let mut inner = self.lock();
        let live = inner.secrets.version(key);
        let news = inner.expected_secrets.request(key, live, None);
        drop(inner);
        self.report(key, news);
    }

    /// Records the result of a write or live read of a Secret that the watch will deliver.
    pub(in crate::controller) fn secret_confirmed(
        &self,
        key: &ObjectKey,
        facts: Arc<SecretFacts>,
        until: Instant,
    ) {
        let mut inner = self.lock();
        let live = inner.secrets.version(key);
        let version = facts.version();
        let news = inner
            .expected_secrets
            .confirm(key, version, live.as_ref(), Some(facts), until);
        drop(inner);
        self.report(key, news);
    }

    /// Records that there is no Secret, or only one that the watch does not deliver.
    pub(in crate::controller) fn secret_unwatched(&self, key: &ObjectKey, until: Instant) {
        let mut inner = self.lock();
        let news = match inner.secrets.version(key) {
            // Its Delete event has not arrived yet.
            Some(live) => inner.expected_secrets.confirm_absent(key, live, None, until),
            None => inner.expected_secrets.confirm_nothing(key),
        };
        drop(inner);
        self.report(key, news);
    }

    /// Records that the write or live read of the Secret failed.
    pub(in crate::controller) fn secret_unknown(&self, key: &ObjectKey) {
        let news = self.lock().expected_secrets.cancel(key);
        self.report(key, news);
    }

    /// Records that a status write or a live read of the object is about to be sent.
    pub(in crate::controller) fn object_request(&self, key: &ObjectKey) {
        let mut inner = self.lock();
        let live = inner.objects.version(key);
        let base = inner
            .observed_object(key, Instant::now())
            .map(ExpectedObject::Written);
        let news = inner.expected_objects.request(key, live, base);
        drop(inner);
        self.report(key, news);
    }

    /// Records the result of a status write: the object that it was based on, with this version and status.
    pub(in crate::controller) fn status_confirmed(
        &self,
        key: &ObjectKey,
        version: Version,
        status: Arc<StatusFacts>,
        until: Instant,
    ) {
        let mut inner = self.lock();
        let base = inner.expected_objects.take_base(key);
        let live = inner.objects.version(key);
        let news = match base {
            Some(ExpectedObject::Written(base))
                if *base.uid == *version.uid && live.as_ref().is_none_or(|live| live.uid == version.uid) =>
            {
                let written = ExpectedObject::Written(Arc::new(Object {
                    resource_version: version.resource_version.clone(),
                    status,
                    ..Object::clone(&base)
                }));
                inner
                    .expected_objects
                    .confirm(key, version, live.as_ref(), written, until)
            }
            // The object was replaced, and the watch delivers the new one.
            _ => {
                inner.expected_objects.cancel(key);
                true
            }
        };
        drop(inner);
        self.report(key, news);
    }

    /// Records that the status write or the live read of the object failed, or that its result is of no use.
    pub(in crate::controller) fn object_unknown(&self, key: &ObjectKey) {
        let news = self.lock().expected_objects.cancel(key);
        self.report(key, news);
    }

    /// Records the result of a live read of the object; `None` if it does not exist. If the watch delivered it, or
    /// something newer, in the meantime, the result is dropped.
    pub(in crate::controller) fn object_read(&self, key: &ObjectKey, read: Option<Received>, until: Instant) {
        let read = read.map(|received| Arc::new(self.summarized(key, received)));
        let mut inner = self.lock();
        let live = inner.objects.version(key);
        let news = match (read, live) {
            (Some(object), live) => {
                let version = object.version();
                let value = ExpectedObject::Read(Some(object));
                inner
                    .expected_objects
                    .confirm_read(key, version, live.as_ref(), value, until)
            }
            (None, Some(live)) => {
                let absent = ExpectedObject::Read(None);
                inner.expected_objects.confirm_absent(key, live, absent, until)
            }
            (None, None) => inner.expected_objects.confirm_nothing(key),
        };
        drop(inner);
        self.report(key, news);
    }

    /// Records that the stored object is outdated: the next reconcile reads it.
    pub(in crate::controller) fn object_outdated(&self, key: &ObjectKey) {
        let mut inner = self.lock();
        let stored = ExpectedObject::Read(inner.objects.live.get(key).cloned());
        inner.expected_objects.distrust(key, stored, Instant::now());
    }

    /// Ends the requests of a reconcile that did not finish.
    pub(in crate::controller) fn abandon(&self, key: &ObjectKey) {
        self.secret_unknown(key);
        self.object_unknown(key);
    }

    /// Returns the earliest deadline by which a watch should deliver what is expected of `key`.
    pub(in crate::controller) fn next_expectation_deadline(&self, key: &ObjectKey) -> Option<Instant> {
        let inner = self.lock();
        let both = [
            inner.expected_objects.until(key),
            inner.expected_secrets.until(key),
        ];
        both.into_iter().flatten().min()
    }

    /// Drops all expectations of `key`, because the object is gone.
    pub(in crate::controller) fn forget(&self, key: &ObjectKey) {
        let mut inner = self.lock();
        inner.expected_objects.forget(key);
        inner.expected_secrets.forget(key);
    }
}
