//! The order of waiting requests: by class, then deficit round robin over namespaces, then by age.
//!
//! A lane holds the requests of one namespace and class. Within a lane, requests are grouped by what they wait for, so a
//! request whose KMS key has no budget left does not block a later one with another key. A request costs as many turns
//! as it needs calls.

use std::collections::{BTreeMap, HashMap};
use std::ops::Bound;
use std::sync::Arc;

use super::request::{Class, ObjectName, Request};
use crate::kms::KeyUri;
use crate::lanes::Turns;

/// Groups of a lane that are examined in one turn. A namespace whose documents name any number of keys pays with its own
/// waiting time.
const MAX_GROUPS: usize = 16;

/// What the requests of a group wait for.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Group {
    /// The keys of the usable wraps.
    pub(super) keys: Arc<[KeyUri]>,
    /// What they do not wait for.
    pub(super) hints: Hints,
}

/// What need not be waited for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Hints {
    /// The integrity budget of the namespace: no ciphertext will be charged to it.
    pub(super) exempt: bool,
    /// The budget of calls: data keys of the document are cached.
    pub(super) cached: bool,
}

/// The waiting requests.
pub(super) struct Lanes {
    rings: [Ring; Class::ALL.len()],
    index: HashMap<ObjectName, Position>,
    /// Sequence numbers define the age.
    next: u64,
}

/// The lanes of one class, in the order of their turns.
#[derive(Default)]
struct Ring {
    lanes: HashMap<Arc<str>, Lane>,
    turns: Turns<Arc<str>>,
}

#[derive(Default)]
struct Lane {
    groups: BTreeMap<Group, BTreeMap<u64, Request>>,
    /// The number of requests in all groups, of which one namespace may have as many as documents.
    len: usize,
    /// The group after which the examination continues, if a turn does not examine all.
    cursor: Option<Group>,
}

struct Position {
    class: Class,
    group: Group,
    age: u64,
}

impl Lanes {
    pub(super) fn new() -> Self {
        Lanes {
            rings: Default::default(),
            index: HashMap::new(),
            next: 0,
        }
    }

    /// Adds a request to a class, or replaces the waiting one of its object. A newer generation keeps the age of the one that it
    /// replaces; an object that was created again starts over.
    pub(super) fn add(&mut self, request: Request, class: Class, hints: Hints) {
        let before = self.remove(&request.object);
        let age = match before {
            Some((before, age)) if before.uid == request.uid => age,
            _ => {
                self.next += 1;
                self.next
            }
        };
        let group = Group {
            keys: request.keys.clone(),
            hints,
        };
        let namespace = request.object.namespace.clone();
        let position = Position {
            class,
            group: group.clone(),
            age,
        };
        self.index.insert(request.object.clone(), position);
        let ring = &mut self.rings[class as usize];
        let lane = ring.lanes.entry(namespace.clone()).or_insert_with(|| {
            ring.turns.enter(namespace);
            Lane::default()
        });
        lane.groups.entry(group).or_default().insert(age, request);
        lane.len += 1;
    }

    /// Removes the waiting request of an object. Returns it with its age.
    pub(super) fn remove(&mut self, object: &ObjectName) -> Option<(Request, u64)> {
        let Position { class, group, age } = self.index.remove(object)?;
        let ring = &mut self.rings[class as usize];
        let request = ring.lanes.get_mut(&object.namespace)?.remove(&group, age)?;
        ring.drop_empty(&object.namespace);
        Some((request, age))
    }

    /// Removes and returns the next request whose lane and group are ready.
    pub(super) fn pick(
        &mut self,
        mut lane_ready: impl FnMut(&Arc<str>) -> bool,
        mut group_ready: impl FnMut(&Arc<str>, &Group) -> bool,
    ) -> Option<Request> {
        let request = self
            .rings
            .iter_mut()
            .find_map(|ring| ring.pick(&mut lane_ready, &mut group_ready))?;
        self.index.remove(&request.object);
        Some(request)
    }

    /// Whether a request of another namespace waits.
    pub(super) fn others_wait(&self, namespace: &Arc<str>) -> bool {
        let others = |ring: &Ring| ring.lanes.len() > usize::from(ring.lanes.contains_key(namespace));
        self.rings.iter().any(others)
    }

    /// The number of waiting requests of a namespace.
    pub(super) fn len_of(&self, namespace: &str) -> usize {
        let lanes = self.rings.iter().filter_map(|ring| ring.lanes.get(namespace));
        lanes.map(|lane| lane.len).sum()
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.index.len()
    }
}

impl Ring {
    fn pick(
        &mut self,
        lane_ready: &mut impl FnMut(&Arc<str>) -> bool,
        group_ready: &mut impl FnMut(&Arc<str>, &Group) -> bool,
    ) -> Option<Request> {
        let lanes = &mut self.lanes;
        // What the lane whose turn is examined last would be served with.
        let mut candidate = None;
        let namespace = self.turns.next(|namespace| {
            let lane = lanes.get_mut(namespace).filter(|_| lane_ready(namespace))?;
            let group = lane.oldest_ready(|group| group_ready(namespace, group))?;
            let (age, request) = lane.groups.get(&group)?.first_key_value()?;
            let cost = u32::from(request.calls.max(1));
            candidate = Some((*age, group));
            Some(cost)
        })?;
        let (age, group) = candidate?;
        let request = self.lanes.get_mut(&namespace)?.remove(&group, age);
        self.drop_empty(&namespace);
        request
    }

    fn drop_empty(&mut self, namespace: &Arc<str>) {
        if self
            .lanes
            .get(namespace)
            .is_some_and(|lane| lane.groups.is_empty())
        {
            self.lanes.remove(namespace);
            self.turns.leave(namespace);
        }
    }
}

impl Lane {
    /// Returns the ready group with the oldest request, among the groups that this turn examines.
    fn oldest_ready(&mut self, mut ready: impl FnMut(&Group) -> bool) -> Option<Group> {
        let all = self.groups.len() <= MAX_GROUPS;
        let after = self.cursor.take().filter(|_| !all);
        let lower = after.as_ref().map_or(Bound::Unbounded, Bound::Excluded);
        let later = self.groups.range((lower, Bound::Unbounded));
        let earlier = after.as_ref().map(|after| self.groups.range(..=after));
        let examined: Vec<_> = later
            .chain(earlier.into_iter().flatten())
            .take(MAX_GROUPS)
            .collect();
        if !all {
            self.cursor = examined.last().map(|(group, _)| (*group).clone());
        }
        let oldest = examined
            .into_iter()
            .filter(|(group, _)| ready(group))
            .min_by_key(|(_, requests)| requests.keys().next().copied());
        oldest.map(|(group, _)| group.clone())
    }

    fn remove(&mut self, group: &Group, age: u64) -> Option<Request> {
        let requests = self.groups.get_mut(group)?;
        let request = requests.remove(&age);
        self.len -= usize::from(request.is_some());
        if requests.is_empty() {
            self.groups.remove(group);
        }
        request
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::support::{key, request};
    use super::*;

    fn add(lanes: &mut Lanes, request: Request, hints: Hints) {
        let class = request.class;
        lanes.add(request, class, hints);
    }

    fn next(lanes: &mut Lanes) -> Option<String> {
        let picked = lanes.pick(|_| true, |_, _| true)?;
        Some(format!("{:?}", picked.object))
    }

    #[test]
    fn waiting_requests_of_a_namespace_are_counted() {
        let mut lanes = Lanes::new();
        for (namespace, name) in [("a", "1"), ("a", "2"), ("a", "2"), ("b", "1")] {
            add(&mut lanes, request(namespace, name, "u", 1), Hints::default());
        }
        let other = Request {
            keys: [key("other")].into(),
            class: Class::Drift,
            ..request("a", "3", "u", 1)
        };
        add(&mut lanes, other, Hints::default());
        assert_eq!(
            (lanes.len_of("a"), lanes.len_of("b"), lanes.len_of("c")),
            (3, 1, 0)
        );
        lanes.remove(&request("a", "1", "u", 1).object);
        assert_eq!(lanes.len_of("a"), 2);
        all(&mut lanes);
        assert_eq!((lanes.len_of("a"), lanes.len_of("b")), (0, 0));
    }

    fn all(lanes: &mut Lanes) -> Vec<String> {
        std::iter::from_fn(|| next(lanes)).collect()
    }

    fn of_class(class: Class, namespace: &str, name: &str) -> Request {
        Request {
            class,
            ..request(namespace, name, "u", 1)
        }
    }

    #[test]
    fn classes_are_served_in_order() {
        let mut lanes = Lanes::new();
        for class in Class::ALL.into_iter().rev() {
            add(
                &mut lanes,
                of_class(class, "a", &format!("{class:?}")),
                Hints::default(),
            );
        }
        assert_eq!(
            all(&mut lanes),
            ["a/NeverSynced", "a/Drift", "a/Changed", "a/Verify"]
        );
        assert!(
            lanes
                .rings
                .iter()
                .all(|ring| ring.lanes.is_empty() && ring.turns.is_empty())
        );
    }

    #[test]
    fn namespaces_take_turns_and_requests_of_one_are_served_by_age() {
        let mut lanes = Lanes::new();
        for name in ["3", "1", "2"] {
            add(&mut lanes, request("big", name, "u", 1), Hints::default());
        }
        add(&mut lanes, request("small", "1", "u", 1), Hints::default());
        assert_eq!(next(&mut lanes).as_deref(), Some("big/3"));
        add(&mut lanes, request("late", "1", "u", 1), Hints::default());
        assert_eq!(all(&mut lanes), ["small/1", "big/1", "late/1", "big/2"]);
    }

    #[test]
    fn request_that_needs_several_calls_costs_several_turns() {
        let mut lanes = Lanes::new();
        for number in 0..4 {
            let expensive = Request {
                calls: 3,
                ..request("expensive", &number.to_string(), "u", 1)
            };
            add(&mut lanes, expensive, Hints::default());
        }
        for number in 0..6 {
            add(
                &mut lanes,
                request("cheap", &number.to_string(), "u", 1),
                Hints::default(),
            );
        }
        let order = all(&mut lanes);
        let position = |name| order.iter().position(|served| served == name).expect("served");
        assert_eq!(position("expensive/0"), 0);
        let between = position("expensive/2") - position("expensive/1");
        assert_eq!(
            between, 4,
            "three cheap ones between two expensive ones: {order:?}"
        );
        assert_eq!(order.len(), 10);
    }

    #[test]
    fn request_whose_key_is_not_ready_blocks_no_other() {
        let mut lanes = Lanes::new();
        let slow = Request {
            keys: [key("slow")].into(),
            ..request("a", "slow", "u", 1)
        };
        add(&mut lanes, slow, Hints::default());
        add(&mut lanes, request("a", "fast", "u", 1), Hints::default());
        let fast = |_: &Arc<str>, group: &Group| group.keys[0] == key("k");
        let picked = lanes.pick(|_| true, fast).expect("a request");
        assert_eq!(&*picked.object.name, "fast");
        assert!(lanes.pick(|_| true, fast).is_none());
        assert!(lanes.pick(|namespace| **namespace != *"a", |_, _| true).is_none());
        assert_eq!(lanes.len(), 1);
    }

    #[test]
    fn newer_generation_keeps_its_age_and_a_recreated_object_does_not() {
        let mut lanes = Lanes::new();
        for name in ["first", "second", "third"] {
            add(&mut lanes, request("a", name, "u", 1), Hints::default());
        }
        add(
            &mut lanes,
            request("a", "first", "u", 2),
            Hints {
                cached: true,
                ..Hints::default()
            },
        );
        add(&mut lanes, request("a", "second", "other", 1), Hints::default());
        let changed = of_class(Class::Changed, "a", "third");
        add(&mut lanes, changed, Hints::default());
        assert_eq!(lanes.len(), 3);
        assert_eq!(all(&mut lanes), ["a/first", "a/second", "a/third"]);
    }

    #[test]
    fn namespace_with_any_number_of_keys_gets_no_more_turns() {
        let mut lanes = Lanes::new();
        for number in 0..1000 {
            let keys = [key(&format!("k{number:04}"))].into();
            let named = Request {
                keys,
                ..request("many", &number.to_string(), "u", 1)
            };
            add(&mut lanes, named, Hints::default());
        }
        add(&mut lanes, request("one", "1", "u", 1), Hints::default());
        let first_two: Vec<_> = (0..2).filter_map(|_| next(&mut lanes)).collect();
        assert!(first_two.contains(&"one/1".to_owned()), "{first_two:?}");
        // Only the last key is ready: later turns reach it.
        let last = |_: &Arc<str>, group: &Group| group.keys[0] == key("k0999");
        let found = (0..1000 / MAX_GROUPS + 2).find_map(|_| lanes.pick(|_| true, last));
        assert_eq!(found.expect("found").object, ObjectName::new("many", "999"));
    }

    #[test]
    fn removed_request_is_not_served() {
        let mut lanes = Lanes::new();
        add(&mut lanes, request("a", "1", "u", 1), Hints::default());
        assert!(lanes.remove(&ObjectName::new("a", "1")).is_some());
        assert!(lanes.remove(&ObjectName::new("a", "1")).is_none());
        assert_eq!(next(&mut lanes), None);
        assert_eq!(lanes.len(), 0);
    }
}
