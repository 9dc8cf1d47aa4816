//! Our own writes, seen late: what they left behind is believed until the watch has delivered them
//! (controller.md 4). Versions are compared for equality only.

use std::collections::HashMap;

use tokio::time::Instant;

use super::ObjectKey;

/// uid and resourceVersion.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Version {
    pub(super) uid: Box<str>,
    pub(super) resource_version: Box<str>,
}

impl Version {
    pub(super) fn new(uid: &str, resource_version: &str) -> Self {
        Version {
            uid: uid.into(),
            resource_version: resource_version.into(),
        }
    }
}

/// The expectations of one kind of object.
pub(super) struct Expectations<T> {
    entries: HashMap<ObjectKey, Entry<T>>,
}

struct Entry<T> {
    under_way: Option<Seen>,
    expected: Option<Expected<T>>,
}

/// What the watch delivered while a request is under way: the event of a write often comes before its answer.
#[derive(Default)]
struct Seen {
    /// What the store had before: an answer that repeats it tells nothing that the watch has not delivered.
    before: Option<Version>,
    versions: Vec<Version>,
    ended: Vec<Box<str>>,
}

struct Expected<T> {
    version: Version,
    value: T,
    until: Instant,
}

/// What is known beyond the store.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Belief<'a, T> {
    /// The store is up to date.
    Nothing,
    /// This stands, whatever the store says.
    Value(&'a T),
    /// The watch has not delivered a write in time: it has to be read.
    Overdue,
}

impl Seen {
    fn tells(&self, version: &Version) -> bool {
        self.versions.contains(version) || self.ended.contains(&version.uid)
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
    /// A write or a read of `key` is about to be sent. `live` is what the store has.
    pub(super) fn begin(&mut self, key: &ObjectKey, live: Option<Version>) {
        let entry = self.entries.entry(key.clone()).or_insert(Entry {
            under_way: None,
            expected: None,
        });
        entry.under_way = Some(Seen {
            before: live,
            ..Seen::default()
        });
    }

    /// The answer: `version` stands, with `value`. `live` is what the store has.
    pub(super) fn settle(
        &mut self,
        key: &ObjectKey,
        version: Version,
        live: Option<&Version>,
        value: T,
        until: Instant,
    ) {
        let seen = self.end(key);
        if live != Some(&version) && seen.before.as_ref() != Some(&version) && !seen.tells(&version) {
            self.expect(key, version, value, until);
        }
    }

    /// The answer: nothing stands, though the store has `live`; its end is still to be delivered.
    pub(super) fn settle_gone(&mut self, key: &ObjectKey, live: Version, value: T, until: Instant) {
        if !self.end(key).tells(&live) {
            self.expect(key, live, value, until);
        }
    }

    /// Ends what is under way, and what is believed: something newer was read. Whether the watch delivered nothing
    /// of `key` meanwhile; else it has something that is as new.
    pub(super) fn supersede(&mut self, key: &ObjectKey) -> bool {
        let seen = self.end(key);
        seen.versions.is_empty() && seen.ended.is_empty()
    }

    fn end(&mut self, key: &ObjectKey) -> Seen {
        let entry = self.entries.remove(key);
        entry.and_then(|entry| entry.under_way).unwrap_or_default()
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
                under_way: None,
                expected,
            },
        );
    }

    /// Until when something is believed of `key` that the watch has not delivered.
    pub(super) fn until(&self, key: &ObjectKey) -> Option<Instant> {
        let entry = self.entries.get(key)?;
        entry.expected.as_ref().map(|expected| expected.until)
    }

    /// There was no answer that tells anything: what was believed before still is.
    pub(super) fn cancel(&mut self, key: &ObjectKey) {
        if let Some(entry) = self.entries.get_mut(key) {
            entry.under_way = None;
        }
        self.drop_empty(key);
    }

    /// The watch delivered this version.
    pub(super) fn delivered(&mut self, key: &ObjectKey, version: &Version) {
        let Some(entry) = self.entries.get_mut(key) else {
            return;
        };
        if let Some(seen) = &mut entry.under_way {
            seen.versions.push(version.clone());
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

    /// The watch delivered the end of this uid, or its leaving the selector.
    pub(super) fn deleted(&mut self, key: &ObjectKey, uid: &str) {
        let Some(entry) = self.entries.get_mut(key) else {
            return;
        };
        if let Some(seen) = &mut entry.under_way {
            seen.ended.push(uid.into());
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

    /// Nothing is believed of `key` any more.
    pub(super) fn forget(&mut self, key: &ObjectKey) {
        self.entries.remove(key);
    }

    pub(super) fn belief(&self, key: &ObjectKey, now: Instant) -> Belief<'_, T> {
        match self.entries.get(key).and_then(|entry| entry.expected.as_ref()) {
            None => Belief::Nothing,
            Some(expected) if now < expected.until => Belief::Value(&expected.value),
            Some(_) => Belief::Overdue,
        }
    }

    fn drop_empty(&mut self, key: &ObjectKey) {
        if self
            .entries
            .get(key)
            .is_some_and(|entry| entry.under_way.is_none() && entry.expected.is_none())
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
    async fn a_write_is_believed_until_it_is_delivered_or_overdue() {
        let now = Instant::now();
        let until = now + Duration::from_secs(30);
        let mut all = Expectations::default();
        assert_eq!(all.belief(&key(), now), Belief::Nothing);
        all.begin(&key(), None);
        assert_eq!(all.belief(&key(), now), Belief::Nothing);
        all.settle(&key(), version("5"), Some(&version("4")), "written", until);
        assert_eq!(all.belief(&key(), now), Belief::Value(&"written"));
        all.delivered(&key(), &version("4"));
        assert_eq!(
            all.belief(&key(), now),
            Belief::Value(&"written"),
            "an older event"
        );
        assert_eq!(all.belief(&key(), until), Belief::Overdue);
        all.delivered(&key(), &version("5"));
        assert_eq!(all.belief(&key(), now), Belief::Nothing);
        assert!(all.entries.is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn an_event_that_comes_before_the_answer_counts() {
        let now = Instant::now();
        let mut all = Expectations::default();
        all.begin(&key(), None);
        all.delivered(&key(), &version("5"));
        all.delivered(&key(), &version("6"));
        all.settle(
            &key(),
            version("5"),
            Some(&version("6")),
            "written",
            now + Duration::from_secs(30),
        );
        assert_eq!(
            all.belief(&key(), now),
            Belief::Nothing,
            "the store has something newer"
        );
        all.begin(&key(), None);
        all.settle(
            &key(),
            version("6"),
            Some(&version("6")),
            "unchanged",
            now + Duration::from_secs(30),
        );
        assert_eq!(
            all.belief(&key(), now),
            Belief::Nothing,
            "a write that changed nothing"
        );
        assert!(all.entries.is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_that_is_older_than_the_store_is_not_believed() {
        let now = Instant::now();
        let until = now + Duration::from_secs(30);
        let mut all = Expectations::default();
        // Read as the store had it, and edited before the answer came.
        all.begin(&key(), Some(version("5")));
        all.delivered(&key(), &version("6"));
        all.settle(&key(), version("5"), Some(&version("6")), "read", until);
        assert_eq!(all.belief(&key(), now), Belief::Nothing);
        assert_eq!(all.until(&key()), None);

        all.begin(&key(), Some(version("6")));
        all.settle_gone(&key(), version("6"), "gone", until);
        assert_eq!(all.belief(&key(), now), Belief::Value(&"gone"));
        assert_eq!(all.until(&key()), Some(until));
        all.deleted(&key(), "s-1");
        all.begin(&key(), None);
        all.delivered(&key(), &version("7"));
        all.settle_gone(&key(), version("7"), "gone", until);
        assert_eq!(all.belief(&key(), now), Belief::Nothing, "it came after the read");

        all.begin(&key(), Some(version("7")));
        assert!(all.supersede(&key()), "nothing came");
        all.begin(&key(), Some(version("7")));
        all.delivered(&key(), &version("8"));
        assert!(!all.supersede(&key()));
        all.begin(&key(), Some(version("8")));
        all.deleted(&key(), "s-1");
        assert!(!all.supersede(&key()));
        assert!(all.entries.is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn the_end_of_another_uid_ends_no_belief() {
        let now = Instant::now();
        let mut all = Expectations::default();
        all.begin(&key(), None);
        all.settle(
            &key(),
            version("5"),
            None,
            "written",
            now + Duration::from_secs(30),
        );
        all.deleted(&key(), "s-0");
        assert_eq!(
            all.belief(&key(), now),
            Belief::Value(&"written"),
            "the one before it"
        );
        all.deleted(&key(), "s-1");
        assert_eq!(all.belief(&key(), now), Belief::Nothing);

        all.begin(&key(), None);
        all.deleted(&key(), "s-1");
        all.settle(
            &key(),
            version("5"),
            None,
            "read before its end",
            now + Duration::from_secs(30),
        );
        assert_eq!(all.belief(&key(), now), Belief::Nothing);
    }

    #[tokio::test(start_paused = true)]
    async fn a_failed_write_leaves_the_belief_before_it() {
        let now = Instant::now();
        let mut all = Expectations::default();
        all.begin(&key(), None);
        all.settle(&key(), version("5"), None, "first", now + Duration::from_secs(30));
        all.begin(&key(), None);
        all.cancel(&key());
        assert_eq!(all.belief(&key(), now), Belief::Value(&"first"));
        all.forget(&key());
        all.begin(&key(), None);
        all.cancel(&key());
        assert!(all.entries.is_empty(), "nothing is kept");
    }
}
