//! The work queue: a key is queued at most once, runs at most once at a time, and has at most one requeue time. Keys with
//! a later requeue time delay no others. Each namespace has a lane: lanes take turns, and none can run everything that
//! may run at a time.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use crate::controller::key::ObjectKey;
use crate::lanes::{Bounds, Lanes, Shares};
use crate::sync::lock;

/// The work queue. One task takes keys with [`Queue::next`]; any task may add.
pub(in crate::controller) struct Queue {
    inner: Mutex<Inner>,
    wake: Notify,
}

struct Inner {
    /// With the time at which each key was queued.
    ready: Lanes<Arc<str>, (ObjectKey, Instant)>,
    running: Shares<Arc<str>>,
    delayed: BTreeSet<(Instant, ObjectKey)>,
    keys: HashMap<ObjectKey, Entry>,
}

/// The state of a key that is queued, running or delayed. Other keys have no entry.
#[derive(Default)]
struct Entry {
    /// Since when it is in `ready`, or is to be put there after the current run.
    queued: Option<Instant>,
    running: bool,
    requeue_at: Option<Instant>,
}

/// A key to reconcile.
pub(in crate::controller) struct Next {
    pub(in crate::controller) key: ObjectKey,
    /// How long it has waited in its lane.
    pub(in crate::controller) waited: Duration,
    /// When it was queued: before it entered its lane, if it was running then.
    pub(in crate::controller) queued_at: Instant,
}

impl Queue {
    /// Creates an empty queue, of whose keys at most `bounds` run at a time.
    pub(in crate::controller) fn new(bounds: Bounds) -> Self {
        let inner = Inner {
            ready: Lanes::default(),
            running: Shares::new(bounds),
            delayed: BTreeSet::new(),
            keys: HashMap::new(),
        };
        Queue {
            inner: Mutex::new(inner),
            wake: Notify::new(),
        }
    }

    /// Queues `key`: immediately, or again after the current run.
    pub(in crate::controller) fn add(&self, key: ObjectKey) {
        self.lock().add(key);
        self.wake.notify_one();
    }

    /// Waits for the next key that may run. It counts as running until [`Queue::done`].
    pub(in crate::controller) async fn next(&self) -> Next {
        loop {
            let next_due = {
                let mut inner = self.lock();
                let now = Instant::now();
                inner.queue_due(now);
                if let Some(next) = inner.take(now) {
                    return next;
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
        if entry.queued.is_none() {
            let now = Instant::now();
            entry.queued = Some(now);
            if !entry.running {
                self.ready.push(&key.namespace.clone(), (key, now));
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

    fn take(&mut self, now: Instant) -> Option<Next> {
        let (_, (key, entered_at)) = self.ready.start(&mut self.running)?;
        let entry = self.keys.entry(key.clone()).or_default();
        let queued_at = entry.queued.take().unwrap_or(entered_at);
        entry.running = true;
        Some(Next {
            key,
            waited: now.saturating_duration_since(entered_at),
            queued_at,
        })
    }

    fn finish(&mut self, key: &ObjectKey, requeue_at: Option<Instant>) {
        let Some(entry) = self.keys.get_mut(key) else {
            return;
        };
        if std::mem::take(&mut entry.running) {
            self.running.finished(&key.namespace);
        }
        if let Some(old) = entry.requeue_at.take() {
            self.delayed.remove(&(old, key.clone()));
        }
        if let Some(at) = requeue_at {
            entry.requeue_at = Some(at);
            self.delayed.insert((at, key.clone()));
        }
        if entry.queued.is_some() {
            self.ready.push(&key.namespace, (key.clone(), Instant::now()));
        } else if requeue_at.is_none() {
            self.keys.remove(key);
            if self.keys.is_empty() {
                // What a start with many objects needed.
                self.keys.shrink_to_fit();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt as _;

    const BOUNDS: Bounds = Bounds {
        total: 64,
        contended: 16,
    };

    fn queue() -> Queue {
        Queue::new(BOUNDS)
    }

    fn key(name: &str) -> ObjectKey {
        ObjectKey::new("ns", name)
    }

    fn next_now(queue: &Queue) -> Option<ObjectKey> {
        queue.next().now_or_never().map(|next| next.key)
    }

    #[tokio::test(start_paused = true)]
    async fn key_is_queued_once_and_runs_once() {
        let queue = queue();
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
        assert_eq!(queue.lock().keys.capacity(), 0, "idle keys have no entry");
    }

    #[tokio::test(start_paused = true)]
    async fn time_of_queueing_includes_the_run_before() {
        let queue = queue();
        queue.add(key("a"));
        assert_eq!(next_now(&queue), Some(key("a")));
        let queued_at = Instant::now();
        queue.add(key("a"));
        tokio::time::advance(Duration::from_secs(2)).await;
        queue.add(key("a"));
        queue.done(&key("a"), None);
        tokio::time::advance(Duration::from_secs(3)).await;
        let next = queue.next().await;
        assert_eq!((next.queued_at, next.waited), (queued_at, Duration::from_secs(3)));
    }

    #[tokio::test(start_paused = true)]
    async fn requeue_time_delays_only_its_key() {
        let queue = queue();
        queue.add(key("bad"));
        assert_eq!(next_now(&queue), Some(key("bad")));
        queue.done(&key("bad"), Some(Instant::now() + Duration::from_mins(1)));
        queue.add(key("good"));
        assert_eq!(next_now(&queue), Some(key("good")));
        queue.done(&key("good"), None);

        let before = Instant::now();
        assert_eq!(
            queue.next().await.key,
            key("bad"),
            "the paused clock advances to the requeue time"
        );
        assert_eq!(before.elapsed().as_secs(), 60);
        assert_eq!(next_now(&queue), None, "only once");
    }

    #[tokio::test(start_paused = true)]
    async fn end_of_a_run_replaces_the_requeue_time() {
        let queue = queue();
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
        let queue = queue();
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

    fn of(namespace: &str, index: usize) -> ObjectKey {
        ObjectKey::new(namespace, &index.to_string())
    }

    /// The keys that may run now, in order.
    fn started(queue: &Queue) -> Vec<ObjectKey> {
        std::iter::from_fn(|| next_now(queue)).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn new_object_does_not_wait_for_those_of_another_namespace() {
        let queue = queue();
        (0..10_000).for_each(|index| queue.add(of("big", index)));
        // Nothing of "big" ever finishes.
        assert_eq!(started(&queue).len(), 48, "the rest is kept for other namespaces");
        queue.add(of("small", 0));
        let next = queue.next().now_or_never().expect("served immediately");
        assert_eq!((next.key, next.waited), (of("small", 0), Duration::ZERO));
        assert_eq!(queue.waiting(), 9_952);
    }

    #[tokio::test(start_paused = true)]
    async fn namespace_that_is_busy_leaves_most_slots_to_others_that_wait() {
        let queue = queue();
        for index in 0..1_000 {
            for namespace in ["a", "b", "c"] {
                queue.add(of(namespace, index));
            }
        }
        let running = started(&queue);
        let of_a = running.iter().filter(|key| *key.namespace == *"a").count();
        assert_eq!((of_a, running.len()), (16, 48));
        // Each that finishes is replaced by one of its own namespace.
        for key in running.iter().filter(|key| *key.namespace == *"a") {
            queue.done(key, None);
        }
        assert!(started(&queue).iter().all(|key| *key.namespace == *"a"));
    }

    #[tokio::test(start_paused = true)]
    async fn requeue_storm_of_one_namespace_does_not_delay_another() {
        let queue = queue();
        (0..10_000).for_each(|index| queue.add(of("big", index)));
        let due = Instant::now() + Duration::from_mins(1);
        loop {
            let running = started(&queue);
            if running.is_empty() {
                break;
            }
            for key in &running {
                queue.done(key, Some(due));
            }
        }
        queue.add(of("small", 0));
        assert_eq!(started(&queue), [of("small", 0)]);
        queue.done(&of("small", 0), Some(due));
        // All are due at the same time.
        tokio::time::advance(Duration::from_mins(1)).await;
        let first: Vec<_> = started(&queue).into_iter().take(2).collect();
        assert!(first.contains(&of("small", 0)), "{first:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn key_with_many_events_delays_its_own_namespace_by_one_run_at_a_time() {
        let queue = queue();
        queue.add(of("ns", 0));
        assert_eq!(next_now(&queue), Some(of("ns", 0)));
        (1..=3).for_each(|index| queue.add(of("ns", index)));
        // An event arrives during each run of the hot key, and it runs after those that waited before.
        for _ in 0..1_000 {
            queue.add(of("ns", 0));
        }
        queue.done(&of("ns", 0), None);
        assert_eq!(
            started(&queue),
            [of("ns", 1), of("ns", 2), of("ns", 3), of("ns", 0)]
        );
        queue.add(of("ns", 0));
        queue.add(of("other", 0));
        queue.done(&of("ns", 0), None);
        assert_eq!(queue.waiting(), 2);
        assert!(started(&queue).contains(&of("other", 0)));
    }

    #[tokio::test(start_paused = true)]
    async fn hot_key_is_not_starved_by_others() {
        let queue = queue();
        (0..1_000).for_each(|index| queue.add(of("ns", index)));
        let mut runs = 0;
        for _ in 0..100 {
            for key in started(&queue) {
                runs += usize::from(key == of("ns", 0));
                queue.add(key.clone());
                queue.done(&key, None);
            }
        }
        // 48 of 1,000 keys run in each round.
        assert!(runs >= 4, "{runs} runs");
    }

    #[tokio::test]
    async fn waiting_task_is_woken_by_add() {
        let queue = Arc::new(queue());
        let waiting = tokio::spawn({
            let queue = queue.clone();
            async move { queue.next().await.key }
        });
        tokio::task::yield_now().await;
        queue.add(key("a"));
        assert_eq!(waiting.await.expect("no panic"), key("a"));
    }
}
