//! What one user with write access to one object can store. It must not affect the watch or the list of anybody else.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::controller::{Running, TestNamespace};
use crate::support::crd::{path, plane_with_crd};
use crate::support::until;

/// A time that the API server accepts and stores, and that kube's typed metadata cannot represent.
const FAR_FUTURE: &str = "9999-12-31T23:59:59Z";
const LIMIT: Duration = Duration::from_secs(30);

fn get(path: &str) -> Value {
    serde_json::from_str(&plane_with_crd().kubectl(["get", "--raw", path]).unwrap()).unwrap()
}

fn replace(path: &str, object: &Value) {
    plane_with_crd()
        .kubectl_with_input(["replace", "--raw", path, "-f", "-"], &object.to_string())
        .unwrap();
}

/// Adds a managedFields entry of this time to the object at `path`.
fn plant_time(path: &str) {
    // The API server keeps an entry only for a field that the same request does not change.
    let mut stored = get(path);
    stored["metadata"]["annotations"]["tenant"] = json!("was here");
    replace(path, &stored);
    let mut stored = get(path);
    let entry = json!({
        "manager": "tenant", "operation": "Update", "time": FAR_FUTURE,
        "apiVersion": stored["apiVersion"], "fieldsType": "FieldsV1",
        "fieldsV1": {"f:metadata": {"f:annotations": {"f:tenant": {}}}},
    });
    stored["metadata"]["managedFields"]
        .as_array_mut()
        .unwrap()
        .push(entry);
    replace(path, &stored);
    assert!(
        get(path).to_string().contains(FAR_FUTURE),
        "the API server stores the time"
    );
}

/// Applies with kubectl: this test's own client cannot decode the response.
fn apply(object: &Value) {
    plane_with_crd()
        .kubectl_with_input(
            ["apply", "--server-side", "--force-conflicts", "-f", "-"],
            &object.to_string(),
        )
        .unwrap();
}

/// Seals a new value for both objects, and waits until the controller has applied it.
async fn update(place: &TestNamespace, value: &str, base64: &str) {
    for name in ["hostile", "other"] {
        apply(&place.sealed(name, &[("password", value)]));
        let secret = format!("/api/v1/namespaces/{}/secrets/{name}", place.namespace);
        until(LIMIT, &format!("{name} holds {value}"), async || {
            let stored = plane_with_crd().kubectl(["get", "--raw", &secret]);
            stored.is_ok_and(|text| text.contains(base64))
        })
        .await;
        until(LIMIT, &format!("{name} is Synced"), async || {
            let object = get(&path(&place.namespace, name));
            object["status"]["observedGeneration"] == object["metadata"]["generation"]
                && object["status"]["conditions"][0]["reason"] == "Synced"
        })
        .await;
    }
}

async fn stop(running: Running) {
    assert_eq!(
        running.metric("envelope_secrets_undecodable_objects_total", ""),
        0,
        "the slim form has no use for the time"
    );
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn unrepresentable_timestamp_stops_neither_list_nor_watch() {
    let place = TestNamespace::new("hostile").await;
    let running = place.controller();
    update(&place, "planted-hostile-1", "cGxhbnRlZC1ob3N0aWxlLTE=").await;
    let object = path(&place.namespace, "hostile");
    let secret = format!("/api/v1/namespaces/{}/secrets/hostile", place.namespace);
    plant_time(&object);
    plant_time(&secret);
    // The watch still delivers, for the object itself and for others.
    update(&place, "planted-hostile-2", "cGxhbnRlZC1ob3N0aWxlLTI=").await;
    let mut edited = get(&secret);
    edited["data"]["password"] = json!("ZWRpdGVk");
    replace(&secret, &edited);
    until(LIMIT, "the edit is reverted", async || {
        get(&secret)["data"]["password"] == "cGxhbnRlZC1ob3N0aWxlLTI="
    })
    .await;
    stop(running).await;

    // So does a list, after a restart.
    plant_time(&object);
    plant_time(&secret);
    let running = place.controller();
    until(LIMIT, "both lists are complete", async || {
        running.health.ready().is_ok()
    })
    .await;
    update(&place, "planted-hostile-3", "cGxhbnRlZC1ob3N0aWxlLTM=").await;
    stop(running).await;
    // Other tests list all namespaces with kube's types.
    let control = plane_with_crd();
    // The Secret first: the garbage collector deletes it with its owner.
    control.kubectl(["delete", "--raw", &secret]).unwrap();
    control.kubectl(["delete", "--raw", &object]).unwrap();
}
