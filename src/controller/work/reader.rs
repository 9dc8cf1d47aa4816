//! Reading documents, and the findings of failures to open them.

use std::collections::BTreeSet;

use serde_json::value::RawValue;

use crate::api::{Finding, KmsKey, KmsResponse, sealed_elsewhere};
use crate::controller::key::ObjectKey;
use crate::controller::observe::object::Object;
use crate::controller::observe::summary::Facts;
use crate::envelope::{Accepted, Document, OpenError, Place, ReaderPolicy, Refusal, SealTime, usable_wraps};
use crate::kms::{self, Capability, Class, KeyUri, KmsError, Registry};

/// Reads documents with this controller's audiences and KMS providers.
pub(in crate::controller) struct Reader {
    audiences: BTreeSet<String>,
    registry: Registry,
}

impl Reader {
    pub(in crate::controller) fn new(audiences: BTreeSet<String>, registry: Registry) -> Self {
        Reader { audiences, registry }
    }

    /// Decides from its summary whether the object's document may be opened, and returns the facts about it.
    pub(in crate::controller) fn check<'a>(
        &self,
        key: &ObjectKey,
        object: &'a Object,
    ) -> Result<&'a Facts, Finding> {
        let facts = object.summary.facts.as_ref().map_err(Clone::clone)?;
        let inputs = facts.policy_inputs();
        let policy = self.policy(inputs.seal_time)?;
        let refused = |refusal: Refusal| refused(refusal, key);
        policy.check(&inputs).map_err(|error| refused(error.into()))?;
        for data_key in &facts.data_keys {
            let keys = data_key.keys.iter().map(|key| &**key);
            usable_wraps(&data_key.id, keys, &|key| self.registry.usable(key))
                .map_err(|none| refused(none.into()))?;
        }
        Ok(facts)
    }

    /// Parses the document of the object `key`, and checks structure and policy, without a KMS call.
    pub(in crate::controller) fn accept(
        &self,
        key: &ObjectKey,
        spec: &RawValue,
    ) -> Result<Accepted, Finding> {
        let place = Place::new(Some(&key.namespace), &key.name);
        let document = place.and_then(|place| Document::from_spec_json(spec.get().as_bytes(), place));
        let document = document.map_err(|error| Finding::from(&error))?;
        let policy = self.policy(&document.spec().seal.time)?;
        document
            .accept(&policy, &|key| self.registry.usable(key))
            .map_err(|refusal| refused(refusal, key))
    }

    /// Returns the policy at this time. Without a usable clock, every seal is in the future.
    fn policy(&self, seal_time: &SealTime) -> Result<ReaderPolicy, Finding> {
        let Some(now) = SealTime::now() else {
            return Err(Finding::SealTimeInFuture {
                time: seal_time.to_string(),
            });
        };
        Ok(ReaderPolicy::controller(self.audiences.iter().cloned(), now))
    }

    /// Whether documents may be opened with this key.
    pub(in crate::controller) fn is_usable(&self, key: &str) -> bool {
        self.registry.usable(key)
    }
}

fn refused(refusal: Refusal, key: &ObjectKey) -> Finding {
    match refusal {
        Refusal::Policy(error) => Finding::from_policy(error, &key.namespace),
        Refusal::NoUsableWrap(none) => Finding::NoUsableKey {
            advice: allow_advice(&none.keys).to_owned(),
            keys: none.keys,
            namespace: key.namespace.to_string(),
        },
    }
}

/// Converts a failure of opening to a finding.
pub(in crate::controller) fn finding_of(
    error: OpenError<KmsError>,
    key: &ObjectKey,
    object: &Object,
) -> Finding {
    match error {
        OpenError::Integrity { .. } => {
            let elsewhere = object.wishes.sealed_for.as_deref();
            let elsewhere = elsewhere.and_then(|place| sealed_elsewhere(place, &key.namespace, &key.name));
            Finding::IntegrityError { elsewhere }
        }
        OpenError::Render(error) => Finding::RenderError { error },
        OpenError::Unavailable { failures, .. } => match KmsError::deciding(&failures) {
            Some(failure) => kms_finding(failure),
            // Unreachable: there is always at least one failure.
            None => Finding::KmsUnavailable {
                key: Box::default(),
                response: KmsResponse::default(),
            },
        },
    }
}

/// Names the service of a KMS key as its provider does.
pub(in crate::controller) fn kms_key(uri: &KeyUri) -> KmsKey {
    let provider = kms::provider_of(uri);
    KmsKey {
        uri: uri.to_string(),
        service: provider
            .map_or(uri.scheme(), |provider| provider.title())
            .to_owned(),
        region: provider
            .and_then(|provider| provider.region(uri))
            .map(str::to_owned),
    }
}

/// What to do if none of `keys` may be used: the advice of their provider, or of a cloud if there are several.
fn allow_advice(keys: &[String]) -> &'static str {
    let providers: Vec<_> = keys
        .iter()
        .filter_map(|key| kms::provider_of(&KeyUri::parse(key).ok()?))
        .collect();
    let cloud = providers
        .iter()
        .find(|provider| !provider.can(Capability::ConfiguredKeysOnly));
    cloud.or(providers.first()).map_or(
        "re-seal with a KMS key that this controller supports",
        |provider| provider.allow_advice(),
    )
}

fn kms_finding(error: &KmsError) -> Finding {
    let key = Box::new(kms_key(&error.key));
    let response = KmsResponse {
        code: error.code.as_deref().map(str::to_owned),
        message: Some(error.message.to_string()),
        request_id: error.request_id.as_deref().map(str::to_owned),
    };
    let subject = |default: &str| error.subject.as_deref().unwrap_or(default).to_owned();
    match error.class {
        Class::Transient => Finding::KmsUnavailable { key, response },
        Class::Throttled => Finding::KmsThrottled { key, response },
        Class::Credentials => Finding::CredentialsUnavailable {
            key,
            source: subject("the controller's configuration"),
            response,
        },
        Class::Denied => Finding::KmsDenied {
            identity: subject("the controller's identity"),
            key,
            response,
        },
        Class::Configuration => Finding::KmsMisconfigured {
            key,
            response,
            advice: error.advice().to_owned(),
        },
        Class::KeyUnusable => Finding::KmsKeyUnusable {
            key,
            state: subject("not usable"),
            response,
        },
        Class::NotFound => Finding::KmsKeyUnusable {
            key,
            state: "not found".to_owned(),
            response,
        },
        // Not reached, since a refused ciphertext is a permanent failure. It must look like all the others.
        Class::Integrity => Finding::IntegrityError { elsewhere: None },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::Reason;
    use crate::controller::observe::decode;
    use crate::envelope::Stage;
    use crate::kms::KeyUri;

    fn object(sealed_for: &str) -> Object {
        let text = serde_json::json!({"metadata": {"name": "db", "namespace": "prod", "uid": "o-1",
            "resourceVersion": "1", "annotations": {"envelope-secrets.io/sealed-for": sealed_for}}});
        decode::item::<Object>(&text.to_string()).expect("an object").1
    }

    fn key() -> ObjectKey {
        ObjectKey::new("prod", "db")
    }

    fn failure(class: Class) -> KmsError {
        let key = KeyUri::parse("local://00000000").expect("a key URI");
        KmsError::new(class, &key, "Decrypt", "no")
    }

    #[test]
    fn all_permanent_failures_have_the_same_finding() {
        let integrity = |stage| OpenError::Integrity {
            stage,
            refusals: vec![failure(Class::Integrity)],
        };
        let stages = [
            Stage::Unwrap,
            Stage::Commitment,
            Stage::Seal,
            Stage::Template,
            Stage::Value,
        ];
        for stage in stages {
            let finding = finding_of(integrity(stage), &key(), &object("prod/db"));
            assert_eq!(finding, Finding::IntegrityError { elsewhere: None }, "{stage}");
        }
        let finding = finding_of(integrity(Stage::Unwrap), &key(), &object("dev/db"));
        assert_eq!(
            finding,
            Finding::IntegrityError {
                elsewhere: Some("dev/db".into())
            }
        );
    }

    #[test]
    fn kms_error_classes_map_to_reasons() {
        for (class, reason) in [
            (Class::Transient, Reason::KmsUnavailable),
            (Class::Throttled, Reason::KmsThrottled),
            (Class::Credentials, Reason::CredentialsUnavailable),
            (Class::Denied, Reason::KmsDenied),
            (Class::Configuration, Reason::KmsMisconfigured),
            (Class::KeyUnusable, Reason::KmsKeyUnusable),
            (Class::NotFound, Reason::KmsKeyUnusable),
        ] {
            let failures = vec![failure(Class::Integrity), failure(class)];
            let error = OpenError::Unavailable {
                data_key: "69e86d38".into(),
                failures,
                refused: 1,
            };
            assert_eq!(
                finding_of(error, &key(), &object("")).reason(),
                reason,
                "{class:?}"
            );
        }
    }

    #[test]
    fn invalid_spec_is_refused_as_invalid_document() {
        let reader = Reader::new(BTreeSet::new(), Registry::new());
        let refused = reader.check(&key(), &object("")).expect_err("no spec");
        assert_eq!(refused.reason(), Reason::InvalidDocument);
        let accepted = reader.accept(&key(), RawValue::NULL);
        assert_eq!(
            accepted.err(),
            Some(refused),
            "the summary and the document agree"
        );
    }
}
