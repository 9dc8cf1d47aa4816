//! Where the request of each object is: waiting, running or answered, and never in two states at once.
//!
//! [`Table::ask`] is the only way to request an answer, and returns one that is there. A caller that finds no answer has requested one
//! in the same step, so no answer can arrive between a look-up and a request, which would open the document twice.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::lanes::{Group, Hints, Lanes};
use super::request::{Class, ObjectName, Request};

/// After this time, a request that is asked for again is served like one of the first class: two namespaces that keep
/// creating objects would otherwise delay the other classes of all namespaces indefinitely. The controller asks again
/// after 30 s.
const PATIENCE: Duration = Duration::from_secs(20);

/// The requests of all objects. `A` is the answer.
pub(super) struct Table<A> {
    states: HashMap<ObjectName, State<A>>,
    lanes: Lanes,
    /// Numbers answers and [`Ticket`]s in one sequence.
    clock: u64,
}

enum State<A> {
    Waiting {
        uid: Arc<str>,
        generation: i64,
        since: Instant,
    },
    Running {
        uid: Arc<str>,
        generation: i64,
        since: Instant,
        /// The request that replaced the running one, which cannot be stopped.
        next: Option<(Request, Instant)>,
    },
    Answered {
        uid: Arc<str>,
        generation: i64,
        answer: A,
        at: u64,
    },
}

/// The result of `Table::ask`.
#[derive(Debug, PartialEq, Eq)]
pub enum Asked<A> {
    /// The answer, which is removed.
    Answer(A),
    /// There is none yet: it waits or runs since then.
    Pending(Instant),
}

/// A point in the sequence of answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ticket(u64);

impl<A> Table<A> {
    pub(super) fn new() -> Self {
        Table {
            states: HashMap::new(),
            lanes: Lanes::new(),
            clock: 0,
        }
    }

    /// Returns the answer for this uid and generation, or requests it unless it is waiting or running.
    ///
    /// A request for another uid or a newer generation replaces the object's previous one. One for an older generation of
    /// the same uid comes from an outdated view and changes nothing.
    pub(super) fn ask(&mut self, request: &Request, hints: Hints, now: Instant) -> Asked<A> {
        let object = &request.object;
        match self.states.get_mut(object) {
            None => {}
            Some(State::Answered { uid, generation, .. }) => {
                let current = request.is_same(uid, *generation);
                if let Some(State::Answered { answer, .. }) = self.states.remove(object)
                    && current
                {
                    return Asked::Answer(answer);
                }
            }
            Some(State::Waiting {
                uid,
                generation,
                since,
            }) => {
                if *uid == request.uid && *generation > request.generation {
                    return Asked::Pending(*since);
                }
                if *uid != request.uid {
                    *since = now;
                }
                (*uid, *generation) = (request.uid.clone(), request.generation);
                let since = *since;
                // Also for the same document: its class may have changed.
                let class = if now.saturating_duration_since(since) < PATIENCE {
                    request.class
                } else {
                    Class::ALL[0]
                };
                self.lanes.add(request.clone(), class, hints);
                return Asked::Pending(since);
            }
            Some(State::Running {
                uid,
                generation,
                since,
                next,
            }) => {
                if request.is_same(uid, *generation) {
                    return Asked::Pending(*since);
                }
                let outdated = match next {
                    Some((next, _)) => next.uid == request.uid && next.generation > request.generation,
                    None => *uid == request.uid && *generation > request.generation,
                };
                if outdated {
                    return Asked::Pending(*since);
                }
                let since = next.as_ref().map_or(now, |(_, since)| *since);
                *next = Some((request.clone(), since));
                return Asked::Pending(since);
            }
        }
        self.enqueue(request.clone(), hints, now);
        Asked::Pending(now)
    }

    /// Removes and returns the answer for this uid and generation, without requesting one.
    pub(super) fn take(&mut self, request: &Request) -> Option<A> {
        let Some(State::Answered { uid, generation, .. }) = self.states.get(&request.object) else {
            return None;
        };
        if !request.is_same(uid, *generation) {
            return None;
        }
        match self.states.remove(&request.object) {
            Some(State::Answered { answer, .. }) => Some(answer),
            _ => None,
        }
    }

    /// Returns the current point in the sequence of answers.
    pub(super) fn ticket(&mut self) -> Ticket {
        self.clock += 1;
        Ticket(self.clock)
    }

    /// Removes the object's answer if it arrived before `ticket`, and with `withdraw` its waiting request.
    pub(super) fn release(&mut self, object: &ObjectName, ticket: Ticket, withdraw: bool) {
        match self.states.get_mut(object) {
            Some(State::Answered { at, .. }) if *at < ticket.0 => {
                self.states.remove(object);
            }
            Some(State::Waiting { .. }) if withdraw => {
                self.states.remove(object);
                self.lanes.remove(object);
            }
            Some(State::Running { next, .. }) if withdraw => *next = None,
            _ => {}
        }
    }

    /// Starts the next request whose lane and group are ready.
    pub(super) fn start(
        &mut self,
        lane_ready: impl FnMut(&Arc<str>) -> bool,
        group_ready: impl FnMut(&Arc<str>, &Group) -> bool,
    ) -> Option<(Request, Instant)> {
        let request = self.lanes.pick(lane_ready, group_ready)?;
        let state = self.states.get_mut(&request.object)?;
        let State::Waiting { since, .. } = state else {
            return None;
        };
        let since = *since;
        *state = State::Running {
            uid: request.uid.clone(),
            generation: request.generation,
            since,
            next: None,
        };
        Some((request, since))
    }

    /// Records the answer of a request that was started. If a newer request has replaced it, the answer is returned, and
    /// the newer one waits.
    pub(super) fn finish(&mut self, request: &Request, answer: A) -> Option<A> {
        let Some(State::Running { next, .. }) = self.states.get_mut(&request.object) else {
            return Some(answer);
        };
        if let Some((next, since)) = next.take() {
            self.enqueue(next, Hints::default(), since);
            return Some(answer);
        }
        self.clock += 1;
        let answered = State::Answered {
            uid: request.uid.clone(),
            generation: request.generation,
            answer,
            at: self.clock,
        };
        self.states.insert(request.object.clone(), answered);
        None
    }

    /// Makes a request that was started wait again, since when it has waited, unless a newer one has replaced it.
    pub(super) fn requeue(&mut self, request: Request) {
        let Some(State::Running { since, next, .. }) = self.states.get_mut(&request.object) else {
            return;
        };
        let (request, since) = next.take().unwrap_or((request, *since));
        self.enqueue(request, Hints::default(), since);
    }

    /// Whether a request of another namespace waits.
    pub(super) fn others_wait(&self, namespace: &Arc<str>) -> bool {
        self.lanes.others_wait(namespace)
    }

    /// The number of requests that wait or run.
    pub(super) fn pending(&self) -> usize {
        let answered = |state: &&State<A>| matches!(state, State::Answered { .. });
        self.states.len() - self.states.values().filter(answered).count()
    }

    /// The number of requests of a namespace that wait.
    pub(super) fn waiting_of(&self, namespace: &str) -> usize {
        self.lanes.len_of(namespace)
    }

    /// The number of requests that wait.
    #[cfg(test)]
    pub(super) fn waiting(&self) -> usize {
        self.lanes.len()
    }

    fn enqueue(&mut self, request: Request, hints: Hints, since: Instant) {
        let waiting = State::Waiting {
            uid: request.uid.clone(),
            generation: request.generation,
            since,
        };
        self.states.insert(request.object.clone(), waiting);
        let class = request.class;
        self.lanes.add(request, class, hints);
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::support::request;
    use super::*;

    fn of(uid: &str, generation: i64) -> Request {
        request("prod", "db", uid, generation)
    }

    struct Fixture {
        table: Table<&'static str>,
        now: Instant,
    }

    impl Fixture {
        fn new() -> Self {
            Fixture {
                table: Table::new(),
                now: Instant::now(),
            }
        }

        fn ask(&mut self, uid: &str, generation: i64) -> Asked<&'static str> {
            self.table.ask(&of(uid, generation), Hints::default(), self.now)
        }

        fn start(&mut self) -> Option<Request> {
            self.table
                .start(|_| true, |_, _| true)
                .map(|(request, _)| request)
        }
    }

    #[test]
    fn every_order_of_asking_and_answering_opens_a_document_once() {
        // Fault: look-up, answer, request were three steps; an answer between the first and the last was not seen.
        // Every interleaving of three askers with the start and the end of the opening.
        for started_before in 0..4 {
            for answered_before in started_before..4 {
                let mut fixture = Fixture::new();
                let (mut opened, mut answers) = (0, 0);
                fixture.ask("u", 1);
                for asker in 0..4 {
                    if asker == started_before {
                        opened += usize::from(fixture.start().is_some());
                    }
                    if asker == answered_before {
                        assert_eq!(fixture.table.finish(&of("u", 1), "opened"), None);
                    }
                    if asker < 3 && answers == 0 {
                        answers += usize::from(fixture.ask("u", 1) == Asked::Answer("opened"));
                    }
                }
                opened += usize::from(fixture.start().is_some());
                assert_eq!(
                    opened, 1,
                    "started before asker {started_before}, answered before {answered_before}"
                );
                let left = usize::from(fixture.table.states.len() == 1);
                assert_eq!(answers + left, 1, "the answer is delivered once");
            }
        }
    }

    #[test]
    fn same_request_waits_once() {
        let mut fixture = Fixture::new();
        let since = fixture.now;
        assert_eq!(fixture.ask("u", 1), Asked::Pending(since));
        fixture.now += Duration::from_secs(9);
        assert_eq!(fixture.ask("u", 1), Asked::Pending(since));
        assert_eq!((fixture.table.waiting(), fixture.table.pending()), (1, 1));
        assert!(fixture.start().is_some());
        assert_eq!(fixture.ask("u", 1), Asked::Pending(since), "running");
        assert_eq!((fixture.table.waiting(), fixture.table.pending()), (0, 1));
        assert!(fixture.start().is_none());
    }

    #[test]
    fn newer_generation_or_other_uid_replaces_a_waiting_request() {
        let mut fixture = Fixture::new();
        let first = fixture.now;
        fixture.ask("u", 1);
        fixture.now += Duration::from_secs(1);
        assert_eq!(fixture.ask("u", 2), Asked::Pending(first), "it keeps its place");
        assert_eq!(
            fixture.ask("u", 1),
            Asked::Pending(first),
            "an outdated view changes nothing"
        );
        let later = fixture.now;
        assert_eq!(fixture.ask("v", 1), Asked::Pending(later), "created again");
        let started = fixture.start().expect("a request");
        assert_eq!((&*started.uid, started.generation), ("v", 1));
        assert!(fixture.start().is_none());
    }

    #[test]
    fn request_that_replaces_a_running_one_runs_after_it() {
        let mut fixture = Fixture::new();
        fixture.ask("u", 1);
        let running = fixture.start().expect("a request");
        fixture.ask("u", 2);
        assert!(fixture.start().is_none(), "one opening of an object at a time");
        fixture.ask("u", 3);
        for outdated in [1, 2] {
            fixture.ask("u", outdated);
        }
        assert_eq!(
            fixture.table.finish(&running, "old"),
            Some("old"),
            "the answer is outdated"
        );
        assert_eq!(fixture.start().expect("the newer one").generation, 3);
        assert_eq!(fixture.table.finish(&of("u", 3), "new"), None);
        assert_eq!(fixture.ask("u", 3), Asked::Answer("new"));
        assert!(fixture.table.states.is_empty());
    }

    #[test]
    fn answer_for_another_uid_or_generation_is_dropped() {
        for (uid, generation) in [("u", 2), ("v", 1)] {
            let mut fixture = Fixture::new();
            fixture.ask("u", 1);
            let running = fixture.start().expect("a request");
            assert_eq!(fixture.table.finish(&running, "old"), None);
            let now = fixture.now;
            assert_eq!(fixture.ask(uid, generation), Asked::Pending(now));
            assert_eq!(fixture.start().expect("requested").generation, generation);
        }
    }

    #[test]
    fn unclaimed_answer_is_dropped_only_if_the_reconcile_could_have_claimed_it() {
        let mut fixture = Fixture::new();
        fixture.ask("u", 1);
        let running = fixture.start().expect("a request");
        let before = fixture.table.ticket();
        fixture.table.finish(&running, "answer");
        fixture.table.release(&running.object, before, true);
        assert_eq!(
            fixture.table.states.len(),
            1,
            "it arrived during the reconcile, which is repeated"
        );
        let after = fixture.table.ticket();
        fixture.table.release(&running.object, after, false);
        assert!(fixture.table.states.is_empty());
    }

    #[test]
    fn waiting_request_can_be_withdrawn() {
        let mut fixture = Fixture::new();
        fixture.ask("u", 1);
        let ticket = fixture.table.ticket();
        fixture.table.release(&of("u", 1).object, ticket, false);
        assert_eq!(fixture.table.waiting(), 1, "still wanted");
        fixture.table.release(&of("u", 1).object, ticket, true);
        assert_eq!(fixture.table.pending(), 0);
        assert!(fixture.start().is_none());
        fixture.ask("u", 1);
        let running = fixture.start().expect("a request");
        fixture.ask("u", 2);
        fixture.table.release(&running.object, ticket, true);
        assert_eq!(fixture.table.finish(&running, "answer"), None);
        assert!(fixture.start().is_none(), "the newer one was withdrawn");
    }

    #[test]
    fn requeued_request_keeps_its_waiting_time() {
        let mut fixture = Fixture::new();
        let since = fixture.now;
        fixture.ask("u", 1);
        let running = fixture.start().expect("a request");
        fixture.now += Duration::from_secs(5);
        fixture.table.requeue(running);
        assert_eq!(fixture.ask("u", 1), Asked::Pending(since));
        let running = fixture.start().expect("a request");
        fixture.ask("u", 2);
        fixture.table.requeue(running);
        assert_eq!(fixture.start().expect("a request").generation, 2);
    }
}
