//! The state of the controller for the probes and gauges.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use super::observe::store::Stores;
use super::observe::watch::{Condition, WatchStream};
use super::schema::Schema;
use crate::api::Reason;
use crate::controller::observe::kind::Kind;
use crate::kms::{Access, Registry};
use crate::metrics::Metrics;

/// The state for the probes. Cheap to clone. Live but not ready until [`run`](super::run) has started.
#[derive(Clone, Default)]
pub struct Health(Arc<OnceLock<Parts>>);

/// What the probe results are derived from.
pub(super) struct Parts {
    pub(super) stores: Arc<Stores>,
    pub(super) schema: Arc<Schema>,
    pub(super) streams: Vec<Arc<WatchStream>>,
    /// How long a stream may go unpolled.
    pub(super) unpolled: Duration,
    /// Whether a task exited that should run until shutdown.
    pub(super) task_exited: AtomicBool,
}

impl Health {
    /// Records that the controller has started.
    pub(super) fn set(&self, parts: Parts) {
        // A handle serves one controller; a second call is ignored.
        let _ = self.0.set(parts);
    }

    /// Records that a task exited that should run until shutdown.
    pub(super) fn task_exited(&self) {
        if let Some(parts) = self.0.get() {
            parts.task_exited.store(true, Ordering::Relaxed);
        }
    }

    /// Liveness: fails if a task exited or a stream is stuck. An unreachable API server does not fail it.
    ///
    /// # Errors
    /// One line for the probe's response.
    pub fn live(&self) -> Result<(), String> {
        let Some(parts) = self.0.get() else { return Ok(()) };
        if parts.task_exited.load(Ordering::Relaxed) {
            return Err("a controller task exited".to_owned());
        }
        let stuck = parts
            .streams
            .iter()
            .find(|stream| stream.unpolled() > parts.unpolled);
        stuck.map_or(Ok(()), |stream| {
            Err(format!("the watch of {} is stuck", stream.kind.as_str()))
        })
    }

    /// Readiness: both lists of at least one namespace are complete, and the CRD keeps every field of the status.
    ///
    /// # Errors
    /// One line for the probe's response.
    pub fn ready(&self) -> Result<(), String> {
        let Some(parts) = self.0.get() else {
            return Err("starting".to_owned());
        };
        if parts.stores.any_complete() {
            return parts.schema.failure().map_or(Ok(()), Err);
        }
        let failures: Vec<String> = parts
            .streams
            .iter()
            .filter_map(|stream| stream.failure())
            .collect();
        Err(failures.join("; "))
    }
}

/// Updates the gauges on each scrape. `work` sets those of the work that waits.
pub(super) fn refresh_on_scrape(
    metrics: &Arc<Metrics>,
    stores: &Arc<Stores>,
    work: impl Fn(&Metrics) + Send + Sync + 'static,
    streams: Vec<Arc<WatchStream>>,
    registry: Registry,
) {
    let stores = Arc::downgrade(stores);
    metrics.on_scrape(move |metrics| {
        let Some(stores) = stores.upgrade() else { return };
        work(metrics);
        metrics.set_document_cache(stores.documents().bytes());
        let reasons = stores.reasons();
        for reason in Reason::ALL.iter().filter(|reason| reason.verdict().is_some()) {
            metrics.set_objects(
                reason.as_str(),
                reasons.get(reason.as_str()).copied().unwrap_or_default(),
            );
        }
        metrics.set_objects("New", reasons.get("").copied().unwrap_or_default());
        for kind in Kind::ALL {
            let of_kind: Vec<&Arc<WatchStream>> =
                streams.iter().filter(|stream| stream.kind == kind).collect();
            for condition in Condition::ALL {
                let count = of_kind
                    .iter()
                    .filter(|stream| stream.condition() == condition)
                    .count();
                metrics.set_streams(kind.as_str(), condition.as_str(), count);
            }
            let oldest = of_kind
                .iter()
                .map(|stream| stream.age())
                .max()
                .unwrap_or_default();
            metrics.set_stream_age(kind.as_str(), oldest);
        }
        for (scheme, kms) in registry.iter() {
            if let Access::Service {
                credentials: Some(held),
                ..
            } = kms.access()
            {
                metrics.set_credentials(scheme, held.source, held.expires);
            }
        }
    });
}
