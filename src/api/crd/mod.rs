//! The `CustomResourceDefinition`. The schema of `status` is derived from its type; that of `spec` is built by hand,
//! since a derive would repeat the fields that the format defines, and writes defaults there.
//!
//! What its shape must hold (each is tried on a real API server in tests/it/crd*.rs):
//! * `spec` is atomic, lists too: two field managers would else mix two documents into one without a valid seal.
//! * Nothing under `spec` is pruned: every object level keeps unknown fields, or an older definition and one status
//!   write would destroy sealed fields of a newer one. The strict reader then refuses what it does not know.
//! * No `default:` under `spec` (GitOps tools would see a difference for ever); one on `status`, so that a new
//!   object is not taken for a current one.
//! * Every string, map and list has a bound: from them the API server reckons the cost of the CEL rules.

mod schema;
mod spec;
mod status;

pub(super) use status::conditions;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceColumnDefinition, CustomResourceDefinition, CustomResourceDefinitionNames,
    CustomResourceDefinitionSpec, CustomResourceDefinitionVersion, CustomResourceSubresourceStatus,
    CustomResourceSubresources, CustomResourceValidation, SelectableField,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::{CATEGORY, GROUP, PLURAL, SHORT_NAME, SINGULAR, VERSION};
use crate::envelope::wire::KIND;

/// The definition of `EnvelopeSecret`.
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
                // Never `all`: `kubectl delete all --all` must not take sealed documents along.
                categories: Some(vec![CATEGORY.to_owned()]),
            },
            versions: vec![version()],
            ..CustomResourceDefinitionSpec::default()
        },
        status: None,
    }
}

/// The definition as YAML: what `envelope crd` prints and `crds/envelopesecrets.yaml` holds.
pub fn crd_yaml() -> Result<String, serde_saphyr::SerializeError> {
    // Strings that look like numbers or booleans are quoted by the printer; long ones are not folded.
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

/// What `kubectl get` prints; with `-o wide` all of it.
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
