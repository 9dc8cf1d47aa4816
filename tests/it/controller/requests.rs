//! The requests that the controller sends to the API server.

use std::time::Duration;

use k8s_openapi::api::core::v1::Secret;
use serde_json::json;

use crate::support::controller::{Running, TestNamespace, assert_stalled, message, timings};
use crate::support::crd::plane_with_crd;
use crate::support::until;

#[tokio::test(flavor = "multi_thread")]
async fn every_request_identifies_the_controller() {
    let place = TestNamespace::new("agent").await;
    let control = plane_with_crd();
    let mark = control.audit_mark().unwrap();
    let running = place.controller();
    place.apply_synced("db", &[("password", "planted-agent-1")]).await;
    let namespace = place.namespace.clone();
    place.finish(running).await;

    let expected = format!(
        "envelope-secrets/{} ({}/{}) controller",
        env!("CARGO_PKG_VERSION"),
        std::env::consts::OS,
        std::env::consts::ARCH
    );
    let events = control.audit_since(mark).unwrap();
    // This test's own client has a different User-Agent, and it alone applies and watches single objects.
    let by_controller = events.iter().filter(|event| {
        event.namespace == namespace
            && (event.uri.contains("fieldManager=envelope-secrets")
                || event.uri.contains("labelSelector=envelope-secrets.io")
                || event.verb == "create" && event.resource == "events")
    });
    let mut seen = std::collections::BTreeSet::new();
    for event in by_controller {
        assert_eq!(event.user_agent, expected, "{} {}", event.verb, event.uri);
        seen.insert(event.verb.clone());
    }
    let seen: Vec<&str> = seen.iter().map(String::as_str).collect();
    assert_eq!(seen, ["create", "list", "patch", "watch"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn refused_read_is_reported_and_costs_no_further_decrypt() {
    let place = TestNamespace::new("unread").await;
    let control = plane_with_crd();
    let user = format!("controller-of-{}", place.namespace);
    let allow = |verbs: &[&str]| {
        let allowed = |group: &str, resources: &[&str]| json!({"apiGroups": [group], "resources": resources, "verbs": verbs});
        let role = json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role",
            "metadata": {"name": "controller", "namespace": place.namespace},
            "rules": [allowed("", &["secrets"]), allowed("events.k8s.io", &["events"]),
                allowed("envelope-secrets.io", &["envelopesecrets", "envelopesecrets/status"])]});
        let binding = json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding",
            "metadata": {"name": "controller", "namespace": place.namespace},
            "subjects": [{"kind": "User", "name": user, "apiGroup": "rbac.authorization.k8s.io"}],
            "roleRef": {"kind": "Role", "name": "controller", "apiGroup": "rbac.authorization.k8s.io"}});
        for body in [role, binding] {
            control
                .kubectl_with_input(["apply", "-f", "-"], &body.to_string())
                .unwrap();
        }
    };
    allow(&["list", "watch", "create", "patch"]);
    let kubeconfig = control.kubeconfig_for_user(&user, &[]).unwrap();
    let foreign: Secret =
        serde_json::from_value(json!({"metadata": {"name": "db"}, "data": {"b": "eA=="}})).unwrap();
    place.create_secret(&foreign).await;
    let running = Running::start_with(
        place.sealer.keyring(),
        &[&place.namespace],
        &[],
        kubeconfig,
        timings(),
    );
    place
        .apply(&place.sealed("db", &[("password", "planted-unread-1")]))
        .await;
    let refused = place.wait_for_reason("db", "ApiForbidden").await;
    assert_stalled(&refused);
    let text = message(&refused);
    assert!(
        text.contains("is not allowed to get ") && text.contains("secrets in"),
        "{text}"
    );
    until(Duration::from_mins(1), "the read is retried", async || {
        running.metric("envelope_secrets_reconcile_total", "reason=\"ApiForbidden\"") >= 6
    })
    .await;
    assert_eq!(
        running.metric("envelope_secrets_kms_requests_total", ""),
        1,
        "a read is retried without a Decrypt"
    );

    allow(&["get", "list", "watch", "create", "patch"]);
    place.wait_for_reason("db", "Conflict").await;
    place.finish(running).await;
}
