//! The KMS providers that documents are opened with.

use std::sync::Arc;

use super::context::Context;
use crate::kms::{Change, FinishedCall, Kms, Registry};
use crate::metrics::Metrics;

/// Counts and times every call.
pub(in crate::controller) fn observed(registry: Registry, metrics: &Arc<Metrics>) -> Registry {
    let metrics = metrics.clone();
    registry.observed(move |call: FinishedCall| {
        metrics.kms_called(call.provider, call.action, call.outcome, call.elapsed);
    })
}

/// The KMS keys and prefixes that may be used, for the log.
pub(in crate::controller) fn usable_keys(registry: &Registry) -> String {
    let keys: Vec<String> = registry.iter().flat_map(|(_, kms)| kms.usable_keys()).collect();
    keys.join(",")
}

/// Polls a provider for new keys and credentials. When it has some, objects that failed without them are retried.
pub(in crate::controller) async fn follow(provider: &'static str, kms: Arc<dyn Kms>, context: Arc<Context>) {
    let mut rejected = String::new();
    loop {
        tokio::time::sleep(context.timings.keyring).await;
        match kms.poll_change().await {
            Change::None => {}
            Change::Renewed(what) => {
                rejected.clear();
                tracing::info!(provider, "{what}");
                context.retry_all();
            }
            // Logged once, not at every poll.
            Change::Rejected(why) if why == rejected => {}
            Change::Rejected(why) => {
                tracing::error!(provider, "{why}");
                rejected = why;
            }
        }
    }
}
