//! The periodic check of the served CRD.

use std::time::Duration;

use http::Request;
use kube::Client;
use tokio::time::Instant;

use super::backoff::Backoff;
use super::schema::{Fit, Schema, compare, outdated};
use super::timings::Timings;
use crate::api::{self, GROUP, VERSION};

/// Checks the schema periodically and never returns. Calls `repaired` once statuses can be written again.
pub(super) async fn run(schema: &Schema, timings: &Timings, client: &Client, repaired: impl Fn()) {
    let mut retries = Backoff::default();
    loop {
        let before = schema.current();
        let next = match check(client).await {
            Some(now) => {
                retries = Backoff::default();
                let is_repaired = now == Fit::Complete && matches!(before, Fit::Lacks(_));
                if is_repaired {
                    // The API server publishes a schema a moment before it prunes by it.
                    tokio::time::sleep(timings.schema_settle).await;
                }
                if before != now {
                    log(&now);
                }
                let delay = if now == Fit::Complete {
                    timings.schema
                } else {
                    timings.stream_retry_max
                };
                schema.set(now);
                if is_repaired {
                    repaired();
                }
                Instant::now() + delay
            }
            // A failed read keeps the last result; the streams report the cause.
            None => retries
                .failed(
                    Instant::now().into_std(),
                    (timings.stream_retry_min, schema_retry_max(timings)),
                )
                .into(),
        };
        tokio::time::sleep_until(next).await;
    }
}

/// A new CRD is published within a second or two, and every reconcile waits for it.
fn schema_retry_max(timings: &Timings) -> Duration {
    timings.stream_retry_min.saturating_mul(4)
}

fn log(fit: &Fit) {
    if let Fit::Lacks(fields) = fit {
        tracing::error!(
            "{}: envelope crd | kubectl apply --server-side -f -; no status is written until then",
            outdated(fields)
        );
    }
}

async fn check(client: &Client) -> Option<Fit> {
    let request = Request::get(format!("/openapi/v3/apis/{GROUP}/{VERSION}"))
        .body(Vec::new())
        .ok()?;
    match client.request_text(request).await {
        Ok(text) => {
            let served = serde_json::from_str(&text).ok()?;
            let known = serde_json::to_value(api::crd()).ok()?;
            compare(&served, &known)
        }
        // By default every authenticated user may read it. Without that permission the check is impossible.
        Err(kube::Error::Api(status)) if status.code == 403 => {
            tracing::warn!(
                "the controller is not allowed to read /openapi/v3: an outdated CRD would go undetected"
            );
            Some(Fit::Complete)
        }
        Err(_) => None,
    }
}
