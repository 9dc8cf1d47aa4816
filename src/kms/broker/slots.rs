//! Slots: how many documents are being opened, or are open until their Secrets are written. They bound both the KMS
//! calls in flight and the plaintexts in memory.
//!
//! No namespace can hold the slots that another one needs: a namespace without a slot always gets one, and while others
//! wait, none gets more than its share.

use std::collections::HashMap;
use std::sync::Arc;

/// All slots, unless every further one is the only one of its namespace.
const MAX_OPEN: usize = 32;
/// The slots that a namespace gets while others wait.
const SHARE: usize = 8;

/// The slots in use.
#[derive(Default)]
pub(super) struct Slots {
    total: usize,
    by_namespace: HashMap<Arc<str>, usize>,
}

impl Slots {
    /// Whether a namespace may take a slot even if others wait.
    pub(super) fn within_share(&self, namespace: &str) -> bool {
        let own = self.by_namespace.get(namespace);
        own.is_none_or(|own| *own < SHARE && self.total < MAX_OPEN)
    }

    /// Whether a namespace may take a slot that no other needs.
    pub(super) fn beyond_share(&self) -> bool {
        self.total < MAX_OPEN
    }

    pub(super) fn take(&mut self, namespace: &Arc<str>) {
        self.total += 1;
        *self.by_namespace.entry(namespace.clone()).or_default() += 1;
    }

    pub(super) fn release(&mut self, namespace: &Arc<str>) {
        if let Some(own) = self.by_namespace.get_mut(namespace) {
            self.total -= 1;
            *own -= 1;
            if *own == 0 {
                self.by_namespace.remove(namespace);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn namespace_without_a_slot_always_gets_one() {
        let mut slots = Slots::default();
        let (big, small): (Arc<str>, Arc<str>) = ("big".into(), "small".into());
        for _ in 0..SHARE {
            assert!(slots.within_share(&big));
            slots.take(&big);
        }
        assert!(!slots.within_share(&big));
        while slots.beyond_share() {
            slots.take(&big);
        }
        assert_eq!(slots.total, MAX_OPEN);
        assert!(slots.within_share(&small));
        slots.take(&small);
        assert!(!slots.within_share(&small) && !slots.beyond_share());
        slots.release(&big);
        slots.release(&big);
        assert!(slots.within_share(&small) && slots.beyond_share() && !slots.within_share(&big));
        slots.release(&small);
        for _ in 0..MAX_OPEN {
            slots.release(&big);
        }
        assert!(slots.total == 0 && slots.by_namespace.is_empty());
    }
}
