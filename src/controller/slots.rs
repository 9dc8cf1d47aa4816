//! Slots for work of which only a bounded amount may happen at a time, shared fairly among namespaces.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::Instant;

use crate::lanes::{Bounds, Lanes, Shares};
use crate::sync::lock;

/// A semaphore with a lane per namespace. Cheap to clone: clones share the slots.
#[derive(Clone)]
pub(super) struct Slots(Arc<Mutex<State>>);

struct State {
    waiting: Lanes<Arc<str>, oneshot::Sender<Slot>>,
    shares: Shares<Arc<str>>,
}

/// A slot in use, which is released on drop.
pub(super) struct Slot {
    slots: Slots,
    /// `None` once released.
    namespace: Option<Arc<str>>,
}

impl Slots {
    pub(super) fn new(bounds: Bounds) -> Self {
        Slots(Arc::new(Mutex::new(State {
            waiting: Lanes::default(),
            shares: Shares::new(bounds),
        })))
    }

    /// Waits for a slot. Returns how long that took, too.
    pub(super) async fn acquire(&self, namespace: &Arc<str>) -> (Slot, Duration) {
        let asked = Instant::now();
        let (sender, granted) = oneshot::channel();
        lock(&self.0).waiting.push(namespace, sender);
        self.grant();
        match granted.await {
            Ok(slot) => (slot, asked.elapsed()),
            // Unreachable: a sender is dropped only after it was used.
            Err(_) => std::future::pending().await,
        }
    }

    /// Gives free slots to those that wait. One that no longer waits releases its slot, which continues here.
    fn grant(&self) {
        loop {
            let (slot, sender) = {
                let mut state = lock(&self.0);
                let State { waiting, shares } = &mut *state;
                let Some((namespace, sender)) = waiting.start(shares) else {
                    return;
                };
                let slot = Slot {
                    slots: self.clone(),
                    namespace: Some(namespace),
                };
                (slot, sender)
            };
            // Outside the lock, because a slot locks when it is dropped. Released here instead of by its drop: any number of
            // waiting tasks may have been cancelled, and each drop would grant the next slot recursively.
            if let Err(mut unwanted) = sender.send(slot) {
                unwanted.release();
            }
        }
    }
}

impl Slot {
    fn release(&mut self) {
        if let Some(namespace) = self.namespace.take() {
            lock(&self.slots.0).shares.finished(&namespace);
        }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        if self.namespace.is_some() {
            self.release();
            self.slots.grant();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt as _;

    fn slots() -> Slots {
        Slots::new(Bounds {
            total: 4,
            contended: 2,
        })
    }

    fn now(slots: &Slots, namespace: &str) -> Option<Slot> {
        slots
            .acquire(&namespace.into())
            .now_or_never()
            .map(|(slot, _)| slot)
    }

    #[tokio::test(start_paused = true)]
    async fn released_slot_goes_to_the_task_that_waits() {
        let slots = slots();
        let held: Vec<Slot> = (0..3).filter_map(|_| now(&slots, "a")).collect();
        assert_eq!(held.len(), 3);
        let waiting = tokio::spawn({
            let slots = slots.clone();
            async move { slots.acquire(&"a".into()).await.1 }
        });
        tokio::time::sleep(Duration::from_secs(9)).await;
        assert!(
            now(&slots, "b").is_some(),
            "one slot is kept for another namespace"
        );
        assert!(!waiting.is_finished());
        drop(held);
        assert_eq!(waiting.await.expect("no panic"), Duration::from_secs(9));
    }

    #[tokio::test(start_paused = true)]
    async fn cancelled_tasks_hold_no_slots() {
        let slots = slots();
        let held: Vec<Slot> = (0..3).filter_map(|_| now(&slots, "a")).collect();
        // As many that releasing them recursively would overflow the stack.
        for _ in 0..100_000 {
            assert!(now(&slots, "a").is_none());
        }
        // Granted, and then not received.
        let namespace = "a".into();
        let mut granted = Box::pin(slots.acquire(&namespace));
        assert!(futures::poll!(granted.as_mut()).is_pending());
        drop(held);
        drop(granted);
        let held: Vec<Slot> = (0..3).filter_map(|_| now(&slots, "a")).collect();
        assert_eq!((held.len(), lock(&slots.0).waiting.len()), (3, 0));
    }
}
