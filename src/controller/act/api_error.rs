//! Classification of API server errors by status *and* cause (docs/design/controller.md#retries). Their messages are
//! dropped: they can quote what was sent.

use std::time::Duration;

use kube::core::Status;

use crate::api::{Finding, Rejection};
use crate::controller::client::TimedOut;
use crate::controller::key::ObjectKey;
use crate::controller::observe::kind::Kind;

/// Why a request failed.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::controller) enum ApiError {
    /// 409: the precondition no longer holds. Observe and plan again.
    Conflict,
    /// 404: the object or its namespace does not exist.
    NotFound,
    /// The namespace is being deleted: nothing to report.
    NamespaceTerminating,
    /// Fields that cannot be changed in place: their paths, as far as the API server names them.
    ImmutableField(Vec<String>),
    /// This controller is no longer the writer: its token has expired, and nothing was sent.
    NotWriter,
    /// Any other failure, as reported in the status.
    Reportable(Box<Refusal>),
}

/// A failure to report, and when to retry.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::controller) struct Refusal {
    pub(in crate::controller) finding: Finding,
    /// The wait that an overloaded API server requests (Retry-After).
    pub(in crate::controller) retry_after: Option<Duration>,
}

impl From<Finding> for Refusal {
    fn from(finding: Finding) -> Self {
        Refusal {
            finding,
            retry_after: None,
        }
    }
}

impl ApiError {
    /// A response of the API server that cannot be decoded.
    pub(in crate::controller) fn unreadable(target: Target<'_>) -> Self {
        target.unavailable(UNREADABLE.to_owned())
    }
}

const UNREADABLE: &str = "unreadable response";

/// The longest wait that is accepted from an API server, or from what responds in its place.
const MAX_RETRY_AFTER: Duration = Duration::from_mins(10);

fn reportable(finding: Finding) -> ApiError {
    ApiError::Reportable(Box::new(finding.into()))
}

/// Returns the wait that a response requests.
fn retry_after(status: &Status) -> Option<Duration> {
    let seconds = status.details.as_ref()?.retry_after_seconds;
    let requested = Duration::from_secs(seconds.into()).min(MAX_RETRY_AFTER);
    (seconds > 0).then_some(requested)
}

/// What a request does, and to what.
#[derive(Clone, Copy, Debug)]
pub(in crate::controller) struct Target<'a> {
    pub(in crate::controller) verb: &'static str,
    pub(in crate::controller) kind: Kind,
    pub(in crate::controller) key: &'a ObjectKey,
}

impl Target<'_> {
    fn unavailable(self, code: String) -> ApiError {
        let request = match (self.verb, self.kind) {
            ("get", Kind::Objects) => "reading the envelopesecret",
            ("get", Kind::Secrets) => "reading the secret",
            (_, Kind::Objects) => "writing the status",
            (_, Kind::Secrets) => "writing the secret",
        };
        reportable(Finding::ApiUnavailable { request, code })
    }
}

/// Classifies the failure of a request.
pub(in crate::controller) fn classify(error: &kube::Error, target: Target<'_>) -> ApiError {
    match error {
        kube::Error::Api(status) => match classify_status(status, target) {
            ApiError::Reportable(refusal) => ApiError::Reportable(Box::new(Refusal {
                retry_after: retry_after(status),
                ..*refusal
            })),
            classified => classified,
        },
        other => target.unavailable(transport(other).to_owned()),
    }
}

/// Names a failure below HTTP.
fn transport(error: &kube::Error) -> &'static str {
    match error {
        kube::Error::SerdeError(_) | kube::Error::FromUtf8(_) => UNREADABLE,
        other if is_timeout(other) => "timeout",
        _ => "connection",
    }
}

fn is_timeout(error: &(dyn std::error::Error + 'static)) -> bool {
    let mut next = Some(error);
    while let Some(error) = next {
        if error.is::<TimedOut>() {
            return true;
        }
        next = error.source();
    }
    false
}

fn classify_status(status: &Status, target: Target<'_>) -> ApiError {
    let causes = status
        .details
        .as_ref()
        .map(|details| details.causes.as_slice())
        .unwrap_or_default();
    // For a moment after a CRD change its type is not served; that 404 names no object.
    let named = status
        .details
        .as_ref()
        .is_some_and(|details| !details.name.is_empty());
    let says = |text: &str| status.message.contains(text);
    let rejected = |rejection| reportable(Finding::SecretRejected { rejection });
    if causes.iter().any(|cause| cause.reason == "NamespaceTerminating") {
        return ApiError::NamespaceTerminating;
    }
    // Webhooks choose their own code; policies return 422 and name themselves in the message.
    if matches!(status.code, 400..=499) && (says(" denied the request") || says(" denied request: ")) {
        return rejected(Rejection::Admission);
    }
    match status.code {
        409 => ApiError::Conflict,
        404 if named => ApiError::NotFound,
        403 if says("exceeded quota: ") || says("failed quota: ") => rejected(Rejection::Quota),
        403 => reportable(Finding::ApiForbidden {
            // Server-side apply of an absent object also requires permission to create.
            verb: if says(" cannot create resource ") {
                "create"
            } else {
                target.verb
            }
            .to_owned(),
            resource: target.kind.as_str(),
            namespace: target.key.namespace.to_string(),
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
                ApiError::ImmutableField(fields)
            } else {
                rejected(Rejection::Invalid(fields))
            }
        }
        code => target.unavailable(code.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn target(key: &ObjectKey) -> Target<'_> {
        Target {
            verb: "patch",
            kind: Kind::Secrets,
            key,
        }
    }

    fn classified(status: serde_json::Value) -> ApiError {
        let status: Status = serde_json::from_value(status).expect("a status");
        classify(
            &kube::Error::Api(Box::new(status)),
            target(&ObjectKey::new("prod", "db")),
        )
    }

    fn rejected(rejection: Rejection) -> ApiError {
        reportable(Finding::SecretRejected { rejection })
    }

    #[test]
    fn errors_are_classified_by_status_and_cause() {
        let unavailable = |code: &str| {
            reportable(Finding::ApiUnavailable {
                request: "writing the secret",
                code: code.into(),
            })
        };
        // Messages of a v1.34 API server.
        let cases = [
            (
                json!({"code": 409, "reason": "Conflict", "message": "the object has been modified"}),
                ApiError::Conflict,
            ),
            (
                json!({"code": 404, "message": "secrets \"db\" not found", "details": {"name": "db", "kind": "secrets"}}),
                ApiError::NotFound,
            ),
            (
                json!({"code": 404, "message": "the server could not find the requested resource", "details": {}}),
                unavailable("404"),
            ),
            (
                json!({"code": 403, "reason": "Forbidden", "message": "secrets \"db\" is forbidden: unable to create new content in namespace prod because it is being terminated",
                    "details": {"causes": [{"reason": "NamespaceTerminating", "message": "namespace prod is being terminated", "field": "metadata.namespace"}]}}),
                ApiError::NamespaceTerminating,
            ),
            (
                json!({"code": 403, "message": "secrets \"db\" is forbidden: exceeded quota: q, requested: count/secrets=1, used: count/secrets=3, limited: count/secrets=3"}),
                rejected(Rejection::Quota),
            ),
            (
                json!({"code": 403, "message": "secrets \"db\" is forbidden: User \"x\" cannot patch resource \"secrets\" in API group \"\" in the namespace \"prod\""}),
                reportable(Finding::ApiForbidden {
                    verb: "patch".into(),
                    resource: "secrets",
                    namespace: "prod".into(),
                }),
            ),
            (
                json!({"code": 403, "message": "secrets \"db\" is forbidden: User \"x\" cannot create resource \"secrets\" in API group \"\" in the namespace \"prod\""}),
                reportable(Finding::ApiForbidden {
                    verb: "create".into(),
                    resource: "secrets",
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
                ApiError::ImmutableField(vec!["data".into()]),
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
            assert_eq!(classified(status.clone()), expected, "{status}");
        }
    }

    #[test]
    fn requested_wait_is_kept_and_bounded() {
        for (seconds, expected) in [(0, None), (30, Some(30)), (u32::MAX, Some(600))] {
            let status = json!({"code": 429, "message": "x", "details": {"retryAfterSeconds": seconds}});
            let ApiError::Reportable(refusal) = classified(status) else {
                panic!("reportable")
            };
            assert_eq!(refusal.retry_after.map(|wait| wait.as_secs()), expected);
        }
    }

    #[test]
    fn failures_below_http_are_named() {
        let key = ObjectKey::new("prod", "db");
        let timeout = kube::Error::Service(Box::new(TimedOut(std::time::Duration::from_secs(1))));
        let unreadable =
            kube::Error::SerdeError(serde_json::from_str::<u8>("\"hunter2\"").expect_err("no number"));
        for (error, code) in [
            (timeout, "timeout"),
            (unreadable, "unreadable response"),
            (kube::Error::Service("refused".into()), "connection"),
        ] {
            assert_eq!(
                classify(&error, target(&key)),
                reportable(Finding::ApiUnavailable {
                    request: "writing the secret",
                    code: code.into()
                })
            );
        }
    }

    #[test]
    fn refused_read_names_verb_and_resource() {
        let key = ObjectKey::new("prod", "db");
        let target = Target {
            verb: "get",
            kind: Kind::Objects,
            key: &key,
        };
        let status =
            |code: u16| serde_json::from_value(json!({"code": code, "message": "no"})).expect("a status");
        assert_eq!(
            classify(&kube::Error::Api(status(403)), target),
            reportable(Finding::ApiForbidden {
                verb: "get".into(),
                resource: "envelopesecrets",
                namespace: "prod".into(),
            })
        );
        assert_eq!(
            classify(&kube::Error::Api(status(503)), target),
            reportable(Finding::ApiUnavailable {
                request: "reading the envelopesecret",
                code: "503".into(),
            })
        );
    }
}
