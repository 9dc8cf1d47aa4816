//! The `CustomResourceDefinition`. The schema of `status` is derived from its type. The schema of `spec` is built by
//! hand: a derive would duplicate the field definitions of the format and add defaults.
//!
//! Requirements, each tested on a real API server in tests/it/crd (reasons: docs/design/controller.md#the-crd):
//! * `spec` and its lists are atomic. Otherwise two field managers could mix two documents into one without a valid seal.
//! * Nothing under `spec` is pruned: every object level preserves unknown fields. Otherwise an older CRD plus one status
//!   write would destroy sealed fields of a newer document. The strict reader then refuses fields that it does not know.
//! * No `default:` under `spec` (GitOps tools would show a permanent difference), but one on `status`, so that a new
//!   object does not count as current.
//! * Every string, map and list has a maximum size: the API server estimates the cost of CEL rules from it.

pub(in crate::api) mod conditions;
mod schema;
mod spec;
mod status;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceColumnDefinition, CustomResourceDefinition, CustomResourceDefinitionNames,
    CustomResourceDefinitionSpec, CustomResourceDefinitionVersion, CustomResourceSubresourceStatus,
    CustomResourceSubresources, CustomResourceValidation, SelectableField,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::names::{CATEGORY, GROUP, PLURAL, SHORT_NAME, SINGULAR, VERSION};
use crate::envelope::wire::KIND;

/// Returns the CRD of `EnvelopeSecret`.
pub fn crd() -> CustomResourceDefinition {
    CustomResourceDefinition {
        metadata: ObjectMeta {
            name: Some(format!("{PLURAL}.{GROUP}")),
            ..ObjectMeta::default()
        },
        spec: CustomResourceDefinitionSpec {
            group: GROUP.to_owned(),
            scope: "Namespaced".to_owned(),
            names: CustomResourceDefinitionNames {
                kind: KIND.to_owned(),
                list_kind: Some(format!("{KIND}List")),
                plural: PLURAL.to_owned(),
                singular: Some(SINGULAR.to_owned()),
                short_names: Some(vec![SHORT_NAME.to_owned()]),
                // Never `all`: `kubectl delete all --all` must not delete sealed documents.
                categories: Some(vec![CATEGORY.to_owned()]),
            },
            versions: vec![version()],
            ..CustomResourceDefinitionSpec::default()
        },
        status: None,
    }
}

/// Returns the CRD as YAML: the output of `envelope crd` and the content of `crds/envelopesecrets.yaml`.
pub fn crd_yaml() -> Result<String, serde_saphyr::SerializeError> {
    // The serializer quotes strings that look like numbers or booleans; long strings are not folded.
    let options = serde_saphyr::ser_options! { compact_list_indent: true, prefer_block_scalars: false };
    let yaml = serde_saphyr::to_string_with_options(&crd(), options)?;
    Ok(format!("# Printed by `envelope crd`.\n{yaml}"))
}

fn version() -> CustomResourceDefinitionVersion {
    let selectable = [".spec.scope", ".spec.audience", ".status.kmsKey"];
    CustomResourceDefinitionVersion {
        name: VERSION.to_owned(),
        served: true,
        storage: true,
        schema: Some(CustomResourceValidation {
            open_api_v3_schema: Some(schema::root(spec::schema(), status::schema())),
        }),
        subresources: Some(CustomResourceSubresources {
            status: Some(CustomResourceSubresourceStatus(serde_json::json!({}))),
            scale: None,
        }),
        selectable_fields: Some(
            selectable
                .map(|path| SelectableField {
                    json_path: path.to_owned(),
                })
                .to_vec(),
        ),
        additional_printer_columns: Some(columns()),
        ..CustomResourceDefinitionVersion::default()
    }
}

/// The columns of `kubectl get`; those of priority 1 appear only with `-o wide`.
fn columns() -> Vec<CustomResourceColumnDefinition> {
    let column = |name: &str, type_: &str, path: &str, wide: bool| CustomResourceColumnDefinition {
        name: name.to_owned(),
        type_: type_.to_owned(),
        json_path: path.to_owned(),
        priority: wide.then_some(1),
        ..CustomResourceColumnDefinition::default()
    };
    let ready = r#".status.conditions[?(@.type=="Ready")]"#;
    vec![
        column("Ready", "string", &format!("{ready}.status"), false),
        column("Reason", "string", &format!("{ready}.reason"), false),
        column("Age", "date", ".metadata.creationTimestamp", false),
        column("Key", "string", ".status.kmsKey", true),
        column("Entries", "integer", ".status.applied.entries", true),
        column("Sealed", "date", ".spec.seal.time", true),
        column(
            "Suspended",
            "string",
            r".metadata.annotations.envelope-secrets\.io/suspend",
            true,
        ),
    ]
}
