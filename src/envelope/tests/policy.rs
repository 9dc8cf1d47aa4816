//! Step 2: what is refused before any KMS call, and in which order.

use super::*;

fn document(change: impl FnOnce(&mut Draft)) -> Document {
    let mut draft = draft(&[("a", b"1")]);
    change(&mut draft);
    seal(draft, &key())
}

/// `document` with names that no writer of ours would write.
fn forged(document: &Document, change: impl FnOnce(&mut Spec)) -> Document {
    let mut spec = document.spec().clone();
    change(&mut spec);
    Document::new(spec, document.place().clone()).expect("structurally valid")
}

fn refused(document: Document, policy: &ReaderPolicy) -> Option<PolicyError> {
    match document.accept(policy, &|_| true) {
        Ok(_) => None,
        Err(Refusal::Policy(error)) => Some(error),
        Err(Refusal::NoUsableWrap(error)) => panic!("{error}"),
    }
}

fn time(text: &str) -> SealTime {
    SealTime::parse(text).expect("a time")
}

#[test]
fn an_audience_must_be_one_of_those_accepted() {
    let accepts = |accepted: &[&str], audience: Option<&str>| {
        let policy = ReaderPolicy::controller(accepted.iter().map(|a| (*a).to_owned()), now());
        refused(
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
fn types_that_make_the_control_plane_act_are_refused() {
    let policy = ReaderPolicy::controller([], now());
    let of_type = |type_: Option<&str>| document(|draft| draft.template.type_ = type_.map(str::to_owned));
    for type_ in [
        "kubernetes.io/service-account-token",
        "bootstrap.kubernetes.io/token",
        "helm.sh/release.v1",
    ] {
        let expected = Some(PolicyError::SecretType(type_.to_owned()));
        assert_eq!(refused(of_type(Some(type_)), &policy), expected);
        assert_eq!(
            refused(of_type(Some(type_)), &ReaderPolicy::command_line(now())),
            None
        );
    }
    for type_ in [
        None,
        Some("Opaque"),
        Some("kubernetes.io/tls"),
        Some("helm.sh/release.v2"),
    ] {
        assert_eq!(refused(of_type(type_), &policy), None, "{type_:?}");
    }
    let mut without_opaque = policy;
    without_opaque.refused_types = Some(["Opaque".to_owned()].into());
    let expected = Some(PolicyError::SecretType("Opaque".into()));
    assert_eq!(
        refused(of_type(None), &without_opaque),
        expected,
        "absent counts as Opaque"
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
                refused(label, &policy),
                Some(PolicyError::ReservedLabel(key.into()))
            );
            let note = forged(&base, |spec| {
                drop(spec.template.annotations.insert(key.into(), "x".into()));
            });
            assert_eq!(
                refused(note, &policy),
                Some(PolicyError::ReservedAnnotation(key.into()))
            );
        }
    }
}

#[test]
fn a_seal_more_than_a_day_ahead_is_refused_for_a_time() {
    let at = |text: &str| forged(&document(|_| {}), |spec| spec.seal.time = time(text));
    let policy = ReaderPolicy::controller([], now());
    for fine in ["1970-01-01T00:00:00Z", NOW, "2026-11-24T17:00:00Z"] {
        assert_eq!(refused(at(fine), &policy), None, "{fine}");
    }
    for ahead in ["2026-11-24T17:00:01Z", "9999-12-31T23:59:59Z"] {
        let error = refused(at(ahead), &policy).expect("too far ahead");
        assert_eq!(error, PolicyError::SealTimeInFuture(ahead.into()));
        assert!(error.is_retryable());
        assert!(refused(at(ahead), &ReaderPolicy::command_line(now())).is_some());
    }
    let last_day = ReaderPolicy::command_line(time("9999-12-31T00:00:00Z"));
    assert_eq!(refused(at("9999-12-31T23:59:59Z"), &last_day), None);
}

/// What waiting does not cure is said first.
#[test]
fn the_order_is_audience_type_names_clock() {
    let base = document(|_| {});
    let mut spec = base.spec().clone();
    let place = base.place().clone();
    let policy = ReaderPolicy::controller([], now());
    let mut expect = |change: fn(&mut Spec), expected: PolicyError| {
        change(&mut spec);
        let document = Document::new(spec.clone(), place.clone()).expect("structurally valid");
        assert_eq!(refused(document, &policy), Some(expected));
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
fn a_wrap_that_no_one_here_may_use_is_the_last_reason() {
    let refusal = |change: fn(&mut Spec)| {
        let document = forged(&document(|_| {}), change);
        let policy = ReaderPolicy::controller([], now());
        document.accept(&policy, &|_| false).err().expect("refused")
    };
    assert!(matches!(refusal(|_| {}), Refusal::NoUsableWrap(_)));
    let ahead = refusal(|spec| spec.seal.time = time("9999-01-01T00:00:00Z"));
    assert!(matches!(ahead, Refusal::Policy(PolicyError::SealTimeInFuture(_))));
}
