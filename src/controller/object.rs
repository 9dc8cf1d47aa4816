//! An `EnvelopeSecret` as it is received and as the store keeps it: the spec as its JSON bytes, which are parsed
//! strictly only when they are opened, and the status as a few facts. So one bad object harms nobody else.

use std::borrow::Cow;
use std::fmt;
use std::hash::{DefaultHasher, Hasher as _};
use std::sync::Arc;

use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, ObjectMeta};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::ObjectKey;
use crate::api::{self, Applied, EnvelopeSecretStatus, SEALED_FOR_ANNOTATION, Sealed, conditions};
use crate::envelope::wire::KIND;

/// As the API server sends it.
///
/// Only plain watch events and lists decode it: a buffered [`RawValue`] does not.
#[derive(Clone, Deserialize)]
pub(super) struct RawObject {
    #[serde(default)]
    metadata: ObjectMeta,
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

impl kube::Resource for RawObject {
    type DynamicType = ();
    type Scope = NamespaceResourceScope;

    fn kind((): &()) -> Cow<'_, str> {
        KIND.into()
    }

    fn group((): &()) -> Cow<'_, str> {
        api::GROUP.into()
    }

    fn version((): &()) -> Cow<'_, str> {
        api::VERSION.into()
    }

    fn plural((): &()) -> Cow<'_, str> {
        api::PLURAL.into()
    }

    fn meta(&self) -> &ObjectMeta {
        &self.metadata
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        &mut self.metadata
    }
}

/// As the store keeps it.
#[derive(Clone, Debug)]
pub(super) struct Object {
    pub(super) uid: Arc<str>,
    pub(super) resource_version: Box<str>,
    pub(super) generation: i64,
    /// Deletion has begun.
    pub(super) deleting: bool,
    /// The annotation `sealed-for`: a hint for people, never used to open.
    pub(super) sealed_for: Option<Box<str>>,
    /// `null` where the object has no spec.
    pub(super) spec: Arc<RawValue>,
    pub(super) status: Arc<StatusFacts>,
}

impl Object {
    /// `None` for what no API server sends.
    pub(super) fn of(raw: RawObject) -> Option<(ObjectKey, Self)> {
        let RawObject {
            metadata,
            spec,
            status,
        } = raw;
        let key = ObjectKey::new(metadata.namespace.as_deref()?, metadata.name.as_deref()?);
        let sealed_for = metadata
            .annotations
            .and_then(|mut all| all.remove(SEALED_FOR_ANNOTATION));
        // The CRD's schema keeps the types; whatever else stands there counts as no status.
        let status = status
            .and_then(|raw| serde_json::from_str(raw.get()).ok())
            .unwrap_or_default();
        let object = Object {
            uid: metadata.uid?.into(),
            resource_version: metadata.resource_version?.into(),
            generation: metadata.generation.unwrap_or_default(),
            deleting: metadata.deletion_timestamp.is_some(),
            sealed_for: sealed_for.map(Into::into),
            spec: spec.unwrap_or_else(|| RawValue::NULL.to_owned()).into(),
            status: Arc::new(StatusFacts::of(status)),
        };
        Some((key, object))
    }
}

impl Object {
    /// What a write of the Secret left behind and the status does not tell yet.
    pub(super) fn succeeded(&mut self, applied: Applied, sealed: Sealed) {
        let status = Arc::make_mut(&mut self.status);
        status.applied = Some(applied);
        status.sealed = Some(sealed);
    }
}

/// What planning asks of a status, and enough to tell whether one that is to be written differs.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct StatusFacts {
    pub(super) applied: Option<Applied>,
    pub(super) sealed: Option<Sealed>,
    pub(super) last_handled_reconcile_at: Option<String>,
    /// Without their messages, which would fill the memory; but for those that name a request of the KMS, since a new
    /// id alone is no news.
    pub(super) conditions: Vec<Condition>,
    fingerprint: u64,
    /// Of reason and message of `Ready`.
    said: u64,
}

impl StatusFacts {
    pub(super) fn of(mut status: EnvelopeSecretStatus) -> Self {
        let fingerprint = fingerprint(&status);
        let said = said(&status);
        for condition in &mut status.conditions {
            if !condition.message.contains("request ") {
                condition.message = String::new();
            }
        }
        StatusFacts {
            applied: status.applied,
            sealed: status.sealed,
            last_handled_reconcile_at: status.last_handled_reconcile_at,
            conditions: status.conditions,
            fingerprint,
            said,
        }
    }

    /// The reason of `Ready`; `None` while no controller has looked.
    pub(super) fn reason(&self) -> Option<&str> {
        conditions::find(&self.conditions, conditions::READY).map(|ready| ready.reason.as_str())
    }

    /// Whether `status` is what stands there.
    pub(super) fn is(&self, status: &EnvelopeSecretStatus) -> bool {
        self.fingerprint == fingerprint(status)
    }

    /// Whether `status` tells a person the same.
    pub(super) fn says(&self, status: &EnvelopeSecretStatus) -> bool {
        self.said == said(status)
    }
}

fn fingerprint(status: &EnvelopeSecretStatus) -> u64 {
    // A status has no map whose order varies and serializes always.
    hash(&serde_json::to_vec(status).unwrap_or_default())
}

fn said(status: &EnvelopeSecretStatus) -> u64 {
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
    use kube::core::{ObjectList, WatchEvent};

    const OBJECT: &str = r#"{"apiVersion":"envelope-secrets.io/v1","kind":"EnvelopeSecret","metadata":{"name":"db",
        "namespace":"prod","uid":"o-1","resourceVersion":"7","generation":3,
        "annotations":{"envelope-secrets.io/sealed-for":"dev/db"}},
        "spec":{"format":"es1", "later":[1.0,{"x" : null}]},
        "status":{"observedGeneration":3,"applied":{"generation":3,"digest":"36d8","mode":"Owned","renderer":1,
            "secretUID":"s-1","secretResourceVersion":"9","entries":2,"time":"2026-11-24T00:47:55Z"},
            "conditions":[{"type":"Ready","status":"True","reason":"Synced","message":"m","observedGeneration":3,
            "lastTransitionTime":"2026-11-24T00:47:55Z"}]}}"#;

    fn object(text: &str) -> Object {
        Object::of(serde_json::from_str(text).expect("an object"))
            .expect("whole")
            .1
    }

    #[test]
    fn lists_and_watch_events_keep_the_bytes_of_the_spec() {
        let spec = r#"{"format":"es1", "later":[1.0,{"x" : null}]}"#;
        let list = format!(
            r#"{{"kind":"EnvelopeSecretList","apiVersion":"envelope-secrets.io/v1","metadata":{{"resourceVersion":"1"}},"items":[{OBJECT}]}}"#
        );
        let list: ObjectList<RawObject> = serde_json::from_str(&list).expect("a list");
        let (key, listed) = Object::of(list.items[0].clone()).expect("whole");
        assert_eq!((key.to_string().as_str(), listed.spec.get()), ("prod/db", spec));
        assert_eq!(
            (listed.generation, listed.sealed_for.as_deref()),
            (3, Some("dev/db"))
        );

        let event = format!(r#"{{"type":"MODIFIED","object":{OBJECT}}}"#);
        let event: WatchEvent<RawObject> = serde_json::from_str(&event).expect("an event");
        let WatchEvent::Modified(raw) = event else {
            panic!("modified")
        };
        assert_eq!(Object::of(raw).expect("whole").1.spec.get(), spec);
    }

    #[test]
    fn nothing_in_spec_or_status_keeps_an_object_out() {
        let meta = r#""metadata":{"name":"db","namespace":"prod","uid":"o-1","resourceVersion":"7"}"#;
        for rest in [
            "",
            r#","spec":null"#,
            r#","spec":"x","status":[1]"#,
            r#","spec":[],"status":{"applied":7}"#,
        ] {
            let seen = object(&format!("{{{meta}{rest}}}"));
            assert_eq!(seen.status.applied, None, "{rest}");
        }
        assert_eq!(object(&format!("{{{meta}}}")).spec.get(), "null");
        let nameless: RawObject = serde_json::from_str(r#"{"metadata":{}}"#).expect("an object");
        assert!(Object::of(nameless).is_none());
    }

    #[test]
    fn a_status_is_told_from_another() {
        let seen = object(OBJECT);
        let raw: serde_json::Value = serde_json::from_str(OBJECT).expect("JSON");
        let status: EnvelopeSecretStatus = serde_json::from_value(raw["status"].clone()).expect("a status");
        assert!(seen.status.is(&status) && seen.status.says(&status));
        assert_eq!(seen.status.reason(), Some("Synced"));
        let mut other = status.clone();
        other.conditions[0].message = "n".into();
        assert!(!seen.status.is(&other) && !seen.status.says(&other));
        let mut other = status;
        other.observed_generation = 4;
        assert!(
            !seen.status.is(&other) && seen.status.says(&other),
            "the same words about another generation"
        );
        assert!(
            StatusFacts::of(EnvelopeSecretStatus::default())
                .reason()
                .is_none()
        );
    }
}
