//! What the API server's refusals mean, by status *and* cause (controller.md 10). Its texts are not passed on: they
//! can quote what was sent.

use kube::core::Status;

use super::ObjectKey;
use crate::api::{Outcome, Rejection};

/// Why a request was not done.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Refused {
    /// 409: what was judged is not what stands there.
    Conflict,
    /// 404 of an object: it, or its namespace, is gone.
    NotFound,
    /// The namespace is being deleted: nothing is to be said.
    NamespaceEnding,
    /// A field that cannot be changed in place; the paths that the API server names.
    Immutable(Vec<String>),
    /// Anything that goes into the status.
    Because(Box<Outcome>),
}

fn because(outcome: Outcome) -> Refused {
    Refused::Because(Box::new(outcome))
}

/// What `error` means for `verb` on a Secret (or its object) of `key`.
pub(super) fn classify(error: &kube::Error, verb: &str, key: &ObjectKey) -> Refused {
    match error {
        kube::Error::Api(status) => of_status(status, verb, key),
        other => because(Outcome::ApiUnavailable {
            code: transport(other).to_owned(),
        }),
    }
}

/// A failure below HTTP in one word.
fn transport(error: &kube::Error) -> &'static str {
    match error {
        kube::Error::SerdeError(_) | kube::Error::FromUtf8(_) => "unreadable answer",
        other if is_timeout(other) => "timeout",
        _ => "connection",
    }
}

fn is_timeout(error: &(dyn std::error::Error + 'static)) -> bool {
    let mut next = Some(error);
    while let Some(error) = next {
        if error.is::<super::client::TimedOut>() {
            return true;
        }
        next = error.source();
    }
    false
}

fn of_status(status: &Status, verb: &str, key: &ObjectKey) -> Refused {
    let causes = status
        .details
        .as_ref()
        .map(|details| details.causes.as_slice())
        .unwrap_or_default();
    // The 404 of a type that is not served, for a moment after a change of the CRD, names nothing.
    let named = status
        .details
        .as_ref()
        .is_some_and(|details| !details.name.is_empty());
    let says = |text: &str| status.message.contains(text);
    let rejected = |rejection| because(Outcome::SecretRejected { rejection });
    if causes.iter().any(|cause| cause.reason == "NamespaceTerminating") {
        return Refused::NamespaceEnding;
    }
    // Webhooks choose their own code; policies answer 422 and name themselves in the message.
    if matches!(status.code, 400..=499) && (says(" denied the request") || says(" denied request: ")) {
        return rejected(Rejection::Admission);
    }
    match status.code {
        409 => Refused::Conflict,
        404 if named => Refused::NotFound,
        403 if says("exceeded quota: ") || says("failed quota: ") => rejected(Rejection::Quota),
        403 => because(Outcome::ApiForbidden {
            // An Apply of what is not there needs this right beside its own.
            verb: if says(" cannot create resource ") {
                "create"
            } else {
                verb
            }
            .to_owned(),
            namespace: key.namespace.to_string(),
        }),
        413 => rejected(Rejection::TooLarge),
        500 if says("request is too large") => rejected(Rejection::TooLarge),
        422 | 400 => {
            let fields: Vec<String> = causes
                .iter()
                .map(|cause| cause.field.clone())
                .filter(|f| !f.is_empty())
                .collect();
            let immutable = says("field is immutable");
            if immutable {
                Refused::Immutable(fields)
            } else {
                rejected(Rejection::Invalid(fields))
            }
        }
        code => because(Outcome::ApiUnavailable {
            code: code.to_string(),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn refused(status: serde_json::Value) -> Refused {
        let status: Status = serde_json::from_value(status).expect("a status");
        classify(
            &kube::Error::Api(Box::new(status)),
            "patch",
            &ObjectKey::new("prod", "db"),
        )
    }

    fn rejected(rejection: Rejection) -> Refused {
        because(Outcome::SecretRejected { rejection })
    }

    #[test]
    fn status_and_cause() {
        let unavailable = |code: &str| because(Outcome::ApiUnavailable { code: code.into() });
        // The texts are those of a v1.34 API server.
        let cases = [
            (
                json!({"code": 409, "reason": "Conflict", "message": "the object has been modified"}),
                Refused::Conflict,
            ),
            (
                json!({"code": 404, "message": "secrets \"db\" not found", "details": {"name": "db", "kind": "secrets"}}),
                Refused::NotFound,
            ),
            (
                json!({"code": 404, "message": "the server could not find the requested resource", "details": {}}),
                unavailable("404"),
            ),
            (
                json!({"code": 403, "reason": "Forbidden", "message": "secrets \"db\" is forbidden: unable to create new content in namespace prod because it is being terminated",
                    "details": {"causes": [{"reason": "NamespaceTerminating", "message": "namespace prod is being terminated", "field": "metadata.namespace"}]}}),
                Refused::NamespaceEnding,
            ),
            (
                json!({"code": 403, "message": "secrets \"db\" is forbidden: exceeded quota: q, requested: count/secrets=1, used: count/secrets=3, limited: count/secrets=3"}),
                rejected(Rejection::Quota),
            ),
            (
                json!({"code": 403, "message": "secrets \"db\" is forbidden: User \"x\" cannot patch resource \"secrets\" in API group \"\" in the namespace \"prod\""}),
                because(Outcome::ApiForbidden {
                    verb: "patch".into(),
                    namespace: "prod".into(),
                }),
            ),
            (
                json!({"code": 403, "message": "secrets \"db\" is forbidden: User \"x\" cannot create resource \"secrets\" in API group \"\" in the namespace \"prod\""}),
                because(Outcome::ApiForbidden {
                    verb: "create".into(),
                    namespace: "prod".into(),
                }),
            ),
            (
                json!({"code": 422, "reason": "Invalid", "message": "secrets \"db\" is forbidden: ValidatingAdmissionPolicy 'p' with binding 'b' denied request: no"}),
                rejected(Rejection::Admission),
            ),
            (
                json!({"code": 400, "message": "admission webhook \"w.example\" denied the request: hunter2"}),
                rejected(Rejection::Admission),
            ),
            (
                json!({"code": 422, "reason": "Invalid", "message": "Secret \"db\" is invalid: data[tls.crt]: Required value",
                    "details": {"causes": [{"reason": "FieldValueRequired", "message": "Required value", "field": "data[tls.crt]"}]}}),
                rejected(Rejection::Invalid(vec!["data[tls.crt]".into()])),
            ),
            (
                json!({"code": 422, "reason": "Invalid", "message": "Secret \"db\" is invalid: data: Forbidden: field is immutable when `immutable` is set",
                    "details": {"causes": [{"reason": "FieldValueForbidden", "message": "Forbidden: field is immutable when `immutable` is set", "field": "data"}]}}),
                Refused::Immutable(vec!["data".into()]),
            ),
            (
                json!({"code": 413, "message": "Request entity too large"}),
                rejected(Rejection::TooLarge),
            ),
            (
                json!({"code": 500, "message": "etcdserver: request is too large"}),
                rejected(Rejection::TooLarge),
            ),
            (json!({"code": 500, "message": "x"}), unavailable("500")),
            (json!({"code": 429, "message": "x"}), unavailable("429")),
            (
                json!({"code": 401, "message": "Unauthorized"}),
                unavailable("401"),
            ),
        ];
        for (status, expected) in cases {
            assert_eq!(refused(status.clone()), expected, "{status}");
        }
    }

    #[test]
    fn a_failure_below_http_is_one_word() {
        let key = ObjectKey::new("prod", "db");
        let timeout = kube::Error::Service(Box::new(super::super::client::TimedOut(
            std::time::Duration::from_secs(1),
        )));
        let unreadable =
            kube::Error::SerdeError(serde_json::from_str::<u8>("\"hunter2\"").expect_err("no number"));
        for (error, code) in [
            (timeout, "timeout"),
            (unreadable, "unreadable answer"),
            (kube::Error::Service("refused".into()), "connection"),
        ] {
            assert_eq!(
                classify(&error, "patch", &key),
                because(Outcome::ApiUnavailable { code: code.into() })
            );
        }
    }
}
