//! The schema of `status`, derived from [`EnvelopeSecretStatus`].

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{JSON, JSONSchemaProps};
use schemars::Schema;
use schemars::generate::SchemaSettings;
use schemars::transform::RecursiveTransform;

use crate::api::status::EnvelopeSecretStatus;

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
        reason = "depends on no input, and a test prints the CRD"
    )]
    let status: JSONSchemaProps = serde_json::from_value(generated.to_value()).expect("a Kubernetes schema");
    // The default is on the object, not on the field: with a default on the field alone, a new object has no status at
    // all, and tools that wait (kstatus) would consider it current.
    JSONSchemaProps {
        default: Some(JSON(serde_json::json!({"observedGeneration": -1}))),
        ..status
    }
}

/// Removes what `serde(default)`, `Option` and Rust names add: an absent field is omitted, never null, and no field has
/// a default. Joins the lines of multi-line comments.
fn structural(schema: &mut Schema) {
    for keyword in ["default", "nullable", "title"] {
        schema.remove(keyword);
    }
    if let Some(serde_json::Value::String(description)) = schema.get_mut("description") {
        *description = description.replace('\n', " ");
    }
}
