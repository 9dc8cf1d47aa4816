//! The state shared by all tasks of one controller.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use super::opener::Opener;
use super::queue::Queue;
use super::reader::Reader;
use crate::controller::act::cluster::Cluster;
use crate::controller::act::events::Events;
use crate::controller::act::writer::Writer;
use crate::controller::decide::object_state::ObjectState;
use crate::controller::key::ObjectKey;
use crate::controller::observe::store::Stores;
use crate::controller::schema::Schema;
use crate::controller::timings::Timings;
use crate::metrics::Metrics;
use crate::sync::lock;

/// The stores, queues and clients that every reconcile works with.
pub(in crate::controller) struct Context {
    pub(in crate::controller) stores: Stores,
    pub(in crate::controller) queue: Queue,
    pub(in crate::controller) cluster: Cluster,
    pub(in crate::controller) writer: Writer,
    pub(in crate::controller) reader: Reader,
    pub(in crate::controller) opener: Opener,
    pub(in crate::controller) events: Events,
    pub(in crate::controller) schema: Schema,
    pub(in crate::controller) metrics: Arc<Metrics>,
    pub(in crate::controller) timings: Timings,
    /// Incremented whenever keys or credentials change; a failure of an earlier epoch is retried immediately.
    pub(in crate::controller) epoch: AtomicU64,
    pub(in crate::controller) states: Mutex<HashMap<ObjectKey, ObjectState>>,
}

impl Context {
    /// Requeues every object.
    pub(in crate::controller) fn queue_all(&self) {
        for key in self.stores.keys() {
            self.queue.add(key);
        }
    }

    /// Retries every object immediately, because keys or credentials changed.
    pub(in crate::controller) fn retry_all(&self) {
        self.epoch.fetch_add(1, Ordering::Relaxed);
        self.queue_all();
    }

    /// Locks the per-object state.
    pub(in crate::controller) fn states(&self) -> MutexGuard<'_, HashMap<ObjectKey, ObjectState>> {
        lock(&self.states)
    }
}
