//! Drafts that are sealed, and drafts that are refused.

use super::*;
use crate::envelope::StructureKind;
use crate::envelope::tests::{Keys, draft, key, now, read, seal, wraps};

#[test]
fn what_is_sealed_opens_to_the_same_bytes() {
    let mut draft = draft(&[
        ("password", b"correct horse"),
        ("empty", b""),
        ("binary", &[0, 0xff, 0]),
    ]);
    draft.template.data.insert("host".into(), "db:5432".into());
    draft.template.immutable = Some(false);
    let key = key();
    let document = seal(draft, &key);
    assert_eq!(
        document.spec().template.immutable,
        None,
        "writers never write false"
    );
    let again = read(&document);
    assert_eq!(again.spec(), document.spec());
    assert_eq!(again.digest(), document.digest());
    let opened = Keys::one(&key).open(again).expect("opens");
    let entries: Vec<(&str, &[u8])> = opened
        .entries()
        .iter()
        .map(|(name, value)| (name.as_str(), value.expose()))
        .collect();
    assert_eq!(
        entries,
        [
            ("binary", &[0, 0xff, 0][..]),
            ("empty", b""),
            ("host", b"db:5432"),
            ("password", b"correct horse"),
        ]
    );
}

#[test]
fn no_sealed_id_is_a_number_to_yaml() {
    let key = key();
    for _ in 0..200 {
        let (_, commitment) = draw_id(&key, &Binding::new(Scope::Strict, None, "a", "b")).expect("random");
        assert!(commitment.key_id().bytes().any(|b| b"abcdf".contains(&b)));
    }
}

#[test]
fn a_draft_that_no_reader_would_take_is_refused_before_any_call() {
    type Change = fn(&mut Draft);
    let big = |n: usize| SecretBytes::new(vec![b'x'; n]);
    let cases: [(&str, Change); 14] = [
        ("spec.template.render.dsn", |d| {
            d.template.render.insert("dsn".into(), "<%= v. %>".into());
        }),
        ("spec.template.render.dsn", |d| {
            d.template.render.insert("dsn".into(), "<%= v.missing %>".into());
        }),
        ("spec.template.render.a", |d| {
            d.template.render.insert("a".into(), String::new());
        }),
        ("metadata.namespace", |d| d.place.namespace = None),
        ("spec.audience", |d| d.audience = Some("A".into())),
        ("spec.encryptedData[\"a b\"]", |d| {
            d.values.insert("a b".into(), SecretBytes::new(vec![]));
        }),
        ("spec.template.data.a", |d| {
            d.template.data.insert("a".into(), String::new());
        }),
        ("spec.template.type", |d| d.template.type_ = Some("a b".into())),
        ("spec.template.metadata.labels.x", |d| {
            d.template.labels.insert("x".into(), "-".into());
        }),
        ("spec.template.metadata.annotations[\"a b\"]", |d| {
            d.template.annotations.insert("a b".into(), String::new());
        }),
        (
            "spec.template.metadata.labels[\"envelope-secrets.io/managed\"]",
            |d| {
                d.template
                    .labels
                    .insert("envelope-secrets.io/managed".into(), "owned".into());
            },
        ),
        (
            "spec.template.metadata.annotations[\"kubectl.kubernetes.io/last-applied-configuration\"]",
            |d| {
                let key = "kubectl.kubernetes.io/last-applied-configuration";
                d.template.annotations.insert(key.into(), "{}".into());
            },
        ),
        ("spec.template.metadata", |d| {
            d.template.annotations.insert("a".into(), "x".repeat(262_144));
        }),
        ("spec.template.data", |d| {
            d.template.data.insert("b".into(), "x".repeat(MAX_SECRET + 1));
        }),
    ];
    for (field, change) in cases {
        let mut bad = draft(&[("a", b"1")]);
        change(&mut bad);
        let error = bad
            .check()
            .err()
            .unwrap_or_else(|| panic!("{field} must be refused"));
        assert_eq!(error.field, field);
        assert_eq!(error.kind, StructureKind::Invalid);
    }
    let mut full = draft(&[]);
    full.values.insert("a".into(), big(MAX_SECRET));
    let mut over = draft(&[("b", b"1")]);
    over.values.insert("a".into(), big(MAX_SECRET));
    assert!(full.check().is_ok(), "1 MiB is allowed");
    assert_eq!(over.check().err().map(|e| e.field).as_deref(), Some("spec"));
}

#[test]
fn wraps_of_no_form_are_refused() {
    let key = key();
    let twice = wraps(&["w", "w"]);
    let blank = wraps(&["a b"]);
    for wraps in [vec![], twice, blank] {
        let checked = draft(&[("a", b"1")]).check().expect("a good draft");
        assert!(checked.seal(&key, wraps, now()).is_err());
    }
}

#[test]
fn a_draft_whose_document_nobody_could_read_is_refused() {
    let comments = |n: usize| {
        let mut draft = draft(&[("a", b"1")]);
        let text = format!("<%#{}%>", "x".repeat(65_536 - 5));
        draft.template.render = (0..n).map(|i| (format!("r{i}"), text.clone())).collect();
        draft
    };
    let document = seal(comments(62), &key());
    assert_eq!(read(&document).spec(), document.spec());
    let error = comments(63).check().err().expect("4 MiB");
    assert_eq!(
        (error.field.as_str(), error.what.contains("4194304")),
        ("document", true)
    );
}
