use super::*;
use std::collections::BTreeSet;

use crate::api::sealed_elsewhere;
use crate::envelope::render::{RenderError, RenderErrorKind};
use crate::envelope::{SealTime, StructureError, StructureKind};

fn time(text: &str) -> SealTime {
    SealTime::parse(text).expect("a time")
}

#[expect(clippy::too_many_lines, reason = "one row a reason")]
/// One outcome a reason, with every field filled by `text`; and the message that it gives.
fn table(text: &str) -> Vec<(Outcome, &'static str)> {
    let s = || text.to_owned();
    let answer = || Answer {
        code: Some(s()),
        message: Some("said by the KMS".to_owned()),
        request_id: Some(s()),
    };
    let key = || format!("tencent-kms://ap-guangzhou/{text}");
    vec![
        (
            Outcome::Synced {
                entries: 3,
                generation: 4,
                older_than: None,
            },
            "secret holds 3 entries of generation 4",
        ),
        (
            Outcome::Progressing { key: key() },
            "waiting for a turn at tencent-kms://ap-guangzhou/x; {kept}; nothing to do",
        ),
        (
            Outcome::KmsUnavailable {
                key: key(),
                answer: answer(),
            },
            "cannot reach Tencent Cloud KMS in ap-guangzhou; {kept}; retried by itself, nothing to do unless the KMS \
             or the network needs repair",
        ),
        (
            Outcome::KmsThrottled {
                key: key(),
                answer: answer(),
            },
            "Tencent Cloud KMS limits calls for tencent-kms://ap-guangzhou/x (x, request x); {kept}; retried by \
             itself; raise the quota if this lasts",
        ),
        (
            Outcome::CredentialsUnavailable {
                key: key(),
                source: s(),
                answer: answer(),
            },
            "no valid credentials for Tencent Cloud KMS from x; {kept}; check the controller's credentials",
        ),
        (
            Outcome::ApiUnavailable { code: s() },
            "the API server did not take the secret (x); {kept}; retried by itself",
        ),
        (
            Outcome::SealTimeInFuture { time: s() },
            "sealed at x, ahead of the controller's clock; {kept}; check the clocks or seal again",
        ),
        (
            Outcome::SecretMissing {
                because: Reason::KmsUnavailable,
            },
            "the secret was deleted and cannot be put back yet: the KMS cannot be reached (KmsUnavailable); retried \
             by itself",
        ),
        (
            Outcome::SecretDrifted {
                because: Reason::ApiUnavailable,
            },
            "the secret was edited and cannot be put back yet: the API server did not take a write (ApiUnavailable); retried by itself",
        ),
        (
            Outcome::InvalidDocument {
                field: s(),
                what: s(),
            },
            "x: x; {kept}; seal the document again with envelope seal",
        ),
        (
            Outcome::UnsupportedDocument {
                unknown: Unknown::Format(s()),
            },
            concat!(
                "format x needs a newer controller than ",
                env!("CARGO_PKG_VERSION"),
                "; {kept}; upgrade the controller"
            ),
        ),
        (
            Outcome::PolicyDenied {
                error: PolicyError::Audience(s()),
                namespace: s(),
            },
            "rule audience does not allow audience x in namespace x; {kept}; ask the platform team or seal with an \
             allowed audience (--audience)",
        ),
        (
            Outcome::NoUsableKey {
                keys: vec![key(), s()],
                namespace: s(),
            },
            "none of tencent-kms://ap-guangzhou/x, x may be used for namespace x; {kept}; let the controller use \
             one (--allow-key) or seal again with a key that it may use",
        ),
        (
            Outcome::NoUsableKey {
                keys: vec!["local://fa1975b2".to_owned()],
                namespace: s(),
            },
            "none of local://fa1975b2 may be used for namespace x; {kept}; give the controller a keyring with one \
             of them or seal again with a key of its keyring",
        ),
        (
            Outcome::KmsDenied {
                identity: s(),
                key: key(),
                answer: answer(),
            },
            "x may not decrypt with tencent-kms://ap-guangzhou/x (x, request x); {kept}; grant Decrypt; retried by \
             itself",
        ),
        (
            Outcome::KmsMisconfigured {
                key: "local://fa1975b2".into(),
                answer: Answer {
                    message: Some(s()),
                    ..Answer::default()
                },
                advice: s(),
            },
            "the local keyring refuses the request (x); {kept}; x",
        ),
        (
            Outcome::KmsKeyUnusable {
                key: key(),
                state: s(),
                answer: Answer::default(),
            },
            "tencent-kms://ap-guangzhou/x is x; {kept}; enable the key or seal again with another",
        ),
        (
            Outcome::IntegrityError { elsewhere: Some(s()) },
            "the document does not open: it was changed after sealing, or sealed for another place or key; {kept}; \
             run envelope open on the file and seal it again; retried ever more rarely (its annotation says that it \
             was sealed for x)",
        ),
        (
            Outcome::RollbackRefused {
                time: time("2026-11-23T17:00:00Z"),
                highest: time("2026-11-24T17:00:00Z"),
            },
            "sealed at 2026-11-23T17:00:00Z, but 2026-11-24T17:00:00Z was already seen; {kept}; seal again",
        ),
        (
            Outcome::RenderError {
                error: RenderError {
                    entry: s(),
                    line: 3,
                    kind: RenderErrorKind::MissingName,
                },
            },
            "template x, line 3: no entry has the name that is looked up; {kept}; correct the template and seal again",
        ),
        (
            Outcome::Conflict {
                name: s(),
                namespace: s(),
                owner: Some(s()),
            },
            "secret x exists and belongs to x; nothing was changed; to take it over: remove that owner, then kubectl \
             delete secret x --namespace x",
        ),
        (
            Outcome::ImmutableSecret {
                name: s(),
                holds: Some(3),
                generation: 4,
            },
            "secret x is immutable and holds generation 3; delete it to let generation 4 in, or use a new name",
        ),
        (
            Outcome::SecretRejected {
                rejection: Rejection::Invalid(vec![s(), s()]),
            },
            "the API server refuses the secret: invalid x, x; {kept}; correct these fields and seal again",
        ),
        (
            Outcome::ApiForbidden {
                verb: s(),
                namespace: s(),
            },
            "the controller may not x secrets in x; {kept}; check its Role and admission policy",
        ),
    ]
}

/// The other texts that an outcome can have.
fn variants(text: &str) -> Vec<(Outcome, &'static str)> {
    let s = || text.to_owned();
    let denied = |error| Outcome::PolicyDenied {
        error,
        namespace: s(),
    };
    let rejected = |rejection| Outcome::SecretRejected { rejection };
    vec![
        (
            Outcome::Synced {
                entries: 1,
                generation: 4,
                older_than: Some(time("2026-11-24T17:00:00Z")),
            },
            "secret holds 1 entry of generation 4; older seal than one seen before (2026-11-24T17:00:00Z)",
        ),
        (
            Outcome::UnsupportedDocument {
                unknown: Unknown::Field(s()),
            },
            concat!(
                "field x needs a newer controller than ",
                env!("CARGO_PKG_VERSION"),
                "; {kept}; upgrade the controller"
            ),
        ),
        (
            denied(PolicyError::Audience(String::new())),
            "rule audience does not allow a document without an audience in namespace x; {kept}; ask the platform \
             team or seal with an allowed audience (--audience)",
        ),
        (
            denied(PolicyError::SecretType(s())),
            "rule secret-types does not allow type x in namespace x; {kept}; ask the platform team or seal with an \
             allowed type (--type)",
        ),
        (
            denied(PolicyError::ReservedLabel(s())),
            "rule reserved-names does not allow label x in namespace x; {kept}; seal without it",
        ),
        (
            denied(PolicyError::ReservedAnnotation(s())),
            "rule reserved-names does not allow annotation x in namespace x; {kept}; seal without it",
        ),
        (
            Outcome::IntegrityError { elsewhere: None },
            "the document does not open: it was changed after sealing, or sealed for another place or key; {kept}; \
             run envelope open on the file and seal it again; retried ever more rarely",
        ),
        (
            Outcome::Conflict {
                name: s(),
                namespace: s(),
                owner: None,
            },
            "secret x exists and belongs to nobody we know; nothing was changed; to take it over: kubectl delete \
             secret x --namespace x",
        ),
        (
            Outcome::ImmutableSecret {
                name: s(),
                holds: None,
                generation: 4,
            },
            "secret x is immutable and holds another generation; delete it to let generation 4 in, or use a new name",
        ),
        (
            rejected(Rejection::Quota),
            "the API server refuses the secret: a quota of the namespace is used up; {kept}; raise the quota or \
             delete what is not needed",
        ),
        (
            rejected(Rejection::Admission),
            "the API server refuses the secret: an admission policy or webhook does not allow it; {kept}; ask who \
             runs that policy; the controller's log names it",
        ),
        (
            rejected(Rejection::TooLarge),
            "the API server refuses the secret: it is too large; {kept}; split it into several secrets",
        ),
        (
            rejected(Rejection::Invalid(Vec::new())),
            "the API server refuses the secret: it is invalid; {kept}; correct the secret and seal again",
        ),
    ]
}

#[test]
fn every_reason_of_a_condition_has_its_message() {
    let covered: BTreeSet<Reason> = table("x").iter().map(|(outcome, _)| outcome.reason()).collect();
    let wanted: BTreeSet<Reason> = Reason::ALL
        .iter()
        .copied()
        .filter(|r| r.verdict().is_some())
        .collect();
    assert_eq!(covered, wanted);
    for (outcome, expected) in table("x").into_iter().chain(variants("x")) {
        for kept in [Kept::Generation(3), Kept::Nothing] {
            assert_eq!(
                outcome.message(kept),
                expected.replace("{kept}", &kept.to_string())
            );
        }
    }
}

#[test]
fn a_note_holds_what_the_kms_or_the_network_said() {
    for (outcome, said) in [
        (
            Outcome::KmsUnavailable {
                key: "tencent-kms://ap-guangzhou/k".into(),
                answer: Answer {
                    message: Some("cannot connect to kms.example: refused".into()),
                    ..Answer::default()
                },
            },
            "; cause: cannot connect to kms.example: refused",
        ),
        (
            Outcome::CredentialsUnavailable {
                key: "tencent-kms://ap-guangzhou/k".into(),
                source: "environment".into(),
                answer: Answer {
                    code: Some("AuthFailure".into()),
                    message: Some("no\nsuch key".into()),
                    request_id: Some("r-1".into()),
                },
            },
            "; cause: no such key (AuthFailure, request r-1)",
        ),
        (
            Outcome::KmsDenied {
                identity: "x".into(),
                key: "tencent-kms://ap-guangzhou/k".into(),
                answer: Answer {
                    code: Some("UnauthorizedOperation".into()),
                    message: Some("ask".into()),
                    request_id: None,
                },
            },
            "; cause: ask",
        ),
        // It stands in the message: there is no code.
        (
            Outcome::KmsMisconfigured {
                key: "local://fa1975b2".into(),
                answer: Answer {
                    message: Some("said".into()),
                    ..Answer::default()
                },
                advice: "do".into(),
            },
            "",
        ),
        (Outcome::IntegrityError { elsewhere: None }, ""),
    ] {
        let message = outcome.message(Kept::Nothing);
        assert_eq!(outcome.note(&message), format!("{message}{said}"));
    }
}

#[test]
fn messages_stay_one_short_line_whatever_goes_in() {
    for hostile in [
        "ä\n".repeat(4000),
        "\u{1b}[2J\r\n".repeat(300),
        "local://".repeat(500),
    ] {
        for (outcome, _) in table(&hostile).into_iter().chain(variants(&hostile)) {
            let message = outcome.message(Kept::Generation(i64::MAX));
            assert!(
                message.len() <= text::MAX_MESSAGE,
                "{}: {}",
                outcome.reason(),
                message.len()
            );
            assert!(!message.contains(char::is_control), "{message:?}");
            assert!(outcome.note(&message).len() <= text::MAX_MESSAGE);
        }
    }
}

#[test]
fn what_the_longest_names_leave_is_whole() {
    // The advice at the end is what a person needs: names of the greatest length do not cut it off.
    let name = "n".repeat(253);
    let owner = format!("SealedSecret {name}");
    let message = Outcome::Conflict {
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
fn structure_and_policy_errors_find_their_reason() {
    let structure = |kind| StructureError {
        field: "spec.later".into(),
        what: "is unknown".into(),
        kind,
    };
    let reason = |kind| Outcome::from(&structure(kind)).reason();
    assert_eq!(reason(StructureKind::Invalid), Reason::InvalidDocument);
    assert_eq!(reason(StructureKind::UnknownField), Reason::UnsupportedDocument);
    assert_eq!(
        reason(StructureKind::UnknownFormat("es2".into())),
        Reason::UnsupportedDocument
    );
    let policy = |error| Outcome::from_policy(error, "prod").reason();
    assert_eq!(policy(PolicyError::Audience("x".into())), Reason::PolicyDenied);
    assert_eq!(
        policy(PolicyError::SealTimeInFuture("9999-12-31T00:00:00Z".into())),
        Reason::SealTimeInFuture
    );
}

#[test]
fn the_annotation_names_another_place_or_nothing() {
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

/// The tables of docs/troubleshooting.md.
fn documentation() -> String {
    let version = env!("CARGO_PKG_VERSION");
    let conditions = table("...").into_iter().map(|(outcome, _)| {
        let (reason, verdict) = (outcome.reason(), outcome.verdict());
        let second = verdict
            .second()
            .map_or_else(String::new, |type_| format!(", {type_}"));
        let message = outcome
            .message(Kept::Nothing)
            .replace(&Kept::Nothing.to_string(), "{kept}");
        let (ready, summary, message) = (
            verdict.ready(),
            reason.summary(),
            message.replace(version, "{version}"),
        );
        format!("| `{reason}` | Ready={ready}{second} | {summary} | `{message}` |")
    });
    let events = Reason::ALL.iter().filter(|reason| reason.verdict().is_none());
    let events = events.map(|reason| format!("| `{reason}` | {} |", reason.summary()));
    let lines = [
        "| reason | conditions | what has happened | message |",
        "|---|---|---|---|",
    ]
    .map(str::to_owned)
    .into_iter();
    let lines = lines.chain(conditions);
    let lines = lines.chain(
        [
            "",
            "| reason of events only | what was done or seen |",
            "|---|---|",
        ]
        .map(str::to_owned),
    );
    lines.chain(events).map(|line| line + "\n").collect()
}

#[test]
fn the_documentation_has_every_reason_as_it_is() {
    let page = include_str!("../../../docs/troubleshooting.md");
    let (_, rest) = page
        .split_once("<!-- reasons: written from src/api, a test compares -->\n")
        .expect("the first mark");
    let (found, _) = rest.split_once("<!-- end of reasons -->").expect("the last mark");
    let wanted = documentation();
    assert!(
        found == wanted,
        "docs/troubleshooting.md: put this between the marks:\n{wanted}"
    );
}
