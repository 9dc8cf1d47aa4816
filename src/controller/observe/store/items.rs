//! The observed objects of one kind.

use std::collections::HashMap;
use std::sync::Arc;

use crate::controller::key::ObjectKey;
use crate::controller::observe::expectations::{Delivery, Version};

/// An object with a version.
pub(super) trait Versioned {
    fn version(&self) -> Version;

    /// Whether `self` is an older state of the same object than `other`. Resource versions do not show it.
    fn is_older_than(&self, other: &Self) -> bool;
}

/// The observed objects of one kind.
pub(super) struct Items<T> {
    pub(super) live: HashMap<ObjectKey, Arc<T>>,
    /// The items of a list that is not complete yet.
    pub(super) listing: Option<HashMap<ObjectKey, Arc<T>>>,
    pub(super) complete: bool,
}

impl<T> Default for Items<T> {
    fn default() -> Self {
        Items {
            live: HashMap::new(),
            listing: None,
            complete: false,
        }
    }
}

impl<T: Versioned + PartialEq> Items<T> {
    /// Begins a list. Returns the keys that only an abandoned list contained.
    pub(super) fn begin(&mut self) -> Vec<ObjectKey> {
        let abandoned = self.listing.replace(HashMap::new()).unwrap_or_default();
        let mut keys: Vec<ObjectKey> = abandoned.into_keys().collect();
        keys.retain(|key| !self.live.contains_key(key));
        keys
    }

    /// Stores an item of a list. It is not observed until the list is complete; an unchanged one is not held twice
    /// meanwhile.
    pub(super) fn list(&mut self, key: ObjectKey, value: T) {
        let listing = self.listing.get_or_insert_default();
        match self.live.get_key_value(&key) {
            Some((key, live)) if **live == value => listing.insert(key.clone(), live.clone()),
            _ => listing.insert(key, Arc::new(value)),
        };
    }

    /// Stores what an event of the watch delivered, unless it is older.
    pub(super) fn put(&mut self, key: ObjectKey, value: T) {
        if !self.live.get(&key).is_some_and(|live| value.is_older_than(live)) {
            self.live.insert(key, Arc::new(value));
        }
    }

    /// Returns the stored version.
    pub(super) fn version(&self, key: &ObjectKey) -> Option<Version> {
        self.live.get(key).map(|value| value.version())
    }

    /// Replaces the contents with the complete list. Returns the keys to plan again: those that differ and those that are
    /// gone, except differences that are no news.
    pub(super) fn swap(&mut self, deliveries: &HashMap<ObjectKey, Delivery>) -> Vec<ObjectKey> {
        let old = std::mem::replace(&mut self.live, self.listing.take().unwrap_or_default());
        self.complete = true;
        let mut changed: Vec<ObjectKey> = old
            .keys()
            .filter(|key| !self.live.contains_key(*key))
            .cloned()
            .collect();
        let news = self.live.iter().filter(|(key, now)| match deliveries.get(*key) {
            Some(Delivery::News) => true,
            Some(Delivery::Announced | Delivery::Undecided) => false,
            None => old.get(*key).is_none_or(|before| before != *now),
        });
        changed.extend(news.map(|(key, _)| key.clone()));
        // Expected, and not in the list.
        let missing = deliveries.iter().filter(|(key, delivery)| {
            **delivery == Delivery::News && !self.live.contains_key(*key) && !old.contains_key(*key)
        });
        changed.extend(missing.map(|(key, _)| key.clone()));
        changed
    }
}
