//! Annotations of an object that control its reconciliation: `reconcile-at` and `suspend`.

use std::time::Duration;

use kube::api::{Patch, PatchParams};
use kube::core::DynamicObject;
use serde_json::{Value, json};

use super::drift::{damped_maximum, patches, storm};
use super::lifecycle::event;
use super::rejections::{allow, decrypts};
use crate::support::controller::{Running, TestNamespace, timings};
use crate::support::crd::plane_with_crd;
use crate::support::{until, wait_for};

const PASSWORD: &str = "planted-annotation-2Qz";

async fn annotate(place: &TestNamespace, name: &str, annotation: &str, value: Value) -> DynamicObject {
    let annotation = json!({"metadata": {"annotations": {annotation: value}}});
    let objects = place.objects();
    objects
        .patch(name, &PatchParams::default(), &Patch::Merge(annotation))
        .await
        .unwrap()
}

/// Waits until the status repeats this value of `reconcile-at`.
async fn handled(place: &TestNamespace, name: &str, value: &str) -> DynamicObject {
    let repeats = |object: Option<&DynamicObject>| {
        object.is_some_and(|object| object.data["status"]["lastHandledReconcileAt"] == value)
    };
    wait_for(&place.objects(), name, "the request is handled", repeats)
        .await
        .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn reconcile_at_retries_immediately_and_is_repeated_in_the_status() {
    let place = TestNamespace::new("request").await;
    let user = allow(&place, &["get", "list", "watch"]);
    let kubeconfig = plane_with_crd().kubeconfig_for_user(&user, &[]).unwrap();
    // Nothing is retried on its own while the test runs.
    let mut patient = timings();
    patient.retry_min = Duration::from_hours(1000);
    patient.retry_max = Duration::from_hours(1000);
    let running = Running::start_with(
        place.sealer.keyring(),
        &[&place.namespace],
        &[],
        kubeconfig,
        patient,
    );
    place.apply(&place.sealed("db", &[("password", PASSWORD)])).await;
    place.wait_for_reason("db", "ApiForbidden").await;

    // A request that is refused again is handled, too.
    annotate(&place, "db", "envelope-secrets.io/reconcile-at", json!("first")).await;
    handled(&place, "db", "first").await;
    place.wait_for_reason("db", "ApiForbidden").await;

    allow(&place, &["get", "list", "watch", "create", "patch"]);
    let may = format!("--as={user}");
    until(Duration::from_mins(1), "it may create", async || {
        plane_with_crd()
            .kubectl(["auth", "can-i", "create", "secrets", "-n", &place.namespace, &may])
            .is_ok()
    })
    .await;
    annotate(&place, "db", "envelope-secrets.io/reconcile-at", json!("second")).await;
    place.wait_for_secret("db", &[("password", PASSWORD)]).await;
    handled(&place, "db", "second").await;
    place.wait_for_reason("db", "Synced").await;

    // Where nothing failed, a request costs one status write.
    let (opened, mark) = (decrypts(&running), plane_with_crd().audit_mark().unwrap());
    annotate(&place, "db", "envelope-secrets.io/reconcile-at", json!("third")).await;
    handled(&place, "db", "third").await;
    assert_eq!(decrypts(&running), opened);
    assert_eq!(patches(&place, mark, "secrets", ""), 0);
    place.finish(running).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn storm_of_requests_causes_a_bounded_number_of_status_writes() {
    let (place, running) = TestNamespace::with_synced("requests", &[("password", PASSWORD)]).await;
    let mark = plane_with_crd().audit_mark().unwrap();
    let elapsed = storm(3, async |number| {
        annotate(
            &place,
            "db",
            "envelope-secrets.io/reconcile-at",
            json!(number.to_string()),
        )
        .await;
    })
    .await;
    let writes = patches(&place, mark, "envelopesecrets", "status");
    let most = damped_maximum(elapsed);
    assert!(
        writes <= 5 * most,
        "{writes} status writes; about {most} are allowed"
    );
    handled(&place, "db", "83").await;
    place.finish(running).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn suspended_object_and_its_secret_are_left_alone_until_resumed() {
    let (place, running) = TestNamespace::with_synced("suspend", &[("password", PASSWORD)]).await;
    let seen = || running.metric("envelope_secrets_reconcile_total", "outcome=\"suspended\"");
    annotate(&place, "db", "envelope-secrets.io/suspend", json!("true")).await;
    event(&place, "Suspended").await;

    let before = seen();
    let edit = json!({"stringData": {"password": "edited"}});
    place
        .secrets()
        .patch("db", &PatchParams::default(), &Patch::Merge(edit))
        .await
        .unwrap();
    until(Duration::from_mins(1), "the edit is seen", async || {
        seen() > before
    })
    .await;
    let before = seen();
    let changed = place
        .apply(&place.sealed("db", &[("password", "planted-annotation-3Qz")]))
        .await;
    until(Duration::from_mins(1), "the new generation is seen", async || {
        seen() > before
    })
    .await;
    place.wait_for_secret("db", &[("password", "edited")]).await;
    let now = place.objects().get("db").await.unwrap();
    assert_eq!(
        now.metadata.resource_version, changed.metadata.resource_version,
        "no status was written"
    );

    annotate(&place, "db", "envelope-secrets.io/suspend", Value::Null).await;
    place
        .wait_for_secret("db", &[("password", "planted-annotation-3Qz")])
        .await;
    event(&place, "Resumed").await;
    place.wait_for_reason("db", "Synced").await;
    place.finish(running).await;
}
