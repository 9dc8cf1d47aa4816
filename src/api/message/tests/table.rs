//! The findings and their expected messages.

use super::super::*;
use crate::api::finding::KmsKey;
use crate::api::reason::Reason;
use crate::envelope::SealTime;
use crate::envelope::render::{RenderError, RenderErrorKind};

fn time(text: &str) -> SealTime {
    SealTime::parse(text).expect("a time")
}

/// One finding per reason, with every field set to `text`, and the expected message.
#[expect(clippy::too_many_lines, reason = "one row per reason")]
pub(super) fn table(text: &str) -> Vec<(Finding, &'static str)> {
    let s = || text.to_owned();
    let response = || KmsResponse {
        code: Some(s()),
        message: Some("message of the KMS".to_owned()),
        request_id: Some(s()),
    };
    let uri = || format!("tencent-kms://ap-guangzhou/{text}");
    let key = || {
        Box::new(KmsKey {
            uri: uri(),
            service: "Tencent Cloud KMS".to_owned(),
            region: Some("ap-guangzhou".to_owned()),
        })
    };
    vec![
        (
            Finding::Synced {
                entries: 3,
                generation: 4,
                older_than: None,
            },
            "secret holds 3 entries from generation 4",
        ),
        (
            Finding::Progressing { key: key() },
            "waiting for capacity to call tencent-kms://ap-guangzhou/x; {kept}; no action needed",
        ),
        (
            Finding::KmsUnavailable {
                key: key(),
                response: response(),
            },
            "cannot reach Tencent Cloud KMS in ap-guangzhou; {kept}; retrying with backoff; no action needed unless the \
             KMS or network needs repair",
        ),
        (
            Finding::KmsThrottled {
                key: key(),
                response: response(),
            },
            "Tencent Cloud KMS is throttling calls for tencent-kms://ap-guangzhou/x (x, request x); {kept}; retrying with \
             backoff; raise the quota if this persists",
        ),
        (
            Finding::CredentialsUnavailable {
                key: key(),
                source: s(),
                response: response(),
            },
            "no valid credentials for Tencent Cloud KMS from x; {kept}; check the controller's credentials",
        ),
        (
            Finding::ApiUnavailable {
                request: "writing the secret",
                code: s(),
            },
            "writing the secret failed (x); {kept}; retrying with backoff",
        ),
        (
            Finding::SealTimeInFuture { time: s() },
            "sealed at x, ahead of the controller's clock; {kept}; check the clocks or re-seal",
        ),
        (
            Finding::SecretMissing {
                cause: NotRestored::Failed(Reason::KmsUnavailable),
            },
            "the secret was deleted and cannot be restored yet: the KMS cannot be reached (KmsUnavailable); retrying \
             with backoff",
        ),
        (
            Finding::SecretDrifted {
                cause: NotRestored::Failed(Reason::ApiUnavailable),
            },
            "the secret was edited and cannot be restored yet: writing the Secret failed (ApiUnavailable); retrying \
             with backoff",
        ),
        (
            Finding::InvalidDocument {
                field: s(),
                what: s(),
            },
            "x: x; {kept}; re-seal the document with envelope seal",
        ),
        (
            Finding::UnsupportedDocument {
                unsupported: Unsupported::Format(s()),
            },
            concat!(
                "format x requires a controller newer than ",
                env!("CARGO_PKG_VERSION"),
                "; {kept}; upgrade the controller"
            ),
        ),
        (
            Finding::PolicyDenied {
                error: PolicyError::Audience(s()),
                namespace: s(),
            },
            "rule audience does not allow audience x in namespace x; {kept}; ask the platform team or re-seal with \
             an allowed audience",
        ),
        (
            Finding::NoUsableKey {
                keys: vec![uri(), s()],
                namespace: s(),
                advice: "allow one with --allow-key, or re-seal with an allowed KMS key".to_owned(),
            },
            "none of tencent-kms://ap-guangzhou/x, x may be used in namespace x; {kept}; allow one with --allow-key, or \
             re-seal with an allowed KMS key",
        ),
        (
            Finding::KmsDenied {
                identity: s(),
                key: key(),
                response: response(),
            },
            "x is not allowed to decrypt with tencent-kms://ap-guangzhou/x (x, request x); {kept}; grant Decrypt, \
             then set envelope-secrets.io/reconcile-at",
        ),
        (
            Finding::KmsMisconfigured {
                key: key(),
                response: KmsResponse {
                    message: Some(s()),
                    ..KmsResponse::default()
                },
                advice: s(),
            },
            "Tencent Cloud KMS rejected the request (x); {kept}; x",
        ),
        (
            Finding::KmsKeyUnusable {
                key: key(),
                state: s(),
                response: KmsResponse::default(),
            },
            "tencent-kms://ap-guangzhou/x is x; {kept}; enable the KMS key or re-seal with another",
        ),
        (
            Finding::IntegrityError { elsewhere: Some(s()) },
            "the document cannot be opened: it was changed after sealing, or sealed for another namespace, name or KMS \
             key; {kept}; run envelope open on the file and re-seal it; retrying with backoff (its annotation says it \
             was sealed for x)",
        ),
        (
            Finding::RollbackRefused {
                time: time("2026-11-23T17:00:00Z"),
                highest: time("2026-11-24T17:00:00Z"),
            },
            "sealed at 2026-11-23T17:00:00Z, but 2026-11-24T17:00:00Z was already seen; {kept}; re-seal",
        ),
        (
            Finding::RenderError {
                error: RenderError {
                    entry: s(),
                    line: 3,
                    kind: RenderErrorKind::MissingName,
                },
            },
            "template x, line 3: no entry has the name that is looked up; {kept}; fix the template and re-seal",
        ),
        (
            Finding::Conflict {
                name: s(),
                namespace: s(),
                owner: Some(s()),
            },
            "secret x exists and is owned by x; nothing was changed; to take it over: remove that owner, then kubectl \
             delete secret x --namespace x",
        ),
        (
            Finding::ImmutableSecret {
                name: s(),
                holds: Some(3),
                generation: 4,
            },
            "secret x is immutable and holds generation 3; delete it to apply generation 4, or use a new name",
        ),
        (
            Finding::SecretRejected {
                rejection: Rejection::Invalid(vec![s(), s()]),
            },
            "the API server rejected the secret: invalid x, x; {kept}; fix these fields and re-seal",
        ),
        (
            Finding::ApiForbidden {
                verb: s(),
                resource: "secrets",
                namespace: s(),
            },
            "the controller is not allowed to x secrets in x; {kept}; check its Role and admission policy",
        ),
    ]
}

/// Variants of the messages above.
pub(super) fn variants(text: &str) -> Vec<(Finding, &'static str)> {
    let s = || text.to_owned();
    let denied = |error| Finding::PolicyDenied {
        error,
        namespace: s(),
    };
    let rejected = |rejection| Finding::SecretRejected { rejection };
    vec![
        (
            Finding::Synced {
                entries: 1,
                generation: 4,
                older_than: Some(time("2026-11-24T17:00:00Z")),
            },
            "secret holds 1 entry from generation 4; this seal is older than one already seen (2026-11-24T17:00:00Z)",
        ),
        (
            Finding::UnsupportedDocument {
                unsupported: Unsupported::Panic,
            },
            concat!(
                "a bug in controller ",
                env!("CARGO_PKG_VERSION"),
                " prevents it from opening the document; {kept}; see the controller's log and upgrade the controller"
            ),
        ),
        (
            Finding::UnsupportedDocument {
                unsupported: Unsupported::Field(s()),
            },
            concat!(
                "field x requires a controller newer than ",
                env!("CARGO_PKG_VERSION"),
                "; {kept}; upgrade the controller"
            ),
        ),
        (
            denied(PolicyError::Audience(String::new())),
            "rule audience does not allow a document without an audience in namespace x; {kept}; ask the platform \
             team or re-seal with an allowed audience",
        ),
        (
            denied(PolicyError::SecretType(s())),
            "rule secret-types does not allow type x in namespace x; {kept}; ask the platform team or re-seal \
             with an allowed type",
        ),
        (
            denied(PolicyError::ReservedLabel(s())),
            "rule reserved-names does not allow label x in namespace x; {kept}; re-seal without it",
        ),
        (
            denied(PolicyError::ReservedAnnotation(s())),
            "rule reserved-names does not allow annotation x in namespace x; {kept}; re-seal without it",
        ),
        (
            Finding::IntegrityError { elsewhere: None },
            "the document cannot be opened: it was changed after sealing, or sealed for another namespace, name or KMS \
             key; {kept}; run envelope open on the file and re-seal it; retrying with backoff",
        ),
        (
            Finding::Conflict {
                name: s(),
                namespace: s(),
                owner: None,
            },
            "secret x exists and is not managed by this controller; nothing was changed; to take it over: kubectl delete \
             secret x --namespace x",
        ),
        (
            Finding::ImmutableSecret {
                name: s(),
                holds: None,
                generation: 4,
            },
            "secret x is immutable and holds another generation; delete it to apply generation 4, or use a new name",
        ),
        (
            rejected(Rejection::Quota),
            "the API server rejected the secret: the namespace exceeds its resource quota; {kept}; raise the quota or \
             delete unused objects",
        ),
        (
            rejected(Rejection::Admission),
            "the API server rejected the secret: denied by an admission policy or webhook; {kept}; ask the owner of that \
             policy",
        ),
        (
            rejected(Rejection::TooLarge),
            "the API server rejected the secret: it is too large; {kept}; split it into several secrets",
        ),
        (
            rejected(Rejection::Invalid(Vec::new())),
            "the API server rejected the secret: it is invalid; {kept}; fix the source and re-seal",
        ),
    ]
}
