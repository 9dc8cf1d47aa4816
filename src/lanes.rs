//! Fair order and fair shares among lanes, such as namespaces: deficit round robin, and bounds on what one lane may run
//! at a time. Pure: no clock, no tasks.

use std::collections::{HashMap, VecDeque};
use std::hash::Hash;

/// Deficit round robin: the order in which lanes take turns. A lane pays for what it is served with later turns, so a
/// lane with expensive items is served less often, and a lane that has just entered is served within one round.
pub(crate) struct Turns<L> {
    order: VecDeque<Turn<L>>,
}

struct Turn<L> {
    lane: L,
    /// 1 for a turn that can be used; zero or negative while earlier items are being paid for.
    credit: i64,
}

impl<L> Default for Turns<L> {
    fn default() -> Self {
        Turns {
            order: VecDeque::new(),
        }
    }
}

impl<L: Clone + PartialEq> Turns<L> {
    /// Adds a lane, whose turn comes last. It must not be present.
    pub(crate) fn enter(&mut self, lane: L) {
        self.order.push_back(Turn { lane, credit: 0 });
    }

    /// Removes a lane.
    pub(crate) fn leave(&mut self, lane: &L) {
        // Mostly the lane that was just served.
        if self.order.back().is_some_and(|turn| turn.lane == *lane) {
            self.order.pop_back();
        } else {
            self.order.retain(|turn| turn.lane != *lane);
        }
    }

    /// Whether there is no lane.
    #[cfg(test)]
    pub(crate) fn is_empty(&self) -> bool {
        self.order.is_empty()
    }

    /// Returns the lane to serve next, and charges it. `cost` returns the cost of a lane's next item in turns, or `None`
    /// if the lane cannot be served now; it then keeps its turn.
    pub(crate) fn next(&mut self, mut cost: impl FnMut(&L) -> Option<u32>) -> Option<L> {
        // Each round pays back one turn of every ready lane, so a round without a debtor is the last one.
        loop {
            let mut in_debt = false;
            for _ in 0..self.order.len() {
                self.order.rotate_left(1);
                let turn = self.order.back_mut()?;
                let Some(cost) = cost(&turn.lane) else { continue };
                turn.credit = (turn.credit + 1).min(1);
                if turn.credit > 0 {
                    turn.credit -= i64::from(cost);
                    return Some(turn.lane.clone());
                }
                in_debt = true;
            }
            if !in_debt {
                return None;
            }
        }
    }
}

/// A queue with a lane per key. Each lane is first in, first out; lanes take turns.
pub(crate) struct Lanes<L, T> {
    /// Only lanes with items.
    items: HashMap<L, VecDeque<T>>,
    turns: Turns<L>,
    len: usize,
}

impl<L, T> Default for Lanes<L, T> {
    fn default() -> Self {
        Lanes {
            items: HashMap::new(),
            turns: Turns::default(),
            len: 0,
        }
    }
}

impl<L: Clone + Eq + Hash, T> Lanes<L, T> {
    /// Appends an item to a lane.
    pub(crate) fn push(&mut self, lane: &L, item: T) {
        self.len += 1;
        if let Some(items) = self.items.get_mut(lane) {
            items.push_back(item);
        } else {
            self.items.insert(lane.clone(), VecDeque::from([item]));
            self.turns.enter(lane.clone());
        }
    }

    /// Removes and returns the next item of a lane that `shares` lets start another, and counts it as running there.
    pub(crate) fn start(&mut self, shares: &mut Shares<L>) -> Option<(L, T)> {
        let others_wait = self.items.len() > 1;
        let (lane, item) = self.pop(|lane| shares.may_start(lane, others_wait))?;
        shares.started(&lane);
        Some((lane, item))
    }

    /// Removes and returns the next item of a lane that is `ready`.
    pub(crate) fn pop(&mut self, ready: impl Fn(&L) -> bool) -> Option<(L, T)> {
        let lane = self.turns.next(|lane| ready(lane).then_some(1))?;
        let items = self.items.get_mut(&lane)?;
        let item = items.pop_front()?;
        self.removed(&lane);
        Some((lane, item))
    }

    /// Removes and returns the newest item of the longest lane.
    pub(crate) fn pop_longest(&mut self) -> Option<T> {
        let (lane, items) = self.items.iter_mut().max_by_key(|(_, items)| items.len())?;
        let (lane, item) = (lane.clone(), items.pop_back()?);
        self.removed(&lane);
        Some(item)
    }

    /// Updates what depends on the items of a lane after one was removed.
    fn removed(&mut self, lane: &L) {
        self.len -= 1;
        if self.items.get(lane).is_some_and(VecDeque::is_empty) {
            self.items.remove(lane);
            self.turns.leave(lane);
        }
    }

    /// Returns the number of waiting items.
    pub(crate) fn len(&self) -> usize {
        self.len
    }
}

/// How much may run at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Bounds {
    /// Of all lanes.
    pub(crate) total: usize,
    /// Of one lane while others wait.
    pub(crate) contended: usize,
}

/// One part in this many of the total is kept for lanes that run nothing: what others run, for however long, does not
/// delay them.
const RESERVED: usize = 4;

/// How much each lane runs, and whether it may start more. The one rule for everything that is shared: writes, reconciles
/// and open documents.
///
/// * The total is never exceeded, however many lanes there are: it bounds connections, and plaintexts in memory.
/// * No lane gets everything, not even alone.
/// * A lane that runs nothing starts immediately, until as many lanes as the reserve has parts have done so since. No rule
///   can promise that to any number of lanes and keep the total.
#[derive(Debug)]
pub(crate) struct Shares<L> {
    bounds: Bounds,
    total: usize,
    /// Only lanes that run something.
    running: HashMap<L, usize>,
}

impl<L: Clone + Eq + Hash> Shares<L> {
    pub(crate) fn new(bounds: Bounds) -> Self {
        Shares {
            bounds,
            total: 0,
            running: HashMap::new(),
        }
    }

    /// Whether a lane may start another item. `others_wait` says that another lane has items.
    pub(crate) fn may_start(&self, lane: &L, others_wait: bool) -> bool {
        let own = self.running.get(lane).copied().unwrap_or_default();
        let Bounds { total, contended } = self.bounds;
        if own == 0 {
            self.total < total
        } else {
            self.total < total - total / RESERVED && !(others_wait && own >= contended)
        }
    }

    /// Counts an item of a lane as running.
    pub(crate) fn started(&mut self, lane: &L) {
        self.total += 1;
        *self.running.entry(lane.clone()).or_default() += 1;
    }

    /// Counts an item of a lane as finished.
    pub(crate) fn finished(&mut self, lane: &L) {
        let Some(own) = self.running.get_mut(lane) else {
            return;
        };
        self.total -= 1;
        *own -= 1;
        if *own == 0 {
            self.running.remove(lane);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Lanes, each with a number.
    type Pushed = &'static [(&'static str, usize)];

    const WIDE: Bounds = Bounds {
        total: 1_000_000,
        contended: 1_000_000,
    };
    const WRITES: Bounds = Bounds {
        total: 32,
        contended: 8,
    };

    fn filled(lanes: &[(&'static str, usize)]) -> Lanes<&'static str, usize> {
        let mut filled = Lanes::default();
        for (lane, count) in lanes {
            (0..*count).for_each(|item| filled.push(lane, item));
        }
        filled
    }

    fn order(lanes: &mut Lanes<&'static str, usize>) -> Vec<String> {
        let mut shares = Shares::new(WIDE);
        let next = || lanes.start(&mut shares);
        std::iter::from_fn(next)
            .map(|(lane, item)| format!("{lane}{item}"))
            .collect()
    }

    /// Starts as much as possible. Returns how many items of each lane run.
    fn saturate(lanes: &mut Lanes<&'static str, usize>, shares: &mut Shares<&'static str>) -> Vec<usize> {
        while lanes.start(shares).is_some() {}
        let mut running: Vec<_> = shares.running.iter().collect();
        running.sort();
        running.into_iter().map(|(_, count)| *count).collect()
    }

    #[test]
    fn lanes_take_turns_and_each_is_first_in_first_out() {
        let cases: &[(Pushed, &[&str])] = &[
            (&[], &[]),
            (&[("a", 3)], &["a0", "a1", "a2"]),
            (&[("a", 3), ("b", 1)], &["a0", "b0", "a1", "a2"]),
            (
                &[("a", 2), ("b", 3), ("c", 2)],
                &["a0", "b0", "c0", "a1", "b1", "c1", "b2"],
            ),
        ];
        for (lanes, expected) in cases {
            let mut lanes = filled(lanes);
            assert_eq!(order(&mut lanes), *expected);
            assert!(lanes.len() == 0 && lanes.items.is_empty() && lanes.turns.order.is_empty());
        }
    }

    #[test]
    fn item_of_a_new_lane_is_served_next_whatever_waits_in_another() {
        let mut lanes = filled(&[("big", 10_000)]);
        let mut shares = Shares::new(WIDE);
        for _ in 0..100 {
            lanes.start(&mut shares);
        }
        lanes.push(&"new", 0);
        let served: Vec<_> = (0..2).filter_map(|_| lanes.start(&mut shares)).collect();
        assert!(served.contains(&("new", 0)), "{served:?}");
        assert_eq!(lanes.len(), 9_899);
    }

    #[test]
    fn newest_item_of_the_longest_lane_is_removed_first() {
        let mut lanes = filled(&[("a", 3), ("b", 1)]);
        let removed: Vec<_> = (0..2).filter_map(|_| lanes.pop_longest()).collect();
        assert_eq!((removed, lanes.len()), (vec![2, 1], 2));
        assert_eq!(order(&mut lanes), ["a0", "b0"]);
        assert_eq!(lanes.pop_longest(), None);
    }

    #[test]
    fn expensive_items_are_paid_for_with_turns() {
        let mut turns = Turns::default();
        turns.enter("expensive");
        turns.enter("cheap");
        let cost = |lane: &&str| Some(if *lane == "cheap" { 1 } else { 3 });
        let served: Vec<_> = (0..8).filter_map(|_| turns.next(cost)).collect();
        assert_eq!(
            served,
            [
                "expensive",
                "cheap",
                "cheap",
                "cheap",
                "expensive",
                "cheap",
                "cheap",
                "cheap"
            ]
        );
        turns.leave(&"cheap");
        assert_eq!(turns.next(cost), Some("expensive"), "alone, it never waits");
    }

    #[test]
    fn lane_that_is_not_ready_is_skipped_and_keeps_its_turn() {
        let mut turns = Turns::default();
        for lane in ["a", "b", "c"] {
            turns.enter(lane);
        }
        let ready = |lane: &&str| (*lane != "a").then_some(1);
        let served: Vec<_> = (0..4).filter_map(|_| turns.next(ready)).collect();
        assert_eq!(served, ["b", "c", "b", "c"]);
        assert_eq!(turns.next(|_| None), None);
        assert_eq!(turns.next(|_| Some(1)), Some("a"));
    }

    #[test]
    fn lanes_share_what_may_run() {
        let cases: &[(Pushed, &[usize])] = &[
            (&[("a", 5)], &[5]),
            // Alone, a lane leaves a quarter to others.
            (&[("a", 100)], &[24]),
            (&[("a", 100), ("b", 100)], &[8, 8]),
            (&[("a", 100), ("b", 100), ("c", 100)], &[8, 8, 8]),
            (&[("a", 100), ("b", 2)], &[22, 2]),
        ];
        for (lanes, expected) in cases {
            let running = saturate(&mut filled(lanes), &mut Shares::new(WRITES));
            assert_eq!(running, *expected, "{lanes:?}");
        }
    }

    #[test]
    fn guarantees_of_shares_hold() {
        // (lanes that saturate one after the other, more lanes with one item each, what runs, whether another lane starts)
        let cases = [
            (0, 0, 0, true),
            (1, 0, 24, true),
            (8, 0, 31, true),
            (1, 7, 31, true),
            // The reserve is used up: eight lanes that ran nothing have used it.
            (1, 8, 32, false),
            (9, 0, 32, false),
            (0, 31, 31, true),
            (0, 300, 32, false),
        ];
        for (saturating, single, expected, starts) in cases {
            let mut shares = Shares::new(WRITES);
            for lane in 0..saturating {
                while shares.may_start(&lane, false) {
                    shares.started(&lane);
                }
            }
            for lane in 1000..1000 + single {
                if shares.may_start(&lane, true) {
                    shares.started(&lane);
                }
            }
            let case = format!("{saturating} saturating lanes and {single} others");
            assert_eq!(shares.total, expected, "{case}");
            assert!(shares.total <= WRITES.total, "{case}: the total is a bound");
            assert!(
                shares
                    .running
                    .values()
                    .all(|own| *own <= WRITES.total - WRITES.total / RESERVED),
                "{case}: no lane holds everything"
            );
            assert_eq!(shares.may_start(&9999, true), starts, "{case}");
        }
    }

    #[test]
    fn lane_without_anything_running_is_served_while_others_are_busy() {
        let names = ["1", "2", "3", "4", "5", "6", "7", "8"];
        for busy in 1..=names.len() {
            let mut lanes = Lanes::default();
            let mut shares = Shares::new(WRITES);
            // One after the other, like slow namespaces that have no competition at first.
            for name in &names[..busy] {
                (0..100).for_each(|item| lanes.push(name, item));
                saturate(&mut lanes, &mut shares);
            }
            assert!(shares.total <= WRITES.total);
            lanes.push(&"new", 0);
            assert_eq!(lanes.start(&mut shares), Some(("new", 0)), "{busy} busy lanes");
        }
    }

    #[test]
    fn finished_items_make_room() {
        let mut lanes = filled(&[("a", 100)]);
        let mut shares = Shares::new(WRITES);
        assert_eq!(saturate(&mut lanes, &mut shares), [24]);
        (0..3).for_each(|item| lanes.push(&"b", item));
        assert_eq!(saturate(&mut lanes, &mut shares), [24, 1], "the first of a lane");
        for _ in 0..24 {
            shares.finished(&"a");
        }
        shares.finished(&"absent");
        assert_eq!(shares.total, 1);
        assert_eq!(saturate(&mut lanes, &mut shares), [21, 3]);
        (0..21).for_each(|_| shares.finished(&"a"));
        (0..3).for_each(|_| shares.finished(&"b"));
        assert!(shares.total == 0 && shares.running.is_empty());
    }
}
