//! Step 2 of opening: what is refused before any KMS call, and in which order.

use super::support::{NOW, draft, now, random_key, seal, time};
use crate::envelope::{Document, Draft, PolicyError, ReaderPolicy, Refusal, Spec};

fn document(change: impl FnOnce(&mut Draft)) -> Document {
    let mut draft = draft(&[("a", b"1")]);
    change(&mut draft);
    seal(draft, &random_key())
}

/// Changes a document in a way that our own writer would refuse.
fn forged(document: &Document, change: impl FnOnce(&mut Spec)) -> Document {
    let mut spec = document.spec().clone();
    change(&mut spec);
    Document::new(spec, document.place().clone()).expect("structurally valid")
}

fn policy_error(document: Document, policy: &ReaderPolicy) -> Option<PolicyError> {
    match document.accept(policy, &|_| true) {
        Ok(_) => None,
        Err(Refusal::Policy(error)) => Some(error),
        Err(Refusal::NoUsableWrap(error)) => panic!("{error}"),
    }
}

#[test]
fn audience_that_is_not_accepted_is_refused() {
    let accepts = |accepted: &[&str], audience: Option<&str>| {
        let policy = ReaderPolicy::controller(accepted.iter().map(|a| (*a).to_owned()), now());
        policy_error(
            document(|draft| draft.audience = audience.map(str::to_owned)),
            &policy,
        )
        .is_none()
    };
    assert!(accepts(&[], None));
    assert!(!accepts(&[], Some("dc-1")));
    assert!(accepts(&["dc-1"], Some("dc-1")));
    assert!(!accepts(&["dc-1"], Some("dc-2")));
    assert!(
        !accepts(&["dc-1"], None),
        "a controller with an audience refuses documents without one"
    );
    assert!(accepts(&["dc-1", ""], None));
}

#[test]
fn secret_types_with_side_effects_are_refused_by_controllers() {
    let policy = ReaderPolicy::controller([], now());
    let of_type = |type_: Option<&str>| document(|draft| draft.template.type_ = type_.map(str::to_owned));
    for type_ in [
        "kubernetes.io/service-account-token",
        "bootstrap.kubernetes.io/token",
        "helm.sh/release.v1",
    ] {
        let expected = Some(PolicyError::SecretType(type_.to_owned()));
        assert_eq!(policy_error(of_type(Some(type_)), &policy), expected);
        assert_eq!(
            policy_error(of_type(Some(type_)), &ReaderPolicy::command_line(now())),
            None
        );
    }
    for type_ in [
        None,
        Some("Opaque"),
        Some("kubernetes.io/tls"),
        Some("helm.sh/release.v2"),
    ] {
        assert_eq!(policy_error(of_type(type_), &policy), None, "{type_:?}");
    }
    let mut without_opaque = policy;
    without_opaque.refused_types = Some(["Opaque".to_owned()].into());
    let expected = Some(PolicyError::SecretType("Opaque".into()));
    assert_eq!(
        policy_error(of_type(None), &without_opaque),
        expected,
        "an absent type counts as Opaque"
    );
}

#[test]
fn reserved_names_are_refused_by_every_reader() {
    let base = document(|_| {});
    for policy in [
        ReaderPolicy::controller([], now()),
        ReaderPolicy::command_line(now()),
    ] {
        for key in [
            "envelope-secrets.io/managed",
            "kubectl.kubernetes.io/restartedAt",
            "app.kubernetes.io/managed-by",
        ] {
            let label = forged(&base, |spec| {
                drop(spec.template.labels.insert(key.into(), "x".into()));
            });
            assert_eq!(
                policy_error(label, &policy),
                Some(PolicyError::ReservedLabel(key.into()))
            );
            let annotation = forged(&base, |spec| {
                drop(spec.template.annotations.insert(key.into(), "x".into()));
            });
            assert_eq!(
                policy_error(annotation, &policy),
                Some(PolicyError::ReservedAnnotation(key.into()))
            );
        }
    }
}

#[test]
fn seal_time_more_than_a_day_ahead_is_refused_and_retryable() {
    let at = |text: &str| forged(&document(|_| {}), |spec| spec.seal.time = time(text));
    let policy = ReaderPolicy::controller([], now());
    for accepted in ["1970-01-01T00:00:00Z", NOW, "2026-11-24T17:00:00Z"] {
        assert_eq!(policy_error(at(accepted), &policy), None, "{accepted}");
    }
    for ahead in ["2026-11-24T17:00:01Z", "9999-12-31T23:59:59Z"] {
        let error = policy_error(at(ahead), &policy).expect("too far ahead");
        assert_eq!(error, PolicyError::SealTimeInFuture(ahead.into()));
        assert!(error.is_retryable());
        assert!(policy_error(at(ahead), &ReaderPolicy::command_line(now())).is_some());
    }
    let last_day = ReaderPolicy::command_line(time("9999-12-31T00:00:00Z"));
    assert_eq!(policy_error(at("9999-12-31T23:59:59Z"), &last_day), None);
}

/// Reasons that waiting cannot resolve are reported first.
#[test]
fn checks_run_in_the_order_audience_type_names_clock() {
    let base = document(|_| {});
    let mut spec = base.spec().clone();
    let place = base.place().clone();
    let policy = ReaderPolicy::controller([], now());
    let mut expect = |change: fn(&mut Spec), expected: PolicyError| {
        change(&mut spec);
        let document = Document::new(spec.clone(), place.clone()).expect("structurally valid");
        assert_eq!(policy_error(document, &policy), Some(expected));
    };
    let ahead = "9999-01-01T00:00:00Z";
    expect(
        |spec| spec.seal.time = time("9999-01-01T00:00:00Z"),
        PolicyError::SealTimeInFuture(ahead.into()),
    );
    let reserved = "envelope-secrets.io/x";
    expect(
        |spec| {
            spec.template
                .annotations
                .insert("envelope-secrets.io/x".into(), String::new());
        },
        PolicyError::ReservedAnnotation(reserved.into()),
    );
    expect(
        |spec| spec.template.type_ = Some("helm.sh/release.v1".into()),
        PolicyError::SecretType("helm.sh/release.v1".into()),
    );
    expect(
        |spec| spec.audience = Some("dc-1".into()),
        PolicyError::Audience("dc-1".into()),
    );
}

#[test]
fn missing_usable_wrap_is_reported_after_policy() {
    let refusal = |change: fn(&mut Spec)| {
        let document = forged(&document(|_| {}), change);
        let policy = ReaderPolicy::controller([], now());
        document.accept(&policy, &|_| false).err().expect("refused")
    };
    assert!(matches!(refusal(|_| {}), Refusal::NoUsableWrap(_)));
    let ahead = refusal(|spec| spec.seal.time = time("9999-01-01T00:00:00Z"));
    assert!(matches!(ahead, Refusal::Policy(PolicyError::SealTimeInFuture(_))));
}
