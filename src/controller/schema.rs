//! Whether the API server keeps every field of the status (controller.md 7): with an older CRD it would prune what
//! it does not know, and each restart would open everything.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use http::Request;
use kube::Client;
use serde_json::Value;
use tokio::sync::watch;
use tokio::time::Instant;

use super::Timings;
use super::backoff::Backoff;
use super::reconcile::Context;
use crate::api::{self, GROUP, VERSION};
use crate::envelope::wire::KIND;

/// What is known of the served schema.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It has not been read yet.
    Unknown,
    /// Every field of the status is kept.
    Fits,
    /// These fields would be pruned.
    Lacks(Vec<String>),
}

/// The last verdict, for whoever has to wait for it or heed it.
pub(super) struct Schema(watch::Sender<Verdict>);

impl Schema {
    pub(super) fn new() -> Self {
        Schema(watch::Sender::new(Verdict::Unknown))
    }

    /// Whether a status may be written.
    pub(super) fn keeps_status(&self) -> bool {
        *self.0.borrow() == Verdict::Fits
    }

    /// What is wrong, for the readiness probe.
    pub(super) fn complaint(&self) -> Option<String> {
        match &*self.0.borrow() {
            Verdict::Unknown => Some("the CRD's schema has not been read yet".to_owned()),
            Verdict::Fits => None,
            Verdict::Lacks(fields) => Some(older(fields)),
        }
    }

    /// Waits for the first verdict: before it, nothing may be written.
    pub(super) async fn known(&self) {
        // The sender lives as long as this.
        let _ = self
            .0
            .subscribe()
            .wait_for(|verdict| *verdict != Verdict::Unknown)
            .await;
    }
}

fn older(fields: &[String]) -> String {
    format!(
        "CRD older than controller: it does not keep {}; apply the CRD of this version",
        fields.join(", ")
    )
}

/// Reads the schema now and then, for ever. When statuses may be written again, every object is looked at.
pub(super) async fn run(context: Arc<Context>, client: Client) {
    let (schema, timings) = (&context.schema, &context.timings);
    let mut retries = Backoff::default();
    loop {
        let before = schema.0.borrow().clone();
        let next = match verdict(&client).await {
            Some(now) => {
                retries = Backoff::default();
                let mended = now == Verdict::Fits && matches!(before, Verdict::Lacks(_));
                if mended {
                    // The schema is published a moment before objects are pruned by it.
                    tokio::time::sleep(timings.schema_settle).await;
                }
                if before != now {
                    tell(&now);
                }
                let pause = if now == Verdict::Fits {
                    timings.schema
                } else {
                    timings.stream_retry_max
                };
                schema.0.send_replace(now);
                if mended {
                    context.queue_all();
                }
                Instant::now() + pause
            }
            // What cannot be read now leaves the last verdict: the streams say what is the matter.
            None => retries.failed(
                Instant::now(),
                (timings.stream_retry_min, schema_retry_max(timings)),
            ),
        };
        tokio::time::sleep_until(next).await;
    }
}

/// A CRD that was just installed is published within a second or two, and everything waits for it.
fn schema_retry_max(timings: &Timings) -> Duration {
    timings.stream_retry_min.saturating_mul(4)
}

fn tell(verdict: &Verdict) {
    if let Verdict::Lacks(fields) = verdict {
        tracing::error!(
            "{}: envelope crd | kubectl apply --server-side -f -; no status is written until then",
            older(fields)
        );
    }
}

async fn verdict(client: &Client) -> Option<Verdict> {
    let request = Request::get(format!("/openapi/v3/apis/{GROUP}/{VERSION}"))
        .body(Vec::new())
        .ok()?;
    match client.request_text(request).await {
        Ok(text) => {
            let served = serde_json::from_str(&text).ok()?;
            let known = serde_json::to_value(api::crd()).ok()?;
            compare(&served, &known)
        }
        // Every authenticated user may read it, unless somebody took that right away: then nobody can tell.
        Err(kube::Error::Api(status)) if status.code == 403 => {
            tracing::warn!("the controller may not read /openapi/v3: an older CRD would go unnoticed");
            Some(Verdict::Fits)
        }
        Err(_) => None,
    }
}

/// `served` is the `OpenAPI` document of our group and version, `known` our own CRD.
fn compare(served: &Value, known: &Value) -> Option<Verdict> {
    let schemas = served["components"]["schemas"].as_object()?;
    let ours = |schema: &&Value| {
        let kinds = schema["x-kubernetes-group-version-kind"]
            .as_array()
            .into_iter()
            .flatten();
        kinds
            .into_iter()
            .any(|kind| kind["kind"] == KIND && kind["group"] == GROUP && kind["version"] == VERSION)
    };
    let served = schemas.values().find(ours)?;
    let known = &known["spec"]["versions"][0]["schema"]["openAPIV3Schema"];
    let served = fields("status", &served["properties"]["status"]);
    let lacking = fields("status", &known["properties"]["status"])
        .difference(&served)
        .cloned()
        .collect::<Vec<_>>();
    Some(if lacking.is_empty() {
        Verdict::Fits
    } else {
        Verdict::Lacks(lacking)
    })
}

/// The paths of all fields under a schema.
fn fields(path: &str, schema: &Value) -> BTreeSet<String> {
    let mut out = BTreeSet::new();
    for (name, property) in schema["properties"].as_object().into_iter().flatten() {
        let path = format!("{path}.{name}");
        out.append(&mut fields(&path, property));
        out.insert(path);
    }
    if let Some(items) = schema.get("items") {
        out.append(&mut fields(&format!("{path}[]"), items));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn served(change: impl FnOnce(&mut Value)) -> Value {
        let crd = serde_json::to_value(api::crd()).expect("JSON");
        let mut schema = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"].clone();
        schema["x-kubernetes-group-version-kind"] =
            json!([{"group": GROUP, "kind": KIND, "version": VERSION}]);
        change(&mut schema["properties"]["status"]);
        json!({"components": {"schemas": {"io.k8s.Other": {}, "io.envelope-secrets.v1.EnvelopeSecret": schema}}})
    }

    fn judged(change: impl FnOnce(&mut Value)) -> Option<Verdict> {
        compare(&served(change), &serde_json::to_value(api::crd()).expect("JSON"))
    }

    #[test]
    fn a_field_that_would_be_pruned_is_named() {
        assert_eq!(judged(|_| {}), Some(Verdict::Fits));
        assert_eq!(
            judged(|status| status["properties"]["later"] = json!({})),
            Some(Verdict::Fits),
            "a newer CRD"
        );
        let lacks = judged(|status| {
            status["properties"]["applied"]["properties"]
                .as_object_mut()
                .expect("a map")
                .remove("renderer");
        });
        assert_eq!(
            lacks,
            Some(Verdict::Lacks(vec!["status.applied.renderer".into()]))
        );
        let lacks = judged(|status| {
            let condition = &mut status["properties"]["conditions"]["items"]["properties"];
            condition.as_object_mut().expect("a map").remove("message");
        });
        assert_eq!(
            lacks,
            Some(Verdict::Lacks(vec!["status.conditions[].message".into()]))
        );
        let Some(Verdict::Lacks(all)) = judged(|status| *status = Value::Null) else {
            panic!("no status at all")
        };
        assert!(
            all.contains(&"status.observedGeneration".to_owned()) && all.len() > 20,
            "{all:?}"
        );
    }

    #[test]
    fn a_document_without_our_kind_tells_nothing() {
        let known = serde_json::to_value(api::crd()).expect("JSON");
        for other in [
            json!({}),
            json!({"components": {"schemas": {"x": {"properties": {}}}}}),
        ] {
            assert_eq!(compare(&other, &known), None);
        }
    }
}
