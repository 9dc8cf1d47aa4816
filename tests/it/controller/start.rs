//! Startup with missing prerequisites: they are reported and retried, and a forbidden namespace delays no other.

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};
use testkit::{Options, Part};

use crate::support::canary::logged;
use crate::support::controller::{Running, TestNamespace, timings};
use crate::support::crd::{install_crd, plane_with_crd};
use crate::support::sealing::{Sealer, draft, object};
use crate::support::{client_of, exit_status, terminate, until, wait_for};

/// How long the controller may take to report a problem.
const LIMIT: Duration = Duration::from_mins(1);
const PASSWORD: &str = "planted-start-6Jd";

#[tokio::test(flavor = "multi_thread")]
async fn missing_crd_and_unreachable_api_server_are_reported_and_retried() {
    let plane = testkit::own(&Options::default());
    let namespace = plane.namespace("start").unwrap();
    let sealer = Sealer::new(1);
    plane.stop_part(Part::Apiserver).unwrap();
    let running = Running::start_with(
        sealer.keyring(),
        &[&namespace],
        &[],
        plane.kubeconfig(),
        timings(),
    );
    let says = |text: &str| running.health.ready().is_err_and(|said| said.contains(text));
    until(LIMIT, "the API server is reported unreachable", async || {
        says("unreachable")
    })
    .await;
    assert!(running.health.live().is_ok(), "waiting does not fail liveness");
    until(LIMIT, "it is logged", async || {
        !logged(&[
            &namespace,
            "cannot watch secrets",
            "check the API server's address",
        ])
        .is_empty()
    })
    .await;

    plane.start_part(Part::Apiserver).unwrap();
    until(LIMIT, "the CRD is reported missing", async || {
        says("envelopesecrets.envelope-secrets.io") && says("missing")
    })
    .await;
    assert!(!logged(&[&namespace, "envelope crd | kubectl apply --server-side -f -"]).is_empty());
    assert_eq!(
        running.metric(
            "envelope_secrets_streams",
            "stream=\"envelopesecrets\",state=\"missing\""
        ),
        1
    );

    install_crd(&plane);
    let document = sealer.seal(draft(&namespace, "db", &[("password", PASSWORD.as_bytes())]));
    plane
        .kubectl_with_input(
            ["apply", "--server-side", "-f", "-"],
            &object(&document).to_string(),
        )
        .unwrap();
    let secrets: kube::Api<k8s_openapi::api::core::v1::Secret> =
        kube::Api::namespaced(client_of(&plane.kubeconfig()).await, &namespace);
    let there = |secret: Option<&k8s_openapi::api::core::v1::Secret>| secret.is_some();
    wait_for(&secrets, "db", "it exists", there).await;
    assert!(running.health.ready().is_ok());
    assert_eq!(running.metric("envelope_secrets_streams", "state=\"synced\""), 2);

    // An outage: both watches recover, and nothing is opened again because of it.
    plane.stop_part(Part::Apiserver).unwrap();
    until(LIMIT, "the outage is reported", async || {
        running.metric("envelope_secrets_streams", "state=\"unreachable\"") == 2
    })
    .await;
    assert!(running.health.live().is_ok() && running.health.ready().is_ok());
    plane.start_part(Part::Apiserver).unwrap();
    let document = sealer.seal(draft(&namespace, "two", &[("password", PASSWORD.as_bytes())]));
    plane
        .kubectl_with_input(
            ["apply", "--server-side", "-f", "-"],
            &object(&document).to_string(),
        )
        .unwrap();
    wait_for(&secrets, "two", "it exists", there).await;
    plane
        .kubectl(["delete", "secret", "db", "--namespace", &namespace])
        .unwrap();
    wait_for(&secrets, "db", "it is restored", there).await;
    until(
        LIMIT,
        "no document is opened more often than necessary",
        async || running.metric("envelope_secrets_opens_total", "") == 3,
    )
    .await;
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn older_crd_is_reported_and_no_status_is_written() {
    let plane = testkit::own(&Options::default());
    let namespace = plane.namespace("older").unwrap();
    let sealer = Sealer::new(1);
    let mut crd = serde_json::to_value(envelope_secrets::api::crd()).unwrap();
    let status = "/spec/versions/0/schema/openAPIV3Schema/properties/status/properties/applied/properties";
    crd.pointer_mut(status)
        .unwrap()
        .as_object_mut()
        .unwrap()
        .remove("renderer")
        .unwrap();
    plane
        .kubectl_with_input(["apply", "--server-side", "-f", "-"], &crd.to_string())
        .unwrap();
    let running = Running::start_with(
        sealer.keyring(),
        &[&namespace],
        &[],
        plane.kubeconfig(),
        timings(),
    );
    let says = |text: &str| running.health.ready().is_err_and(|said| said.contains(text));
    until(LIMIT, "the older CRD is reported", async || {
        says("CRD older than controller: it lacks status.applied.renderer")
    })
    .await;
    assert!(running.health.live().is_ok());

    let document = sealer.seal(draft(&namespace, "db", &[("password", PASSWORD.as_bytes())]));
    plane
        .kubectl_with_input(
            ["apply", "--server-side", "-f", "-"],
            &object(&document).to_string(),
        )
        .unwrap();
    until(LIMIT, "its Secret is written", async || {
        running.metric("envelope_secrets_reconcile_total", "unreported") > 0
    })
    .await;
    plane
        .kubectl(["get", "secret", "db", "--namespace", &namespace])
        .unwrap();
    let stored = || crate::support::crd::stored(&plane, &namespace, "db");
    assert_eq!(
        stored()["status"],
        json!({"observedGeneration": -1}),
        "no status was written"
    );

    install_crd(&plane);
    until(LIMIT, "the controller is ready", async || {
        running.health.ready().is_ok()
    })
    .await;
    plane
        .kubectl([
            "wait",
            "--for=condition=Ready",
            "envsec/db",
            "--timeout=60s",
            "--namespace",
            &namespace,
        ])
        .unwrap();
    assert_eq!(stored()["status"]["applied"]["renderer"], 1);
    assert_eq!(
        running.metric("envelope_secrets_opens_total", ""),
        1,
        "the earlier write was remembered"
    );
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn forbidden_namespace_does_not_delay_others() {
    let place = TestNamespace::new("allowed").await;
    let control = plane_with_crd();
    let forbidden = control.namespace("forbidden").unwrap();
    let outside = control.namespace("outside").unwrap();
    let user = format!("controller-of-{}", place.namespace);
    let kubeconfig = control.kubeconfig_for_user(&user, &[]).unwrap();
    let allow = |namespace: &str| {
        let role = json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding",
            "metadata": {"name": "all", "namespace": namespace},
            "subjects": [{"kind": "User", "name": user, "apiGroup": "rbac.authorization.k8s.io"}],
            "roleRef": {"kind": "ClusterRole", "name": "cluster-admin", "apiGroup": "rbac.authorization.k8s.io"}});
        control
            .kubectl_with_input(["apply", "-f", "-"], &role.to_string())
            .unwrap();
    };
    allow(&place.namespace);
    let seal = |namespace: &str| {
        place.canary.plant(PASSWORD);
        let document = place
            .sealer
            .seal(draft(namespace, "db", &[("password", PASSWORD.as_bytes())]));
        control
            .kubectl_with_input(
                ["apply", "--server-side", "-f", "-"],
                &object(&document).to_string(),
            )
            .unwrap();
    };
    for namespace in [&place.namespace, &forbidden, &outside] {
        seal(namespace);
    }
    let namespaces = [&*place.namespace, &*forbidden];
    let running = Running::start_with(place.sealer.keyring(), &namespaces, &[], kubeconfig, timings());
    place.wait_for_secret("db", &[("password", PASSWORD)]).await;
    assert!(running.health.ready().is_ok(), "one synced namespace is enough");
    until(LIMIT, "the metric reports the forbidden namespace", async || {
        running.metric("envelope_secrets_streams", "state=\"forbidden\"") == 2
            && running.metric("envelope_secrets_streams", "state=\"synced\"") == 2
    })
    .await;
    let remedy = format!("kubectl auth can-i list secrets --namespace {forbidden}");
    assert!(!logged(&[&forbidden, &remedy]).is_empty());

    allow(&forbidden);
    let secrets: kube::Api<k8s_openapi::api::core::v1::Secret> =
        kube::Api::namespaced(place.client.clone(), &forbidden);
    let there = |secret: Option<&k8s_openapi::api::core::v1::Secret>| secret.is_some();
    wait_for(&secrets, "db", "it exists", there).await;
    let elsewhere: kube::Api<k8s_openapi::api::core::v1::Secret> =
        kube::Api::namespaced(place.client.clone(), &outside);
    assert!(
        elsewhere.get_opt("db").await.unwrap().is_none(),
        "only the configured namespaces are watched"
    );
    place.finish(running).await;
}

/// Sends an HTTP request and returns the response.
fn fetch(address: &str, path: &str) -> String {
    use std::io::{Read as _, Write as _};
    let mut stream = std::net::TcpStream::connect(address).unwrap();
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    )
    .unwrap();
    let mut response = String::new();
    stream.read_to_string(&mut response).unwrap();
    response
}

#[tokio::test(flavor = "multi_thread")]
async fn binary_serves_probes_and_shuts_down_on_sigterm() {
    let place = TestNamespace::new("program").await;
    let mut child = Command::new(env!("CARGO_BIN_EXE_envelope"))
        .arg("controller")
        .args(["--namespaces", &place.namespace, "--log-format", "json"])
        .args(["--metrics-addr", "127.0.0.1:0", "--probe-addr", "127.0.0.1:0"])
        .env("ENVELOPE_KEYRING", place.sealer.keyring())
        .env("ENVELOPE_KUBECONFIG", plane_with_crd().kubeconfig())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let mut log = Vec::new();
    let mut next = |message: &str| -> Value {
        for line in lines.by_ref() {
            let line: Value = serde_json::from_str(&line.unwrap()).unwrap();
            log.push(line.clone());
            if line["message"] == message {
                return line;
            }
        }
        panic!("{message}: {log:?}")
    };
    let serving = next("serving");
    let (metrics, probes) = (
        serving["metrics"].as_str().unwrap(),
        serving["probes"].as_str().unwrap(),
    );
    assert!(fetch(probes, "/livez").starts_with("HTTP/1.1 200"));
    place.apply_synced("db", &[("password", PASSWORD)]).await;
    assert!(fetch(probes, "/readyz").starts_with("HTTP/1.1 200"));
    let text = fetch(metrics, "/metrics");
    assert!(
        text.contains("envelope_secrets_opens_total{outcome=\"opened\"} 1"),
        "{text}"
    );
    let created = next("secret holds 1 entry from generation 1");
    assert_eq!(
        (&created["namespace"], &created["name"], &created["reason"]),
        (&json!(place.namespace), &json!("db"), &json!("SecretCreated"))
    );

    // Neither an incomplete request nor an idle connection delays the shutdown.
    let incomplete = {
        use std::io::Write as _;
        let mut stream = std::net::TcpStream::connect(metrics).unwrap();
        write!(stream, "GET /metrics HTTP/1.1\r\nHost: x\r\n").unwrap();
        (stream, std::net::TcpStream::connect(probes).unwrap())
    };
    terminate(&child);
    next("shutting down");
    let ended = exit_status(child, Duration::from_secs(5)).await;
    assert!(
        ended.is_some_and(|status| status.success()),
        "SIGTERM does not end the process while connections are open: {ended:?}"
    );
    drop(incomplete);
    place.canary.check(&place.client, &place.namespace, &[text]).await;
}
