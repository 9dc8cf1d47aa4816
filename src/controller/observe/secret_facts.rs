//! A Secret as the store holds it: the facts about its metadata that planning needs. Its data is never received.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;

use super::fields::FieldFacts;
use super::wishes::Mark;
use crate::api::GROUP;
use crate::controller::key::ObjectKey;
use crate::controller::observe::decode::{Meta, Slim};
use crate::envelope::wire::KIND;

/// The longest kind or name of an owner that is kept, in bytes. The API server does not limit them.
const MAX_OWNER: usize = 253;

/// The facts about a Secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::controller) struct SecretFacts {
    pub(in crate::controller) uid: Box<str>,
    pub(in crate::controller) resource_version: Box<str>,
    /// Whether it is being deleted, that is, held only by a finalizer.
    pub(in crate::controller) deleting: bool,
    pub(in crate::controller) mark: Mark,
    pub(in crate::controller) owner: Owner,
    pub(in crate::controller) fields: FieldFacts,
}

/// The owner of a Secret according to its ownerReferences.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::controller) enum Owner {
    /// There is none.
    None,
    /// `EnvelopeSecret`s of the Secret's own name: the uids of the first two such ownerReferences. A uid other than the
    /// current object's belongs to an earlier incarnation of it.
    Object(Vec<Box<str>>),
    /// Others only: kind and name of the controller owner, if there is one.
    Other(Option<Box<str>>),
}

impl SecretFacts {
    /// Returns `None` for metadata without identity, which no API server sends.
    pub(in crate::controller) fn of_meta(meta: &Meta) -> Option<(ObjectKey, Self)> {
        let name = meta.name.as_deref()?;
        let facts = SecretFacts {
            uid: meta.uid.as_deref()?.into(),
            resource_version: meta.resource_version.as_deref()?.into(),
            deleting: meta.deleting,
            mark: Mark::of(meta),
            owner: Owner::of(meta, name),
            fields: FieldFacts::of(meta),
        };
        Some((ObjectKey::new(meta.namespace.as_deref()?, name), facts))
    }
}

/// A Secret as the API server sends it. Its data is not requested, and not decoded either.
#[derive(serde::Deserialize)]
pub(in crate::controller) struct RawSecret {
    metadata: Meta,
}

impl Slim for SecretFacts {
    type Wire = RawSecret;

    fn of(raw: RawSecret) -> Option<(ObjectKey, Self)> {
        SecretFacts::of_meta(&raw.metadata)
    }

    fn resource_version(&self) -> &str {
        &self.resource_version
    }
}

impl Owner {
    fn of(meta: &Meta, name: &str) -> Self {
        let owners = &meta.owner_references;
        let ours: Vec<Box<str>> = owners
            .iter()
            .filter(|owner| is_object(owner, name))
            // Two show that there is more than one, and anyone may store thousands.
            .take(2)
            .map(|owner| cut(&owner.uid).into())
            .collect();
        if !ours.is_empty() {
            return Owner::Object(ours);
        }
        if owners.is_empty() {
            return Owner::None;
        }
        let controller = owners.iter().find(|owner| owner.controller == Some(true));
        Owner::Other(controller.map(|owner| format!("{} {}", cut(&owner.kind), cut(&owner.name)).into()))
    }
}

fn cut(text: &str) -> &str {
    &text[..text.floor_char_boundary(MAX_OWNER)]
}

/// Whether `owner` refers to an `EnvelopeSecret`, of any version, with this name.
pub(in crate::controller) fn is_object(owner: &OwnerReference, name: &str) -> bool {
    let group = owner.api_version.split_once('/').map(|(group, _)| group);
    group == Some(GROUP) && owner.kind == KIND && owner.name == name
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn owner_of(owners: &Value) -> Owner {
        let meta = json!({"name": "db", "namespace": "prod", "uid": "s-1", "resourceVersion": "7",
                          "ownerReferences": owners});
        let meta = serde_json::from_value(meta).expect("metadata");
        SecretFacts::of_meta(&meta).expect("facts").1.owner
    }

    fn owner(api_version: &str, kind: &str, name: &str, uid: &str) -> Value {
        json!({"apiVersion": api_version, "kind": kind, "name": name, "uid": uid, "controller": true})
    }

    #[test]
    fn owner_is_derived_from_owner_references() {
        let ours = owner("envelope-secrets.io/v1", "EnvelopeSecret", "db", "o-1");
        let newer = owner("envelope-secrets.io/v2", "EnvelopeSecret", "db", "o-1");
        for ours in [&ours, &newer] {
            assert_eq!(owner_of(&json!([ours])), Owner::Object(vec!["o-1".into()]));
        }
        assert_eq!(owner_of(&json!([])), Owner::None);
        for (owner, seen) in [
            (
                owner("bitnami.com/v1alpha1", "SealedSecret", "db", "x"),
                "SealedSecret db",
            ),
            (
                owner("envelope-secrets.io/v1", "EnvelopeSecret", "other", "x"),
                "EnvelopeSecret other",
            ),
            (
                owner("envelope-secrets.io.evil/v1", "EnvelopeSecret", "db", "x"),
                "EnvelopeSecret db",
            ),
            (owner("v1", "EnvelopeSecret", "db", "x"), "EnvelopeSecret db"),
        ] {
            assert_eq!(owner_of(&json!([owner])), Owner::Other(Some(seen.into())));
        }
        let plain = json!([{"apiVersion": "v1", "kind": "ConfigMap", "name": "db", "uid": "x"}]);
        assert_eq!(owner_of(&plain), Owner::Other(None));
    }

    #[test]
    fn owners_are_kept_in_bounded_size() {
        let ours = |index: usize| {
            owner(
                "envelope-secrets.io/v1",
                "EnvelopeSecret",
                "db",
                &format!("o-{index}"),
            )
        };
        let many: Vec<Value> = (0..5000).map(ours).collect();
        assert_eq!(
            owner_of(&json!(many)),
            Owner::Object(vec!["o-0".into(), "o-1".into()])
        );
        let long = owner(
            &"x".repeat(100_000),
            &"y".repeat(100_000),
            &"ä".repeat(100_000),
            "x",
        );
        let Owner::Other(Some(text)) = owner_of(&json!([long])) else {
            panic!("another owner")
        };
        assert!(text.len() <= 2 * MAX_OWNER + 1, "{}", text.len());
    }

    #[test]
    fn metadata_without_identity_is_ignored() {
        assert_eq!(SecretFacts::of_meta(&Meta::default()), None);
    }
}
