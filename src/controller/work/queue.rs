//! The work queue: a key is queued at most once, runs at most once at a time, and has at most one requeue time. Keys with
//! a later requeue time delay no others.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard};

use tokio::sync::Notify;
use tokio::time::Instant;

use crate::controller::key::ObjectKey;
use crate::sync::lock;

/// The work queue. One task takes keys with [`Queue::next`]; any task may add.
#[derive(Default)]
pub(in crate::controller) struct Queue {
    inner: Mutex<Inner>,
    wake: Notify,
}

#[derive(Default)]
struct Inner {
    ready: VecDeque<ObjectKey>,
    delayed: BTreeSet<(Instant, ObjectKey)>,
    keys: HashMap<ObjectKey, Entry>,
}

/// The state of a key that is queued, running or delayed. Other keys have no entry.
#[derive(Default)]
struct Entry {
    /// In `ready`, or to be put there after the current run.
    queued: bool,
    running: bool,
    requeue_at: Option<Instant>,
}

impl Queue {
    /// Queues `key`: immediately, or again after the current run.
    pub(in crate::controller) fn add(&self, key: ObjectKey) {
        self.lock().add(key);
        self.wake.notify_one();
    }

    /// Waits for the next key. It counts as running until [`Queue::done`].
    pub(in crate::controller) async fn next(&self) -> ObjectKey {
        loop {
            let next_due = {
                let mut inner = self.lock();
                inner.queue_due(Instant::now());
                if let Some(key) = inner.take() {
                    return key;
                }
                inner.delayed.first().map(|(at, _)| *at)
            };
            match next_due {
                Some(at) => tokio::select! {
                    () = self.wake.notified() => {}
                    () = tokio::time::sleep_until(at) => {}
                },
                None => self.wake.notified().await,
            }
        }
    }

    /// Ends the run of `key` and replaces its requeue time; `None` clears it.
    pub(in crate::controller) fn done(&self, key: &ObjectKey, requeue_at: Option<Instant>) {
        self.lock().finish(key, requeue_at);
        self.wake.notify_one();
    }

    /// Returns the number of queued keys, without delayed ones.
    pub(in crate::controller) fn waiting(&self) -> usize {
        self.lock().ready.len()
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        lock(&self.inner)
    }
}

impl Inner {
    fn add(&mut self, key: ObjectKey) {
        let entry = self.keys.entry(key.clone()).or_default();
        if !entry.queued {
            entry.queued = true;
            if !entry.running {
                self.ready.push_back(key);
            }
        }
    }

    fn queue_due(&mut self, now: Instant) {
        while let Some((at, _)) = self.delayed.first()
            && *at <= now
        {
            if let Some((_, key)) = self.delayed.pop_first() {
                if let Some(entry) = self.keys.get_mut(&key) {
                    entry.requeue_at = None;
                }
                self.add(key);
            }
        }
    }

    fn take(&mut self) -> Option<ObjectKey> {
        let key = self.ready.pop_front()?;
        let entry = self.keys.entry(key.clone()).or_default();
        entry.queued = false;
        entry.running = true;
        Some(key)
    }

    fn finish(&mut self, key: &ObjectKey, requeue_at: Option<Instant>) {
        let Some(entry) = self.keys.get_mut(key) else {
            return;
        };
        entry.running = false;
        if let Some(old) = entry.requeue_at.take() {
            self.delayed.remove(&(old, key.clone()));
        }
        if let Some(at) = requeue_at {
            entry.requeue_at = Some(at);
            self.delayed.insert((at, key.clone()));
        }
        if entry.queued {
            self.ready.push_back(key.clone());
        } else if requeue_at.is_none() {
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
    async fn key_is_queued_once_and_runs_once() {
        let queue = Queue::default();
        queue.add(key("a"));
        queue.add(key("a"));
        queue.add(key("b"));
        assert_eq!(queue.waiting(), 2);
        assert_eq!(next_now(&queue), Some(key("a")));
        queue.add(key("a"));
        queue.add(key("a"));
        assert_eq!(next_now(&queue), Some(key("b")));
        assert_eq!(next_now(&queue), None, "a is running");
        queue.done(&key("a"), None);
        assert_eq!(next_now(&queue), Some(key("a")), "queued while it ran");
        assert_eq!(next_now(&queue), None);
        queue.done(&key("a"), None);
        queue.done(&key("b"), None);
        assert_eq!(next_now(&queue), None);
        assert!(queue.lock().keys.is_empty(), "idle keys have no entry");
    }

    #[tokio::test(start_paused = true)]
    async fn requeue_time_delays_only_its_key() {
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
            "the paused clock advances to the requeue time"
        );
        assert_eq!(before.elapsed().as_secs(), 60);
        assert_eq!(next_now(&queue), None, "only once");
    }

    #[tokio::test(start_paused = true)]
    async fn end_of_a_run_replaces_the_requeue_time() {
        let queue = Queue::default();
        queue.add(key("a"));
        assert_eq!(next_now(&queue), Some(key("a")));
        queue.done(&key("a"), Some(Instant::now() + Duration::from_mins(1)));
        queue.add(key("a"));
        assert_eq!(
            next_now(&queue),
            Some(key("a")),
            "a trigger does not wait for the requeue time"
        );
        queue.done(&key("a"), None);
        tokio::time::advance(Duration::from_mins(2)).await;
        assert_eq!(next_now(&queue), None, "the old requeue time is cleared");
        assert!(queue.lock().delayed.is_empty() && queue.lock().keys.is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn requeue_time_reached_during_a_run_is_not_lost() {
        let queue = Queue::default();
        queue.add(key("a"));
        assert_eq!(next_now(&queue), Some(key("a")));
        queue.done(&key("a"), Some(Instant::now() + Duration::from_secs(1)));
        queue.add(key("a"));
        assert_eq!(next_now(&queue), Some(key("a")));
        tokio::time::advance(Duration::from_secs(2)).await;
        assert_eq!(next_now(&queue), None, "it is running");
        queue.done(&key("a"), None);
        assert_eq!(next_now(&queue), Some(key("a")));
    }

    #[tokio::test]
    async fn waiting_task_is_woken_by_add() {
        let queue = std::sync::Arc::new(Queue::default());
        let waiting = tokio::spawn({
            let queue = queue.clone();
            async move { queue.next().await }
        });
        tokio::task::yield_now().await;
        queue.add(key("a"));
        assert_eq!(waiting.await.expect("no panic"), key("a"));
    }
}
