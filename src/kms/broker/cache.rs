//! The cache of data keys (docs/design/controller.md#kms-broker).
//!
//! An entry is found only by the namespace, the key URI, the KMS ciphertext and the encryption context that it was
//! unwrapped with, so it opens no document that the KMS would not have opened itself, and no namespace finds the entries
//! of another. Look-ups follow the policy check of the document; every document still verifies commitment and seal with
//! the key. An entry is stored only after both held.
//!
//! `moka` is not used: since 0.12 it drops expired values only during later cache operations (its issue 379), while data
//! keys must be zeroized when they expire; it has neither a limit per group of entries nor an injectable clock.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use sha2::{Digest as _, Sha256};

use super::request::ObjectName;
use crate::envelope::encoding::pae;
use crate::envelope::{DataKey, EncryptionContext, SecretBytes};

/// The part of the cache that one namespace may fill.
const NAMESPACE_SHARE: usize = 16;

/// Identifies one unwrap: everything that the KMS and the policy decide on.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct UnwrapId([u8; 32]);

impl UnwrapId {
    pub(super) fn new(namespace: &str, key: &str, ciphertext: &str, context: &EncryptionContext) -> Self {
        let parts = [
            "envelope-secret/cache/1",
            namespace,
            key,
            ciphertext,
            context.as_str(),
        ];
        UnwrapId(Sha256::digest(pae(&parts)).into())
    }
}

/// A data key that can only be copied to open a document. No Debug. Zeroized on drop.
struct CachedKey {
    key: DataKey,
    object: ObjectName,
    /// Its place in the order of use of its namespace.
    used: u64,
    /// The lifetime is absolute: uses do not extend it.
    expires: Instant,
}

/// Data keys of documents that opened recently. No Debug: it holds keys.
pub(super) struct DataKeyCache {
    capacity: usize,
    lifetime: Duration,
    entries: HashMap<UnwrapId, CachedKey>,
    /// The entries of each namespace, the least recently used one first.
    namespaces: HashMap<Arc<str>, BTreeMap<u64, UnwrapId>>,
    expiries: BTreeSet<(Instant, UnwrapId)>,
    /// The number of entries that each object's document stored.
    objects: HashMap<ObjectName, usize>,
    uses: u64,
    /// How often it was cleared.
    epoch: u64,
}

impl DataKeyCache {
    /// A capacity or lifetime of zero caches nothing.
    pub(super) fn new(capacity: usize, lifetime: Duration) -> Self {
        DataKeyCache {
            capacity: if lifetime.is_zero() { 0 } else { capacity },
            lifetime,
            entries: HashMap::new(),
            namespaces: HashMap::new(),
            expiries: BTreeSet::new(),
            objects: HashMap::new(),
            uses: 0,
            epoch: 0,
        }
    }

    /// Identifies the time between two [clears](DataKeyCache::clear).
    pub(super) fn epoch(&self) -> u64 {
        self.epoch
    }

    /// Returns a copy of a data key for [`PendingUnwrap::resume`](crate::envelope::PendingUnwrap::resume).
    pub(super) fn get(&mut self, id: &UnwrapId, now: Instant) -> Option<SecretBytes> {
        self.expire(now);
        let used = self.next_use();
        let entry = self.entries.get_mut(id)?;
        if let Some(lane) = self.namespaces.get_mut(&entry.object.namespace) {
            lane.remove(&entry.used);
            lane.insert(used, *id);
        }
        entry.used = used;
        Some(SecretBytes::new(entry.key.expose().to_vec()))
    }

    /// Whether [`DataKeyCache::get`] would return a key. Does not count as a use.
    pub(super) fn contains(&self, id: &UnwrapId, now: Instant) -> bool {
        self.entries.get(id).is_some_and(|entry| now < entry.expires)
    }

    /// Whether the cache holds a data key of the object's document.
    pub(super) fn holds_any_of(&mut self, object: &ObjectName, now: Instant) -> bool {
        self.expire(now);
        self.objects.contains_key(object)
    }

    /// Stores the data key of a document that has verified it, at the expense of the object's namespace. Unwraps that
    /// began before the last clear are not stored: `epoch` is that of their begin.
    pub(super) fn insert(
        &mut self,
        id: UnwrapId,
        key: DataKey,
        object: &ObjectName,
        epoch: u64,
        now: Instant,
    ) {
        self.expire(now);
        self.remove(&id);
        if self.capacity == 0 || epoch != self.epoch {
            return;
        }
        let share = self.capacity.div_ceil(NAMESPACE_SHARE);
        while self.namespaces.get(&object.namespace).map_or(0, BTreeMap::len) >= share {
            self.evict(&object.namespace.clone());
        }
        while self.entries.len() >= self.capacity {
            let largest = self.namespaces.iter().max_by_key(|(_, lane)| lane.len());
            let Some(largest) = largest.map(|(namespace, _)| namespace.clone()) else {
                break;
            };
            self.evict(&largest);
        }
        let (used, expires) = (self.next_use(), now + self.lifetime);
        let lane = self.namespaces.entry(object.namespace.clone()).or_default();
        lane.insert(used, id);
        self.expiries.insert((expires, id));
        *self.objects.entry(object.clone()).or_default() += 1;
        let object = object.clone();
        self.entries.insert(
            id,
            CachedKey {
                key,
                object,
                used,
                expires,
            },
        );
    }

    /// Drops expired data keys.
    pub(super) fn expire(&mut self, now: Instant) {
        while let Some((expires, id)) = self.expiries.first().copied()
            && expires <= now
        {
            self.remove(&id);
        }
    }

    /// When the next data key expires.
    pub(super) fn next_expiry(&self) -> Option<Instant> {
        self.expiries.first().map(|(expires, _)| *expires)
    }

    /// Drops every data key.
    pub(super) fn clear(&mut self) {
        *self = DataKeyCache {
            epoch: self.epoch + 1,
            ..DataKeyCache::new(self.capacity, self.lifetime)
        };
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    fn next_use(&mut self) -> u64 {
        self.uses += 1;
        self.uses
    }

    /// Drops the least recently used data key of a namespace.
    fn evict(&mut self, namespace: &Arc<str>) {
        let lane = self.namespaces.get(namespace);
        if let Some(id) = lane.and_then(|lane| lane.first_key_value().map(|(_, id)| *id)) {
            self.remove(&id);
        }
    }

    fn remove(&mut self, id: &UnwrapId) {
        let Some(entry) = self.entries.remove(id) else {
            return;
        };
        self.expiries.remove(&(entry.expires, *id));
        if let Some(lane) = self.namespaces.get_mut(&entry.object.namespace) {
            lane.remove(&entry.used);
            if lane.is_empty() {
                self.namespaces.remove(&entry.object.namespace);
            }
        }
        if let Some(count) = self.objects.get_mut(&entry.object) {
            *count -= 1;
            if *count == 0 {
                self.objects.remove(&entry.object);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::envelope::{Binding, Scope};

    const LIFETIME: Duration = Duration::from_mins(10);

    fn id(number: usize) -> UnwrapId {
        UnwrapId::new("ns", "nokms://k", &number.to_string(), &context("ns", "db"))
    }

    fn context(namespace: &str, name: &str) -> EncryptionContext {
        Binding::new(Scope::Strict, None, namespace, name).context()
    }

    fn key(byte: u8) -> DataKey {
        DataKey::from_slice(&[byte; 32]).expect("32 bytes")
    }

    fn object(namespace: &str) -> ObjectName {
        ObjectName::new(namespace, "db")
    }

    #[test]
    fn every_part_of_an_unwrap_identifies_it() {
        let of = |namespace, key, ciphertext, name| {
            UnwrapId::new(namespace, key, ciphertext, &context("prod", name))
        };
        let ids = [
            of("prod", "nokms://k", "c", "db"),
            of("dev", "nokms://k", "c", "db"),
            of("prod", "nokms://other", "c", "db"),
            of("prod", "nokms://k", "other", "db"),
            of("prod", "nokms://k", "c", "other"),
            of("prod", "nokms://kc", "", "db"),
        ];
        assert_eq!(ids.iter().collect::<BTreeSet<_>>().len(), ids.len());
        let wide = Binding::new(Scope::ClusterWide, None, "prod", "db").context();
        assert_eq!(
            wide,
            Binding::new(Scope::ClusterWide, None, "dev", "db").context()
        );
        assert!(
            UnwrapId::new("prod", "nokms://k", "c", &wide) != UnwrapId::new("dev", "nokms://k", "c", &wide),
            "a cluster-wide document: each namespace's policy has to allow it"
        );
    }

    #[test]
    fn lifetime_is_absolute() {
        let start = Instant::now();
        let mut cache = DataKeyCache::new(8, LIFETIME);
        cache.insert(id(1), key(1), &object("a"), 0, start);
        let just_before = start + LIFETIME.saturating_sub(Duration::from_nanos(1));
        assert_eq!(cache.get(&id(1), just_before).expect("cached").expose(), [1; 32]);
        assert!(cache.contains(&id(1), just_before) && cache.holds_any_of(&object("a"), just_before));
        assert_eq!(
            cache.next_expiry(),
            Some(start + LIFETIME),
            "a use does not extend it"
        );
        assert!(!cache.contains(&id(1), start + LIFETIME));
        assert!(cache.get(&id(1), start + LIFETIME).is_none());
        assert!(
            cache.entries.is_empty() && cache.expiries.is_empty(),
            "dropped, not only hidden"
        );
        assert!(cache.namespaces.is_empty() && cache.objects.is_empty());
    }

    #[test]
    fn namespace_evicts_its_own_least_recently_used_key() {
        let now = Instant::now();
        let mut cache = DataKeyCache::new(48, LIFETIME);
        cache.insert(id(100), key(100), &object("quiet"), 0, now);
        for number in 0..3 {
            cache.insert(id(number), key(1), &object("busy"), 0, now);
        }
        assert!(cache.get(&id(0), now).is_some());
        cache.insert(id(3), key(1), &object("busy"), 0, now);
        let present: Vec<_> = (0..4)
            .filter(|number| cache.contains(&id(*number), now))
            .collect();
        assert_eq!(present, [0, 2, 3], "three of 48 for each namespace");
        assert!(cache.contains(&id(100), now));
    }

    #[test]
    fn full_cache_evicts_from_the_largest_namespace() {
        let now = Instant::now();
        let mut cache = DataKeyCache::new(32, LIFETIME);
        for number in 0..31 {
            cache.insert(id(number), key(1), &object(&format!("ns{}", number / 2)), 0, now);
        }
        cache.insert(id(40), key(1), &object("x"), 0, now);
        cache.insert(id(41), key(1), &object("y"), 0, now);
        assert_eq!(cache.len(), 32);
        assert!(cache.contains(&id(30), now), "the only key of its namespace");
        assert!(cache.contains(&id(40), now) && cache.contains(&id(41), now));
    }

    #[test]
    fn zero_size_or_lifetime_disables_it_and_clear_empties_it() {
        let now = Instant::now();
        for (capacity, lifetime) in [(0, LIFETIME), (8, Duration::ZERO)] {
            let mut cache = DataKeyCache::new(capacity, lifetime);
            cache.insert(id(1), key(1), &object("a"), 0, now);
            assert_eq!(cache.len(), 0);
        }
        let mut cache = DataKeyCache::new(8, LIFETIME);
        cache.insert(id(1), key(1), &object("a"), 0, now);
        cache.clear();
        assert!(cache.len() == 0 && cache.next_expiry().is_none() && !cache.holds_any_of(&object("a"), now));
        cache.insert(id(1), key(1), &object("a"), 0, now);
        assert_eq!(cache.len(), 0, "unwrapped before");
        cache.insert(id(1), key(1), &object("a"), cache.epoch(), now);
        assert_eq!(cache.len(), 1);
    }
}
