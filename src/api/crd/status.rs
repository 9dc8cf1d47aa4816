//! The schema of `status`: [`crate::api::EnvelopeSecretStatus`].

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{JSON, JSONSchemaProps};

use super::schema::{atomic, integer, list, object, string, time, word};
use crate::api::status::MAX_KMS_KEYS;
use crate::api::text::MAX_MESSAGE;
use crate::envelope::wire::MAX_KEYS;

/// A key URI of the greatest size.
const MAX_KEY_URI: usize = 1025;
/// Ours are at most two; others may add theirs.
const MAX_CONDITIONS: usize = 8;

pub(super) fn schema() -> JSONSchemaProps {
    let status = object(
        "What the controller saw and did. Written by it alone.",
        &[],
        vec![
            (
                "observedGeneration",
                integer(
                    "The generation that the conditions speak about; -1: no controller has looked at the object.",
                ),
            ),
            (
                "lastHandledReconcileAt",
                string(
                    "The last value of the annotation envelope-secrets.io/reconcile-at that was acted upon.",
                    262_144,
                ),
            ),
            (
                "kmsKey",
                string(
                    "URI of the first KMS key of the data key that seals; `kubectl get envsec -A --field-selector \
                     status.kmsKey=...` finds the objects of a key.",
                    MAX_KEY_URI,
                ),
            ),
            (
                "kmsKeys",
                list(
                    "URIs of the KMS keys of all wraps.",
                    MAX_KMS_KEYS,
                    string("A KMS key.", MAX_KEY_URI),
                ),
            ),
            (
                "dataKeys",
                list(
                    "Ids of the data keys.",
                    MAX_KEYS,
                    string("The id of a data key.", 8),
                ),
            ),
            ("sealed", sealed()),
            ("applied", applied()),
            ("conditions", conditions()),
        ],
    );
    // On the object, not on the field: with a default on the field alone a new object has no status at all, and
    // tools that wait (kstatus) would take it for current.
    JSONSchemaProps {
        default: Some(JSON(serde_json::json!({"observedGeneration": -1}))),
        ..status
    }
}

fn sealed() -> JSONSchemaProps {
    atomic(object(
        "The seal that was opened last with success.",
        &[],
        vec![
            ("time", string("spec.seal.time", 20)),
            ("mac", string("spec.seal.mac", 43)),
            (
                "highestTime",
                string("The highest spec.seal.time that was opened with success.", 20),
            ),
        ],
    ))
}

fn applied() -> JSONSchemaProps {
    atomic(object(
        "The last successful write of the Secret.",
        &[],
        vec![
            ("generation", integer("The generation that was written.")),
            (
                "digest",
                string("SHA-256 of the document that was written, in hex.", 64),
            ),
            (
                "mode",
                string("How the Secret is held: Owned, Retained, Merged.", 32),
            ),
            (
                "renderer",
                integer("The version of the rules by which a document becomes a Secret."),
            ),
            ("secretUID", string("metadata.uid of the Secret.", 64)),
            (
                "secretResourceVersion",
                string("metadata.resourceVersion that the write gave.", 64),
            ),
            ("entries", integer("How many entries the Secret holds.")),
            ("time", time("When it was written.")),
        ],
    ))
}

fn conditions() -> JSONSchemaProps {
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
    JSONSchemaProps {
        x_kubernetes_list_type: Some("map".to_owned()),
        x_kubernetes_list_map_keys: Some(vec!["type".to_owned()]),
        ..list(
            "Ready: True where the Secret stands as sealed. Reconciling: the controller tries again by itself. Stalled: \
             a person is needed.",
            MAX_CONDITIONS,
            condition,
        )
    }
}
