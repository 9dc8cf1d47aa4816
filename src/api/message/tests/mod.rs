use super::*;
use std::collections::BTreeSet;
use std::path::Path;

use self::table::{table, variants};
use crate::api::reason::Reason;
use crate::api::sealed_elsewhere;
use crate::envelope::{StructureError, StructureKind};

mod table;

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
    let page = include_str!("../../../../docs/troubleshooting.md");
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
