use super::*;
use crate::api::Mode;
use crate::controller::decide::desired::Metadata;
use crate::controller::observe::decode;
use crate::controller::observe::fields::{Field, FieldFacts, FieldSet, ForeignContent};
use crate::controller::observe::secret_facts::Owner;
use crate::controller::observe::wishes::Mark;
use serde_json::{Value, json};

type Change = fn(&mut Value);

fn fields(keys: &[&str]) -> FieldSet {
    FieldSet::default().with(keys.iter().map(|key| Field::Data(key)))
}

fn desired() -> Desired {
    Desired {
        mode: Mode::Owned,
        fields: fields(&["a"]),
        metadata: Metadata {
            labels: Vec::new(),
            owner: Some("o-1".into()),
        },
        digest: "d1".into(),
        entries: 1,
    }
}

/// An object whose generation 3 is applied; `change` edits its JSON.
fn object(change: impl FnOnce(&mut Value)) -> Object {
    let mut text = json!({
        "metadata": {"name": "db", "namespace": "prod", "uid": "o-1", "resourceVersion": "7", "generation": 3},
        "spec": {},
        "status": {
            "observedGeneration": 3,
            "applied": {"generation": 3, "digest": "d1", "mode": "Owned", "renderer": 1, "secretUID": "s-1",
                        "secretResourceVersion": "9", "entries": 1, "time": "2026-11-24T00:47:55Z"},
            "conditions": [{"type": "Ready", "status": "True", "reason": "Synced", "message": "",
                            "lastTransitionTime": "2026-11-24T00:47:55Z"}]
        }
    });
    change(&mut text);
    decode::item::<Object>(&text.to_string()).expect("an object").1
}

fn secret() -> SecretFacts {
    SecretFacts {
        uid: "s-1".into(),
        resource_version: "9".into(),
        deleting: false,
        mark: Mark::Managed(Mode::Owned),
        owner: Owner::Object(vec!["o-1".into()]),
        fields: FieldFacts {
            ours: Some(fields(&["a"])),
            foreign: None,
        },
    }
}

fn planned(object: &Object, secret: Option<&SecretFacts>) -> Plan {
    plan(View {
        object: Some(object),
        secret,
        secret_state: secret_state(object, secret, Some(&desired())),
        secret_state_known: false,
        desired: Ok(&desired()),
    })
}

#[test]
fn any_difference_prevents_skip() {
    let unchanged = object(|_| {});
    assert_eq!(planned(&unchanged, Some(&secret())), Plan::Skip);
    let cases: [(&str, Change, Plan); 5] = [
        (
            "generation",
            |o| o["metadata"]["generation"] = 4.into(),
            Plan::Open(Cause::Verify),
        ),
        (
            "mode",
            |o| o["status"]["applied"]["mode"] = "Retained".into(),
            Plan::Open(Cause::Changed),
        ),
        (
            "renderer",
            |o| o["status"]["applied"]["renderer"] = 0.into(),
            Plan::Open(Cause::Changed),
        ),
        (
            "secret's uid",
            |o| o["status"]["applied"]["secretUID"] = "s-0".into(),
            Plan::Open(Cause::Edited),
        ),
        ("no status", |o| o["status"] = Value::Null, Plan::Open(Cause::New)),
    ];
    for (name, change, expected) in cases {
        assert_eq!(planned(&object(change), Some(&secret())), expected, "{name}");
    }
    let failed = object(|o| o["status"]["observedGeneration"] = 2.into());
    assert_eq!(
        planned(&failed, Some(&secret())),
        Plan::Skip,
        "observedGeneration plays no part"
    );
}

#[test]
fn new_generation_with_new_digest_is_a_change() {
    let changed = object(|o| {
        o["metadata"]["generation"] = 4.into();
        o["status"]["applied"]["digest"] = "d0".into();
    });
    assert_eq!(planned(&changed, Some(&secret())), Plan::Open(Cause::Changed));
}

#[test]
fn new_resource_version_is_judged_by_managed_fields() {
    let unchanged = object(|_| {});
    let touched = SecretFacts {
        resource_version: "10".into(),
        ..secret()
    };
    assert_eq!(
        planned(&unchanged, Some(&touched)),
        Plan::Restamp,
        "a foreign annotation or a storage rewrite"
    );
    for facts in [
        FieldFacts {
            ours: Some(fields(&["a"])),
            foreign: Some(Box::new(ForeignContent {
                manager: "kubectl-edit".into(),
                contested: Vec::new(),
            })),
        },
        FieldFacts {
            ours: Some(fields(&["a", "b"])),
            foreign: None,
        },
        FieldFacts {
            ours: Some(fields(&[])),
            foreign: None,
        },
        FieldFacts {
            ours: None,
            foreign: None,
        },
    ] {
        let edited = SecretFacts {
            fields: facts.clone(),
            ..touched.clone()
        };
        assert_eq!(
            planned(&unchanged, Some(&edited)),
            Plan::Open(Cause::Edited),
            "{facts:?}"
        );
    }
    let newer = object(|o| o["metadata"]["generation"] = 4.into());
    let edited = SecretFacts {
        fields: FieldFacts::default(),
        ..touched
    };
    assert_eq!(
        planned(&newer, Some(&edited)),
        Plan::Open(Cause::Changed),
        "edited, but the document changed too"
    );
}

#[test]
fn absent_owned_orphaned_and_foreign_secrets_are_distinguished() {
    let unchanged = object(|_| {});
    let new = object(|o| o["status"] = json!({"observedGeneration": -1}));
    assert_eq!(planned(&new, None), Plan::Open(Cause::New));
    assert_eq!(planned(&unchanged, None), Plan::Open(Cause::Missing));
    for owner in [
        Owner::None,
        Owner::Object(vec!["o-0".into()]),
        Owner::Object(vec!["o-0".into(), "o-1".into()]),
    ] {
        let ours = SecretFacts { owner, ..secret() };
        assert_eq!(planned(&new, Some(&ours)), Plan::Open(Cause::New), "{ours:?}");
        assert_eq!(
            planned(&unchanged, Some(&ours)),
            Plan::Open(Cause::Edited),
            "{ours:?}"
        );
    }
    for object in [&new, &unchanged] {
        let foreign = SecretFacts {
            owner: Owner::Other(Some("SealedSecret db".into())),
            ..secret()
        };
        assert_eq!(
            planned(object, Some(&foreign)),
            Plan::Foreign(Some("SealedSecret db".into()))
        );
    }
}

#[test]
fn reported_conflict_is_read_again_before_opening() {
    let blocked = object(|o| {
        o["status"] = json!({"conditions": [{"type": "Ready", "status": "False", "reason": "Conflict",
            "message": "", "lastTransitionTime": "2026-11-24T00:47:55Z"}]});
    });
    assert_eq!(planned(&blocked, None), Plan::ReadSecret);
    let view = View {
        object: Some(&blocked),
        secret: None,
        secret_state: secret_state(&blocked, None, Some(&desired())),
        secret_state_known: true,
        desired: Ok(&desired()),
    };
    assert_eq!(plan(view), Plan::Open(Cause::New), "the foreign Secret is gone");
}

#[test]
fn objects_being_deleted_or_written_by_newer_controllers_are_left_alone() {
    assert_eq!(
        plan(View {
            object: None,
            secret: Some(&secret()),
            secret_state: SecretState::Unwritten,
            secret_state_known: false,
            desired: Ok(&desired())
        }),
        Plan::Gone
    );
    let deleting_object = object(|o| o["metadata"]["deletionTimestamp"] = "2026-11-24T00:47:55Z".into());
    assert_eq!(
        planned(&deleting_object, None),
        Plan::Gone,
        "a deleted Secret is not created again"
    );
    let suspended =
        object(|o| o["metadata"]["annotations"] = serde_json::json!({"envelope-secrets.io/suspend": "true"}));
    assert_eq!(planned(&suspended, None), Plan::Suspended);
    let newer = object(|o| o["status"]["applied"]["renderer"] = 2.into());
    assert_eq!(planned(&newer, None), Plan::LeaveAlone);
    let deleting = SecretFacts {
        deleting: true,
        ..secret()
    };
    assert_eq!(
        planned(&object(|_| {}), Some(&deleting)),
        Plan::Held,
        "by a finalizer"
    );
    let foreign = SecretFacts {
        owner: Owner::Other(None),
        ..deleting
    };
    assert_eq!(planned(&object(|_| {}), Some(&foreign)), Plan::LeaveAlone);
}

#[test]
fn disallowed_document_is_refused_even_if_its_secret_exists() {
    let unchanged = object(|_| {});
    let refusal = Finding::NoUsableKey {
        keys: vec!["local://x".into()],
        advice: String::new(),
        namespace: "prod".into(),
    };
    for secret in [None, Some(&secret())] {
        let view = View {
            object: Some(&unchanged),
            secret,
            secret_state: secret_state(&unchanged, secret, None),
            secret_state_known: false,
            desired: Err(&refusal),
        };
        assert_eq!(plan(view), Plan::Refuse(refusal.clone()));
    }
}
