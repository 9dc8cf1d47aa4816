//! The vectors of the format, sealed by another implementation, on a cluster.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use k8s_openapi::api::core::v1::Secret;
use kube::Api;
use kube::core::DynamicObject;
use serde_json::{Value, json};
use testkit::vectors::{Case, Vectors, hex, load_bundled};

use crate::support::controller::{Running, condition, has_reason, message, resource};
use crate::support::crd::plane_with_crd;
use crate::support::{client, wait_for};

/// The namespace that the vectors are sealed for, unused by other tests.
const NAMESPACE: &str = "prod";

fn case<'a>(cases: &'a [Case], name: &str) -> &'a Case {
    let case = cases.iter().find(|case| case.name == name).unwrap();
    assert_eq!(case.namespace.as_deref(), Some(NAMESPACE));
    case
}

fn keyring(vectors: &Vectors) -> tempfile::NamedTempFile {
    let lines = vectors.local_keyring.iter().map(|key| {
        let kid = key.uri.strip_prefix("local://").unwrap();
        format!(
            "ES-LOCAL-KEY-1 {kid} {}\n",
            URL_SAFE_NO_PAD.encode(hex(&key.key).unwrap())
        )
    });
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), lines.collect::<String>()).unwrap();
    file
}

fn apply(case: &Case) {
    let spec: Value = serde_json::from_str(case.spec().unwrap()).unwrap();
    let object = json!({"apiVersion": "envelope-secrets.io/v1", "kind": "EnvelopeSecret",
        "metadata": {"name": case.object_name, "namespace": NAMESPACE}, "spec": spec});
    plane_with_crd()
        .kubectl_with_input(["apply", "--server-side", "-f", "-"], &object.to_string())
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn vector_is_opened_and_render_failure_names_entry_and_line() {
    let vectors = load_bundled().unwrap();
    let plane = plane_with_crd();
    plane.kubectl(["create", "namespace", NAMESPACE]).unwrap();
    let ring = keyring(&vectors);
    let running = Running::start(ring.path().to_owned(), &[NAMESPACE]);
    let client = client().await;
    let objects: Api<DynamicObject> = Api::namespaced_with(client.clone(), NAMESPACE, &resource());
    let secrets: Api<Secret> = Api::namespaced(client, NAMESPACE);

    let positive = case(&vectors.positive, "strict-one-key");
    apply(positive);
    let is = |reason: &'static str| move |o: Option<&DynamicObject>| o.is_some_and(|o| has_reason(o, reason));
    wait_for(&objects, &positive.object_name, "it is Synced", is("Synced")).await;
    let secret = secrets.get(&positive.object_name).await.unwrap();
    let data = secret.data.unwrap_or_default();
    let data: BTreeMap<String, String> = data.into_iter().map(|(k, v)| (k, STANDARD.encode(v.0))).collect();
    assert_eq!(Some(&data), positive.plaintext.as_ref());

    let negative = case(&vectors.negative, "render-fails-05");
    assert_eq!(negative.object_name, positive.object_name);
    apply(negative);
    let refused = wait_for(
        &objects,
        &negative.object_name,
        "it fails to render",
        is("RenderError"),
    )
    .await
    .unwrap();
    let said = message(&refused);
    assert!(
        said.starts_with("template x, line 1: ") && said.contains("secret still holds generation 1"),
        "{said}"
    );
    assert_eq!(condition(&refused, "Stalled").unwrap()["status"], "True");
    // It is retried, so there is at least one attempt.
    assert!(running.metric("envelope_secrets_opens_total", "render") >= 1);
    running.stop().await;
}
