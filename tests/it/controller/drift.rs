//! Contested Secrets and statuses: another client keeps changing what the controller wrote. Each correction is damped, so a
//! tenant cannot spend the KMS quota or keep the API server busy with one object.

use std::time::{Duration, Instant};

use k8s_openapi::api::events::v1::Event;
use kube::Api;
use kube::api::{ListParams, Patch, PatchParams};
use serde_json::json;

use super::lifecycle::event;
use crate::support::canary::logged;
use crate::support::controller::{TestNamespace, condition, message};
use crate::support::crd::plane_with_crd;

/// As fast as one client of the demonstrated attack.
const EDITS_PER_SECOND: u32 = 28;

/// Heals that are not delayed.
const FREE: u64 = 5;

/// Runs `edit` with an increasing number at [`EDITS_PER_SECOND`] for `seconds`, and returns how long that took.
pub(super) async fn storm(seconds: u32, mut edit: impl AsyncFnMut(u32)) -> Duration {
    let started = Instant::now();
    let mut ticks = tokio::time::interval(Duration::from_secs(1) / EDITS_PER_SECOND);
    for number in 0..seconds * EDITS_PER_SECOND {
        ticks.tick().await;
        edit(number).await;
    }
    started.elapsed()
}

/// Returns the maximum number of corrections within `elapsed`: five without delay, then one after 1 s, 2 s, 4 s, ...
pub(super) fn damped_maximum(elapsed: Duration) -> u64 {
    let doublings = (elapsed.as_secs() + 2).ilog2();
    FREE + u64::from(doublings) + 1
}

/// Counts the controller's patches of this resource in the namespace since `mark`.
pub(super) fn patches(
    place: &TestNamespace,
    mark: testkit::AuditMark,
    resource: &str,
    subresource: &str,
) -> u64 {
    let events = plane_with_crd().audit_since(mark).unwrap();
    let patches = events.iter().filter(|event| {
        event.namespace == place.namespace
            && event.verb == "patch"
            && event.resource == resource
            && event.subresource == subresource
            && event.uri.contains("fieldManager=envelope-secrets")
    });
    patches.count() as u64
}

#[tokio::test(flavor = "multi_thread")]
async fn drift_war_causes_a_bounded_number_of_decrypts_and_applies() {
    let (place, running) = TestNamespace::with_synced("war", &[("password", "planted-war-1")]).await;
    let mark = plane_with_crd().audit_mark().unwrap();
    let opened = running.metric("envelope_secrets_kms_requests_total", "Decrypt");

    let secrets = place.secrets();
    let by = PatchParams {
        field_manager: Some("drifter".into()),
        ..PatchParams::default()
    };
    let storm = storm(5, async |number| {
        let edit = json!({"stringData": {"password": format!("edited-{number}")}});
        secrets.patch("db", &by, &Patch::Merge(edit)).await.unwrap();
    });
    let (elapsed, drifted) = tokio::join!(storm, place.wait_for_reason("db", "SecretDrifted"));
    let decrypts = running.metric("envelope_secrets_kms_requests_total", "Decrypt") - opened;
    let applies = patches(&place, mark, "secrets", "");
    testkit::say(&format!(
        "{decrypts} Decrypts and {applies} applies during {} edits in {:.1} s",
        5 * EDITS_PER_SECOND,
        elapsed.as_secs_f64()
    ));
    let most = damped_maximum(elapsed);
    assert!(
        decrypts <= most,
        "{decrypts} Decrypts; at most {most} are allowed"
    );
    // A correction is repeated if an edit precedes it: at most five times.
    assert!(applies <= 5 * most, "{applies} applies");

    // While it waits, the object names who changes its Secret.
    assert_eq!(
        message(&drifted),
        "the secret was edited and cannot be restored yet: field manager drifter changes it again each time; retrying \
         with backoff"
    );
    assert_eq!(condition(&drifted, "Ready").unwrap()["status"], "False");
    assert_eq!(condition(&drifted, "Reconciling").unwrap()["status"], "True");
    assert!(running.metric("envelope_secrets_heals_damped_total", "") > 0);
    for reason in ["SecretDrifted", "DriftHealed"] {
        let note = event(&place, reason).await.note.unwrap();
        assert!(note.contains("field manager drifter"), "{reason}: {note}");
    }
    place
        .wait_for_secret("db", &[("password", "planted-war-1")])
        .await;
    place.wait_for_reason("db", "Synced").await;
    place.finish(running).await;
}

/// Fails if the status was written more often since `mark` than damping allows in `elapsed`.
fn assert_status_writes_are_damped(place: &TestNamespace, mark: testkit::AuditMark, elapsed: Duration) {
    let writes = patches(place, mark, "envelopesecrets", "status");
    testkit::say(&format!(
        "{writes} status writes in {:.1} s",
        elapsed.as_secs_f64()
    ));
    let most = damped_maximum(elapsed);
    assert!(
        writes <= 5 * most,
        "{writes} status writes; about {most} are allowed"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn metadata_storm_causes_a_bounded_number_of_status_writes() {
    let (place, running) = TestNamespace::with_synced("notes", &[("password", "planted-note-1")]).await;
    let mark = plane_with_crd().audit_mark().unwrap();
    let secrets = place.secrets();
    let elapsed = storm(5, async |number| {
        let note = json!({"metadata": {"annotations": {"example.com/note": number.to_string()}}});
        secrets
            .patch("db", &PatchParams::default(), &Patch::Merge(note))
            .await
            .unwrap();
    })
    .await;
    assert_status_writes_are_damped(&place, mark, elapsed);
    place.finish(running).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn status_war_causes_a_bounded_number_of_status_writes() {
    let (place, running) = TestNamespace::with_synced("statuswar", &[("password", "planted-status-1")]).await;
    let mark = plane_with_crd().audit_mark().unwrap();
    let objects = place.objects();
    let elapsed = storm(5, async |number| {
        let other = json!({"status": {"kmsKey": format!("local://{number:08x}")}});
        objects
            .patch_status("db", &PatchParams::default(), &Patch::Merge(other))
            .await
            .unwrap();
    })
    .await;
    assert_status_writes_are_damped(&place, mark, elapsed);
    place.finish(running).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn object_that_changes_all_the_time_sends_a_bounded_number_of_events() {
    let place = TestNamespace::new("noisy").await;
    let running = place.controller();
    for number in 0..40 {
        // Each generation has another error, and so another event.
        let mut bad = place.sealed("noisy", &[("password", "planted-noise-1")]);
        bad["spec"]["template"] = json!({"render": {format!("x{number}"): "<% nonsense %>"}});
        place.apply(&bad).await;
        place.wait_for_reason("noisy", "InvalidDocument").await;
    }
    place
        .apply(&place.sealed("quiet", &[("password", "planted-noise-2")]))
        .await;
    event(&place, "SecretCreated").await;
    let events: Api<Event> = Api::namespaced(place.client.clone(), &place.namespace);
    let all = events.list(&ListParams::default()).await.unwrap().items;
    let noisy = all
        .iter()
        .filter(|event| event.reason.as_deref() == Some("InvalidDocument"))
        .count();
    assert_eq!(noisy, 25);
    let warnings = logged(&[&place.namespace, "InvalidDocument", "WARN"]).len();
    assert!((5..20).contains(&warnings), "{warnings} warnings about 40 errors");
    place.finish(running).await;
}
