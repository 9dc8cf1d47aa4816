//! `status` of an `EnvelopeSecret`. Only the controller writes it, with server-side apply. Readers must accept the
//! status of an older or newer controller, so no field is required and unknown fields are ignored.
//!
//! The CRD's schema of `status` is derived from these types, and `kubectl explain` shows their comments. A field missing
//! from the schema would be pruned, and every restart would open every document again.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::envelope::wire::MAX_KEYS;
use crate::envelope::{SealMark, SealTime};

/// Maximum number of KMS keys listed.
const MAX_KMS_KEYS: usize = 16;
/// Maximum length of a key URI.
const MAX_KEY_URI: usize = 1025;

// `applied` and `sealed` describe the last success and are sent unchanged on failure.
/// Observed state. Written only by the controller.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct EnvelopeSecretStatus {
    /// The generation that the conditions describe; -1 if no controller has reconciled the object yet.
    pub observed_generation: i64,
    /// The last handled value of the annotation envelope-secrets.io/reconcile-at.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 262_144))]
    pub last_handled_reconcile_at: Option<String>,
    /// URI of the first KMS key of the sealing data key; `kubectl get envsec -A --field-selector status.kmsKey=...`
    /// finds the objects of a key.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = MAX_KEY_URI))]
    pub kms_key: Option<String>,
    /// URIs of the KMS keys of all wraps, without duplicates; at most 16.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = MAX_KMS_KEYS), extend("x-kubernetes-list-type" = "atomic", "items" = text("A KMS key.", MAX_KEY_URI)))]
    pub kms_keys: Vec<String>,
    /// IDs of the data keys.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = MAX_KEYS), extend("x-kubernetes-list-type" = "atomic", "items" = text("The ID of a data key.", 8)))]
    pub data_keys: Vec<String>,
    /// Seal (time and MAC) of the document that was last opened successfully.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sealed: Option<Sealed>,
    /// The last successful write of the Secret.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub applied: Option<Applied>,
    /// Ready: the Secret is as the controller wrote it for observedGeneration. Reconciling: a retry can succeed without
    /// human action. Stalled: human action is required; the controller may still retry.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "super::crd::conditions::schema")]
    pub conditions: Vec<Condition>,
}

/// Returns the schema of a list's string items.
fn text(description: &str, max: usize) -> serde_json::Value {
    serde_json::json!({"type": "string", "description": description, "maxLength": max})
}

impl Default for EnvelopeSecretStatus {
    fn default() -> Self {
        EnvelopeSecretStatus {
            observed_generation: -1,
            last_handled_reconcile_at: None,
            kms_key: None,
            kms_keys: Vec::new(),
            data_keys: Vec::new(),
            sealed: None,
            applied: None,
            conditions: Vec::new(),
        }
    }
}

impl EnvelopeSecretStatus {
    /// Lists the document's KMS keys and data keys: the IDs of its data keys, and the key URIs of all wraps, those of the
    /// sealing data key first.
    pub fn set_keys<'a>(
        &mut self,
        data_keys: impl IntoIterator<Item = &'a str>,
        kms_keys: impl IntoIterator<Item = &'a str>,
    ) {
        // A truncated list must still contain the keys that open the seal.
        self.kms_keys.clear();
        for key in kms_keys {
            if self.kms_keys.len() < MAX_KMS_KEYS && !self.kms_keys.iter().any(|listed| listed == key) {
                self.kms_keys.push(key.to_owned());
            }
        }
        self.kms_key = self.kms_keys.first().cloned();
        self.data_keys = data_keys.into_iter().map(str::to_owned).collect();
    }
}

/// Seal (time and MAC) of the document that was last opened successfully.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("x-kubernetes-map-type" = "atomic"))]
pub struct Sealed {
    /// `spec.seal.time`.
    #[schemars(length(max = 20))]
    pub time: String,
    /// `spec.seal.mac`.
    #[schemars(length(max = 43))]
    pub mac: String,
    /// The highest `spec.seal.time` opened successfully.
    #[schemars(length(max = 20))]
    pub highest_time: String,
}

impl Sealed {
    /// Returns the value after the document with this mark was opened, given the value `before`.
    #[must_use]
    pub fn after(before: Option<&Sealed>, mark: &SealMark) -> Sealed {
        // An invalid time (a status written by hand) counts as never seen.
        let highest = before.and_then(|b| SealTime::parse(&b.highest_time));
        let highest = highest.map_or_else(|| mark.time.clone(), |seen| seen.max(mark.time.clone()));
        Sealed {
            time: mark.time.to_string(),
            mac: mark.mac_text(),
            highest_time: highest.to_string(),
        }
    }
}

/// The last successful write of the Secret. With it the controller recognizes that there is nothing to do.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("x-kubernetes-map-type" = "atomic"))]
pub struct Applied {
    /// `metadata.generation` of the object at that write.
    pub generation: i64,
    /// SHA-256 of the applied document (manifest and mac), in lower-case hex.
    #[schemars(length(max = 64))]
    pub digest: String,
    // The name of a `Mode`, possibly one of a newer controller.
    /// Ownership mode: Owned, Retained or Merged.
    #[schemars(length(max = 32))]
    pub mode: String,
    /// The version of the rules that turn a document into a Secret.
    pub renderer: i64,
    /// `metadata.uid` of the Secret.
    #[serde(rename = "secretUID")]
    #[schemars(length(max = 64))]
    pub secret_uid: String,
    /// `metadata.resourceVersion` returned by the write. Compared only for equality.
    #[schemars(length(max = 64))]
    pub secret_resource_version: String,
    /// Number of entries of the Secret.
    pub entries: i64,
    /// Time of the write, RFC 3339 in seconds.
    #[schemars(length(max = 64), extend("format" = "date-time"))]
    pub time: String,
}

/// The ownership mode of a Secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Mode {
    /// With an ownerReference: garbage-collected with its object.
    Owned,
    /// Without an ownerReference: outlives its object.
    Retained,
    /// Another owner's Secret, some of whose entries we manage.
    Merged,
}

impl Mode {
    const ALL: [Self; 3] = [Mode::Owned, Mode::Retained, Mode::Merged];

    /// Returns the value of `status.applied.mode`.
    pub fn as_str(self) -> &'static str {
        match self {
            Mode::Owned => "Owned",
            Mode::Retained => "Retained",
            Mode::Merged => "Merged",
        }
    }

    /// Returns the value of the label [`super::MANAGED_LABEL`].
    pub fn label(self) -> &'static str {
        match self {
            Mode::Owned => "owned",
            Mode::Retained => "retained",
            Mode::Merged => "merged",
        }
    }

    /// Returns the mode with this value of the label; `None` for any other value.
    pub fn of_label(label: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|mode| mode.label() == label)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// The example in the documentation, as the API server returns it.
    const EXAMPLE: &str = r#"{
      "observedGeneration": 4,
      "kmsKey": "tencent-kms://ap-guangzhou/23e8",
      "kmsKeys": ["tencent-kms://ap-guangzhou/23e8", "tencent-kms://ap-shanghai/5b7c"],
      "dataKeys": ["69e86d38"],
      "sealed": {"time": "2026-11-23T17:00:00Z", "mac": "sPArST", "highestTime": "2026-11-23T17:00:00Z"},
      "applied": {"generation": 4, "digest": "36d8ec41", "mode": "Owned", "renderer": 1,
                  "secretUID": "7318f7ea", "secretResourceVersion": "1238", "entries": 3,
                  "time": "2026-11-24T00:47:55Z"},
      "conditions": [{"type": "Ready", "status": "True", "reason": "Synced", "observedGeneration": 4,
                      "message": "secret holds 3 entries from generation 4",
                      "lastTransitionTime": "2026-11-24T00:47:55Z"}]
    }"#;

    #[test]
    fn field_names_match_the_documentation() {
        let json: serde_json::Value = serde_json::from_str(EXAMPLE).expect("JSON");
        let status: EnvelopeSecretStatus = serde_json::from_value(json.clone()).expect("a status");
        assert_eq!(
            status.applied.as_ref().map(|a| a.mode.as_str()),
            Some(Mode::Owned.as_str())
        );
        assert_eq!(
            serde_json::to_value(&status).expect("JSON"),
            json,
            "nothing lost, nothing renamed"
        );
    }

    #[test]
    fn status_of_another_version_is_accepted() {
        let read = |text: &str| serde_json::from_str::<EnvelopeSecretStatus>(text).expect("a status");
        assert_eq!(read("{}").observed_generation, -1);
        let newer =
            read(r#"{"observedGeneration": 2, "later": {"a": 1}, "applied": {"mode": "Shared", "b": []}}"#);
        assert_eq!(
            newer.applied.map(|a| a.mode).as_deref(),
            Some("Shared"),
            "preserved for the next write"
        );
        let written = serde_json::to_value(EnvelopeSecretStatus::default()).expect("JSON");
        assert_eq!(
            written,
            serde_json::json!({"observedGeneration": -1}),
            "part of every write"
        );
    }

    #[test]
    fn keys_are_listed_without_duplicates_up_to_the_maximum() {
        let uris: Vec<String> = (0..9)
            .chain(0..8)
            .chain(8..20)
            .map(|n| format!("local://{n:08x}"))
            .collect();
        let ids = ["aaaaaaaa", "bbbbbbbb", "cccccccc"];
        let mut status = EnvelopeSecretStatus::default();
        status.set_keys(ids, uris.iter().map(String::as_str));
        assert_eq!(status.kms_key.as_deref(), Some("local://00000000"));
        assert_eq!(status.kms_keys.len(), MAX_KMS_KEYS);
        assert_eq!(
            status.kms_keys.iter().collect::<BTreeSet<_>>().len(),
            MAX_KMS_KEYS
        );
        assert_eq!(status.data_keys, ["aaaaaaaa", "bbbbbbbb", "cccccccc"]);
        let before = status.clone();
        status.set_keys(ids, uris.iter().map(String::as_str));
        assert_eq!(status, before);
    }

    #[test]
    fn highest_time_never_decreases() {
        let mark = |time: &str, mac: u8| SealMark {
            time: SealTime::parse(time).expect("a time"),
            mac: [mac; 32],
        };
        let first = Sealed::after(None, &mark("2026-11-23T17:00:00Z", 1));
        assert_eq!(first.highest_time, "2026-11-23T17:00:00Z");
        let older = Sealed::after(Some(&first), &mark("2026-11-22T17:00:00Z", 2));
        assert_eq!(
            (older.time.as_str(), older.highest_time.as_str()),
            ("2026-11-22T17:00:00Z", "2026-11-23T17:00:00Z")
        );
        let newer = Sealed::after(Some(&older), &mark("2026-11-24T17:00:00Z", 3));
        assert_eq!(newer.highest_time, "2026-11-24T17:00:00Z");
        assert_eq!(
            SealMark::parse(&newer.time, &newer.mac),
            Some(mark("2026-11-24T17:00:00Z", 3))
        );
        let forged = Sealed {
            highest_time: "zzzz".into(),
            ..first
        };
        assert_eq!(
            Sealed::after(Some(&forged), &mark("2026-11-20T00:00:00Z", 1)).highest_time,
            "2026-11-20T00:00:00Z"
        );
    }
}
