//! Replaces the certificate of the metrics server when its files change.

use std::sync::Arc;
use std::time::Duration;

use super::tls::{Reload, Tls};
use crate::metrics::Metrics;

/// The label of the metric `reload_failed` for the certificate, where other files have the name of a KMS provider.
const LABEL: &str = "metrics-tls";

/// Checks the files every `interval` and never returns. A file that cannot be used is logged once and reported by a metric.
pub async fn follow_certificate(tls: Arc<Tls>, metrics: Arc<Metrics>, interval: Duration) {
    let mut rejected = String::new();
    loop {
        tokio::time::sleep(interval).await;
        let checked = tls.clone();
        let Ok(reload) = tokio::task::spawn_blocking(move || checked.reload()).await else {
            continue;
        };
        metrics.set_reload_failed(LABEL, matches!(reload, Reload::Failed(_)));
        match reload {
            Reload::Unchanged => {}
            Reload::Reloaded => {
                rejected.clear();
                tracing::info!("certificate of the metrics server reloaded");
            }
            Reload::Failed(error) => {
                let why = error.to_string();
                // Logged once, not at every check.
                if why != rejected {
                    tracing::error!(
                        "the certificate of the metrics server changed and cannot be used; the previous one stays in use: {why}; {}",
                        error.advice()
                    );
                    rejected = why;
                }
            }
        }
    }
}
