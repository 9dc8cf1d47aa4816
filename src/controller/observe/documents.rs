//! The documents that are kept in memory, up to a budget in bytes over all objects. A document that is not kept is read
//! when it is opened (docs/design/controller.md#stores-and-streams).

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard};

use serde_json::value::RawValue;

use crate::controller::key::ObjectKey;
use crate::sync::lock;

/// The kept documents: the specs of objects as JSON.
pub(in crate::controller) struct Documents {
    /// The largest total size, in bytes.
    budget: usize,
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    kept: HashMap<ObjectKey, Kept>,
    /// The same documents, by size.
    sizes: BTreeSet<(usize, ObjectKey)>,
    /// Their total size.
    bytes: usize,
}

struct Kept {
    uid: Arc<str>,
    generation: i64,
    spec: Arc<RawValue>,
}

impl Documents {
    pub(in crate::controller) fn new(budget: usize) -> Self {
        Documents {
            budget,
            inner: Mutex::default(),
        }
    }

    /// Keeps the document of this object instead of an earlier one. Beyond the budget, the largest documents are evicted:
    /// many small ones are worth more than one large one, and large ones cannot displace them.
    pub(in crate::controller) fn keep(
        &self,
        key: &ObjectKey,
        uid: &Arc<str>,
        generation: i64,
        spec: &RawValue,
    ) {
        let mut inner = self.lock();
        if inner.has(key, uid, generation, spec) {
            return;
        }
        inner.remove(key);
        let size = spec.get().len();
        if size > self.budget {
            return;
        }
        let kept = Kept {
            uid: uid.clone(),
            generation,
            spec: spec.to_owned().into(),
        };
        inner.bytes += size;
        inner.sizes.insert((size, key.clone()));
        inner.kept.insert(key.clone(), kept);
        while inner.bytes > self.budget
            && let Some((_, largest)) = inner.sizes.last().cloned()
        {
            inner.remove(&largest);
        }
    }

    /// Returns the document of this generation of the object, if it is kept.
    pub(in crate::controller) fn get(
        &self,
        key: &ObjectKey,
        uid: &str,
        generation: i64,
    ) -> Option<Arc<RawValue>> {
        let inner = self.lock();
        let kept = inner.kept.get(key)?;
        (*kept.uid == *uid && kept.generation == generation).then(|| kept.spec.clone())
    }

    /// Drops the document of an object that is gone.
    pub(in crate::controller) fn remove(&self, key: &ObjectKey) {
        self.lock().remove(key);
    }

    /// Returns the total size of the kept documents, in bytes.
    pub(in crate::controller) fn bytes(&self) -> usize {
        self.lock().bytes
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        lock(&self.inner)
    }
}

impl Inner {
    /// Whether exactly this document is kept. After a restore of etcd, another one may have the same uid and generation.
    fn has(&self, key: &ObjectKey, uid: &str, generation: i64, spec: &RawValue) -> bool {
        self.kept.get(key).is_some_and(|kept| {
            *kept.uid == *uid && kept.generation == generation && kept.spec.get() == spec.get()
        })
    }

    fn remove(&mut self, key: &ObjectKey) {
        if let Some(removed) = self.kept.remove(key) {
            let size = removed.spec.get().len();
            self.bytes -= size;
            self.sizes.remove(&(size, key.clone()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(name: &str) -> ObjectKey {
        ObjectKey::new("prod", name)
    }

    /// A spec of this many bytes.
    fn spec(size: usize) -> Box<RawValue> {
        RawValue::from_string(format!("\"{}\"", "x".repeat(size - 2))).expect("JSON")
    }

    fn keep(documents: &Documents, name: &str, generation: i64, size: usize) {
        documents.keep(&key(name), &"o-1".into(), generation, &spec(size));
    }

    fn kept(documents: &Documents) -> Vec<String> {
        let mut names: Vec<String> = documents
            .lock()
            .kept
            .keys()
            .map(|key| key.name.to_string())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn largest_documents_are_evicted_first() {
        let documents = Documents::new(100);
        keep(&documents, "a", 1, 30);
        keep(&documents, "b", 1, 50);
        keep(&documents, "c", 1, 20);
        assert_eq!((kept(&documents).len(), documents.bytes()), (3, 100));
        keep(&documents, "d", 1, 10);
        assert_eq!(
            (kept(&documents), documents.bytes()),
            (vec!["a".into(), "c".into(), "d".into()], 60)
        );
        keep(&documents, "e", 1, 90);
        assert_eq!(kept(&documents), ["a", "c", "d"], "it displaces no smaller ones");
        keep(&documents, "f", 1, 101);
        assert_eq!((kept(&documents).len(), documents.bytes()), (3, 60));
        assert_eq!(documents.lock().sizes.len(), 3);
    }

    #[test]
    fn only_the_generation_that_was_kept_is_returned() {
        let documents = Documents::new(100);
        keep(&documents, "a", 1, 30);
        assert!(documents.get(&key("a"), "o-1", 1).is_some());
        assert!(documents.get(&key("a"), "o-2", 1).is_none() && documents.get(&key("a"), "o-1", 2).is_none());
        keep(&documents, "a", 2, 40);
        assert!(documents.get(&key("a"), "o-1", 1).is_none() && documents.get(&key("a"), "o-1", 2).is_some());
        assert_eq!(documents.bytes(), 40);
        documents.remove(&key("a"));
        documents.remove(&key("a"));
        assert_eq!((documents.bytes(), documents.lock().sizes.len()), (0, 0));
    }

    #[test]
    fn budget_of_zero_keeps_nothing() {
        let documents = Documents::new(0);
        keep(&documents, "a", 1, 2);
        assert_eq!(documents.bytes(), 0);
    }
}
