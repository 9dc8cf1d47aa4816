//! The status of an object as the store holds it. There is one for each object, so it is one string, from which the parts are
//! decoded when an object is reconciled.

use std::hash::{DefaultHasher, Hasher as _};

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use serde::{Deserialize, Serialize};

use crate::api::{Applied, EnvelopeSecretStatus, Sealed, conditions};

/// What planning needs of a status, plus fingerprints to detect whether a new status differs.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::controller) struct StatusFacts {
    /// [`Parts`] as JSON: a tenth of the allocations, and less than half of the memory, of what it describes.
    parts: Box<str>,
    /// The reason of `Ready`.
    reason: Option<Box<str>>,
    pub(in crate::controller) last_handled_reconcile_at: Option<Box<str>>,
    fingerprint: u64,
    /// Fingerprint of reason and message of `Ready`.
    text_fingerprint: u64,
}

/// The parts of a status, and a hash of each of its KMS keys. Tuples, whose JSON has no field names.
#[derive(Default, Serialize, Deserialize)]
struct Parts(
    Option<AppliedParts>,
    Option<SealedParts>,
    Vec<ConditionParts>,
    Vec<u64>,
);

/// The fields of [`Applied`] in their order.
#[derive(Serialize, Deserialize)]
struct AppliedParts(i64, String, String, i64, String, String, i64, String);

/// The fields of [`Sealed`] in their order.
#[derive(Serialize, Deserialize)]
struct SealedParts(String, String, String);

/// Type, status, reason, message, observed generation and time of the last transition in seconds.
#[derive(Serialize, Deserialize)]
struct ConditionParts(String, String, String, String, Option<i64>, i64);

impl StatusFacts {
    pub(in crate::controller) fn of(status: EnvelopeSecretStatus) -> Self {
        let ready = conditions::find(&status.conditions, conditions::READY);
        StatusFacts {
            fingerprint: fingerprint(&status),
            text_fingerprint: text_fingerprint(&status),
            reason: ready.map(|ready| ready.reason.as_str().into()),
            last_handled_reconcile_at: status.last_handled_reconcile_at.map(Into::into),
            parts: Parts(
                status.applied.map(Into::into),
                status.sealed.map(Into::into),
                status.conditions.into_iter().map(Into::into).collect(),
                status.kms_keys.iter().map(|key| hash(key.as_bytes())).collect(),
            )
            .encode(),
        }
    }

    /// Returns the record of the last success.
    pub(in crate::controller) fn applied(&self) -> Option<Applied> {
        self.parts().0.map(Into::into)
    }

    /// Returns the record of the document of the last success.
    pub(in crate::controller) fn sealed(&self) -> Option<Sealed> {
        self.parts().1.map(Into::into)
    }

    /// Returns the conditions, without messages except those with a KMS request id: a new id alone is not a change.
    pub(in crate::controller) fn conditions(&self) -> Vec<Condition> {
        self.parts().2.into_iter().map(Into::into).collect()
    }

    /// Whether the status lists the KMS key.
    pub(in crate::controller) fn had_key(&self, uri: &str) -> bool {
        self.parts().3.contains(&hash(uri.as_bytes()))
    }

    /// Replaces the records of the last success. The fingerprints stay.
    pub(in crate::controller) fn set_applied(&mut self, applied: Applied, sealed: Sealed) {
        let Parts(_, _, conditions, keys) = self.parts();
        self.parts = Parts(Some(applied.into()), Some(sealed.into()), conditions, keys).encode();
    }

    /// Returns the reason of `Ready`; `None` before the first reconcile.
    pub(in crate::controller) fn reason(&self) -> Option<&str> {
        self.reason.as_deref()
    }

    /// Whether `status` equals the stored one.
    pub(in crate::controller) fn equals(&self, status: &EnvelopeSecretStatus) -> bool {
        self.fingerprint == fingerprint(status)
    }

    /// Whether `status` has the same reason and message as the stored one.
    pub(in crate::controller) fn reads_like(&self, status: &EnvelopeSecretStatus) -> bool {
        self.text_fingerprint == text_fingerprint(status)
    }

    fn parts(&self) -> Parts {
        // Written by `encode`.
        serde_json::from_str(&self.parts).unwrap_or_default()
    }
}

impl Parts {
    /// Serialization cannot fail: there are no maps.
    fn encode(&self) -> Box<str> {
        serde_json::to_string(self).unwrap_or_default().into()
    }
}

impl From<Applied> for AppliedParts {
    fn from(applied: Applied) -> Self {
        AppliedParts(
            applied.generation,
            applied.digest,
            applied.mode,
            applied.renderer,
            applied.secret_uid,
            applied.secret_resource_version,
            applied.entries,
            applied.time,
        )
    }
}

impl From<AppliedParts> for Applied {
    fn from(parts: AppliedParts) -> Self {
        let AppliedParts(
            generation,
            digest,
            mode,
            renderer,
            secret_uid,
            secret_resource_version,
            entries,
            time,
        ) = parts;
        Applied {
            generation,
            digest,
            mode,
            renderer,
            secret_uid,
            secret_resource_version,
            entries,
            time,
        }
    }
}

impl From<Sealed> for SealedParts {
    fn from(sealed: Sealed) -> Self {
        SealedParts(sealed.time, sealed.mac, sealed.highest_time)
    }
}

impl From<SealedParts> for Sealed {
    fn from(SealedParts(time, mac, highest_time): SealedParts) -> Self {
        Sealed {
            time,
            mac,
            highest_time,
        }
    }
}

impl From<Condition> for ConditionParts {
    fn from(condition: Condition) -> Self {
        let message = Some(condition.message).filter(|message| message.contains("request "));
        ConditionParts(
            condition.type_,
            condition.status,
            condition.reason,
            message.unwrap_or_default(),
            condition.observed_generation,
            condition.last_transition_time.0.as_second(),
        )
    }
}

impl From<ConditionParts> for Condition {
    fn from(parts: ConditionParts) -> Self {
        let ConditionParts(type_, status, reason, message, observed_generation, seconds) = parts;
        Condition {
            type_,
            status,
            reason,
            message,
            observed_generation,
            // It was a time before.
            last_transition_time: Time(Timestamp::from_second(seconds).unwrap_or_default()),
        }
    }
}

fn fingerprint(status: &EnvelopeSecretStatus) -> u64 {
    // Serialization is deterministic and cannot fail: a status contains no unordered maps.
    hash(&serde_json::to_vec(status).unwrap_or_default())
}

fn text_fingerprint(status: &EnvelopeSecretStatus) -> u64 {
    let ready = conditions::find(&status.conditions, conditions::READY);
    hash(
        ready
            .map(|c| format!("{}\n{}", c.reason, c.message))
            .unwrap_or_default()
            .as_bytes(),
    )
}

fn hash(bytes: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    hasher.write(bytes);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status() -> EnvelopeSecretStatus {
        let text = r#"{"observedGeneration":4,"kmsKey":"local://1e20d2aa","kmsKeys":["local://1e20d2aa"],"dataKeys":["69e86d38"],
            "sealed":{"time":"2026-11-23T17:00:00Z","mac":"sPArSThKRpiMzO8_bqUfDV4M_K00LwelWnPvMHBmQOA",
            "highestTime":"2026-11-23T18:00:00Z"},
            "applied":{"generation":3,"digest":"36d8ec41f0bb9c1a36d8ec41f0bb9c1a36d8ec41f0bb9c1a36d8ec41f0bb9c1a","mode":"Owned",
            "renderer":1,"secretUID":"7318f7ea-2d0c-4bfb-9d55-5f1a3ad4d5ce","secretResourceVersion":"1238","entries":2,
            "time":"2026-11-24T00:47:55Z"},
            "conditions":[{"type":"Ready","status":"True","reason":"Synced","message":"secret holds 3 entries from generation 4",
            "observedGeneration":4,"lastTransitionTime":"2026-11-24T00:47:55Z"}]}"#;
        serde_json::from_str(text).expect("a status")
    }

    #[test]
    fn parts_are_those_of_the_status() {
        let mut status = status();
        let mut facts = StatusFacts::of(status.clone());
        assert_eq!(
            (facts.applied(), facts.sealed()),
            (status.applied.clone(), status.sealed.clone())
        );
        status.conditions[0].message = String::new();
        assert_eq!(facts.conditions(), status.conditions);
        assert_eq!(facts.reason(), Some("Synced"));
        status.conditions[0].message = "throttled (code, request 7)".into();
        assert_eq!(StatusFacts::of(status.clone()).conditions(), status.conditions);

        let before = facts.clone();
        let applied = Applied {
            generation: 4,
            ..Applied::default()
        };
        facts.set_applied(applied.clone(), Sealed::default());
        assert_eq!(
            (facts.applied(), facts.sealed()),
            (Some(applied), Some(Sealed::default()))
        );
        assert_eq!(facts.conditions(), before.conditions());
        assert_ne!(facts, before);
        let none = StatusFacts::of(EnvelopeSecretStatus::default());
        assert_eq!(
            (none.applied(), none.sealed(), none.conditions(), none.reason()),
            (None, None, vec![], None)
        );
    }

    #[test]
    fn stored_status_is_small() {
        let facts = StatusFacts::of(status());
        let bytes = size_of::<StatusFacts>() + facts.parts.len();
        assert!(bytes <= 450, "{bytes} bytes for each object");
    }
}
