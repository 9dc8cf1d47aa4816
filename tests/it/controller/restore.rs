//! A restored etcd: the API server's storage goes back in time while the controller runs.

use std::cell::Cell;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::Api;
use kube::api::{Patch, PatchParams};
use kube::core::DynamicObject;
use serde_json::json;
use testkit::{ControlPlane, Options, Part};

use crate::support::controller::{Running, resource, timings};
use crate::support::crd::install_crd;
use crate::support::sealing::{Sealer, draft, object};
use crate::support::{client_of, until};

const LIMIT: Duration = Duration::from_secs(45);

fn apply(plane: &ControlPlane, sealer: &Sealer, namespace: &str, name: &str, value: &str) {
    let document = sealer.seal(draft(namespace, name, &[("password", value.as_bytes())]));
    plane
        .kubectl_with_input(
            ["apply", "--server-side", "-f", "-"],
            &object(&document).to_string(),
        )
        .unwrap();
}

async fn holds(secrets: &Api<Secret>, name: &str, value: &str) {
    until(LIMIT, &format!("{name} holds {value}"), async || {
        let secret = secrets.get_opt(name).await.ok().flatten();
        let entry = secret.and_then(|secret| secret.data?.remove("password"));
        entry.is_some_and(|entry| entry.0 == value.as_bytes())
    })
    .await;
}

/// Stops the storage, runs `exchange` with its directory, and starts it again.
fn exchange_storage(plane: &ControlPlane, exchange: impl Fn(&Path)) {
    plane.stop_part(Part::Apiserver).unwrap();
    plane.stop_part(Part::Etcd).unwrap();
    exchange(plane.directory());
    plane.start_part(Part::Etcd).unwrap();
    plane.start_part(Part::Apiserver).unwrap();
}

fn copy(from: &Path, to: &Path) {
    let copied = Command::new("cp").arg("-a").args([from, to]).status().unwrap();
    assert!(copied.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn restored_etcd_is_detected_and_everything_is_listed_again() {
    let plane = testkit::own(&Options::default());
    install_crd(&plane);
    let namespace = plane.namespace("restore").unwrap();
    let sealer = Sealer::new(1);
    apply(&plane, &sealer, &namespace, "db", "planted-restore-1");
    let running = Running::start_with(
        sealer.keyring(),
        &[&namespace],
        &[],
        plane.kubeconfig(),
        timings(),
    );
    let client = client_of(&plane.kubeconfig()).await;
    let secrets: Api<Secret> = Api::namespaced(client.clone(), &namespace);
    holds(&secrets, "db", "planted-restore-1").await;
    exchange_storage(&plane, |directory| {
        copy(&directory.join("etcd"), &directory.join("etcd-backup"));
    });

    // The versions that the controller sees now are not reached again after the restore.
    let maps: Api<ConfigMap> = Api::namespaced(client.clone(), &namespace);
    for number in 0..400 {
        let map = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "clock"},
            "data": {"n": number.to_string()}});
        let params = PatchParams::apply("test").force();
        maps.patch("clock", &params, &Patch::Apply(map)).await.unwrap();
    }
    apply(&plane, &sealer, &namespace, "db", "planted-restore-2");
    holds(&secrets, "db", "planted-restore-2").await;
    apply(&plane, &sealer, &namespace, "lost", "planted-restore-3");
    holds(&secrets, "lost", "planted-restore-3").await;

    until(LIMIT, "both are reported", async || {
        running.metric("envelope_secrets_objects", "state=\"Synced\"") == 2
    })
    .await;
    let mark = Cell::new(None);
    exchange_storage(&plane, |directory| {
        // With the API server stopped, its audit log is complete.
        mark.set(Some(plane.audit_mark().unwrap()));
        std::fs::remove_dir_all(directory.join("etcd")).unwrap();
        copy(&directory.join("etcd-backup"), &directory.join("etcd"));
    });
    let objects: Api<DynamicObject> = Api::namespaced_with(client, &namespace, &resource());
    assert!(
        objects.get_opt("lost").await.unwrap().is_none(),
        "etcd is restored"
    );
    apply(&plane, &sealer, &namespace, "new", "planted-restore-4");
    holds(&secrets, "new", "planted-restore-4").await;
    apply(&plane, &sealer, &namespace, "db", "planted-restore-5");
    holds(&secrets, "db", "planted-restore-5").await;
    assert!(running.health.ready().is_ok() && running.health.live().is_ok());
    until(
        LIMIT,
        "objects that the restore removed are forgotten",
        async || running.metric("envelope_secrets_objects", "state=\"Synced\"") == 2,
    )
    .await;
    running.stop().await;
    let writes: Vec<String> = plane
        .audit_since(mark.get().unwrap())
        .unwrap()
        .into_iter()
        .filter(|event| event.name == "lost" && event.verb != "get")
        .map(|event| format!("{} {} {}", event.verb, event.resource, event.uri))
        .collect();
    assert!(writes.is_empty(), "an object that no longer exists: {writes:?}");
}
