//! The KMS providers that documents are opened with.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::context::Context;
use crate::controller::decide::cures::{Cure, interval};
use crate::kms::{Access, Change, Cures, FinishedCall, Kms, Registry};
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

/// Retries the failures that a change may cure, one after the other: thousands of simultaneous calls would exhaust the quota
/// of the KMS.
async fn retry(context: &Context, cure: &Cure) {
    let keys = context.record(cure);
    let interval = interval(keys.len(), context.timings.cure_spread);
    let start = tokio::time::Instant::now();
    for (key, index) in keys.into_iter().zip(0..) {
        // Several per wake-up if the interval is below the resolution of the timer.
        tokio::time::sleep_until(start + interval * index).await;
        context.queue.add(key);
    }
}

/// Retries what failed while a KMS key could not be reached, when it can be reached again.
pub(in crate::controller) async fn follow_breakers(context: Arc<Context>) {
    loop {
        let keys = context.reached.next().await;
        let keys: Vec<String> = keys.iter().map(ToString::to_string).collect();
        tracing::info!(
            keys = keys.len(),
            "KMS keys can be reached again; retrying what failed without them"
        );
        retry(&context, &Cure::Reached(keys)).await;
        // Breakers that close in quick succession are one change, and documents that provoke faults of the KMS, so that its
        // breaker opens and closes, are not retried more often than this.
        tokio::time::sleep(context.timings.breaker_max).await;
    }
}

/// The schemes of the providers that call no service.
pub(in crate::controller) fn on_this_host(registry: &Registry) -> BTreeSet<&'static str> {
    let is_keyring = |kms: &Arc<dyn Kms>| matches!(kms.access(), Access::Keyring { .. });
    let schemes = registry.iter().filter(|(_, kms)| is_keyring(kms));
    schemes.map(|(scheme, _)| scheme).collect()
}

/// Polls a provider for new keys and credentials. When it has some, objects that failed without them are retried.
pub(in crate::controller) async fn follow(provider: &'static str, kms: Arc<dyn Kms>, context: Arc<Context>) {
    let mut rejected = String::new();
    loop {
        tokio::time::sleep(context.timings.keyring).await;
        let change = kms.poll_change().await;
        let failed = matches!(change, Change::Rejected(_));
        context.metrics.set_reload_failed(provider, failed);
        match change {
            Change::None => {}
            Change::Renewed { cures, what } => {
                rejected.clear();
                tracing::info!(provider, "{what}");
                context.broker.clear();
                let cure = match cures {
                    Cures::Calls => Cure::Calls(provider),
                    Cures::Keys(keys) => Cure::Keys(keys.iter().map(ToString::to_string).collect()),
                };
                retry(&context, &cure).await;
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
