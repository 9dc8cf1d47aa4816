//! Drafts that seal, and drafts that are refused.

use super::checked_draft::random_document_id;
use super::draft::Draft;
use crate::envelope::render::MAX_SECRET;
use crate::envelope::tests::support::{FakeKms, draft, now, random_key, round_trip, seal, wraps};
use crate::envelope::{Binding, Scope, SecretBytes, StructureKind};

#[test]
fn sealed_draft_opens_to_the_same_bytes() {
    let mut draft = draft(&[
        ("password", b"correct horse"),
        ("empty", b""),
        ("binary", &[0, 0xff, 0]),
    ]);
    draft.template.data.insert("host".into(), "db:5432".into());
    draft.template.immutable = Some(false);
    let key = random_key();
    let document = seal(draft, &key);
    assert_eq!(
        document.spec().template.immutable,
        None,
        "writers never write false"
    );
    let again = round_trip(&document);
    assert_eq!(again.spec(), document.spec());
    assert_eq!(again.digest(), document.digest());
    let opened = FakeKms::unwrapping(&key).open(again).expect("opens");
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
fn data_key_id_is_never_a_yaml_number() {
    let key = random_key();
    for _ in 0..200 {
        let (_, commitment) =
            random_document_id(&key, &Binding::new(Scope::Strict, None, "a", "b")).expect("random bytes");
        assert!(commitment.key_id().bytes().any(|b| b"abcdf".contains(&b)));
    }
}

#[test]
fn draft_that_no_reader_would_accept_is_refused() {
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
fn invalid_wraps_are_refused() {
    let key = random_key();
    let duplicate = wraps(&["w", "w"]);
    let with_space = wraps(&["a b"]);
    for wraps in [vec![], duplicate, with_space] {
        let checked = draft(&[("a", b"1")]).check().expect("a valid draft");
        assert!(checked.seal(&key, wraps, now()).is_err());
    }
}

#[test]
fn draft_of_a_document_over_4_mib_is_refused() {
    let comments = |n: usize| {
        let mut draft = draft(&[("a", b"1")]);
        let text = format!("<%#{}%>", "x".repeat(65_536 - 5));
        draft.template.render = (0..n).map(|i| (format!("r{i}"), text.clone())).collect();
        draft
    };
    let document = seal(comments(62), &random_key());
    assert_eq!(round_trip(&document).spec(), document.spec());
    let error = comments(63).check().err().expect("4 MiB");
    assert_eq!(
        (error.field.as_str(), error.what.contains("4194304")),
        ("document", true)
    );
}
