//! The schema of `status.conditions`.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::JSONSchemaProps;
use schemars::{Schema, SchemaGenerator};

use super::schema::{enumeration, integer, list, object, string, time};
use crate::api::text::MAX_MESSAGE;

/// Ours are at most two; other writers may add theirs.
const MAX_CONDITIONS: usize = 8;

/// The schema of [`Condition`](k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition), plus the maximum sizes that it
/// lacks.
pub(in crate::api) fn schema(_: &mut SchemaGenerator) -> Schema {
    let condition = object(
        "One condition.",
        &["type", "status", "reason", "message", "lastTransitionTime"],
        vec![
            ("type", string("Ready, Reconciling or Stalled.", 316)),
            (
                "status",
                enumeration("True, False or Unknown.", &["True", "False", "Unknown"]),
            ),
            (
                "reason",
                string("The reason, one word; see docs/troubleshooting.md.", 1024),
            ),
            (
                "message",
                string("The cause, the current state, the next step.", MAX_MESSAGE),
            ),
            (
                "observedGeneration",
                integer("The generation that this condition describes."),
            ),
            ("lastTransitionTime", time("When the status last changed.")),
        ],
    );
    let conditions = JSONSchemaProps {
        x_kubernetes_list_type: Some("map".to_owned()),
        x_kubernetes_list_map_keys: Some(vec!["type".to_owned()]),
        ..list(
            "Ready: the Secret is as the controller wrote it for observedGeneration. Reconciling: the controller keeps \
             retrying. Stalled: human action is required.",
            MAX_CONDITIONS,
            condition,
        )
    };
    let json = serde_json::to_value(conditions).ok();
    json.and_then(|json| Schema::try_from(json).ok())
        .unwrap_or_default()
}
