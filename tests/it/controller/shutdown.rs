//! The end of a controller: what it has begun is finished within the shutdown time, and nothing happens afterwards.

use std::process::{Command, Stdio};
use std::time::Duration;

use envelope_secrets::controller::Timings;
use k8s_openapi::api::events::v1::Event;
use kube::Api;
use kube::api::ListParams;
use kube::config::Kubeconfig;
use serde_json::json;
use testkit::{AuditEvent, Webhook};

use crate::support::canary::logged;
use crate::support::controller::{Running, TestNamespace, timings};
use crate::support::crd::plane_with_crd;
use crate::support::{exit_status, terminate, until};

const LIMIT: Duration = Duration::from_mins(1);

#[tokio::test(flavor = "multi_thread")]
async fn queued_events_are_sent_during_the_shutdown() {
    let place = TestNamespace::new("lastwords").await;
    // Only one event is sent before the shutdown.
    let timings = Timings {
        event_interval: Duration::from_hours(1),
        event_burst: 1,
        ..timings()
    };
    let kubeconfig = plane_with_crd().kubeconfig();
    let running = Running::start_with(
        place.sealer.keyring(),
        &[&place.namespace],
        &[],
        kubeconfig,
        timings,
    );
    for index in 0..5 {
        let name = format!("s{index}");
        place
            .apply(&place.sealed(&name, &[("password", "planted-lastwords-1")]))
            .await;
        place.wait_for_reason(&name, "Synced").await;
    }
    let events: Api<Event> = Api::namespaced(place.client.clone(), &place.namespace);
    let dropped = running.metrics.clone();
    place.finish(running).await;
    let sent = events.list(&ListParams::default()).await.unwrap();
    let mut names: Vec<String> = sent
        .items
        .into_iter()
        .filter(|event| event.reason.as_deref() == Some("SecretCreated"))
        .filter_map(|event| event.regarding?.name)
        .collect();
    names.sort();
    assert_eq!(names, ["s0", "s1", "s2", "s3", "s4"]);
    assert!(
        dropped
            .encode()
            .contains("envelope_secrets_events_dropped_total 0\n")
    );
}

/// The controller's writes of Secrets and statuses in `namespace`.
fn writes(events: &[AuditEvent], namespace: &str) -> usize {
    let by_controller = |event: &&AuditEvent| {
        event.namespace == namespace
            && event.verb == "patch"
            && event.uri.contains("fieldManager=envelope-secrets")
    };
    events.iter().filter(by_controller).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn reconciles_that_exceed_the_shutdown_time_send_nothing_afterwards() {
    let place = TestNamespace::new("late").await;
    let control = plane_with_crd();
    let webhook = Webhook::start(Duration::from_secs(3)).unwrap();
    let configuration = webhook.configuration(&place.namespace, &place.namespace);
    control
        .kubectl_with_input(["apply", "-f", "-"], &configuration.to_string())
        .unwrap();
    let mark = control.audit_mark().unwrap();
    let timings = Timings {
        shutdown: Duration::from_millis(100),
        ..timings()
    };
    let running = Running::start_with(
        place.sealer.keyring(),
        &[&place.namespace],
        &[],
        control.kubeconfig(),
        timings,
    );
    // More than may be written at a time.
    for index in 0..40 {
        place
            .apply(&place.sealed(&format!("s{index}"), &[("password", "planted-late-1")]))
            .await;
    }
    until(LIMIT, "writes are behind the webhook", async || {
        webhook.calls() >= 8
    })
    .await;
    running.stop().await;
    let begun = webhook.calls();
    until(LIMIT, "the API server has finished them", async || {
        writes(&control.audit_since(mark).unwrap(), &place.namespace) >= begun
    })
    .await;
    // Any request that followed a response would have been sent before these.
    for _ in 0..20 {
        place
            .objects()
            .list(&ListParams::default().limit(1))
            .await
            .unwrap();
    }
    let written = writes(&control.audit_since(mark).unwrap(), &place.namespace);
    assert_eq!((webhook.calls(), written), (begun, begun));
    let namespace = format!("\"namespace\":\"{}\"", place.namespace);
    assert_eq!(logged(&[&namespace, "panicked"]), [""; 0]);
    control
        .kubectl(["delete", "validatingwebhookconfiguration", &place.namespace])
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn sigterm_does_not_wait_for_a_plug_in_for_credentials() {
    let place = TestNamespace::new("plugin").await;
    let directory = tempfile::tempdir().unwrap();
    let (called, release) = (directory.path().join("called"), directory.path().join("release"));
    // It ends with this test, or after two minutes.
    let script = "touch \"$1\"; for i in $(seq 1200); do test -e \"$2\" && exit 1; sleep 0.1; done; exit 1";
    let mut file = Kubeconfig::read_from(plane_with_crd().kubeconfig()).unwrap();
    let user = json!({"exec": {
        "apiVersion": "client.authentication.k8s.io/v1", "interactiveMode": "Never",
        "command": "sh", "args": ["-c", script, "sh", called, release],
    }});
    file.auth_infos[0].auth_info = Some(serde_json::from_value(user).unwrap());
    let kubeconfig = directory.path().join("kubeconfig");
    std::fs::write(&kubeconfig, serde_json::to_string(&file).unwrap()).unwrap();
    let child = Command::new(env!("CARGO_BIN_EXE_envelope"))
        .args(["controller", "--namespaces", &place.namespace])
        .args(["--metrics-addr", "127.0.0.1:0", "--probe-addr", "127.0.0.1:0"])
        .env("ENVELOPE_KEYRING", place.sealer.keyring())
        .env("ENVELOPE_KUBECONFIG", &kubeconfig)
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    until(LIMIT, "the plug-in is called", async || called.exists()).await;
    terminate(&child);
    let ended = exit_status(child, LIMIT).await;
    std::fs::write(&release, "").unwrap();
    assert!(
        ended.is_some_and(|status| status.success()),
        "SIGTERM does not end the process while the plug-in runs: {ended:?}"
    );
}
