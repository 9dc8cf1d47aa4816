//! Which stores hold what the API server's storage holds since it was last restored. Until both stores of a namespace are
//! listed again, they may show objects that no longer exist.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard};

use super::history::History;
use super::kind::Kind;
use crate::sync::lock;

/// The lists of all pairs of stores, by namespace; `None` is the whole cluster.
pub(in crate::controller) struct Relists {
    history: History,
    pairs: Mutex<HashMap<Option<Box<str>>, [List; 2]>>,
}

/// The list of one kind: the restores before its beginning.
#[derive(Clone, Copy, Default)]
struct List {
    begun: u64,
    /// 0 also if it was never complete: nothing was restored then.
    complete: u64,
}

impl Relists {
    pub(in crate::controller) fn new(history: History) -> Self {
        Relists {
            history,
            pairs: Mutex::default(),
        }
    }

    /// Records that a list of `kind` begins.
    pub(in crate::controller) fn begins(&self, namespace: Option<&str>, kind: Kind) {
        let restores = self.restores();
        let mut pairs = self.lock();
        pairs.entry(namespace.map(Into::into)).or_default()[kind as usize].begun = restores;
    }

    /// Records that the list is complete. Returns whether the pair of stores is current again only now.
    pub(in crate::controller) fn completes(&self, namespace: Option<&str>, kind: Kind) -> bool {
        let restores = self.restores();
        let mut pairs = self.lock();
        let pair = pairs.entry(namespace.map(Into::into)).or_default();
        let before = is_current(pair, restores);
        let list = &mut pair[kind as usize];
        list.complete = list.begun;
        !before && is_current(pair, restores)
    }

    /// Whether both lists began after the last restore.
    pub(in crate::controller) fn is_current(&self, namespace: Option<&str>) -> bool {
        let restores = self.restores();
        let pairs = self.lock();
        let pair = pairs.get(&namespace.map(Into::into));
        pair.map_or(restores == 0, |pair| is_current(pair, restores))
    }

    fn restores(&self) -> u64 {
        *self.history.restores().borrow()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Option<Box<str>>, [List; 2]>> {
        lock(&self.pairs)
    }
}

fn is_current(pair: &[List; 2], restores: u64) -> bool {
    pair.iter().all(|list| list.complete == restores)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pair_is_current_once_both_lists_began_after_the_restore() {
        let history = History::new();
        let relists = Relists::new(history.clone());
        let list = |kind| {
            relists.begins(Some("a"), kind);
            relists.completes(Some("a"), kind)
        };
        assert!(relists.is_current(Some("a")), "nothing was restored");
        assert!(!list(Kind::Objects) && !list(Kind::Secrets));

        relists.begins(Some("a"), Kind::Secrets);
        let mark = history.mark(Kind::Objects);
        assert!(!history.listed(Kind::Objects, "9", mark));
        let mark = history.mark(Kind::Objects);
        assert!(history.listed(Kind::Objects, "3", mark), "restored");
        assert!(!relists.is_current(Some("a")) && !relists.is_current(Some("b")));
        assert!(!relists.completes(Some("a"), Kind::Secrets), "it began before");
        assert!(!list(Kind::Objects) && !relists.is_current(Some("a")));
        assert!(list(Kind::Secrets) && relists.is_current(Some("a")));
        assert!(!list(Kind::Secrets), "it was current before");
        assert!(!relists.is_current(Some("b")), "another namespace");
    }
}
