//! How the controller does, for the probes and the gauges.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use super::reconcile::Context;
use super::watch::{Condition, Kind, Watched};
use crate::api::Reason;
use crate::kms::{Access, Registry};
use crate::metrics::Metrics;

/// How the controller does, for the probes. Cheap to clone; before [`run`](super::run) it is alive and not ready.
#[derive(Clone, Default)]
pub struct Health(Arc<OnceLock<Parts>>);

/// What the answers come from.
pub(super) struct Parts {
    pub(super) context: Arc<Context>,
    pub(super) streams: Vec<Arc<Watched>>,
    /// A task that never ends has ended.
    pub(super) broken: AtomicBool,
}

impl Health {
    /// The controller has started.
    pub(super) fn set(&self, parts: Parts) {
        // A second controller with the same handle would be a fault of its caller; the first one counts.
        let _ = self.0.set(parts);
    }

    /// A task that never ends has ended.
    pub(super) fn break_down(&self) {
        if let Some(parts) = self.0.get() {
            parts.broken.store(true, Ordering::Relaxed);
        }
    }

    /// Whether the process can go on. An API server that does not answer is no failure of this process.
    pub fn live(&self) -> Result<(), String> {
        let Some(parts) = self.0.get() else { return Ok(()) };
        if parts.broken.load(Ordering::Relaxed) {
            return Err("a task of the controller has ended".to_owned());
        }
        let stuck = parts
            .streams
            .iter()
            .find(|stream| stream.unpolled() > parts.context.timings.unpolled);
        stuck.map_or(Ok(()), |stream| {
            Err(format!("the watch of {} is stuck", stream.kind.as_str()))
        })
    }

    /// Whether both lists of at least one namespace are complete, and the CRD keeps every field of the status.
    pub fn ready(&self) -> Result<(), String> {
        let Some(parts) = self.0.get() else {
            return Err("starting".to_owned());
        };
        if parts.context.stores.any_complete() {
            return parts.context.schema.complaint().map_or(Ok(()), Err);
        }
        let complaints: Vec<String> = parts
            .streams
            .iter()
            .filter_map(|stream| stream.complaint())
            .collect();
        Err(complaints.join("; "))
    }
}

/// Brings the gauges up to date when they are read.
pub(super) fn refresh_on_scrape(
    metrics: &Arc<Metrics>,
    context: &Arc<Context>,
    streams: Vec<Arc<Watched>>,
    registry: Registry,
) {
    let context = Arc::downgrade(context);
    metrics.on_scrape(move |metrics| {
        let Some(context) = context.upgrade() else { return };
        metrics.set_queue(context.queue.waiting() + context.opener.pending());
        let reasons = context.stores.reasons();
        for reason in Reason::ALL.iter().filter(|reason| reason.verdict().is_some()) {
            metrics.set_objects(
                reason.as_str(),
                reasons.get(reason.as_str()).copied().unwrap_or_default(),
            );
        }
        metrics.set_objects("New", reasons.get("").copied().unwrap_or_default());
        for kind in Kind::ALL {
            let of_kind: Vec<&Arc<Watched>> = streams.iter().filter(|stream| stream.kind == kind).collect();
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
