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
    /// The number of results that were ever expected.
    count: u64,
    /// That number when the current list began: the list contains the results up to there.
    list_began: u64,
}

struct Entry<T> {
    in_flight: Option<InFlight<T>>,
    expected: Option<Expected<T>>,
}

/// What the watch delivered while a request is in flight: the event of a write often arrives before its response.
struct InFlight<T> {
    /// The stored version at the start of the request. A response with this version adds nothing to the store.
    before: Option<Version>,
    /// What the request is based on.
    base: Option<T>,
    delivered: Vec<Version>,
    deleted_uids: Vec<Box<str>>,
}

struct Expected<T> {
    version: Version,
    value: T,
    until: Instant,
    /// Its place among the expected results.
    number: u64,
    /// Whether [`Expectations::overdue`] has returned it.
    reported: bool,
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

/// What an event of the watch means for the plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::controller) enum Delivery {
    /// The state may differ from the one that was planned on.
    News,
    /// It is the result that was expected: nothing new.
    Announced,
    /// A request is in flight. Its response shows whether the event is the result of the request.
    Undecided,
}

impl<T> InFlight<T> {
    fn new(before: Option<Version>, base: Option<T>) -> Self {
        InFlight {
            before,
            base,
            delivered: Vec::new(),
            deleted_uids: Vec::new(),
        }
    }

    /// Whether the watch already delivered this version or the deletion of its uid.
    fn has_delivered(&self, version: &Version) -> bool {
        self.delivered.contains(version) || self.deleted_uids.contains(&version.uid)
    }

    /// Whether the watch delivered something other than `version` last: it has to be planned on.
    fn ends_with_other_than(&self, version: &Version) -> bool {
        self.delivered.last().is_some_and(|last| last != version)
    }
}

impl<T> Default for Expectations<T> {
    fn default() -> Self {
        Expectations {
            entries: HashMap::new(),
            count: 0,
            list_began: 0,
        }
    }
}

impl<T> Expectations<T> {
    /// Records that a write or read of `key` is about to be sent. `stored` is the version in the store, `base` what the
    /// request is based on. Returns whether the watch delivered something during an earlier request that was never
    /// finished.
    pub(in crate::controller) fn request(
        &mut self,
        key: &ObjectKey,
        stored: Option<Version>,
        base: Option<T>,
    ) -> bool {
        let entry = self.entries.entry(key.clone()).or_insert(Entry {
            in_flight: None,
            expected: None,
        });
        let earlier = entry.in_flight.replace(InFlight::new(stored, base));
        earlier.is_some_and(|earlier| !earlier.delivered.is_empty())
    }

    /// Removes and returns what the request in flight is based on.
    pub(in crate::controller) fn take_base(&mut self, key: &ObjectKey) -> Option<T> {
        self.entries.get_mut(key)?.in_flight.as_mut()?.base.take()
    }

    /// Records the response: the object exists in `version`, with `value`. `stored` is the version in the store. Returns
    /// whether the watch delivered something else meanwhile.
    pub(in crate::controller) fn confirm(
        &mut self,
        key: &ObjectKey,
        version: Version,
        stored: Option<&Version>,
        value: T,
        until: Instant,
    ) -> bool {
        let request = self.take_in_flight(key);
        let news = request.ends_with_other_than(&version);
        let known = stored == Some(&version)
            || request.before.as_ref() == Some(&version)
            || request.has_delivered(&version);
        if !known {
            self.expect(key, version, value, until);
        }
        news
    }

    /// Records the response: the object does not exist, although the store has version `stored`. The watch still has to
    /// deliver its deletion. Returns whether the watch delivered something meanwhile.
    pub(in crate::controller) fn confirm_absent(
        &mut self,
        key: &ObjectKey,
        stored: Version,
        value: T,
        until: Instant,
    ) -> bool {
        let request = self.take_in_flight(key);
        if !request.has_delivered(&stored) {
            self.expect(key, stored, value, until);
        }
        !request.delivered.is_empty()
    }

    /// Records the result of a live read: `version` with `value`. It is dropped if the watch delivered something meanwhile:
    /// it may be older, and no further event would correct the store. Returns whether that was something else.
    pub(in crate::controller) fn confirm_read(
        &mut self,
        key: &ObjectKey,
        version: Version,
        stored: Option<&Version>,
        value: T,
        until: Instant,
    ) -> bool {
        let request = self.take_in_flight(key);
        if !request.delivered.is_empty() || !request.deleted_uids.is_empty() {
            return request.delivered.last() != Some(&version);
        }
        if stored != Some(&version) {
            self.expect(key, version, value, until);
        }
        false
    }

    /// Records the response: there is no object, and the store has none. Returns whether the watch delivered something
    /// meanwhile.
    pub(in crate::controller) fn confirm_nothing(&mut self, key: &ObjectKey) -> bool {
        !self.take_in_flight(key).delivered.is_empty()
    }

    /// Removes everything about `key` and returns its request.
    fn take_in_flight(&mut self, key: &ObjectKey) -> InFlight<T> {
        let entry = self.entries.remove(key);
        entry
            .and_then(|entry| entry.in_flight)
            .unwrap_or_else(|| InFlight::new(None, None))
    }

    fn expect(&mut self, key: &ObjectKey, version: Version, value: T, until: Instant) {
        self.count += 1;
        let expected = Some(Expected {
            version,
            value,
            until,
            number: self.count,
            reported: false,
        });
        self.entries.insert(
            key.clone(),
            Entry {
                in_flight: None,
                expected,
            },
        );
    }

    /// Returns what is expected of `key`, overdue or not.
    pub(in crate::controller) fn value(&self, key: &ObjectKey) -> Option<&T> {
        let expected = self.entries.get(key)?.expected.as_ref()?;
        Some(&expected.value)
    }

    /// Records that the store is outdated about `key`, so that it is read. `value` is what the store has.
    pub(in crate::controller) fn distrust(&mut self, key: &ObjectKey, value: T, now: Instant) {
        self.count += 1;
        let number = self.count;
        let entry = self.entries.entry(key.clone()).or_insert(Entry {
            in_flight: None,
            expected: None,
        });
        entry.expected.get_or_insert(Expected {
            version: Version::new("", ""),
            value,
            until: now,
            number,
            reported: true,
        });
    }

    /// Returns the deadline by which the watch should deliver what is expected of `key`.
    pub(in crate::controller) fn until(&self, key: &ObjectKey) -> Option<Instant> {
        let entry = self.entries.get(key)?;
        entry.expected.as_ref().map(|expected| expected.until)
    }

    /// Returns the keys whose expected version the watch has not delivered in time, each once.
    pub(in crate::controller) fn overdue(&mut self, now: Instant) -> Vec<ObjectKey> {
        let entries = self.entries.iter_mut();
        let overdue = entries.filter_map(|(key, entry)| {
            let expected = entry.expected.as_mut()?;
            let is_new = expected.until <= now && !expected.reported;
            expected.reported |= is_new;
            is_new.then(|| key.clone())
        });
        overdue.collect()
    }

    /// Records that the request failed: the previous expectation stays. Returns whether the watch delivered something
    /// meanwhile.
    pub(in crate::controller) fn cancel(&mut self, key: &ObjectKey) -> bool {
        let request = self.entries.get_mut(key).and_then(|entry| entry.in_flight.take());
        self.drop_empty(key);
        request.is_some_and(|request| !request.delivered.is_empty())
    }

    /// Records that the watch delivered this version.
    pub(in crate::controller) fn delivered(&mut self, key: &ObjectKey, version: &Version) -> Delivery {
        let Some(entry) = self.entries.get_mut(key) else {
            return Delivery::News;
        };
        let mut delivery = Delivery::News;
        if entry
            .expected
            .as_ref()
            .is_some_and(|expected| expected.version == *version)
        {
            entry.expected = None;
            delivery = Delivery::Announced;
        }
        if let Some(request) = &mut entry.in_flight {
            request.delivered.push(version.clone());
            delivery = Delivery::Undecided;
        }
        self.drop_empty(key);
        delivery
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

    /// Drops what is expected of `key` if `obsolete` says so of its version and value.
    pub(in crate::controller) fn drop_if(
        &mut self,
        key: &ObjectKey,
        obsolete: impl FnOnce(&Version, &T) -> bool,
    ) {
        if let Some(entry) = self.entries.get_mut(key)
            && let Some(expected) = &entry.expected
            && obsolete(&expected.version, &expected.value)
        {
            entry.expected = None;
            self.drop_empty(key);
        }
    }

    /// Records that a list begins.
    pub(in crate::controller) fn list_begins(&mut self) {
        self.list_began = self.count;
    }

    /// Records that a list is complete; `listed` returns the version that it holds of a key. It supersedes what was
    /// expected before it began, because lists are consistent reads. Returns what it means for the keys of which
    /// something was expected, or of which a request is in flight.
    pub(in crate::controller) fn list_ends(
        &mut self,
        listed: impl Fn(&ObjectKey) -> Option<Version>,
    ) -> HashMap<ObjectKey, Delivery> {
        let mut deliveries = HashMap::new();
        let began = self.list_began;
        self.entries.retain(|key, entry| {
            let listed = listed(key);
            let is_announced = |expected: &Expected<T>| listed.as_ref() == Some(&expected.version);
            let announced = entry.expected.as_ref().is_some_and(is_announced);
            let superseded = |expected: &mut Expected<T>| announced || expected.number <= began;
            if entry.expected.take_if(superseded).is_some() {
                let delivery = if announced {
                    Delivery::Announced
                } else {
                    Delivery::News
                };
                deliveries.insert(key.clone(), delivery);
            }
            if let Some(request) = &mut entry.in_flight {
                match (listed, &request.before) {
                    (Some(version), _) => {
                        request.delivered.push(version);
                        deliveries.insert(key.clone(), Delivery::Undecided);
                    }
                    (None, Some(before)) => request.deleted_uids.push(before.uid.clone()),
                    (None, None) => {}
                }
            }
            entry.in_flight.is_some() || entry.expected.is_some()
        });
        deliveries
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
mod tests;
