//! Expectations: the results of our own writes and live reads override the store until the watch delivers them
//! (docs/design/controller.md#expectations). Versions are compared only for equality.

use std::collections::HashMap;

use tokio::time::Instant;

use crate::controller::key::ObjectKey;

/// The uid and resourceVersion of an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::controller) struct Version {
    pub(in crate::controller) uid: Box<str>,
    pub(in crate::controller) resource_version: Box<str>,
}

impl Version {
    pub(in crate::controller) fn new(uid: &str, resource_version: &str) -> Self {
        Version {
            uid: uid.into(),
            resource_version: resource_version.into(),
        }
    }
}

/// The expectations for one kind of object.
pub(in crate::controller) struct Expectations<T> {
    entries: HashMap<ObjectKey, Entry<T>>,
}

struct Entry<T> {
    in_flight: Option<InFlight>,
    expected: Option<Expected<T>>,
}

/// What the watch delivered while a request is in flight: the event of a write often arrives before its response.
#[derive(Default)]
struct InFlight {
    /// The stored version at the start of the request. A response with this version adds nothing to the store.
    before: Option<Version>,
    delivered: Vec<Version>,
    deleted_uids: Vec<Box<str>>,
}

struct Expected<T> {
    version: Version,
    value: T,
    until: Instant,
}

/// What overrides the store.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::controller) enum Overlay<'a, T> {
    /// Nothing: the store is up to date.
    None,
    /// This value.
    Value(&'a T),
    /// The watch has not delivered an expected version in time: a live read is necessary.
    Overdue,
}

impl InFlight {
    /// Whether the watch already delivered this version or the deletion of its uid.
    fn has_delivered(&self, version: &Version) -> bool {
        self.delivered.contains(version) || self.deleted_uids.contains(&version.uid)
    }
}

impl<T> Default for Expectations<T> {
    fn default() -> Self {
        Expectations {
            entries: HashMap::new(),
        }
    }
}

impl<T> Expectations<T> {
    /// Records that a write or read of `key` is about to be sent. `stored` is the version in the store.
    pub(in crate::controller) fn request(&mut self, key: &ObjectKey, stored: Option<Version>) {
        let entry = self.entries.entry(key.clone()).or_insert(Entry {
            in_flight: None,
            expected: None,
        });
        entry.in_flight = Some(InFlight {
            before: stored,
            ..InFlight::default()
        });
    }

    /// Records the response: the object exists in `version`, with `value`. `stored` is the version in the store.
    pub(in crate::controller) fn confirm(
        &mut self,
        key: &ObjectKey,
        version: Version,
        stored: Option<&Version>,
        value: T,
        until: Instant,
    ) {
        let request = self.take_in_flight(key);
        let known = stored == Some(&version)
            || request.before.as_ref() == Some(&version)
            || request.has_delivered(&version);
        if !known {
            self.expect(key, version, value, until);
        }
    }

    /// Records the response: the object does not exist, although the store has version `stored`. The watch still has to
    /// deliver its deletion.
    pub(in crate::controller) fn confirm_absent(
        &mut self,
        key: &ObjectKey,
        stored: Version,
        value: T,
        until: Instant,
    ) {
        if !self.take_in_flight(key).has_delivered(&stored) {
            self.expect(key, stored, value, until);
        }
    }

    /// Drops the expectation, because a live read superseded it. Returns whether the read result is newer than the store,
    /// that is, whether the watch delivered nothing about `key` in the meantime.
    pub(in crate::controller) fn supersede(&mut self, key: &ObjectKey) -> bool {
        let request = self.take_in_flight(key);
        request.delivered.is_empty() && request.deleted_uids.is_empty()
    }

    fn take_in_flight(&mut self, key: &ObjectKey) -> InFlight {
        let entry = self.entries.remove(key);
        entry.and_then(|entry| entry.in_flight).unwrap_or_default()
    }

    fn expect(&mut self, key: &ObjectKey, version: Version, value: T, until: Instant) {
        let expected = Some(Expected {
            version,
            value,
            until,
        });
        self.entries.insert(
            key.clone(),
            Entry {
                in_flight: None,
                expected,
            },
        );
    }

    /// Returns the deadline by which the watch should deliver what is expected of `key`.
    pub(in crate::controller) fn until(&self, key: &ObjectKey) -> Option<Instant> {
        let entry = self.entries.get(key)?;
        entry.expected.as_ref().map(|expected| expected.until)
    }

    /// Records that the request failed: the previous expectation stays.
    pub(in crate::controller) fn cancel(&mut self, key: &ObjectKey) {
        if let Some(entry) = self.entries.get_mut(key) {
            entry.in_flight = None;
        }
        self.drop_empty(key);
    }

    /// Records that the watch delivered this version.
    pub(in crate::controller) fn delivered(&mut self, key: &ObjectKey, version: &Version) {
        let Some(entry) = self.entries.get_mut(key) else {
            return;
        };
        if let Some(request) = &mut entry.in_flight {
            request.delivered.push(version.clone());
        }
        if entry
            .expected
            .as_ref()
            .is_some_and(|expected| expected.version == *version)
        {
            entry.expected = None;
        }
        self.drop_empty(key);
    }

    /// Records that the watch delivered the deletion of this uid, or that it no longer matches the selector.
    pub(in crate::controller) fn deleted(&mut self, key: &ObjectKey, uid: &str) {
        let Some(entry) = self.entries.get_mut(key) else {
            return;
        };
        if let Some(request) = &mut entry.in_flight {
            request.deleted_uids.push(uid.into());
        }
        if entry
            .expected
            .as_ref()
            .is_some_and(|expected| *expected.version.uid == *uid)
        {
            entry.expected = None;
        }
        self.drop_empty(key);
    }

    /// Drops everything about `key`.
    pub(in crate::controller) fn forget(&mut self, key: &ObjectKey) {
        self.entries.remove(key);
    }

    /// Returns what overrides the store for `key`.
    pub(in crate::controller) fn overlay(&self, key: &ObjectKey, now: Instant) -> Overlay<'_, T> {
        match self.entries.get(key).and_then(|entry| entry.expected.as_ref()) {
            None => Overlay::None,
            Some(expected) if now < expected.until => Overlay::Value(&expected.value),
            Some(_) => Overlay::Overdue,
        }
    }

    fn drop_empty(&mut self, key: &ObjectKey) {
        if self
            .entries
            .get(key)
            .is_some_and(|entry| entry.in_flight.is_none() && entry.expected.is_none())
        {
            self.entries.remove(key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn key() -> ObjectKey {
        ObjectKey::new("prod", "db")
    }

    fn version(resource_version: &str) -> Version {
        Version::new("s-1", resource_version)
    }

    #[tokio::test(start_paused = true)]
    async fn write_overrides_the_store_until_delivered_or_overdue() {
        let now = Instant::now();
        let until = now + Duration::from_secs(30);
        let mut all = Expectations::default();
        assert_eq!(all.overlay(&key(), now), Overlay::None);
        all.request(&key(), None);
        assert_eq!(all.overlay(&key(), now), Overlay::None);
        all.confirm(&key(), version("5"), Some(&version("4")), "written", until);
        assert_eq!(all.overlay(&key(), now), Overlay::Value(&"written"));
        all.delivered(&key(), &version("4"));
        assert_eq!(
            all.overlay(&key(), now),
            Overlay::Value(&"written"),
            "an older event"
        );
        assert_eq!(all.overlay(&key(), until), Overlay::Overdue);
        all.delivered(&key(), &version("5"));
        assert_eq!(all.overlay(&key(), now), Overlay::None);
        assert!(all.entries.is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn event_before_the_response_fulfils_the_expectation() {
        let now = Instant::now();
        let mut all = Expectations::default();
        all.request(&key(), None);
        all.delivered(&key(), &version("5"));
        all.delivered(&key(), &version("6"));
        all.confirm(
            &key(),
            version("5"),
            Some(&version("6")),
            "written",
            now + Duration::from_secs(30),
        );
        assert_eq!(all.overlay(&key(), now), Overlay::None, "the store is newer");
        all.request(&key(), None);
        all.confirm(
            &key(),
            version("6"),
            Some(&version("6")),
            "unchanged",
            now + Duration::from_secs(30),
        );
        assert_eq!(
            all.overlay(&key(), now),
            Overlay::None,
            "a write that changed nothing"
        );
        assert!(all.entries.is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn response_older_than_the_store_is_ignored() {
        let now = Instant::now();
        let until = now + Duration::from_secs(30);
        let mut all = Expectations::default();
        // The read returned the stored version, and an edit was delivered before the response.
        all.request(&key(), Some(version("5")));
        all.delivered(&key(), &version("6"));
        all.confirm(&key(), version("5"), Some(&version("6")), "read", until);
        assert_eq!(all.overlay(&key(), now), Overlay::None);
        assert_eq!(all.until(&key()), None);

        all.request(&key(), Some(version("6")));
        all.confirm_absent(&key(), version("6"), "gone", until);
        assert_eq!(all.overlay(&key(), now), Overlay::Value(&"gone"));
        assert_eq!(all.until(&key()), Some(until));
        all.deleted(&key(), "s-1");
        all.request(&key(), None);
        all.delivered(&key(), &version("7"));
        all.confirm_absent(&key(), version("7"), "gone", until);
        assert_eq!(all.overlay(&key(), now), Overlay::None, "created after the read");

        all.request(&key(), Some(version("7")));
        assert!(all.supersede(&key()), "nothing was delivered");
        all.request(&key(), Some(version("7")));
        all.delivered(&key(), &version("8"));
        assert!(!all.supersede(&key()));
        all.request(&key(), Some(version("8")));
        all.deleted(&key(), "s-1");
        assert!(!all.supersede(&key()));
        assert!(all.entries.is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn deletion_of_another_uid_leaves_the_expectation() {
        let now = Instant::now();
        let mut all = Expectations::default();
        all.request(&key(), None);
        all.confirm(
            &key(),
            version("5"),
            None,
            "written",
            now + Duration::from_secs(30),
        );
        all.deleted(&key(), "s-0");
        assert_eq!(
            all.overlay(&key(), now),
            Overlay::Value(&"written"),
            "deletion of its predecessor"
        );
        all.deleted(&key(), "s-1");
        assert_eq!(all.overlay(&key(), now), Overlay::None);

        all.request(&key(), None);
        all.deleted(&key(), "s-1");
        all.confirm(
            &key(),
            version("5"),
            None,
            "read before its deletion",
            now + Duration::from_secs(30),
        );
        assert_eq!(all.overlay(&key(), now), Overlay::None);
    }

    #[tokio::test(start_paused = true)]
    async fn failed_write_leaves_the_previous_expectation() {
        let now = Instant::now();
        let mut all = Expectations::default();
        all.request(&key(), None);
        all.confirm(&key(), version("5"), None, "first", now + Duration::from_secs(30));
        all.request(&key(), None);
        all.cancel(&key());
        assert_eq!(all.overlay(&key(), now), Overlay::Value(&"first"));
        all.forget(&key());
        all.request(&key(), None);
        all.cancel(&key());
        assert!(all.entries.is_empty(), "no entry is left behind");
    }
}
