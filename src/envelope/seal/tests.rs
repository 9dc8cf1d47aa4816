//! Sealing and opening again, without a KMS: the answers to the unwraps are given by hand.

use super::*;
use crate::envelope::{
    DataKey, OpenError, Opened, Progress, ReaderPolicy, Stage, StructureKind, UnwrapFailure,
};

const NOW: &str = "2026-11-23T17:00:00Z";

fn now() -> SealTime {
    SealTime::parse(NOW).expect("a time")
}

fn draft(values: &[(&str, &[u8])]) -> Draft {
    Draft {
        place: Place::new(Some("prod"), "db").expect("a place"),
        scope: Scope::Strict,
        audience: None,
        values: values
            .iter()
            .map(|(name, value)| ((*name).to_owned(), SecretBytes::new(value.to_vec())))
            .collect(),
        template: Template::default(),
    }
}

fn wrap() -> Vec<Wrap> {
    vec![Wrap {
        key: "local://fa1975b2".into(),
        ciphertext: "esl1.x".into(),
    }]
}

fn read(document: &Document) -> Document {
    let text = serde_json::to_vec(document.spec()).expect("JSON");
    Document::from_spec_json(&text, document.place().clone()).expect("what we write can be read")
}

fn open(document: Document, key: &DataKey) -> Result<Opened, OpenError<()>> {
    let accepted = document
        .accept(&ReaderPolicy::controller([], now()), &|_| true)
        .expect("acceptable");
    let mut pending = accepted.start();
    loop {
        match pending.answer(Ok(SecretBytes::new(key.expose().to_vec())))? {
            Progress::Unwrap(next) => pending = next,
            Progress::Opened(opened) => return Ok(opened),
        }
    }
}

#[test]
fn what_is_sealed_opens_to_the_same_bytes() {
    let mut draft = draft(&[
        ("password", b"correct horse"),
        ("empty", b""),
        ("binary", &[0, 0xff, 0]),
    ]);
    draft.template.data.insert("host".into(), "db:5432".into());
    draft.template.immutable = Some(false);
    let key = DataKey::random().expect("random bytes");
    let document = draft
        .check()
        .expect("a good draft")
        .seal(&key, wrap(), now())
        .expect("sealed");
    assert_eq!(
        document.spec().template.immutable,
        None,
        "writers never write false"
    );
    let again = read(&document);
    assert_eq!(again.spec(), document.spec());
    assert_eq!(again.digest(), document.digest());
    let opened = open(again, &key).map_err(|e| e.to_string()).expect("opens");
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
fn another_key_does_not_commit_and_shows_the_one_face() {
    let key = DataKey::random().expect("random bytes");
    let sealed = draft(&[("a", b"hunter2-hunter2")])
        .check()
        .expect("a good draft")
        .seal(&key, wrap(), now())
        .expect("sealed");
    let other = DataKey::random().expect("random bytes");
    let error = open(read(&sealed), &other).err().expect("another key");
    assert_eq!(error.stage(), Stage::Commitment);
    assert!(error.is_integrity());
    let refused = sealed
        .accept(&ReaderPolicy::controller([], now()), &|_| true)
        .expect("acceptable")
        .start()
        .answer(Err(UnwrapFailure::Permanent(())))
        .err()
        .expect("refused");
    assert_eq!(refused.stage(), Stage::Unwrap);
    assert_eq!(refused.to_string(), error.to_string());
}

#[test]
fn no_sealed_id_is_a_number_to_yaml() {
    let key = DataKey::random().expect("random bytes");
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
    let key = DataKey::random().expect("random bytes");
    let twice = [wrap(), wrap()].concat();
    let blank = vec![Wrap {
        key: "local://fa1975b2".into(),
        ciphertext: "a b".into(),
    }];
    for wraps in [vec![], twice, blank] {
        let checked = draft(&[("a", b"1")]).check().expect("a good draft");
        assert!(checked.seal(&key, wraps, now()).is_err());
    }
}
