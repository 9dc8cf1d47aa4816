//! Writes that the API server refuses: what they cost, and how they recover. No Decrypt is spent on a retry that cannot
//! succeed.

use std::time::Duration;

use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::Api;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use serde_json::{Value, json};

use super::lifecycle::event;
use crate::support::controller::{
    Running, TestNamespace, assert_stalled, condition, has_reason, message, timings,
};
use crate::support::crd::plane_with_crd;
use crate::support::sealing::{draft, object};
use crate::support::{until, wait_for};

const PASSWORD: &str = "planted-rejection-5Jx";
const LIMIT: Duration = Duration::from_mins(1);

fn kubectl_apply(body: &Value) {
    plane_with_crd()
        .kubectl_with_input(["apply", "-f", "-"], &body.to_string())
        .unwrap();
}

/// A controller as a user who has all its permissions, but on Secrets only `verbs`.
fn controller_with(place: &TestNamespace, verbs: &[&str]) -> Running {
    let user = allow(place, verbs);
    let kubeconfig = plane_with_crd().kubeconfig_for_user(&user, &[]).unwrap();
    let keyring = place.sealer.keyring();
    Running::start_with(keyring, &[&place.namespace], &[], kubeconfig, timings())
}

/// Grants `verbs` on Secrets to that user, and no others.
pub(super) fn allow(place: &TestNamespace, verbs: &[&str]) -> String {
    let user = format!("controller-of-{}", place.namespace);
    let permission = |group: &str, resources: &[&str], verbs: &[&str]| json!({"apiGroups": [group], "resources": resources, "verbs": verbs});
    let all = ["get", "list", "watch", "create", "patch"];
    let role = json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role",
        "metadata": {"name": "controller", "namespace": place.namespace},
        "rules": [permission("", &["secrets"], verbs), permission("events.k8s.io", &["events"], &all),
            permission("envelope-secrets.io", &["envelopesecrets", "envelopesecrets/status"], &all)]});
    let binding = json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding",
        "metadata": {"name": "controller", "namespace": place.namespace},
        "subjects": [{"kind": "User", "name": user, "apiGroup": "rbac.authorization.k8s.io"}],
        "roleRef": {"kind": "Role", "name": "controller", "apiGroup": "rbac.authorization.k8s.io"}});
    kubectl_apply(&role);
    kubectl_apply(&binding);
    user
}

pub(super) fn decrypts(running: &Running) -> u64 {
    running.metric("envelope_secrets_kms_requests_total", "Decrypt")
}

/// Waits for some retries that fail.
async fn fails_again(running: &Running) {
    let failed = || running.metric("envelope_secrets_reconcile_total", "outcome=\"failed\"");
    let before = failed();
    until(LIMIT, "it was retried", async || failed() >= before + 3).await;
}

/// Applies an object whose Secret is refused for `reason`, and checks that its retries open nothing.
async fn refused(place: &TestNamespace, running: &Running, reason: &str) -> String {
    place.apply(&place.sealed("db", &[("password", PASSWORD)])).await;
    let refused = place.wait_for_reason("db", reason).await;
    assert_stalled(&refused);
    fails_again(running).await;
    assert_eq!(decrypts(running), 1, "a retry that is refused costs no Decrypt");
    message(&refused).to_owned()
}

/// Waits until the object has recovered, which takes one more Decrypt.
async fn recovers(place: TestNamespace, running: Running) {
    place.wait_for_secret("db", &[("password", PASSWORD)]).await;
    place.wait_for_reason("db", "Synced").await;
    assert_eq!(decrypts(&running), 2);
    place.finish(running).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn write_without_permission_costs_one_decrypt() {
    let place = TestNamespace::new("nowrite").await;
    let running = controller_with(&place, &["get", "list", "watch"]);
    let said = refused(&place, &running, "ApiForbidden").await;
    assert!(said.contains("is not allowed to patch secrets in "), "{said}");
    allow(&place, &["get", "list", "watch", "create", "patch"]);
    recovers(place, running).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn write_beyond_the_quota_costs_one_decrypt() {
    let place = TestNamespace::new("quota").await;
    let quota = |secrets: &str| {
        json!({"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "few", "namespace": place.namespace},
                                "spec": {"hard": {"count/secrets": secrets}}})
    };
    kubectl_apply(&quota("0"));
    // The controller manager has to calculate the quota first.
    let probe: Secret = serde_json::from_value(json!({"metadata": {"name": "probe"}})).unwrap();
    let dry = PostParams {
        dry_run: true,
        ..PostParams::default()
    };
    until(LIMIT, "the quota is exceeded", async || {
        let refused = place.secrets().create(&dry, &probe).await.err();
        refused.is_some_and(|error| error.to_string().contains("exceeded quota"))
    })
    .await;
    let running = place.controller();
    let said = refused(&place, &running, "SecretRejected").await;
    assert!(
        said.contains("exceeds its resource quota")
            && said.ends_with("raise the quota or delete unused objects"),
        "{said}"
    );
    kubectl_apply(&quota("9"));
    recovers(place, running).await;
}

/// Creates a policy that allows only Secrets for which `expression` holds, for one namespace.
async fn policy(place: &TestNamespace, expression: &str) {
    let name = format!("test-{}", place.namespace);
    kubectl_apply(
        &json!({"apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicy", "metadata": {"name": name},
        "spec": {"failurePolicy": "Fail", "validations": [{"expression": expression, "message": "no"}],
            "matchConstraints": {"resourceRules": [{"apiGroups": [""], "apiVersions": ["v1"], "resources": ["secrets"],
                "operations": ["CREATE", "UPDATE"]}]}}}),
    );
    kubectl_apply(
        &json!({"apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicyBinding", "metadata": {"name": name},
        "spec": {"policyName": name, "validationActions": ["Deny"], "matchResources": {"namespaceSelector": {
            "matchLabels": {"kubernetes.io/metadata.name": place.namespace}}}}}),
    );
    until(LIMIT, "the policy is in force", async || !may_create(place).await).await;
}

/// Deletes the policy again.
async fn lift_policy(place: &TestNamespace) {
    let name = format!("test-{}", place.namespace);
    for kind in ["validatingadmissionpolicybinding", "validatingadmissionpolicy"] {
        plane_with_crd().kubectl(["delete", kind, &name]).unwrap();
    }
    until(LIMIT, "the policy is lifted", async || may_create(place).await).await;
}

/// Whether a Secret with a long value may be created.
async fn may_create(place: &TestNamespace) -> bool {
    let probe =
        json!({"metadata": {"name": "probe"}, "stringData": {"password": "more than ten characters"}});
    let probe: Secret = serde_json::from_value(probe).unwrap();
    let dry = PostParams {
        dry_run: true,
        ..PostParams::default()
    };
    place.secrets().create(&dry, &probe).await.is_ok()
}

#[tokio::test(flavor = "multi_thread")]
async fn write_denied_by_a_policy_costs_one_decrypt() {
    let place = TestNamespace::new("denied").await;
    policy(&place, "false").await;
    let running = place.controller();
    let said = refused(&place, &running, "SecretRejected").await;
    assert!(said.ends_with("ask the owner of that policy"), "{said}");
    lift_policy(&place).await;
    recovers(place, running).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn write_denied_for_its_values_costs_two_decrypts_before_it_waits_longer() {
    let place = TestNamespace::new("values").await;
    policy(&place, "object.data.all(name, size(object.data[name]) < 10)").await;
    let mut slow = timings();
    slow.rejected_min = Duration::from_hours(1000);
    slow.rejected_max = Duration::from_hours(1000);
    let kubeconfig = plane_with_crd().kubeconfig();
    let running = Running::start_with(place.sealer.keyring(), &[&place.namespace], &[], kubeconfig, slow);
    place.apply(&place.sealed("db", &[("password", PASSWORD)])).await;
    assert_stalled(&place.wait_for_reason("db", "SecretRejected").await);
    // A dry run with placeholders is not refused, so the first retry opens the document again.
    until(LIMIT, "the first retry", async || decrypts(&running) == 2).await;
    let waiting = || running.metric("envelope_secrets_reconcile_total", "outcome=\"waiting\"");
    let before = waiting();
    for number in 0..3 {
        let note = json!({"metadata": {"annotations": {"example.com/note": number.to_string()}}});
        place
            .objects()
            .patch("db", &PatchParams::default(), &Patch::Merge(note))
            .await
            .unwrap();
        until(LIMIT, "it was reconciled", async || waiting() > before + number).await;
    }
    assert_eq!(decrypts(&running), 2);
    lift_policy(&place).await;
    place
        .apply(&place.sealed("db", &[("password", "planted-rejection-6Jx")]))
        .await;
    place
        .wait_for_secret("db", &[("password", "planted-rejection-6Jx")])
        .await;
    place.finish(running).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn deleted_secret_that_may_not_be_created_costs_no_decrypt() {
    let place = TestNamespace::new("nocreate").await;
    let running = controller_with(&place, &["get", "list", "watch", "create", "patch"]);
    place.apply_synced("db", &[("password", PASSWORD)]).await;
    allow(&place, &["get", "list", "watch"]);
    let user = plane_with_crd();
    let may = format!("--as=controller-of-{}", place.namespace);
    until(LIMIT, "it must not create", async || {
        user.kubectl(["auth", "can-i", "create", "secrets", "-n", &place.namespace, &may])
            .is_err()
    })
    .await;
    place
        .secrets()
        .delete("db", &DeleteParams::default())
        .await
        .unwrap();
    assert_stalled(&place.wait_for_reason("db", "ApiForbidden").await);
    fails_again(&running).await;
    assert_eq!(decrypts(&running), 1, "only that of the first write");
    allow(&place, &["get", "list", "watch", "create", "patch"]);
    recovers(place, running).await;
}

/// An object with this type of Secret.
fn typed(place: &TestNamespace, type_: &str) -> Value {
    place.canary.plant(PASSWORD);
    let mut draft = draft(&place.namespace, "db", &[("password", PASSWORD.as_bytes())]);
    draft.template.type_ = Some(type_.into());
    object(&place.sealer.seal(draft))
}

#[tokio::test(flavor = "multi_thread")]
async fn changed_type_recreates_an_owned_secret() {
    let place = TestNamespace::new("retype").await;
    let running = place.controller();
    place.apply(&typed(&place, "example.com/one")).await;
    place.wait_for_reason("db", "Synced").await;
    let first = place.wait_for_secret("db", &[("password", PASSWORD)]).await;
    place.apply(&typed(&place, "example.com/two")).await;
    let recreated =
        |secret: Option<&Secret>| secret.is_some_and(|s| s.type_.as_deref() == Some("example.com/two"));
    let second = wait_for(&place.secrets(), "db", "it has the new type", recreated)
        .await
        .unwrap();
    assert_ne!(second.metadata.uid, first.metadata.uid);
    let ready = place.wait_for_reason("db", "Synced").await;
    assert_eq!(ready.data["status"]["applied"]["generation"], 2);
    assert_eq!(decrypts(&running), 2);
    event(&place, "SecretRecreated").await;
    place.finish(running).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn changed_type_of_a_shared_secret_is_rejected_with_advice() {
    let place = TestNamespace::new("shared").await;
    let running = place.controller();
    place.apply(&typed(&place, "example.com/one")).await;
    place.wait_for_reason("db", "Synced").await;
    let maps: Api<ConfigMap> = Api::namespaced(place.client.clone(), &place.namespace);
    let map: ConfigMap = serde_json::from_value(json!({"metadata": {"name": "owner"}})).unwrap();
    let map = maps.create(&PostParams::default(), &map).await.unwrap();
    let owner = json!({"apiVersion": "v1", "kind": "ConfigMap", "name": "owner", "uid": map.metadata.uid});
    let add = json!([{"op": "add", "path": "/metadata/ownerReferences/-", "value": owner}]);
    let add = Patch::<()>::Json(serde_json::from_value(add).unwrap());
    let shared = place
        .secrets()
        .patch("db", &PatchParams::default(), &add)
        .await
        .unwrap();

    let recorded = |object: Option<&kube::core::DynamicObject>| {
        object.is_some_and(|object| {
            object.data["status"]["applied"]["secretResourceVersion"]
                == json!(shared.metadata.resource_version)
        })
    };
    wait_for(&place.objects(), "db", "the other owner was seen", recorded).await;
    place.apply(&typed(&place, "example.com/two")).await;
    let rejected = place.wait_for_reason("db", "SecretRejected").await;
    assert_stalled(&rejected);
    assert_eq!(
        message(&rejected),
        "the type of a secret cannot be changed: delete secret db or use a new name"
    );
    fails_again(&running).await;
    assert_eq!(decrypts(&running), 2, "no Decrypt while that Secret exists");
    assert_eq!(
        place.secrets().get("db").await.unwrap().metadata.uid,
        shared.metadata.uid
    );

    // The advice works, immediately.
    place
        .secrets()
        .delete("db", &DeleteParams::default())
        .await
        .unwrap();
    let ready = place.wait_for_reason("db", "Synced").await;
    assert_eq!(ready.data["status"]["applied"]["generation"], 2);
    place.finish(running).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn secret_held_by_a_finalizer_is_reported() {
    let (place, running) = TestNamespace::with_synced("held", &[("password", PASSWORD)]).await;
    let held = json!({"metadata": {"finalizers": ["example.com/hold"]}});
    let secrets = place.secrets();
    secrets
        .patch("db", &PatchParams::default(), &Patch::Merge(held))
        .await
        .unwrap();
    secrets.delete("db", &DeleteParams::default()).await.unwrap();
    let missing = place.wait_for_reason("db", "SecretMissing").await;
    assert_eq!(condition(&missing, "Ready").unwrap()["status"], "False");
    assert_eq!(condition(&missing, "Reconciling").unwrap()["status"], "True");
    assert!(
        message(&missing).contains("a finalizer still holds it"),
        "{}",
        message(&missing)
    );
    let free = json!({"metadata": {"finalizers": null}});
    secrets
        .patch("db", &PatchParams::default(), &Patch::Merge(free))
        .await
        .unwrap();
    let synced = |object: Option<&kube::core::DynamicObject>| {
        object.is_some_and(|object| has_reason(object, "Synced"))
    };
    wait_for(&place.objects(), "db", "it is restored", synced).await;
    place.wait_for_secret("db", &[("password", PASSWORD)]).await;
    place.finish(running).await;
}
