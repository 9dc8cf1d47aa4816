//! The slim stores: one of objects and one of managed Secrets, for the cluster or for each namespace, with expectations of
//! our own writes as an overlay (docs/design/controller.md#stores-and-streams).

mod cache;
mod items;
mod results;

use std::collections::HashMap;
use std::sync::Arc;

pub(in crate::controller) use cache::NamespaceCache;

use super::documents::Documents;
use crate::controller::key::ObjectKey;
use crate::metrics::Metrics;

/// All stores of one controller.
pub(in crate::controller) struct Stores {
    caches: Vec<Arc<NamespaceCache>>,
    documents: Arc<Documents>,
}

impl Stores {
    /// Creates one pair of stores per namespace, or one for the whole cluster. At most `document_cache` bytes of documents
    /// are kept, over all of them.
    pub(in crate::controller) fn new(
        namespaces: Option<&[String]>,
        document_cache: usize,
        metrics: &Arc<Metrics>,
    ) -> Self {
        let documents = Arc::new(Documents::new(document_cache));
        let cache = |namespace| Arc::new(NamespaceCache::new(namespace, documents.clone(), metrics.clone()));
        let caches = match namespaces {
            None => vec![cache(None)],
            Some(names) => names.iter().map(|name| cache(Some(name))).collect(),
        };
        Stores { caches, documents }
    }

    /// Returns all pairs of stores.
    pub(in crate::controller) fn caches(&self) -> &[Arc<NamespaceCache>] {
        &self.caches
    }

    /// Returns the documents that are kept.
    pub(in crate::controller) fn documents(&self) -> &Documents {
        &self.documents
    }

    /// Returns the stores that `key` belongs to.
    pub(in crate::controller) fn cache(&self, key: &ObjectKey) -> Option<&Arc<NamespaceCache>> {
        self.caches.iter().find(|cache| {
            cache
                .namespace
                .as_deref()
                .is_none_or(|name| *name == *key.namespace)
        })
    }

    /// Whether both lists of at least one namespace, or of the cluster, are complete.
    pub(in crate::controller) fn any_complete(&self) -> bool {
        self.caches.iter().any(|cache| cache.is_complete())
    }

    /// Sets the function that queues a key whose state turns out to differ from the one that was planned on.
    pub(in crate::controller) fn on_news(&self, queue: &Arc<dyn Fn(ObjectKey) + Send + Sync>) {
        for cache in &self.caches {
            cache.on_news(queue.clone());
        }
    }

    /// Drops all expectations: the cluster is not in the state that they were derived from.
    pub(in crate::controller) fn forget_expectations(&self) {
        for cache in &self.caches {
            cache.forget_expectations();
        }
    }

    /// Returns the keys of all objects.
    pub(in crate::controller) fn keys(&self) -> Vec<ObjectKey> {
        self.caches.iter().flat_map(|cache| cache.keys()).collect()
    }

    /// Counts the objects by the reason in their status; the empty string is for objects without one.
    pub(in crate::controller) fn reasons(&self) -> HashMap<String, usize> {
        let mut counts = HashMap::new();
        for cache in &self.caches {
            cache.count_reasons(&mut counts);
        }
        counts
    }
}

#[cfg(test)]
mod tests;
