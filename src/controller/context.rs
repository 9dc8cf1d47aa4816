//! The state shared by all tasks of one controller.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use super::cluster::Cluster;
use super::events::Events;
use super::key::ObjectKey;
use super::object_state::ObjectState;
use super::opener::Opener;
use super::queue::Queue;
use super::reader::Reader;
use super::schema::Schema;
use super::store::Stores;
use super::timings::Timings;
use crate::metrics::Metrics;
use crate::sync::lock;

/// The stores, queues and clients that every reconcile works with.
pub(super) struct Context {
    pub(super) stores: Stores,
    pub(super) queue: Queue,
    pub(super) cluster: Cluster,
    pub(super) reader: Reader,
    pub(super) opener: Opener,
    pub(super) events: Events,
    pub(super) schema: Schema,
    pub(super) metrics: Arc<Metrics>,
    pub(super) timings: Timings,
    /// Incremented whenever keys or credentials change; a failure of an earlier epoch is retried immediately.
    pub(super) epoch: AtomicU64,
    pub(super) states: Mutex<HashMap<ObjectKey, ObjectState>>,
}

impl Context {
    /// Requeues every object.
    pub(super) fn queue_all(&self) {
        for key in self.stores.keys() {
            self.queue.add(key);
        }
    }

    /// Retries every object immediately, because keys or credentials changed.
    pub(super) fn retry_all(&self) {
        self.epoch.fetch_add(1, Ordering::Relaxed);
        self.queue_all();
    }

    /// Locks the per-object state.
    pub(super) fn states(&self) -> MutexGuard<'_, HashMap<ObjectKey, ObjectState>> {
        lock(&self.states)
    }
}
