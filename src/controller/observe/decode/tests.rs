use super::*;

/// A slim form that only has a name and a generation.
#[derive(Debug, PartialEq)]
struct Named(i64, String);

#[derive(serde::Deserialize)]
struct Wire {
    metadata: Meta,
}

impl Slim for Named {
    type Wire = Wire;

    fn of(Wire { metadata }: Wire) -> Option<(ObjectKey, Self)> {
        let key = ObjectKey::new(metadata.namespace.as_deref()?, metadata.name.as_deref()?);
        Some((
            key,
            Named(
                metadata.generation.unwrap_or_default(),
                metadata.resource_version?,
            ),
        ))
    }

    fn resource_version(&self) -> &str {
        &self.1
    }
}

fn object(name: &str, more: &str) -> String {
    format!(
        r#"{{"metadata":{{"name":"{name}","namespace":"prod","uid":"u","resourceVersion":"7","generation":3{more}}}}}"#
    )
}

fn meta(more: &str) -> Meta {
    serde_json::from_str::<Wire>(&object("db", more))
        .expect("metadata")
        .metadata
}

#[test]
fn values_that_typed_metadata_cannot_represent_are_skipped() {
    for more in [
        r#","creationTimestamp":"9999-12-31T23:59:59Z""#,
        r#","deletionGracePeriodSeconds":1e400"#,
        r#","managedFields":[{"manager":"x","time":"9999-12-31T23:59:59Z","fieldsV1":{"f:data":{}}}]"#,
        r#","managedFields":null,"labels":null,"annotations":null,"ownerReferences":null"#,
    ] {
        let decoded = item::<Named>(&object("db", more));
        assert_eq!(
            decoded,
            Ok((ObjectKey::new("prod", "db"), Named(3, "7".into()))),
            "{more}"
        );
    }
    assert!(!meta("").deleting && !meta(r#","deletionTimestamp":null"#).deleting);
    assert!(meta(r#","deletionTimestamp":"9999-12-31T23:59:59Z""#).deleting);
    let deep = format!("{}1{}", r#"{"a":"#.repeat(10_000), "}".repeat(10_000));
    let deep = meta(&format!(r#","managedFields":[{{"fieldsV1":{deep}}}]"#));
    assert!(
        deep.managed_fields[0].fields.is_some(),
        "cut out, whatever its depth"
    );
}

#[test]
fn only_our_labels_and_annotations_are_kept() {
    let meta =
        meta(r#","labels":{"a":7,"envelope-secrets.io/managed":"owned","envelope-secrets.io.evil/x":"y"}"#);
    assert_eq!(meta.labels.get("envelope-secrets.io/managed"), Some("owned"));
    assert_eq!(meta.labels.0.len(), 1);
}

#[test]
fn undecodable_item_does_not_stop_its_page() {
    let bad = object("bad", r#","generation":"hunter2""#);
    let text = format!(
        r#"{{"metadata":{{"resourceVersion":"9","continue":"t"}},"items":[{bad},7,{}]}}"#,
        object("db", "")
    );
    let page = page(text.into_bytes()).expect("a page");
    assert_eq!(
        (page.resource_version.as_str(), page.next.as_deref(), page.len()),
        ("9", Some("t"), 3)
    );
    let bad = page.item::<Named>(0).expect("an item").expect_err("undecodable");
    assert_eq!((bad.namespace.as_str(), bad.name.as_str()), ("prod", "bad"));
    assert!(!bad.cause.contains("hunter2"), "{}", bad.cause);
    assert!(page.item::<Named>(1).expect("an item").is_err());
    assert!(page.item::<Named>(2).expect("an item").is_ok() && page.item::<Named>(3).is_none());
    assert!(super::page(b"<html>".to_vec()).is_err());
    let last = br#"{"metadata":{"resourceVersion":"9"},"items":null}"#;
    let last = super::page(last.to_vec()).expect("a page");
    assert!(last.len() == 0 && last.next.is_none());
    let invalid = b"{\"items\":[{\"metadata\":{\"name\":\"db\",\"namespace\":\"prod\",\"resourceVersion\":\"7\",\"x\":\"\xff\"}}]}";
    let invalid = super::page(invalid.to_vec()).expect("a page");
    assert!(
        invalid.item::<Named>(0).expect("an item").is_ok(),
        "invalid UTF-8 elsewhere"
    );
}

/// An object whose decoding panics.
#[derive(Debug, PartialEq)]
struct Panics;

impl Slim for Panics {
    type Wire = Wire;

    fn of(_: Wire) -> Option<(ObjectKey, Self)> {
        panic!("hunter2")
    }

    fn resource_version(&self) -> &'static str {
        ""
    }
}

#[test]
fn panic_while_decoding_concerns_one_object() {
    let decoded = item::<Panics>(&object("db", "")).expect_err("undecodable");
    assert_eq!(
        (decoded.name.as_str(), decoded.cause.as_str()),
        ("db", "decoding it panicked")
    );
}

#[test]
fn watch_lines_carry_the_version_to_resume_from() {
    let event = |kind: &str, object: &str| {
        let text = format!(r#"{{"type":"{kind}","object":{object}}}"#);
        line::<Named>(text.as_bytes()).expect("a line")
    };
    let applied = event("MODIFIED", &object("db", ""));
    assert!(matches!(applied.change, Change::Applied(Ok(_))));
    assert_eq!(applied.resource_version.as_deref(), Some("7"));
    let deleted = event("DELETED", &object("db", ""));
    assert!(matches!(deleted.change, Change::Deleted(Ok(_))));
    let bad = event("ADDED", &object("db", r#","generation":[]"#));
    assert!(matches!(bad.change, Change::Applied(Err(_))));
    assert_eq!(
        bad.resource_version.as_deref(),
        Some("7"),
        "readable all the same"
    );
    let bookmark = event("BOOKMARK", r#"{"metadata":{"resourceVersion":"12"}}"#);
    assert!(matches!(bookmark.change, Change::Bookmark));
    assert_eq!(bookmark.resource_version.as_deref(), Some("12"));
    let failed = event("ERROR", r#"{"kind":"Status","code":410,"message":"too old"}"#);
    assert!(matches!(&failed.change, Change::Failed(status) if status.code == 410));
    assert_eq!(failed.resource_version, None);
    let invalid = line::<Named>(b"{\"type\":\"ADDED\",\"object\":{\"metadata\":{\"name\":\"db\",\"namespace\":\"prod\",\"resourceVersion\":\"7\",\"x\":\"\xff\"}}}").expect("a line");
    assert!(
        matches!(invalid.change, Change::Applied(Ok(_))),
        "invalid UTF-8 elsewhere"
    );
}
