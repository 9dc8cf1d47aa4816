//! The state shared by all tasks of one controller.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};

use super::large::LargeDocuments;
use super::queue::Queue;
use super::reached::ReachedKeys;
use super::reader::Reader;
use crate::api::Finding;
use crate::controller::act::cluster::Cluster;
use crate::controller::act::events::Events;
use crate::controller::act::writer::Writer;
use crate::controller::decide::cures::{Cure, CureLog};
use crate::controller::decide::object_state::ObjectState;
use crate::controller::key::ObjectKey;
use crate::controller::observe::kind::Kind;
use crate::controller::observe::relists::Relists;
use crate::controller::observe::store::{NamespaceCache, Stores};
use crate::controller::schema::Schema;
use crate::controller::timings::Timings;
use crate::kms::broker::Broker;
use crate::metrics::Metrics;
use crate::sync::lock;

/// The stores, queues and clients that every reconcile works with.
pub(in crate::controller) struct Context {
    pub(in crate::controller) stores: Arc<Stores>,
    pub(in crate::controller) relists: Relists,
    pub(in crate::controller) queue: Queue,
    pub(in crate::controller) cluster: Cluster,
    pub(in crate::controller) writer: Writer,
    pub(in crate::controller) reader: Reader,
    pub(in crate::controller) broker: Broker<Finding>,
    pub(in crate::controller) large: LargeDocuments,
    pub(in crate::controller) events: Events,
    pub(in crate::controller) schema: Arc<Schema>,
    pub(in crate::controller) metrics: Arc<Metrics>,
    pub(in crate::controller) timings: Timings,
    /// The changes of keys and credentials; failures that one may cure are retried before their time.
    pub(in crate::controller) cures: Mutex<CureLog>,
    /// The keys whose circuit breakers have closed, until their failures are retried.
    pub(in crate::controller) reached: ReachedKeys,
    pub(in crate::controller) states: Mutex<HashMap<ObjectKey, Box<ObjectState>>>,
}

/// What an event says about the list of its stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::controller) enum Listing {
    Begins,
    Completes,
}

impl Context {
    /// Queues the keys that an event of a stream concerns, and all of its store once that is current again after a restore.
    pub(in crate::controller) fn ingested(
        &self,
        store: &NamespaceCache,
        kind: Kind,
        list: Option<Listing>,
        keys: Vec<ObjectKey>,
    ) {
        let namespace = store.namespace.as_deref();
        let current_again = match list {
            Some(Listing::Begins) => {
                self.relists.begins(namespace, kind);
                false
            }
            Some(Listing::Completes) => self.relists.completes(namespace, kind),
            None => false,
        };
        let all = current_again.then(|| store.keys()).into_iter().flatten();
        for key in keys.into_iter().chain(all) {
            self.queue.add(key);
        }
    }

    /// Requeues every object.
    pub(in crate::controller) fn queue_all(&self) {
        for key in self.stores.keys() {
            self.queue.add(key);
        }
    }

    /// Records a change of keys or credentials. Returns the objects whose failures it may cure, to be queued. An object that
    /// is being reconciled is not among them: its reconcile checks the log at its end.
    pub(in crate::controller) fn record(&self, cure: &Cure) -> Vec<ObjectKey> {
        self.cures().record(cure);
        let states = self.states();
        let cures = self.cures();
        let affected = states.iter().filter(|(_, state)| state.is_cured(&cures));
        affected.map(|(key, _)| key.clone()).collect()
    }

    /// Locks the log of changes. Where both locks are needed, `states` is taken first.
    pub(in crate::controller) fn cures(&self) -> MutexGuard<'_, CureLog> {
        lock(&self.cures)
    }

    /// Locks the per-object state.
    pub(in crate::controller) fn states(&self) -> MutexGuard<'_, HashMap<ObjectKey, Box<ObjectState>>> {
        lock(&self.states)
    }
}
