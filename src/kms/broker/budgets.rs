//! The budgets of KMS calls: below the KMS's quota, for each key and for each region.
//!
//! A cloud's quota applies to all keys of an account in a region, so a call draws on two buckets: that of its key and
//! that of the region, if the service has regions.

use std::collections::HashMap;
use std::time::Instant;

use super::bucket::AdaptiveBucket;
use crate::kms::{KeyUri, provider_of};

/// Buckets from which on those that equal new ones are dropped: an allow list may be a prefix, so documents can name any
/// number of keys.
const PRUNE_FROM: usize = 256;

/// The budgets of all keys.
pub(super) struct Budgets {
    per_second: u32,
    burst: u32,
    buckets: HashMap<String, AdaptiveBucket>,
    /// The number of buckets at which they are pruned again: twice what was left, so that pruning costs little.
    prune_at: usize,
}

impl Budgets {
    /// Each key and each region gets this many calls per second, after a burst.
    pub(super) fn new(per_second: u32, burst: u32) -> Self {
        Budgets {
            per_second,
            burst,
            buckets: HashMap::new(),
            prune_at: PRUNE_FROM,
        }
    }

    /// Returns when a call with `key` may be made: `now` if immediately.
    pub(super) fn ready_at(&mut self, key: &KeyUri, now: Instant) -> Instant {
        // A missing bucket is full. A question creates none.
        let ready = scopes(key).filter_map(|scope| Some(self.buckets.get_mut(&scope)?.ready_at(now)));
        ready.max().unwrap_or(now)
    }

    /// Takes the tokens of one call with `key`, all or none. Returns whether there were any.
    pub(super) fn take(&mut self, key: &KeyUri, now: Instant) -> bool {
        if self.ready_at(key, now) > now {
            return false;
        }
        for scope in scopes(key) {
            self.bucket(scope, now).take(now);
        }
        true
    }

    /// Returns the tokens of a call that was not made.
    pub(super) fn refund(&mut self, key: &KeyUri) {
        for scope in scopes(key) {
            if let Some(bucket) = self.buckets.get_mut(&scope) {
                bucket.refund();
            }
        }
    }

    /// Reacts to a throttled call with `key`: its quota is the region's.
    pub(super) fn throttled(&mut self, key: &KeyUri, now: Instant) {
        for scope in scopes(key) {
            self.bucket(scope, now).throttled(now);
        }
    }

    /// The number of buckets.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.buckets.len()
    }

    fn bucket(&mut self, scope: String, now: Instant) -> &mut AdaptiveBucket {
        if self.buckets.len() >= self.prune_at && !self.buckets.contains_key(&scope) {
            self.buckets.retain(|_, bucket| !bucket.is_idle(now));
            self.prune_at = (2 * self.buckets.len()).max(PRUNE_FROM);
        }
        let (per_second, burst) = (self.per_second, self.burst);
        let new = || AdaptiveBucket::new(per_second, burst);
        self.buckets.entry(scope).or_insert_with(new)
    }
}

/// The scopes of a key's quota: the key and its region.
fn scopes(key: &KeyUri) -> impl Iterator<Item = String> {
    let region = provider_of(key).and_then(|provider| provider.region(key));
    let region = region.map(|region| format!("{}://{region}/", key.scheme()));
    std::iter::once(key.as_str().to_owned()).chain(region)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn key(region: &str, last: u32) -> KeyUri {
        let uri = format!("tencent-kms://{region}/23e80852-1e38-11e9-b129-5cb9019b4b{last:02}");
        KeyUri::parse(&uri).expect("a key URI")
    }

    #[test]
    fn keys_of_a_region_share_its_quota() {
        let now = Instant::now();
        let mut budgets = Budgets::new(10, 2);
        let (first, second, elsewhere) = (
            key("ap-guangzhou", 1),
            key("ap-guangzhou", 2),
            key("ap-shanghai", 1),
        );
        assert!(budgets.take(&first, now) && budgets.take(&second, now));
        assert!(!budgets.take(&first, now), "the region's burst is used up");
        assert_eq!(budgets.ready_at(&second, now), now + Duration::from_millis(100));
        assert!(budgets.take(&elsewhere, now));
        budgets.refund(&second);
        assert!(budgets.take(&first, now), "the returned token");
        budgets.throttled(&first, now);
        assert_eq!(budgets.ready_at(&second, now), now + Duration::from_millis(200));
        assert_eq!(budgets.ready_at(&elsewhere, now), now);
    }

    #[test]
    fn idle_buckets_are_dropped() {
        let now = Instant::now();
        let mut budgets = Budgets::new(10, 2);
        for index in 0..2000_u32 {
            let uri = format!("nokms://{index}");
            let at = now + Duration::from_secs(u64::from(index));
            assert!(budgets.take(&KeyUri::parse(&uri).expect("a key URI"), at));
        }
        assert!(budgets.buckets.len() <= PRUNE_FROM, "{}", budgets.buckets.len());
    }
}
