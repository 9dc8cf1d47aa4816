use super::*;
use std::collections::BTreeSet;
use std::path::Path;

use crate::api::finding::KmsKey;
use crate::api::reason::Reason;
use crate::api::sealed_elsewhere;
use crate::envelope::render::{RenderError, RenderErrorKind};
use crate::envelope::{SealTime, StructureError, StructureKind};

fn time(text: &str) -> SealTime {
    SealTime::parse(text).expect("a time")
}

/// One finding per reason, with every field set to `text`, and the expected message.
#[expect(clippy::too_many_lines, reason = "one row per reason")]
fn table(text: &str) -> Vec<(Finding, &'static str)> {
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
fn variants(text: &str) -> Vec<(Finding, &'static str)> {
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

#[test]
fn every_condition_reason_has_its_message() {
    let covered: BTreeSet<Reason> = table("x").iter().map(|(finding, _)| finding.reason()).collect();
    let wanted: BTreeSet<Reason> = Reason::ALL
        .iter()
        .copied()
        .filter(|r| r.verdict().is_some())
        .collect();
    assert_eq!(covered, wanted);
    for (finding, expected) in table("x").into_iter().chain(variants("x")) {
        for kept in [Kept::Generation(3), Kept::Nothing] {
            assert_eq!(
                finding.message(kept),
                expected.replace("{kept}", &kept.to_string())
            );
        }
    }
}

#[test]
fn note_adds_the_error_of_the_kms_or_network() {
    for (finding, added) in [
        (
            Finding::KmsUnavailable {
                key: Box::default(),
                response: KmsResponse {
                    message: Some("cannot connect to kms.example: refused".into()),
                    ..KmsResponse::default()
                },
            },
            "; cause: cannot connect to kms.example: refused",
        ),
        (
            Finding::CredentialsUnavailable {
                key: Box::default(),
                source: "environment".into(),
                response: KmsResponse {
                    code: Some("AuthFailure".into()),
                    message: Some("no\nsuch key".into()),
                    request_id: Some("r-1".into()),
                },
            },
            "; cause: no such key (AuthFailure, request r-1)",
        ),
        (
            Finding::KmsDenied {
                identity: "x".into(),
                key: Box::default(),
                response: KmsResponse {
                    code: Some("UnauthorizedOperation".into()),
                    message: Some("ask".into()),
                    request_id: None,
                },
            },
            "; cause: ask",
        ),
        // Without a code, the message already contains it.
        (
            Finding::KmsMisconfigured {
                key: Box::default(),
                response: KmsResponse {
                    message: Some("detail".into()),
                    ..KmsResponse::default()
                },
                advice: "do".into(),
            },
            "",
        ),
        (Finding::IntegrityError { elsewhere: None }, ""),
    ] {
        let message = finding.message(Kept::Nothing);
        assert_eq!(finding.note(&message), format!("{message}{added}"));
    }
}

#[test]
fn hostile_fields_leave_messages_single_line_and_bounded() {
    for hostile in [
        "ä\n".repeat(4000),
        "\u{1b}[2J\r\n".repeat(300),
        "local://".repeat(500),
    ] {
        for (finding, _) in table(&hostile).into_iter().chain(variants(&hostile)) {
            let message = finding.message(Kept::Generation(i64::MAX));
            assert!(
                message.len() <= text::MAX_MESSAGE,
                "{}: {}",
                finding.reason(),
                message.len()
            );
            assert!(!message.contains(char::is_control), "{message:?}");
            assert!(finding.note(&message).len() <= text::MAX_MESSAGE);
        }
    }
}

#[test]
fn advice_survives_names_of_maximum_length() {
    let name = "n".repeat(253);
    let owner = format!("SealedSecret {name}");
    let message = Finding::Conflict {
        name: name.clone(),
        namespace: "s".repeat(63),
        owner: Some(owner),
    }
    .message(Kept::Nothing);
    assert!(
        message.ends_with(&format!(
            "kubectl delete secret {name} --namespace {}",
            "s".repeat(63)
        )),
        "{message}"
    );
}

#[test]
fn structure_and_policy_errors_map_to_reasons() {
    let structure = |kind| StructureError {
        field: "spec.later".into(),
        what: "is unknown".into(),
        kind,
    };
    let reason = |kind| Finding::from(&structure(kind)).reason();
    assert_eq!(reason(StructureKind::Invalid), Reason::InvalidDocument);
    assert_eq!(reason(StructureKind::UnknownField), Reason::UnsupportedDocument);
    assert_eq!(
        reason(StructureKind::UnknownFormat("es2".into())),
        Reason::UnsupportedDocument
    );
    let policy = |error| Finding::from_policy(error, "prod").reason();
    assert_eq!(policy(PolicyError::Audience("x".into())), Reason::PolicyDenied);
    assert_eq!(
        policy(PolicyError::SealTimeInFuture("9999-12-31T00:00:00Z".into())),
        Reason::SealTimeInFuture
    );
}

#[test]
fn sealed_for_annotation_is_reported_only_for_another_valid_place() {
    let hint = |annotation: &str| sealed_elsewhere(annotation, "prod", "db");
    for here in [
        "prod/db",
        "prod/*",
        "*",
        "",
        "/",
        "prod/",
        "/db",
        "prod/db/x",
        "prod/\u{1b}[2J",
        "Prod/db",
        "a/b c",
    ] {
        assert_eq!(hint(here), None, "{here:?}");
    }
    for elsewhere in ["staging/db", "prod/other", "staging/*"] {
        assert_eq!(hint(elsewhere).as_deref(), Some(elsewhere));
    }
}

/// How docs/troubleshooting.md marks a reason that is not reported yet.
fn planned(reason: Reason) -> &'static str {
    if reason.is_planned() { "(*planned*) " } else { "" }
}

/// The tables of docs/troubleshooting.md.
fn documentation() -> String {
    let version = env!("CARGO_PKG_VERSION");
    let conditions = table("...").into_iter().map(|(finding, _)| {
        let (reason, verdict) = (finding.reason(), finding.verdict());
        let second = verdict
            .second_condition()
            .map_or_else(String::new, |type_| format!(", {type_}"));
        let message = finding
            .message(Kept::Nothing)
            .replace(&Kept::Nothing.to_string(), "{kept}");
        let (ready, summary, message) = (
            verdict.ready(),
            reason.summary(),
            message.replace(version, "{version}"),
        );
        let planned = planned(reason);
        format!("| `{reason}` | Ready={ready}{second} | {planned}{summary} | `{message}` |")
    });
    let events = Reason::ALL.iter().filter(|reason| reason.verdict().is_none());
    let events = events.map(|reason| format!("| `{reason}` | {}{} |", planned(*reason), reason.summary()));
    let lines = ["| Reason | Conditions | Meaning | Message |", "|---|---|---|---|"]
        .map(str::to_owned)
        .into_iter();
    let lines = lines.chain(conditions);
    let lines = lines.chain(["", "| Event reason | Meaning |", "|---|---|"].map(str::to_owned));
    lines.chain(events).map(|line| line + "\n").collect()
}

/// Returns the sources of the controller as one text, without its test files.
fn controller_sources() -> String {
    let mut text = String::new();
    let mut directories = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("src/controller")];
    while let Some(directory) = directories.pop() {
        for entry in std::fs::read_dir(directory).expect("a directory of the sources") {
            let path = entry.expect("a directory entry").path();
            if path.is_dir() {
                directories.push(path);
            } else if path.file_name() != Some("tests.rs".as_ref()) {
                text += &std::fs::read_to_string(path).expect("UTF-8");
            }
        }
    }
    text
}

#[test]
fn planned_reasons_are_not_reported_by_the_controller() {
    let sources = controller_sources();
    assert!(sources.contains("Finding::Conflict {") && sources.contains("Reason::SecretCreated"));
    for reason in Reason::ALL.iter().filter(|reason| reason.is_planned()) {
        let use_ = match reason.verdict() {
            Some(_) => format!("Finding::{reason} {{"),
            None => format!("Reason::{reason}"),
        };
        assert!(
            !sources.contains(&use_),
            "{use_} is used: {reason} is not planned any more"
        );
    }
}

#[test]
fn documentation_lists_every_reason_and_message() {
    let page = include_str!("../../../docs/troubleshooting.md");
    let (_, rest) = page
        .split_once("<!-- reasons: generated from src/api and compared by a test -->\n")
        .expect("the opening marker");
    let (found, _) = rest
        .split_once("<!-- end of reasons -->")
        .expect("the closing marker");
    let wanted = documentation();
    assert!(
        found == wanted,
        "docs/troubleshooting.md: replace the table between the markers with:\n{wanted}"
    );
}
