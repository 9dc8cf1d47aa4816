//! The work queue: each key at most once waiting, at most once running, and with at most one alarm of its own.
//! A key whose alarm is far away holds up nobody.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard};

use tokio::sync::Notify;
use tokio::time::Instant;

use super::ObjectKey;
use crate::sync::lock;

/// See the module. One task takes keys with [`Queue::next`]; any task adds.
#[derive(Default)]
pub(super) struct Queue {
    inner: Mutex<Inner>,
    wake: Notify,
}

#[derive(Default)]
struct Inner {
    ready: VecDeque<ObjectKey>,
    alarms: BTreeSet<(Instant, ObjectKey)>,
    keys: HashMap<ObjectKey, Entry>,
}

/// What is known of a key that waits, runs or has an alarm; other keys have none.
#[derive(Default)]
struct Entry {
    /// Stands in `ready`, or is to stand there when it has run.
    wanted: bool,
    running: bool,
    alarm: Option<Instant>,
}

impl Queue {
    /// Asks for a run of `key`: now, or once more after the one that runs.
    pub(super) fn add(&self, key: ObjectKey) {
        self.lock().want(key);
        self.wake.notify_one();
    }

    /// The next key; it counts as running until [`Queue::done`].
    pub(super) async fn next(&self) -> ObjectKey {
        loop {
            let alarm = {
                let mut inner = self.lock();
                inner.ring(Instant::now());
                if let Some(key) = inner.take() {
                    return key;
                }
                inner.alarms.first().map(|(at, _)| *at)
            };
            match alarm {
                Some(at) => tokio::select! {
                    () = self.wake.notified() => {}
                    () = tokio::time::sleep_until(at) => {}
                },
                None => self.wake.notified().await,
            }
        }
    }

    /// Ends the run of `key` and sets its alarm anew; `None` clears it.
    pub(super) fn done(&self, key: &ObjectKey, alarm: Option<Instant>) {
        self.lock().finish(key, alarm);
        self.wake.notify_one();
    }

    /// How many keys wait for their run, alarms apart.
    pub(super) fn waiting(&self) -> usize {
        self.lock().ready.len()
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        lock(&self.inner)
    }
}

impl Inner {
    fn want(&mut self, key: ObjectKey) {
        let entry = self.keys.entry(key.clone()).or_default();
        if !entry.wanted {
            entry.wanted = true;
            if !entry.running {
                self.ready.push_back(key);
            }
        }
    }

    fn ring(&mut self, now: Instant) {
        while let Some((at, _)) = self.alarms.first()
            && *at <= now
        {
            if let Some((_, key)) = self.alarms.pop_first() {
                if let Some(entry) = self.keys.get_mut(&key) {
                    entry.alarm = None;
                }
                self.want(key);
            }
        }
    }

    fn take(&mut self) -> Option<ObjectKey> {
        let key = self.ready.pop_front()?;
        let entry = self.keys.entry(key.clone()).or_default();
        entry.wanted = false;
        entry.running = true;
        Some(key)
    }

    fn finish(&mut self, key: &ObjectKey, alarm: Option<Instant>) {
        let Some(entry) = self.keys.get_mut(key) else {
            return;
        };
        entry.running = false;
        if let Some(old) = entry.alarm.take() {
            self.alarms.remove(&(old, key.clone()));
        }
        if let Some(at) = alarm {
            entry.alarm = Some(at);
            self.alarms.insert((at, key.clone()));
        }
        if entry.wanted {
            self.ready.push_back(key.clone());
        } else if alarm.is_none() {
            self.keys.remove(key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt as _;
    use std::time::Duration;

    fn key(name: &str) -> ObjectKey {
        ObjectKey::new("ns", name)
    }

    fn next_now(queue: &Queue) -> Option<ObjectKey> {
        queue.next().now_or_never()
    }

    #[tokio::test(start_paused = true)]
    async fn a_key_waits_once_and_runs_once() {
        let queue = Queue::default();
        queue.add(key("a"));
        queue.add(key("a"));
        queue.add(key("b"));
        assert_eq!(queue.waiting(), 2);
        assert_eq!(next_now(&queue), Some(key("a")));
        queue.add(key("a"));
        queue.add(key("a"));
        assert_eq!(next_now(&queue), Some(key("b")));
        assert_eq!(next_now(&queue), None, "a runs");
        queue.done(&key("a"), None);
        assert_eq!(next_now(&queue), Some(key("a")), "asked for while it ran");
        assert_eq!(next_now(&queue), None);
        queue.done(&key("a"), None);
        queue.done(&key("b"), None);
        assert_eq!(next_now(&queue), None);
        assert!(queue.lock().keys.is_empty(), "nothing is kept of idle keys");
    }

    #[tokio::test(start_paused = true)]
    async fn an_alarm_delays_only_its_own_key() {
        let queue = Queue::default();
        queue.add(key("bad"));
        assert_eq!(next_now(&queue), Some(key("bad")));
        queue.done(&key("bad"), Some(Instant::now() + Duration::from_mins(1)));
        queue.add(key("good"));
        assert_eq!(next_now(&queue), Some(key("good")));
        queue.done(&key("good"), None);

        let before = Instant::now();
        assert_eq!(
            queue.next().await,
            key("bad"),
            "the paused clock goes on to the alarm"
        );
        assert_eq!(before.elapsed().as_secs(), 60);
        assert_eq!(next_now(&queue), None, "once");
    }

    #[tokio::test(start_paused = true)]
    async fn the_end_of_a_run_sets_the_alarm_anew() {
        let queue = Queue::default();
        queue.add(key("a"));
        assert_eq!(next_now(&queue), Some(key("a")));
        queue.done(&key("a"), Some(Instant::now() + Duration::from_mins(1)));
        queue.add(key("a"));
        assert_eq!(
            next_now(&queue),
            Some(key("a")),
            "a trigger does not wait for the alarm"
        );
        queue.done(&key("a"), None);
        tokio::time::advance(Duration::from_mins(2)).await;
        assert_eq!(next_now(&queue), None, "the old alarm is gone");
        assert!(queue.lock().alarms.is_empty() && queue.lock().keys.is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn an_alarm_that_rings_during_a_run_is_not_lost() {
        let queue = Queue::default();
        queue.add(key("a"));
        assert_eq!(next_now(&queue), Some(key("a")));
        queue.done(&key("a"), Some(Instant::now() + Duration::from_secs(1)));
        queue.add(key("a"));
        assert_eq!(next_now(&queue), Some(key("a")));
        tokio::time::advance(Duration::from_secs(2)).await;
        assert_eq!(next_now(&queue), None, "it runs");
        queue.done(&key("a"), None);
        assert_eq!(next_now(&queue), Some(key("a")));
    }

    #[tokio::test]
    async fn a_waiting_taker_is_woken() {
        let queue = std::sync::Arc::new(Queue::default());
        let taker = tokio::spawn({
            let queue = queue.clone();
            async move { queue.next().await }
        });
        tokio::task::yield_now().await;
        queue.add(key("a"));
        assert_eq!(taker.await.expect("no panic"), key("a"));
    }
}
