use super::*;
use crate::api::SECRET_MANAGER;
use crate::controller::observe::decode;
use crate::controller::observe::fields::FieldFacts;
use crate::controller::observe::object::Object;
use crate::envelope::{DataKey, ReaderPolicy, SecretBytes};
use std::collections::BTreeMap;

use crate::envelope::{Draft, Place, Scope, SealTime, Wrap};

fn draft() -> Draft {
    let bytes = |text: &str| SecretBytes::new(text.as_bytes().to_vec());
    Draft {
        place: Place::new(Some("prod"), "db").expect("a place"),
        scope: Scope::Strict,
        audience: None,
        values: BTreeMap::from([
            ("password".to_owned(), bytes("hunter2")),
            ("empty".to_owned(), bytes("")),
        ]),
        template: Template {
            type_: None,
            immutable: Some(true),
            labels: BTreeMap::from([("app".to_owned(), "db".to_owned())]),
            annotations: BTreeMap::from([("note".to_owned(), "x".to_owned())]),
            data: BTreeMap::from([("host".to_owned(), "db:5432".to_owned())]),
            render: BTreeMap::from([(
                "dsn".to_owned(),
                "pg://<%= v.password %>@<%= v.host %>".to_owned(),
            )]),
        },
    }
}

fn opened() -> Opened {
    let key = DataKey::random().expect("randomness");
    let wrap = Wrap {
        key: "local://00000000".into(),
        ciphertext: "x".into(),
    };
    let time = SealTime::now().expect("a clock");
    let document = draft()
        .check()
        .expect("a draft")
        .seal(&key, vec![wrap], time.clone())
        .expect("sealed");
    let policy = ReaderPolicy::controller([], time);
    let pending = document
        .accept(&policy, &|_| true)
        .expect("accepted")
        .start::<std::convert::Infallible>();
    match pending.resume(Ok(SecretBytes::new(key.expose().to_vec()))) {
        Ok(crate::envelope::Progress::Opened(opened)) => opened,
        _ => panic!("one data key needs one KMS call"),
    }
}

/// The desired state for the object of this uid.
fn desired(document: &Document, object_uid: &str) -> Desired {
    let object = json!({
        "metadata": {"name": "db", "namespace": "prod", "uid": object_uid, "resourceVersion": "7", "generation": 1},
        "spec": document.spec(),
    });
    let (_, object) = decode::item::<Object>(&object.to_string()).expect("an object");
    let facts = object.summary.facts.as_ref().expect("a valid document");
    Desired::of(&object, facts)
}

#[test]
fn apply_body_contains_entries_metadata_and_precondition() {
    let (key, opened) = (ObjectKey::new("prod", "db"), opened());
    let body = |precondition: &Precondition| {
        let body = SecretBody {
            key: &key,
            desired: &desired(opened.document(), "o-1"),
            opened: &opened,
            precondition,
        };
        assert_eq!(format!("{body:?}"), "SecretBody(prod/db)");
        serde_json::to_value(&body).expect("JSON")
    };
    let created = body(&Precondition::Absent);
    let expected = json!({
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {
            "name": "db",
            "namespace": "prod",
            "resourceVersion": "1",
            "labels": {"app": "db", "envelope-secrets.io/managed": "owned",
                       "app.kubernetes.io/managed-by": "envelope-secrets"},
            "annotations": {"note": "x"},
            "ownerReferences": [{"apiVersion": "envelope-secrets.io/v1", "kind": "EnvelopeSecret", "name": "db",
                                 "uid": "o-1", "controller": true}],
        },
        "type": "Opaque",
        "immutable": true,
        "data": {"password": "aHVudGVyMg==", "empty": "", "host": "ZGI6NTQzMg==",
                 "dsn": "cGc6Ly9odW50ZXIyQGRiOjU0MzI="},
    });
    assert_eq!(created, expected);
    let updated = body(&Precondition::Unchanged {
        uid: "s-1".into(),
        resource_version: "9".into(),
    });
    assert_eq!(
        (
            &updated["metadata"]["uid"],
            &updated["metadata"]["resourceVersion"]
        ),
        (&json!("s-1"), &json!("9"))
    );
    assert_eq!(updated["data"], expected["data"]);
}

fn meta(extra: &[&str], owners: &[&str]) -> Meta {
    let our_fields: serde_json::Map<String, Value> = ["password", "empty", "host", "dsn"]
        .iter()
        .map(|key| (format!("f:{key}"), json!({})))
        .collect();
    let foreign: serde_json::Map<String, Value> =
        extra.iter().map(|key| (format!("f:{key}"), json!({}))).collect();
    let owners: Vec<Value> = owners
        .iter()
        .map(|uid| json!({"apiVersion": API_VERSION, "kind": KIND, "name": "db", "uid": uid, "controller": true}))
        .collect();
    serde_json::from_value(json!({
        "name": "db", "resourceVersion": "10", "ownerReferences": owners,
        "managedFields": [
            {"manager": SECRET_MANAGER, "operation": "Apply", "fieldsV1": {
                "f:data": our_fields, "f:type": {}, "f:immutable": {},
                "f:metadata": {
                    "f:labels": {"f:app": {}, "f:envelope-secrets.io/managed": {}, "f:app.kubernetes.io/managed-by": {}},
                    "f:annotations": {"f:note": {}},
                    "f:ownerReferences": {"k:{\"uid\":\"o-1\"}": {}}
                }
            }},
            {"manager": "kubectl", "operation": "Update", "fieldsV1": {"f:data": foreign}}
        ]
    }))
    .expect("metadata")
}

#[test]
fn expected_fields_match_those_of_the_applied_body() {
    let facts = FieldFacts::of(&meta(&[], &["o-1"]));
    let opened = opened();
    let fields = |object_uid| desired(opened.document(), object_uid).fields;
    assert_eq!(facts.ours, Some(fields("o-1")));
    assert_ne!(facts.ours, Some(fields("o-2")));
}

#[test]
fn exact_secret_needs_no_patch() {
    let opened = opened();
    let desired = desired(opened.document(), "o-1");
    let cleanup = |meta: &Meta| cleanup(meta, opened.document(), &desired);
    assert_eq!(cleanup(&meta(&[], &["o-1"])), None);
    let co_owned = meta(&["password"], &["o-1"]);
    assert_eq!(cleanup(&co_owned), None, "a restored Secret is co-owned");
    assert_eq!(disown(&meta(&["x"], &["o-1"]), &desired), None);
}

#[test]
fn foreign_entries_and_obsolete_owners_are_removed_under_a_precondition() {
    let seen = meta(&["extra", ".hidden_1"], &["o-0", "o-1", "o-00"]);
    let test = json!({"op": "test", "path": "/metadata/resourceVersion", "value": "10"});
    let owners = [
        json!({"op": "remove", "path": "/metadata/ownerReferences/2"}),
        json!({"op": "remove", "path": "/metadata/ownerReferences/0"}),
    ];
    let opened = opened();
    let desired = desired(opened.document(), "o-1");
    let disowned = Some(json!([test, owners[0], owners[1]]));
    assert_eq!(disown(&seen, &desired), disowned);
    let expected = json!([
        test,
        {"op": "add", "path": "/data/.hidden_1", "value": ""},
        {"op": "remove", "path": "/data/.hidden_1"},
        {"op": "add", "path": "/data/extra", "value": ""},
        {"op": "remove", "path": "/data/extra"},
        {"op": "remove", "path": "/metadata/managedFields/1/fieldsV1/f:data"},
        owners[0],
        owners[1],
    ]);
    assert_eq!(cleanup(&seen, opened.document(), &desired), Some(expected));

    let merged = Desired {
        mode: Mode::Merged,
        ..desired
    };
    assert_eq!(
        cleanup(&seen, opened.document(), &merged),
        disowned,
        "the other entries belong to the owner of a merged Secret"
    );
}

#[test]
fn string_data_of_other_managers_is_removed() {
    let mut seen = meta(&["extra"], &["o-1"]);
    let apply = json!({"manager": "kubectl", "operation": "Apply", "fieldsV1":
        {"f:stringData": {"f:password": {}, "f:extra": {}, "f:text": {}}}});
    seen.managed_fields
        .push(serde_json::from_value(apply).expect("an entry"));
    let test = json!({"op": "test", "path": "/metadata/resourceVersion", "value": "10"});
    let expected = json!([
        test,
        {"op": "add", "path": "/data/extra", "value": ""},
        {"op": "remove", "path": "/data/extra"},
        {"op": "add", "path": "/data/text", "value": ""},
        {"op": "remove", "path": "/data/text"},
        {"op": "remove", "path": "/metadata/managedFields/1/fieldsV1/f:data"},
        {"op": "remove", "path": "/metadata/managedFields/2/fieldsV1/f:stringData"},
    ]);
    let opened = opened();
    let desired = desired(opened.document(), "o-1");
    assert_eq!(cleanup(&seen, opened.document(), &desired), Some(expected));
}

#[test]
fn listed_entries_that_do_not_exist_are_removed_from_managed_fields() {
    let mut seen = meta(&["password"], &["o-1"]);
    let ghosts = json!({"manager": "tenant", "operation": "Update", "fieldsV1":
        {"f:data": {"f:a/b~c": {}, "f:host": {}}}});
    let nested = json!({"manager": "tenant", "operation": "Update", "fieldsV1":
        {"f:data": {"f:host": {"f:inner": {}}}}});
    for entry in [ghosts, nested] {
        let entry = serde_json::from_value(entry).expect("an entry");
        seen.managed_fields.push(entry);
    }
    let expected = json!([
        {"op": "test", "path": "/metadata/resourceVersion", "value": "10"},
        {"op": "add", "path": "/data/a~1b~0c", "value": ""},
        {"op": "remove", "path": "/data/a~1b~0c"},
        {"op": "remove", "path": "/metadata/managedFields/2/fieldsV1/f:data"},
        {"op": "remove", "path": "/metadata/managedFields/3/fieldsV1/f:data"},
    ]);
    let opened = opened();
    let desired = desired(opened.document(), "o-1");
    assert_eq!(cleanup(&seen, opened.document(), &desired), Some(expected));
}
