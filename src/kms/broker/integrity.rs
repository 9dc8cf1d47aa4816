//! The integrity budget (docs/design/controller.md#integrity-budget): how often ciphertexts may fail permanently.
//!
//! Users who edit documents but may not read Secrets could use the controller as an oracle on the KMS's ciphertext. So
//! permanent failures are limited for each object name, whatever its uid and generation, and for each namespace, because
//! namespace-wide documents open under any name. A ciphertext that opened before reveals nothing: it is never charged.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::bucket::TokenBucket;
use super::cache::UnwrapId;
use super::request::ObjectName;

/// Permanent failures of an object before its interval applies.
const OF_OBJECT: u32 = 5;
/// Permanent failures of a namespace before its interval applies.
const OF_NAMESPACE: u32 = 20;
/// The number of opened ciphertexts that are remembered (32 bytes each). One that is forgotten may be charged.
const REMEMBERED: usize = 32_768;
/// The part of them that one namespace may fill.
const REMEMBERED_OF_NAMESPACE: usize = 4096;
/// Buckets beyond which full ones are dropped.
const PRUNE_ABOVE: usize = 1024;

/// Whether a ciphertext may be sent to the KMS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Charge {
    /// It has opened before: no charge.
    Exempt,
    /// One failure is reserved, to be refunded unless it fails permanently.
    Reserved,
    /// The object has failed too often, or has failed in a namespace that has: it fails again without a call.
    Refused,
    /// The namespace has failed too often: an object that has not waits.
    Wait,
}

/// The budgets of all objects and namespaces.
pub(super) struct IntegrityBudget {
    object_interval: Duration,
    namespace_interval: Duration,
    objects: HashMap<ObjectName, TokenBucket>,
    namespaces: HashMap<Arc<str>, TokenBucket>,
    opened: HashSet<UnwrapId>,
    /// The opened ciphertexts of each namespace, the oldest first.
    order: HashMap<Arc<str>, VecDeque<UnwrapId>>,
}

impl IntegrityBudget {
    pub(super) fn new(object_interval: Duration, namespace_interval: Duration) -> Self {
        IntegrityBudget {
            object_interval,
            namespace_interval,
            objects: HashMap::new(),
            namespaces: HashMap::new(),
            opened: HashSet::new(),
            order: HashMap::new(),
        }
    }

    /// When the namespace may send ciphertexts that have not opened before: `now` if immediately.
    pub(super) fn ready_at(&self, namespace: &str, now: Instant) -> Instant {
        let bucket = self.namespaces.get(namespace);
        bucket.map_or(now, |bucket| bucket.ready_at(now))
    }

    /// Whether the object has failed lately: it does not wait for the budget of its namespace, but fails.
    pub(super) fn has_failed(&self, object: &ObjectName, now: Instant) -> bool {
        self.objects
            .get(object)
            .is_some_and(|bucket| !bucket.is_full(now))
    }

    /// Reserves the charge for sending a ciphertext, before the call: calls in flight at the same time cannot exceed the
    /// budget.
    pub(super) fn reserve(&mut self, object: &ObjectName, id: &UnwrapId, now: Instant) -> Charge {
        if self.opened.contains(id) {
            return Charge::Exempt;
        }
        if self
            .objects
            .get(object)
            .is_some_and(|bucket| !bucket.is_ready(now))
        {
            return Charge::Refused;
        }
        if self.ready_at(&object.namespace, now) > now {
            return if self.has_failed(object, now) {
                Charge::Refused
            } else {
                Charge::Wait
            };
        }
        if self.objects.len() > PRUNE_ABOVE {
            self.objects.retain(|_, bucket| !bucket.is_full(now));
        }
        if self.namespaces.len() > PRUNE_ABOVE {
            self.namespaces.retain(|_, bucket| !bucket.is_full(now));
        }
        let (of_object, of_namespace) = (self.object_interval, self.namespace_interval);
        self.objects
            .entry(object.clone())
            .or_insert_with(|| TokenBucket::new(of_object, OF_OBJECT))
            .take(now);
        self.namespaces
            .entry(object.namespace.clone())
            .or_insert_with(|| TokenBucket::new(of_namespace, OF_NAMESPACE))
            .take(now);
        Charge::Reserved
    }

    /// Returns a reserved charge: the ciphertext did not fail permanently.
    pub(super) fn refund(&mut self, object: &ObjectName) {
        if let Some(bucket) = self.objects.get_mut(object) {
            bucket.refund();
        }
        if let Some(bucket) = self.namespaces.get_mut(&object.namespace) {
            bucket.refund();
        }
    }

    /// Whether a ciphertext is known to have opened.
    pub(super) fn has_opened(&self, id: &UnwrapId) -> bool {
        self.opened.contains(id)
    }

    /// Remembers that a ciphertext has opened.
    pub(super) fn opened(&mut self, namespace: &Arc<str>, id: UnwrapId) {
        if !self.opened.insert(id) {
            return;
        }
        let lane = self.order.entry(namespace.clone()).or_default();
        lane.push_back(id);
        let full = self.opened.len() > REMEMBERED;
        let forgotten = if lane.len() > REMEMBERED_OF_NAMESPACE {
            lane.pop_front()
        } else if full {
            let largest = self.order.values_mut().max_by_key(|lane| lane.len());
            largest.and_then(VecDeque::pop_front)
        } else {
            None
        };
        if let Some(forgotten) = forgotten {
            self.opened.remove(&forgotten);
        }
        if full {
            self.order.retain(|_, lane| !lane.is_empty());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::envelope::{Binding, Scope};

    fn id(text: &str) -> UnwrapId {
        let context = Binding::new(Scope::ClusterWide, None, "", "").context();
        UnwrapId::new("prod", "nokms://k", text, &context)
    }

    fn budget() -> IntegrityBudget {
        IntegrityBudget::new(Duration::from_mins(15), Duration::from_mins(6))
    }

    fn object(namespace: &str, name: &str) -> ObjectName {
        ObjectName::new(namespace, name)
    }

    #[test]
    fn object_may_fail_five_times_then_every_fifteen_minutes() {
        let start = Instant::now();
        let mut budget = budget();
        let db = object("prod", "db");
        for number in 0..5 {
            assert_eq!(
                budget.reserve(&db, &id(&number.to_string()), start),
                Charge::Reserved
            );
        }
        assert_eq!(budget.reserve(&db, &id("6"), start), Charge::Refused);
        assert!(budget.has_failed(&db, start));
        let other = object("prod", "other");
        assert_eq!(budget.reserve(&other, &id("6"), start), Charge::Reserved);
        let later = start + Duration::from_mins(15);
        assert_eq!(budget.reserve(&db, &id("7"), later), Charge::Reserved);
        assert_eq!(budget.reserve(&db, &id("8"), later), Charge::Refused);
    }

    #[test]
    fn namespace_may_fail_twenty_times_then_ten_times_an_hour() {
        let start = Instant::now();
        let mut budget = budget();
        for number in 0..20 {
            let name = object("prod", &format!("db-{number}"));
            assert_eq!(budget.reserve(&name, &id("x"), start), Charge::Reserved);
        }
        let next = object("prod", "next");
        let six_minutes = start + Duration::from_mins(6);
        assert_eq!(budget.ready_at("prod", start), six_minutes);
        assert_eq!(budget.reserve(&next, &id("x"), start), Charge::Wait);
        assert_eq!(
            budget.reserve(&object("prod", "db-3"), &id("x"), start),
            Charge::Refused,
            "it has failed"
        );
        assert_eq!(
            budget.reserve(&object("dev", "db"), &id("x"), start),
            Charge::Reserved,
            "another namespace"
        );
        assert_eq!(budget.reserve(&next, &id("x"), six_minutes), Charge::Reserved);
    }

    #[test]
    fn success_refunds_the_charge() {
        let now = Instant::now();
        let mut budget = budget();
        let db = object("prod", "db");
        for number in 0..1000 {
            assert_eq!(
                budget.reserve(&db, &id(&number.to_string()), now),
                Charge::Reserved
            );
            budget.refund(&db);
        }
    }

    #[test]
    fn ciphertext_that_opened_before_is_never_charged() {
        let now = Instant::now();
        let mut budget = budget();
        let db = object("prod", "db");
        budget.opened(&db.namespace, id("good"));
        while budget.reserve(&db, &id("bad"), now) == Charge::Reserved {}
        for _ in 0..100 {
            assert_eq!(budget.reserve(&db, &id("good"), now), Charge::Exempt);
        }
        assert_eq!(budget.reserve(&db, &id("bad"), now), Charge::Refused);
    }

    #[test]
    fn memory_is_bounded_and_a_namespace_forgets_only_its_own_ciphertexts() {
        let mut budget = budget();
        budget.opened(&"quiet".into(), id("quiet"));
        for number in 0..2 * REMEMBERED_OF_NAMESPACE {
            budget.opened(&"busy".into(), id(&number.to_string()));
        }
        assert_eq!(budget.opened.len(), REMEMBERED_OF_NAMESPACE + 1);
        for number in 0..2 * REMEMBERED {
            let namespace = format!("ns-{}", number % 100);
            budget.opened(&namespace.as_str().into(), id(&format!("x{number}")));
        }
        assert_eq!(budget.opened.len(), REMEMBERED);
        assert!(budget.opened.contains(&id("quiet")));
        let now = Instant::now();
        for number in 0..3 * PRUNE_ABOVE {
            let at = now + Duration::from_mins(15) * u32::try_from(number).expect("small");
            budget.reserve(&object(&format!("ns-{number}"), "db"), &id("bad"), at);
        }
        assert!(budget.objects.len() <= PRUNE_ABOVE + 1 && budget.namespaces.len() <= PRUNE_ABOVE + 1);
    }
}
