//! Requests that the API server rejects: the condition, and the retry.

use std::time::Duration;

use k8s_openapi::api::core::v1::{Namespace, ResourceQuota, Secret};
use kube::Api;
use kube::api::{DeleteParams, PostParams};
use serde_json::{Value, json};

use crate::support::canary::logged;
use crate::support::controller::{Running, TestNamespace, assert_stalled, message, text_entries, timings};
use crate::support::crd::plane_with_crd;
use crate::support::sealing::{draft, object};
use crate::support::{until, wait_for};

const PASSWORD: &str = "planted-api-7Yh";
const LIMIT: Duration = Duration::from_mins(1);

#[tokio::test(flavor = "multi_thread")]
async fn immutable_secret_is_kept_until_deleted() {
    let place = TestNamespace::new("immutable").await;
    let running = place.controller();
    let seal = |value: &str, immutable: Option<bool>, type_: &str| {
        place.canary.plant(value);
        let mut draft = draft(&place.namespace, "db", &[("password", value.as_bytes())]);
        draft.template.immutable = immutable;
        draft.template.type_ = Some(type_.to_owned());
        object(&place.sealer.seal(draft))
    };
    place.apply(&seal("planted-frozen-1", Some(true), "Opaque")).await;
    place
        .wait_for_secret("db", &[("password", "planted-frozen-1")])
        .await;
    place.wait_for_reason("db", "Synced").await;
    place.apply(&seal("planted-frozen-2", Some(true), "Opaque")).await;
    let refused = place.wait_for_reason("db", "ImmutableSecret").await;
    assert_stalled(&refused);
    assert!(
        message(&refused).contains("is immutable and holds generation 1"),
        "{}",
        message(&refused)
    );
    place
        .wait_for_secret("db", &[("password", "planted-frozen-1")])
        .await;
    place
        .secrets()
        .delete("db", &DeleteParams::default())
        .await
        .unwrap();
    place
        .wait_for_secret("db", &[("password", "planted-frozen-2")])
        .await;
    place.wait_for_reason("db", "Synced").await;

    place.delete("db").await;
    let gone = |secret: Option<&Secret>| secret.is_none();
    wait_for(&place.secrets(), "db", "the garbage collector deletes it", gone).await;
    place.apply(&seal("planted-thawed-3", None, "Opaque")).await;
    place
        .wait_for_secret("db", &[("password", "planted-thawed-3")])
        .await;
    place.wait_for_reason("db", "Synced").await;
    place
        .apply(&seal("planted-thawed-4", None, "example.com/other"))
        .await;
    place
        .wait_for_secret("db", &[("password", "planted-thawed-4")])
        .await;
    place.finish(running).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn quota_exceeded_is_reported_and_retried() {
    let place = TestNamespace::new("quota").await;
    let quotas: Api<ResourceQuota> = Api::namespaced(place.client.clone(), &place.namespace);
    let quota = json!({"metadata": {"name": "none"}, "spec": {"hard": {"count/secrets": "0"}}});
    let quota: ResourceQuota = serde_json::from_value(quota).unwrap();
    quotas.create(&PostParams::default(), &quota).await.unwrap();
    let counted = |quota: Option<&ResourceQuota>| {
        quota.is_some_and(|q| q.status.as_ref().is_some_and(|s| s.used.is_some()))
    };
    wait_for(&quotas, "none", "it is counted", counted).await;
    let running = place.controller();
    place.apply(&place.sealed("db", &[("password", PASSWORD)])).await;
    let refused = place.wait_for_reason("db", "SecretRejected").await;
    assert_stalled(&refused);
    assert!(
        message(&refused).to_lowercase().contains("quota"),
        "{}",
        message(&refused)
    );
    quotas.delete("none", &DeleteParams::default()).await.unwrap();
    place.wait_for_secret("db", &[("password", PASSWORD)]).await;
    place.wait_for_reason("db", "Synced").await;
    place.finish(running).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn terminating_namespace_causes_no_warnings() {
    let place = TestNamespace::new("ending").await;
    let running = place.controller();
    for name in ["one", "two", "three"] {
        place.apply_synced(name, &[("password", PASSWORD)]).await;
    }
    let namespaces: Api<Namespace> = Api::all(place.client.clone());
    namespaces
        .delete(&place.namespace, &DeleteParams::default())
        .await
        .unwrap();
    let gone = |namespace: Option<&Namespace>| namespace.is_none();
    wait_for(&namespaces, &place.namespace, "it is gone", gone).await;
    running.stop().await;
    let warnings = logged(&[&format!("\"namespace\":\"{}\"", place.namespace), "WARN"]);
    assert_eq!(warnings, [""; 0]);
    assert!(
        logged(&[&place.namespace, "DriftHealed"]).is_empty(),
        "no Secret is created again"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn missing_permissions_are_reported_and_used_once_granted() {
    let place = TestNamespace::new("rights").await;
    let control = plane_with_crd();
    let user = format!("controller-of-{}", place.namespace);
    let kubeconfig = control.kubeconfig_for_user(&user, &[]).unwrap();
    let role = |name: &str, rules: &Value| {
        let text = json!({"apiVersion": "v1", "kind": "List", "items": [
            {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role",
             "metadata": {"name": name, "namespace": place.namespace}, "rules": rules},
            {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding",
             "metadata": {"name": name, "namespace": place.namespace},
             "subjects": [{"kind": "User", "name": user, "apiGroup": "rbac.authorization.k8s.io"}],
             "roleRef": {"kind": "Role", "name": name, "apiGroup": "rbac.authorization.k8s.io"}}]});
        control
            .kubectl_with_input(["apply", "-f", "-"], &text.to_string())
            .unwrap();
    };
    role(
        "read",
        &json!([
            {"apiGroups": ["envelope-secrets.io"], "resources": ["envelopesecrets"], "verbs": ["get", "list", "watch"]},
            {"apiGroups": [""], "resources": ["secrets"], "verbs": ["get", "list", "watch"]},
            {"apiGroups": ["events.k8s.io"], "resources": ["events"], "verbs": ["create", "patch"]},
        ]),
    );
    let running = Running::start_with(
        place.sealer.keyring(),
        &[&place.namespace],
        &[],
        kubeconfig,
        timings(),
    );
    place.apply(&place.sealed("db", &[("password", PASSWORD)])).await;
    // Without permission to write the status, only the log can report it.
    let namespace = format!("\"namespace\":\"{}\"", place.namespace);
    until(LIMIT, "the log names the permission", async || {
        !logged(&[&namespace, "not allowed to patch envelopesecrets/status"]).is_empty()
    })
    .await;
    role(
        "status",
        &json!([{"apiGroups": ["envelope-secrets.io"], "resources": ["envelopesecrets/status"], "verbs": ["patch"]}]),
    );
    let refused = place.wait_for_reason("db", "ApiForbidden").await;
    assert_stalled(&refused);
    assert!(
        message(&refused).contains("not allowed to patch secrets"),
        "{}",
        message(&refused)
    );
    role(
        "write",
        &json!([{"apiGroups": [""], "resources": ["secrets"], "verbs": ["create", "patch"]}]),
    );
    let secret = place.wait_for_secret("db", &[("password", PASSWORD)]).await;
    assert_eq!(text_entries(&secret).len(), 1);
    place.wait_for_reason("db", "Synced").await;
    place.finish(running).await;
}
