//! The life of a Secret: created, restored, updated, adopted, deleted.

use std::collections::BTreeMap;

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::api::events::v1::Event;
use kube::Api;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams};
use serde_json::{Value, json};

use crate::support::canary::logged;
use crate::support::controller::{TestNamespace, condition, message, text_entries};
use crate::support::sealing::{draft, object, string_map};
use crate::support::wait_for;

const PASSWORD: &str = "planted-password-8Zq";
const USER: &str = "planted-user-x7";

/// Waits for an event with this reason and returns it.
pub(super) async fn event(place: &TestNamespace, reason: &str) -> Event {
    let events: Api<Event> = Api::namespaced(place.client.clone(), &place.namespace);
    let found = |list: Vec<Event>| {
        list.into_iter()
            .find(|event| event.reason.as_deref() == Some(reason))
    };
    let params = ListParams::default();
    let watch = kube::runtime::watcher(events.clone(), kube::runtime::watcher::Config::default());
    let mut watch = Box::pin(kube::runtime::WatchStreamExt::applied_objects(watch));
    let limit = tokio::time::timeout(std::time::Duration::from_mins(1), async {
        while let Some(event) = futures::StreamExt::next(&mut watch).await {
            if event
                .as_ref()
                .is_ok_and(|event| event.reason.as_deref() == Some(reason))
            {
                return;
            }
        }
    });
    assert!(limit.await.is_ok(), "no event {reason}");
    found(events.list(&params).await.unwrap().items).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn applied_object_becomes_ready_with_its_secret() {
    let place = TestNamespace::new("main").await;
    let running = place.controller();
    let applied = place
        .apply(&place.sealed("db", &[("password", PASSWORD), ("user", USER)]))
        .await;
    let ready = place.wait_for_reason("db", "Synced").await;
    let secret = place
        .wait_for_secret("db", &[("password", PASSWORD), ("user", USER)])
        .await;

    assert_eq!(message(&ready), "secret holds 2 entries from generation 1");
    assert_eq!(condition(&ready, "Ready").unwrap()["status"], "True");
    assert!(condition(&ready, "Stalled").is_none() && condition(&ready, "Reconciling").is_none());
    let status = &ready.data["status"];
    let written = &status["applied"];
    assert_eq!(
        (&written["mode"], &written["renderer"], &written["entries"]),
        (&json!("Owned"), &json!(1), &json!(2))
    );
    assert_eq!(written["secretUID"], json!(secret.metadata.uid));
    assert_eq!(
        written["secretResourceVersion"],
        json!(secret.metadata.resource_version)
    );
    assert_eq!(status["sealed"]["time"], ready.data["spec"]["seal"]["time"]);
    assert_eq!(
        status["kmsKey"],
        ready.data["spec"]["dataKeys"][0]["wraps"][0]["key"]
    );

    assert_eq!(secret.type_.as_deref(), Some("Opaque"));
    let owner = &secret.metadata.owner_references.as_ref().unwrap()[0];
    assert_eq!(
        (Some(&owner.uid), owner.controller, owner.block_owner_deletion),
        (applied.metadata.uid.as_ref(), Some(true), None)
    );
    let labels = secret.metadata.labels.as_ref().unwrap();
    assert_eq!(labels["envelope-secrets.io/managed"], "owned");
    assert_eq!(labels["app.kubernetes.io/managed-by"], "envelope-secrets");
    let managers: Vec<_> = secret
        .metadata
        .managed_fields
        .iter()
        .flatten()
        .map(|e| (e.manager.as_deref(), e.operation.as_deref()))
        .collect();
    assert_eq!(managers, [(Some("envelope-secrets"), Some("Apply"))]);

    let created = event(&place, "SecretCreated").await;
    assert_eq!(
        created.note.as_deref(),
        Some("secret holds 2 entries from generation 1")
    );
    assert_eq!(created.regarding.unwrap().uid, applied.metadata.uid);
    assert!(running.health.live().is_ok() && running.health.ready().is_ok());
    assert_eq!(running.metric("envelope_secrets_opens_total", "opened"), 1);
    assert_eq!(
        running.metric("envelope_secrets_kms_requests_total", "Decrypt"),
        1
    );
    place.finish(running).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn deleted_or_edited_secret_is_restored() {
    let place = TestNamespace::new("drift").await;
    let running = place.controller();
    place
        .apply(&place.sealed("db", &[("password", PASSWORD), ("user", USER)]))
        .await;
    let entries = [("password", PASSWORD), ("user", USER)];
    let first = place.wait_for_secret("db", &entries).await;
    place.wait_for_reason("db", "Synced").await;

    place
        .secrets()
        .delete("db", &DeleteParams::default())
        .await
        .unwrap();
    let recreated = |secret: Option<&Secret>| secret.is_some_and(|s| s.metadata.uid != first.metadata.uid);
    let second = wait_for(&place.secrets(), "db", "it is created again", recreated)
        .await
        .unwrap();
    assert_eq!(text_entries(&second).len(), 2);
    event(&place, "DriftHealed").await;

    let edit = json!({"data": {"password": "ZWRpdGVk", "extra": "eA=="}});
    let edited = place
        .secrets()
        .patch("db", &PatchParams::default(), &Patch::Merge(edit))
        .await
        .unwrap();
    place.wait_for_secret("db", &entries).await;

    let lost = json!({"data": {"user": null}});
    place
        .secrets()
        .patch("db", &PatchParams::default(), &Patch::Merge(lost))
        .await
        .unwrap();
    let restored = place.wait_for_secret("db", &entries).await;
    assert_eq!(
        restored.metadata.uid, edited.metadata.uid,
        "an edited Secret is updated in place"
    );
    let current = |object: Option<&kube::core::DynamicObject>| {
        object.is_some_and(|o| {
            o.data["status"]["applied"]["secretResourceVersion"] == json!(restored.metadata.resource_version)
        })
    };
    wait_for(
        &place.objects(),
        "db",
        "the status records the restored Secret",
        current,
    )
    .await;
    place.finish(running).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn foreign_entries_are_removed() {
    let (place, running) = TestNamespace::with_synced("exact", &[("password", PASSWORD)]).await;
    let add = json!({"data": {"by.hand": "eA==", "_too": "eQ=="}});
    place
        .secrets()
        .patch("db", &PatchParams::default(), &Patch::Merge(add))
        .await
        .unwrap();
    place.wait_for_secret("db", &[("password", PASSWORD)]).await;

    // Without managedFields, server-side apply alone would keep the entry.
    let add = json!({"data": {"later": "eA=="}, "metadata": {"managedFields": [{}]}});
    place
        .secrets()
        .patch("db", &PatchParams::default(), &Patch::Merge(add))
        .await
        .unwrap();
    place.wait_for_secret("db", &[("password", PASSWORD)]).await;

    // kubectl replace: our entries become co-owned, and the foreign entry is removed.
    let mut replaced = place.secrets().get("db").await.unwrap();
    replaced
        .data
        .get_or_insert_default()
        .insert("replaced".into(), ByteString(b"x".to_vec()));
    replaced.metadata.managed_fields = None;
    replaced.metadata.resource_version = None;
    place
        .secrets()
        .replace("db", &kube::api::PostParams::default(), &replaced)
        .await
        .unwrap();
    place.wait_for_secret("db", &[("password", PASSWORD)]).await;

    // Server-side apply of stringData: managedFields do not list it under data.
    let by_text = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "db"},
                         "stringData": {"password": "edited", "text": "x"}});
    let params = PatchParams::apply("other-manager");
    place
        .secrets()
        .patch("db", &params, &Patch::Apply(&by_text))
        .await
        .unwrap();
    let restored = place.wait_for_secret("db", &[("password", PASSWORD)]).await;
    let managers: Vec<_> = restored.metadata.managed_fields.iter().flatten().collect();
    assert!(
        managers
            .iter()
            .all(|entry| entry.manager.as_deref() != Some("other-manager")),
        "{managers:?}"
    );

    // An entry removed from the spec is removed from the Secret, even if it is co-owned.
    place.apply(&place.sealed("db", &[("token", USER)])).await;
    place.wait_for_secret("db", &[("token", USER)]).await;
    place.finish(running).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn changed_spec_updates_the_secret() {
    let (place, running) =
        TestNamespace::with_synced("change", &[("password", PASSWORD), ("user", USER)]).await;
    place
        .apply(&place.sealed("db", &[("password", "planted-second-2Kd")]))
        .await;
    let secret = place
        .wait_for_secret("db", &[("password", "planted-second-2Kd")])
        .await;
    let ready = place.wait_for_reason("db", "Synced").await;
    assert_eq!(ready.metadata.generation, Some(2));
    assert_eq!(message(&ready), "secret holds 1 entry from generation 2");
    assert_eq!(
        ready.data["status"]["applied"]["secretResourceVersion"],
        json!(secret.metadata.resource_version)
    );
    event(&place, "SecretUpdated").await;
    let reconciles = |label: &str| running.metric("envelope_secrets_reconcile_total", label);
    assert!(reconciles("outcome=\"opening\"") > 0);
    assert_eq!(
        reconciles("reason=\"Progressing\""),
        0,
        "it did not wait for capacity"
    );
    for cause in ["New", "Changed"] {
        let cause = format!("\"cause\":\"{cause}\"");
        assert!(
            !logged(&[&place.namespace, "DEBUG", &cause]).is_empty(),
            "{cause}"
        );
    }
    place.finish(running).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn secret_of_a_deleted_object_is_not_created_again() {
    let place = TestNamespace::new("delete").await;
    let running = place.controller();
    for name in ["one", "two"] {
        place.apply_synced(name, &[("password", PASSWORD)]).await;
    }
    place.delete("one").await;
    let gone = |secret: Option<&Secret>| secret.is_none();
    wait_for(&place.secrets(), "one", "the garbage collector deletes it", gone).await;
    // The controller works in order: it would have created the first Secret again before it writes this one.
    place
        .apply(&place.sealed("two", &[("password", "planted-after-9Lm")]))
        .await;
    place
        .wait_for_secret("two", &[("password", "planted-after-9Lm")])
        .await;
    assert!(
        place.secrets().get_opt("one").await.unwrap().is_none(),
        "it stays deleted"
    );
    place.finish(running).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn template_defines_type_metadata_and_rendered_entries() {
    let place = TestNamespace::new("template").await;
    let running = place.controller();
    let mut draft = draft(&place.namespace, "db", &[("password", PASSWORD.as_bytes())]);
    place.canary.plant(PASSWORD);
    draft.template.type_ = Some("example.com/dsn".into());
    draft.template.labels = string_map(&[("app", "db")]);
    draft.template.annotations = string_map(&[("example.com/note", "x")]);
    draft.template.data = string_map(&[("host", "db:5432")]);
    draft.template.render = string_map(&[("dsn", "pg://app:<%= v.password | urlencode %>@<%= v.host %>/")]);
    let sealed = place.sealer.seal(draft);
    place.apply(&object(&sealed)).await;
    let dsn = format!("pg://app:{PASSWORD}@db:5432/");
    let secret = place
        .wait_for_secret(
            "db",
            &[("password", PASSWORD), ("host", "db:5432"), ("dsn", &dsn)],
        )
        .await;
    assert_eq!(secret.type_.as_deref(), Some("example.com/dsn"));
    assert_eq!(secret.metadata.labels.as_ref().unwrap()["app"], "db");
    assert_eq!(
        secret.metadata.annotations,
        Some(BTreeMap::from([("example.com/note".into(), "x".into())]))
    );
    place.wait_for_reason("db", "Synced").await;

    // A foreign annotation is kept and causes no opening.
    let opens = running.metric("envelope_secrets_opens_total", "");
    let touched = place.annotate_secret("example.com/theirs").await;
    assert_eq!(running.metric("envelope_secrets_opens_total", ""), opens);
    assert_eq!(
        place.secrets().get("db").await.unwrap().metadata.resource_version,
        touched.metadata.resource_version
    );
    place.finish(running).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn owned_secret_without_its_label_is_healed() {
    let (place, running) = TestNamespace::with_synced("label", &[("password", PASSWORD)]).await;
    let unlabelled =
        json!({"metadata": {"labels": {"envelope-secrets.io/managed": null}}, "data": {"password": "eA=="}});
    let before = place
        .secrets()
        .patch("db", &PatchParams::default(), &Patch::Merge(unlabelled))
        .await
        .unwrap();
    let restored = place.wait_for_secret("db", &[("password", PASSWORD)]).await;
    assert_eq!(restored.metadata.uid, before.metadata.uid);
    let labelled: &Value = &json!(restored.metadata.labels);
    assert_eq!(labelled["envelope-secrets.io/managed"], "owned");
    place.finish(running).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn orphaned_secret_is_adopted_by_a_new_object_of_its_name() {
    let (place, running) = TestNamespace::with_synced("orphan", &[("password", PASSWORD)]).await;
    let first = place.wait_for_secret("db", &[("password", PASSWORD)]).await;
    let orphan = DeleteParams {
        propagation_policy: Some(kube::api::PropagationPolicy::Orphan),
        ..DeleteParams::default()
    };
    place.objects().delete("db", &orphan).await.unwrap();
    let gone = |object: Option<&kube::core::DynamicObject>| object.is_none();
    wait_for(&place.objects(), "db", "it is gone", gone).await;
    assert_eq!(
        place.secrets().get("db").await.unwrap().metadata.uid,
        first.metadata.uid
    );

    let recreated = place
        .apply(&place.sealed("db", &[("password", "planted-third-5Rt")]))
        .await;
    let secret = place
        .wait_for_secret("db", &[("password", "planted-third-5Rt")])
        .await;
    assert_eq!(
        secret.metadata.uid, first.metadata.uid,
        "the same Secret, adopted"
    );
    let owners = secret.metadata.owner_references.unwrap();
    assert_eq!(
        owners.iter().map(|owner| Some(&owner.uid)).collect::<Vec<_>>(),
        [recreated.metadata.uid.as_ref()]
    );
    place.finish(running).await;
}
