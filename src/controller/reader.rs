//! From the bytes of a spec to a document that may be opened, and what it means where that fails.

use std::collections::BTreeSet;

use super::ObjectKey;
use super::object::Object;
use crate::api::{Answer, Outcome, sealed_elsewhere};
use crate::envelope::{Accepted, Document, OpenError, Opened, Place, ReaderPolicy, Refusal, SealTime};
use crate::kms::{self, Class, KmsError, Registry};

/// What this controller accepts and can open.
pub(super) struct Reader {
    audiences: BTreeSet<String>,
    registry: Registry,
}

impl Reader {
    pub(super) fn new(audiences: BTreeSet<String>, registry: Registry) -> Self {
        Reader { audiences, registry }
    }

    /// Structure and policy. Costs no KMS call.
    pub(super) fn accept(&self, key: &ObjectKey, object: &Object) -> Result<Accepted, Outcome> {
        let place = Place::new(Some(&key.namespace), &key.name);
        let document = place.and_then(|place| Document::from_spec_json(object.spec.get().as_bytes(), place));
        let document = document.map_err(|error| Outcome::from(&error))?;
        let Some(now) = SealTime::now() else {
            return Err(Outcome::SealTimeInFuture {
                time: document.spec().seal.time.to_string(),
            });
        };
        let policy = ReaderPolicy::controller(self.audiences.iter().cloned(), now);
        document
            .accept(&policy, &|key| self.registry.usable(key))
            .map_err(|refusal| match refusal {
                Refusal::Policy(error) => Outcome::from_policy(error, &key.namespace),
                Refusal::NoUsableWrap(none) => Outcome::NoUsableKey {
                    keys: none.keys,
                    namespace: key.namespace.to_string(),
                },
            })
    }

    /// The KMS calls, and everything that is verified with their answers.
    pub(super) async fn open(&self, accepted: Accepted) -> Result<Opened, OpenError<KmsError>> {
        kms::open(accepted, &self.registry).await
    }
}

/// What a failure of opening means to the outside.
pub(super) fn outcome_of(error: OpenError<KmsError>, key: &ObjectKey, object: &Object) -> Outcome {
    match error {
        OpenError::Integrity { .. } => {
            let elsewhere = object.sealed_for.as_deref();
            let elsewhere = elsewhere.and_then(|place| sealed_elsewhere(place, &key.namespace, &key.name));
            Outcome::IntegrityError { elsewhere }
        }
        OpenError::Render(error) => Outcome::RenderError { error },
        OpenError::Unavailable { failures, .. } => match KmsError::deciding(&failures) {
            Some(failure) => of_kms(failure),
            // There is always a failure; without one nothing is known but that no key could be had.
            None => Outcome::KmsUnavailable {
                key: String::new(),
                answer: Answer::default(),
            },
        },
    }
}

fn of_kms(error: &KmsError) -> Outcome {
    let key = error.key.to_string();
    let answer = Answer {
        code: error.code.as_deref().map(str::to_owned),
        message: Some(error.message.to_string()),
        request_id: error.request_id.as_deref().map(str::to_owned),
    };
    let subject = |unknown: &str| error.subject.as_deref().unwrap_or(unknown).to_owned();
    match error.class {
        Class::Transient => Outcome::KmsUnavailable { key, answer },
        Class::Throttled => Outcome::KmsThrottled { key, answer },
        Class::Credentials => Outcome::CredentialsUnavailable {
            key,
            source: subject("the controller's configuration"),
            answer,
        },
        Class::Denied => Outcome::KmsDenied {
            identity: subject("the controller's identity"),
            key,
            answer,
        },
        Class::Configuration => Outcome::KmsMisconfigured {
            key,
            answer,
            advice: error.advice().to_owned(),
        },
        Class::KeyUnusable => Outcome::KmsKeyUnusable {
            key,
            state: subject("not usable"),
            answer,
        },
        Class::NotFound => Outcome::KmsKeyUnusable {
            key,
            state: "not found".to_owned(),
            answer,
        },
        // A refused ciphertext is never a failure that passes; if it decided, it would look like the others.
        Class::Integrity => Outcome::IntegrityError { elsewhere: None },
    }
}

/// The word for the metric `opens_total`.
pub(super) fn open_word(error: &OpenError<KmsError>) -> &'static str {
    match error {
        OpenError::Integrity { .. } => "integrity",
        OpenError::Unavailable { .. } => "unavailable",
        OpenError::Render(_) => "render",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::Reason;
    use crate::controller::object::RawObject;
    use crate::envelope::Stage;
    use crate::kms::KeyUri;

    fn object(sealed_for: &str) -> Object {
        let text = serde_json::json!({"metadata": {"name": "db", "namespace": "prod", "uid": "o-1",
            "resourceVersion": "1", "annotations": {"envelope-secrets.io/sealed-for": sealed_for}}});
        let raw: RawObject = serde_json::from_str(&text.to_string()).expect("an object");
        Object::of(raw).expect("whole").1
    }

    fn key() -> ObjectKey {
        ObjectKey::new("prod", "db")
    }

    fn failure(class: Class) -> KmsError {
        let key = KeyUri::parse("local://00000000").expect("a key URI");
        KmsError::new(class, &key, "Decrypt", "no")
    }

    #[test]
    fn every_permanent_failure_is_one_outcome() {
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
            let outcome = outcome_of(integrity(stage), &key(), &object("prod/db"));
            assert_eq!(outcome, Outcome::IntegrityError { elsewhere: None }, "{stage}");
        }
        let outcome = outcome_of(integrity(Stage::Unwrap), &key(), &object("dev/db"));
        assert_eq!(
            outcome,
            Outcome::IntegrityError {
                elsewhere: Some("dev/db".into())
            }
        );
    }

    #[test]
    fn classes_of_the_kms_become_reasons() {
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
                outcome_of(error, &key(), &object("")).reason(),
                reason,
                "{class:?}"
            );
        }
    }

    #[test]
    fn a_spec_that_is_no_document_says_so() {
        let reader = Reader::new(BTreeSet::new(), Registry::new());
        let refused = reader.accept(&key(), &object("")).err().expect("no spec");
        assert_eq!(refused.reason(), Reason::InvalidDocument);
    }
}
