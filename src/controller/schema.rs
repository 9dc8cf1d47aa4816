//! Whether the served CRD keeps every field of the status (docs/design/controller.md#the-crd). An older CRD would
//! prune unknown fields, and every restart would open every document.

use std::collections::BTreeSet;

use serde_json::Value;
use tokio::sync::watch;

use crate::api::{GROUP, VERSION};
use crate::envelope::wire::KIND;

/// Whether the served schema fits this controller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Fit {
    /// The schema has not been read yet.
    Unknown,
    /// It keeps every field of the status.
    Complete,
    /// It would prune these fields.
    Lacks(Vec<String>),
}

/// The result of the last check.
pub(super) struct Schema(watch::Sender<Fit>);

impl Schema {
    pub(super) fn new() -> Self {
        Schema(watch::Sender::new(Fit::Unknown))
    }

    /// Returns the result of the last check.
    pub(super) fn current(&self) -> Fit {
        self.0.borrow().clone()
    }

    /// Records the result of a check.
    pub(super) fn set(&self, fit: Fit) {
        self.0.send_replace(fit);
    }

    /// Whether a status may be written.
    pub(super) fn keeps_status(&self) -> bool {
        *self.0.borrow() == Fit::Complete
    }

    /// Returns the failure message of the readiness probe, if any.
    pub(super) fn failure(&self) -> Option<String> {
        match &*self.0.borrow() {
            Fit::Unknown => Some("the CRD's schema has not been read yet".to_owned()),
            Fit::Complete => None,
            Fit::Lacks(fields) => Some(outdated(fields)),
        }
    }

    /// Waits for the first result. Nothing may be written before.
    pub(super) async fn known(&self) {
        // Cannot fail: `self` owns the sender.
        let _ = self.0.subscribe().wait_for(|fit| *fit != Fit::Unknown).await;
    }
}

/// Describes an outdated CRD that lacks these fields.
pub(super) fn outdated(fields: &[String]) -> String {
    format!(
        "CRD older than controller: it lacks {}; apply the CRD of this version",
        fields.join(", ")
    )
}

/// Compares the served `OpenAPI` document of our group and version with this controller's CRD. `None` if the document
/// does not contain our kind.
pub(super) fn compare(served: &Value, known: &Value) -> Option<Fit> {
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
        Fit::Complete
    } else {
        Fit::Lacks(lacking)
    })
}

/// Returns the paths of all fields below a schema.
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
    use crate::api;
    use serde_json::json;

    fn served(change: impl FnOnce(&mut Value)) -> Value {
        let crd = serde_json::to_value(api::crd()).expect("JSON");
        let mut schema = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"].clone();
        schema["x-kubernetes-group-version-kind"] =
            json!([{"group": GROUP, "kind": KIND, "version": VERSION}]);
        change(&mut schema["properties"]["status"]);
        json!({"components": {"schemas": {"io.k8s.Other": {}, "io.envelope-secrets.v1.EnvelopeSecret": schema}}})
    }

    fn compared(change: impl FnOnce(&mut Value)) -> Option<Fit> {
        compare(&served(change), &serde_json::to_value(api::crd()).expect("JSON"))
    }

    #[test]
    fn missing_status_field_is_reported() {
        assert_eq!(compared(|_| {}), Some(Fit::Complete));
        assert_eq!(
            compared(|status| status["properties"]["later"] = json!({})),
            Some(Fit::Complete),
            "a newer CRD"
        );
        let lacks = compared(|status| {
            status["properties"]["applied"]["properties"]
                .as_object_mut()
                .expect("a map")
                .remove("renderer");
        });
        assert_eq!(lacks, Some(Fit::Lacks(vec!["status.applied.renderer".into()])));
        let lacks = compared(|status| {
            let condition = &mut status["properties"]["conditions"]["items"]["properties"];
            condition.as_object_mut().expect("a map").remove("message");
        });
        assert_eq!(
            lacks,
            Some(Fit::Lacks(vec!["status.conditions[].message".into()]))
        );
        let Some(Fit::Lacks(all)) = compared(|status| *status = Value::Null) else {
            panic!("no status at all")
        };
        assert!(
            all.contains(&"status.observedGeneration".to_owned()) && all.len() > 20,
            "{all:?}"
        );
    }

    #[test]
    fn document_without_our_kind_has_no_result() {
        let known = serde_json::to_value(api::crd()).expect("JSON");
        for other in [
            json!({}),
            json!({"components": {"schemas": {"x": {"properties": {}}}}}),
        ] {
            assert_eq!(compare(&other, &known), None);
        }
    }
}
