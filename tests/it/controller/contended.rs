//! Writes of a Secret that fail because another client changes it: its managedFields list entries that do not exist, or it
//! changes faster than it can be written.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use envelope_secrets::controller::{DampingTimes, Timings};
use k8s_openapi::api::core::v1::Secret;
use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};
use testkit::{AuditMark, Webhook};

use super::drift::{damped_maximum, patches, storm};
use crate::support::controller::{
    Running, TestNamespace, condition, message, sorted_entries, text_entries, timings,
};
use crate::support::crd::plane_with_crd;
use crate::support::until;

const LIMIT: Duration = Duration::from_mins(1);

/// managedFields of a manager `tenant` that list entries which do not exist. Some of the names are not those of entries.
fn ghosts() -> Value {
    json!([{"manager": "tenant", "operation": "Update", "apiVersion": "v1", "fieldsType": "FieldsV1",
            "fieldsV1": {"f:data": {"f:ghost": {}, "f:a/b~c": {}, "f:outer": {"f:inner": {}}}}}])
}

/// Changes the Secret `db` as the field manager `drifter`.
async fn edit(place: &TestNamespace, change: &Value) {
    let by = PatchParams {
        field_manager: Some("drifter".into()),
        ..PatchParams::default()
    };
    place
        .secrets()
        .patch("db", &by, &Patch::Merge(change))
        .await
        .unwrap();
}

fn opens(running: &Running) -> u64 {
    running.metric("envelope_secrets_opens_total", "")
}

/// Fails if the Secret was written, or its document opened, more often than damping allows in `elapsed`.
fn assert_damped(place: &TestNamespace, mark: AuditMark, opens: u64, elapsed: Duration) {
    let applies = patches(place, mark, "secrets", "");
    testkit::say(&format!(
        "{opens} openings and {applies} patches in {:.1} s",
        elapsed.as_secs_f64()
    ));
    let most = damped_maximum(elapsed);
    assert!(opens <= most, "{opens} openings; at most {most} are allowed");
    // A conflict repeats a correction: at most five times, of two requests each.
    assert!(applies <= 10 * most, "{applies} patches");
}

#[tokio::test(flavor = "multi_thread")]
async fn entries_that_only_managed_fields_list_prevent_no_write() {
    let place = TestNamespace::new("ghost").await;
    // Before the first write: an orphaned Secret of this name.
    let orphan: Secret = serde_json::from_value(json!({
        "metadata": {"name": "db", "labels": {"envelope-secrets.io/managed": "owned"}}}))
    .unwrap();
    place.create_secret(&orphan).await;
    edit(&place, &json!({"metadata": {"managedFields": ghosts()}})).await;
    let stored = place.secrets().get("db").await.unwrap();
    let listed = json!(stored.metadata.managed_fields).to_string();
    assert!(listed.contains("f:ghost"), "the API server stores them: {listed}");
    let mark = plane_with_crd().audit_mark().unwrap();
    let running = place.controller();
    let entries = [("password", "planted-ghost-1")];
    place.apply(&place.sealed("db", &entries)).await;
    place.wait_for_reason("db", "Synced").await;
    let written = place.wait_for_secret("db", &entries).await;
    let managers: Vec<_> = written.metadata.managed_fields.iter().flatten().collect();
    assert!(
        managers
            .iter()
            .all(|entry| entry.manager.as_deref() != Some("tenant")),
        "{managers:?}"
    );
    let requests = patches(&place, mark, "secrets", "");
    assert!(requests <= 4, "{requests} patches");

    // So a foreign annotation is recognized as one, and causes no opening.
    let opened = opens(&running);
    place.annotate_secret("example.com/note").await;
    assert_eq!(opens(&running), opened);
    place.finish(running).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn edits_with_entries_that_only_managed_fields_list_are_damped() {
    let place = TestNamespace::new("ghosts").await;
    let running = place.controller();
    let entries = [("password", "planted-ghosts-1")];
    place.apply(&place.sealed("db", &entries)).await;
    place.wait_for_reason("db", "Synced").await;
    let (mark, opened) = (plane_with_crd().audit_mark().unwrap(), opens(&running));
    let elapsed = storm(5, async |number| {
        let change = json!({"stringData": {"password": format!("edited-{number}")},
                            "metadata": {"managedFields": ghosts()}});
        edit(&place, &change).await;
    })
    .await;
    assert_damped(&place, mark, opens(&running) - opened, elapsed);
    place.wait_for_secret("db", &entries).await;
    place.wait_for_reason("db", "Synced").await;
    place.finish(running).await;
}

/// Delays the controller's writes of Secrets in the namespace, not those of other clients.
struct SlowWrites {
    webhook: Webhook,
    configuration: String,
}

impl SlowWrites {
    async fn start(place: &TestNamespace, delay: Duration) -> Self {
        let webhook = Webhook::start(delay).unwrap();
        let mut configuration = webhook.configuration(&place.namespace, &place.namespace);
        configuration["webhooks"][0]["matchConditions"] = json!([{
            "name": "controller",
            "expression": "has(request.options.fieldManager) && request.options.fieldManager == 'envelope-secrets'",
        }]);
        plane_with_crd()
            .kubectl_with_input(["apply", "-f", "-"], &configuration.to_string())
            .unwrap();
        // The API server takes a moment to notice it.
        let dry_run = PatchParams {
            dry_run: true,
            ..PatchParams::apply("envelope-secrets").force()
        };
        let body = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "unused"}});
        until(LIMIT, "the webhook is called", async || {
            place
                .secrets()
                .patch("unused", &dry_run, &Patch::Apply(&body))
                .await
                .unwrap();
            webhook.calls() > 0
        })
        .await;
        SlowWrites {
            webhook,
            configuration: place.namespace.clone(),
        }
    }

    fn end(self) {
        assert!(self.webhook.calls() > 1, "it delayed the controller");
        plane_with_crd()
            .kubectl(["delete", "validatingwebhookconfiguration", &self.configuration])
            .unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn secret_that_changes_faster_than_it_can_be_written_is_damped() {
    let place = TestNamespace::new("outrun").await;
    let running = place.controller();
    let entries = [("password", "planted-outrun-1")];
    place.apply(&place.sealed("db", &entries)).await;
    place.wait_for_reason("db", "Synced").await;
    let slow = SlowWrites::start(&place, Duration::from_millis(60)).await;
    let (mark, opened) = (plane_with_crd().audit_mark().unwrap(), opens(&running));
    let storm = storm(6, async |number| {
        edit(
            &place,
            &json!({"stringData": {"password": format!("edited-{number}")}}),
        )
        .await;
    });
    let (elapsed, drifted) = tokio::join!(storm, place.wait_for_reason("db", "SecretDrifted"));
    assert_damped(&place, mark, opens(&running) - opened, elapsed);
    assert_eq!(condition(&drifted, "Reconciling").unwrap()["status"], "True");
    assert!(
        message(&drifted).contains("field manager drifter changes it again each time"),
        "{}",
        message(&drifted)
    );
    slow.end();
    place.wait_for_secret("db", &entries).await;
    place.wait_for_reason("db", "Synced").await;
    place.finish(running).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn contended_first_write_is_reported_and_retried_with_backoff() {
    let place = TestNamespace::new("outrun-new").await;
    let never = Duration::from_hours(24 * 365);
    let timings = Timings {
        retry_min: never,
        retry_max: never,
        ..timings()
    };
    let running = Running::start_with(
        place.sealer.keyring(),
        &[&place.namespace],
        &[],
        plane_with_crd().kubeconfig(),
        timings,
    );
    let orphan: Secret = serde_json::from_value(
        json!({"metadata": {"name": "db", "labels": {"envelope-secrets.io/managed": "owned"}}}),
    )
    .unwrap();
    place.create_secret(&orphan).await;
    let slow = SlowWrites::start(&place, Duration::from_millis(150)).await;
    let entries = [("password", "planted-outrun-2")];
    place.apply(&place.sealed("db", &entries)).await;
    let stop = AtomicBool::new(false);
    let edits = async {
        let mut number = 0;
        while !stop.load(Ordering::SeqCst) {
            edit(&place, &json!({"stringData": {"other": number.to_string()}})).await;
            number += 1;
        }
    };
    let reported = async {
        let reported = place.wait_for_reason("db", "ApiUnavailable").await;
        // Each further edit is a trigger.
        let waited = running.metric("envelope_secrets_reconcile_total", "outcome=\"waiting\"");
        until(LIMIT, "edits cause reconciles", async || {
            running.metric("envelope_secrets_reconcile_total", "outcome=\"waiting\"") >= waited + 5
        })
        .await;
        stop.store(true, Ordering::SeqCst);
        reported
    };
    let ((), reported) = tokio::join!(edits, reported);
    assert_eq!(
        message(&reported),
        "writing the secret failed (409); no secret exists yet; retrying with backoff"
    );
    assert_eq!(opens(&running), 1);
    slow.end();
    // A request by annotation does not wait for the backoff.
    let mut requested = place.sealed("db", &entries);
    requested["metadata"]["annotations"]["envelope-secrets.io/reconcile-at"] = json!("now");
    place.apply(&requested).await;
    place.wait_for_reason("db", "Synced").await;
    place.wait_for_secret("db", &entries).await;
    place.finish(running).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn forged_managed_fields_do_not_end_a_delayed_heal() {
    let place = TestNamespace::new("forged").await;
    let defaults = timings();
    let timings = Timings {
        damping: DampingTimes {
            first: Duration::from_secs(3),
            ..defaults.damping
        },
        ..defaults
    };
    let running = Running::start_with(
        place.sealer.keyring(),
        &[&place.namespace],
        &[],
        plane_with_crd().kubeconfig(),
        timings,
    );
    let entries = [("password", "planted-forged-1")];
    place.apply(&place.sealed("db", &entries)).await;
    place.wait_for_reason("db", "Synced").await;
    let written = place.wait_for_secret("db", &entries).await;
    let ours: Vec<Value> = written
        .metadata
        .managed_fields
        .iter()
        .flatten()
        .filter(|entry| entry.manager.as_deref() == Some("envelope-secrets"))
        .map(|entry| json!(entry))
        .collect();
    let damped = || running.metric("envelope_secrets_heals_damped_total", "");
    let mut number = 0;
    while damped() == 0 {
        edit(
            &place,
            &json!({"stringData": {"password": format!("edited-{number}")}}),
        )
        .await;
        number += 1;
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    place.wait_for_reason("db", "SecretDrifted").await;
    // The Secret now looks as if only its resourceVersion had changed.
    edit(&place, &json!({"metadata": {"managedFields": ours}})).await;
    place.wait_for_reason("db", "Synced").await;
    let healed = place.secrets().get("db").await.unwrap();
    assert_eq!(text_entries(&healed), sorted_entries(&entries));
    place.finish(running).await;
}
