//! The schema of `status`, derived from [`EnvelopeSecretStatus`].

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{JSON, JSONSchemaProps};
use schemars::generate::SchemaSettings;
use schemars::transform::RecursiveTransform;
use schemars::{Schema, SchemaGenerator};

use super::schema::{integer, list, object, string, time, word};
use crate::api::EnvelopeSecretStatus;
use crate::api::text::MAX_MESSAGE;

/// Ours are at most two; others may add theirs.
const MAX_CONDITIONS: usize = 8;

pub(super) fn schema() -> JSONSchemaProps {
    let settings = SchemaSettings::openapi3().with(|settings| {
        settings.inline_subschemas = true; // a structural schema has no references
        settings.meta_schema = None;
    });
    let generated = settings
        .with_transform(RecursiveTransform(structural))
        .into_generator()
        .into_root_schema_for::<EnvelopeSecretStatus>();
    #[expect(
        clippy::expect_used,
        reason = "a test prints it; it does not depend on any input"
    )]
    let status: JSONSchemaProps =
        serde_json::from_value(generated.to_value()).expect("a schema of Kubernetes");
    // On the object, not on the field: with a default on the field alone a new object has no status at all, and
    // tools that wait (kstatus) would take it for current.
    JSONSchemaProps {
        default: Some(JSON(serde_json::json!({"observedGeneration": -1}))),
        ..status
    }
}

/// Takes away what `serde(default)`, `Option` and Rust's names bring along: a field that is absent is not written, never
/// null, and no field has a default of its own. Comments lose their line breaks.
fn structural(schema: &mut Schema) {
    for word in ["default", "nullable", "title"] {
        schema.remove(word);
    }
    if let Some(serde_json::Value::String(description)) = schema.get_mut("description") {
        *description = description.replace('\n', " ");
    }
}

/// The schema of the field `conditions`: that of [`Condition`](k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition),
/// with the bounds that it lacks.
pub(in crate::api) fn conditions(_: &mut SchemaGenerator) -> Schema {
    let condition = object(
        "One condition.",
        &["type", "status", "reason", "message", "lastTransitionTime"],
        vec![
            ("type", string("Ready, Reconciling or Stalled.", 316)),
            (
                "status",
                word("True, False or Unknown.", &["True", "False", "Unknown"]),
            ),
            (
                "reason",
                string("One word; docs/troubleshooting.md lists them.", 1024),
            ),
            (
                "message",
                string(
                    "What is the matter, what stands meanwhile, what to do.",
                    MAX_MESSAGE,
                ),
            ),
            (
                "observedGeneration",
                integer("The generation that this condition speaks about."),
            ),
            ("lastTransitionTime", time("When its status changed.")),
        ],
    );
    let conditions = JSONSchemaProps {
        x_kubernetes_list_type: Some("map".to_owned()),
        x_kubernetes_list_map_keys: Some(vec!["type".to_owned()]),
        ..list(
            "Ready: True where the Secret stands as sealed. Reconciling: the controller tries again by itself. Stalled: \
             a person is needed.",
            MAX_CONDITIONS,
            condition,
        )
    };
    let json = serde_json::to_value(conditions).ok();
    json.and_then(|json| Schema::try_from(json).ok())
        .unwrap_or_default()
}
