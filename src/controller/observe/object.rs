//! An `EnvelopeSecret` as received and as stored: a summary of the document instead of the spec, and the status as a few
//! facts. So an invalid object affects no other, and a large one takes no more memory than a small one
//! (docs/design/controller.md#stores-and-streams).

use std::fmt;
use std::sync::Arc;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::status_facts::StatusFacts;
use super::summary::Summary;
use super::wishes::Wishes;
use crate::api::{Applied, Sealed};
use crate::controller::key::ObjectKey;
use crate::controller::observe::decode::{Meta, Slim};

/// An object as the API server sends it. Its content is decoded separately: an invalid status or spec affects nothing else.
#[derive(Clone, Deserialize)]
pub(in crate::controller) struct RawObject {
    #[serde(default)]
    metadata: Meta,
    spec: Option<Box<RawValue>>,
    status: Option<Box<RawValue>>,
}

impl fmt::Debug for RawObject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RawObject")
            .field("name", &self.metadata.name)
            .finish_non_exhaustive()
    }
}

/// An object as received, with its spec.
#[derive(Clone, Debug)]
pub(in crate::controller) struct Received {
    pub(in crate::controller) uid: Arc<str>,
    pub(in crate::controller) resource_version: Box<str>,
    pub(in crate::controller) generation: i64,
    /// Whether it is being deleted.
    pub(in crate::controller) deleting: bool,
    wishes: Wishes,
    /// `null` if the object has no spec.
    pub(in crate::controller) spec: Box<RawValue>,
    status: StatusFacts,
}

/// An object as the store holds it.
#[derive(Clone, Debug)]
pub(in crate::controller) struct Object {
    pub(in crate::controller) uid: Arc<str>,
    pub(in crate::controller) resource_version: Box<str>,
    pub(in crate::controller) generation: i64,
    /// Whether it is being deleted.
    pub(in crate::controller) deleting: bool,
    pub(in crate::controller) wishes: Wishes,
    /// The summary of this generation's document.
    pub(in crate::controller) summary: Arc<Summary>,
    pub(in crate::controller) status: Arc<StatusFacts>,
}

impl Slim for Received {
    type Wire = RawObject;

    fn of(raw: RawObject) -> Option<(ObjectKey, Self)> {
        let RawObject {
            metadata,
            spec,
            status,
        } = raw;
        let key = ObjectKey::new(metadata.namespace.as_deref()?, metadata.name.as_deref()?);
        // The CRD schema enforces the types; a status of any other form counts as absent.
        let status = status
            .and_then(|raw| serde_json::from_str(raw.get()).ok())
            .unwrap_or_default();
        let wishes = Wishes::of(&metadata);
        let received = Received {
            uid: metadata.uid?.into(),
            resource_version: metadata.resource_version?.into(),
            generation: metadata.generation.unwrap_or_default(),
            deleting: metadata.deleting,
            wishes,
            spec: spec.unwrap_or_else(|| RawValue::NULL.to_owned()),
            status: StatusFacts::of(status),
        };
        Some((key, received))
    }

    fn resource_version(&self) -> &str {
        &self.resource_version
    }
}

impl Received {
    /// Returns the object as the store holds it. `summary` is that of its spec.
    pub(in crate::controller) fn into_object(self, summary: Arc<Summary>) -> Object {
        Object {
            uid: self.uid,
            resource_version: self.resource_version,
            generation: self.generation,
            deleting: self.deleting,
            wishes: self.wishes,
            summary,
            status: Arc::new(self.status),
        }
    }
}

/// Decodes an object as if it came from a store.
#[cfg(test)]
impl Slim for Object {
    type Wire = RawObject;

    fn of(raw: RawObject) -> Option<(ObjectKey, Self)> {
        let (key, received) = Received::of(raw)?;
        let texts = &mut super::summary::Texts::default();
        let summary = Summary::of(&key, &received.uid, received.spec.get(), texts);
        Some((key, received.into_object(Arc::new(summary))))
    }

    fn resource_version(&self) -> &str {
        &self.resource_version
    }
}

impl PartialEq for Object {
    fn eq(&self, other: &Self) -> bool {
        self.uid == other.uid
            && self.resource_version == other.resource_version
            && self.generation == other.generation
            && self.deleting == other.deleting
            && self.wishes == other.wishes
            && Arc::ptr_eq(&self.summary, &other.summary)
            && self.status == other.status
    }
}

impl Object {
    /// Sets the record of a success that is not in the status yet. The fingerprint stays that of the stored status.
    pub(in crate::controller) fn set_applied(&mut self, applied: Applied, sealed: Sealed) {
        Arc::make_mut(&mut self.status).set_applied(applied, sealed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::EnvelopeSecretStatus;
    use crate::controller::observe::decode::{self, Change};

    const OBJECT: &str = r#"{"apiVersion":"envelope-secrets.io/v1","kind":"EnvelopeSecret","metadata":{"name":"db",
        "namespace":"prod","uid":"o-1","resourceVersion":"7","generation":3,
        "annotations":{"envelope-secrets.io/sealed-for":"dev/db"}},
        "spec":{"format":"es1", "later":[1.0,{"x" : null}]},
        "status":{"observedGeneration":3,"applied":{"generation":3,"digest":"36d8","mode":"Owned","renderer":1,
            "secretUID":"s-1","secretResourceVersion":"9","entries":2,"time":"2026-11-24T00:47:55Z"},
            "conditions":[{"type":"Ready","status":"True","reason":"Synced","message":"m","observedGeneration":3,
            "lastTransitionTime":"2026-11-24T00:47:55Z"}]}}"#;

    fn object(text: &str) -> Received {
        decode::item::<Received>(text).expect("an object").1
    }

    #[test]
    fn lists_and_watch_events_preserve_the_spec_bytes() {
        let spec = r#"{"format":"es1", "later":[1.0,{"x" : null}]}"#;
        let list = format!(
            r#"{{"kind":"EnvelopeSecretList","apiVersion":"envelope-secrets.io/v1","metadata":{{"resourceVersion":"1"}},"items":[{OBJECT}]}}"#
        );
        let page = decode::page(list.into_bytes()).expect("a list");
        let (key, listed) = page.item::<Received>(0).expect("an item").expect("decoded");
        assert_eq!((key.to_string().as_str(), listed.spec.get()), ("prod/db", spec));
        assert_eq!(
            (listed.generation, listed.wishes.sealed_for.as_deref()),
            (3, Some("dev/db"))
        );

        let event = format!(r#"{{"type":"MODIFIED","object":{OBJECT}}}"#);
        let line = decode::line::<Received>(event.as_bytes()).expect("an event");
        let Change::Applied(Ok((_, seen))) = line.change else {
            panic!("modified")
        };
        assert_eq!(seen.spec.get(), spec);
    }

    #[test]
    fn malformed_spec_or_status_does_not_reject_the_object() {
        let meta = r#""metadata":{"name":"db","namespace":"prod","uid":"o-1","resourceVersion":"7"}"#;
        for rest in [
            "",
            r#","spec":null"#,
            r#","spec":"x","status":[1]"#,
            r#","spec":[],"status":{"applied":7}"#,
        ] {
            let seen = object(&format!("{{{meta}{rest}}}"));
            assert_eq!(seen.status.applied(), None, "{rest}");
        }
        assert_eq!(object(&format!("{{{meta}}}")).spec.get(), "null");
        assert!(decode::item::<Received>(r#"{"metadata":{}}"#).is_err());
    }

    #[test]
    fn status_differences_are_detected() {
        let seen = object(OBJECT);
        let raw: serde_json::Value = serde_json::from_str(OBJECT).expect("JSON");
        let status: EnvelopeSecretStatus = serde_json::from_value(raw["status"].clone()).expect("a status");
        assert!(seen.status.equals(&status) && seen.status.reads_like(&status));
        assert_eq!(seen.status.reason(), Some("Synced"));
        let mut other = status.clone();
        other.conditions[0].message = "n".into();
        assert!(!seen.status.equals(&other) && !seen.status.reads_like(&other));
        let mut other = status;
        other.observed_generation = 4;
        assert!(
            !seen.status.equals(&other) && seen.status.reads_like(&other),
            "same text for another generation"
        );
        assert!(
            StatusFacts::of(EnvelopeSecretStatus::default())
                .reason()
                .is_none()
        );
    }
}
