//! The checks of the suite. Each builds on the ones before it.

use std::{
    fs,
    process::Stdio,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Result, ensure};

use super::{
    cluster::{Suite, TIMEOUT, VALUES, VERSIONS},
    release,
};
use crate::{
    cluster::{RELEASE, checked_text},
    run::{output, run, succeeds},
};

type Check = (&'static str, fn(&Suite) -> Result<()>);

pub(super) const CHECKS: &[Check] = &[
    (
        "helm install --wait: the pod is ready under the restricted Pod Security Standard",
        installed,
    ),
    ("the commands of NOTES.txt work as printed", notes),
    (
        "a pod reads the Secret as a file and from its environment",
        pod_reads_secret,
    ),
    ("metrics are served through the Service", metrics),
    (
        "the controller's pod is killed and comes back, and a changed document reaches the running pod",
        killed,
    ),
    (
        "helm uninstall keeps the CRD, EnvelopeSecrets and Secrets",
        uninstalled,
    ),
    (
        "the next helm install adopts them and writes nothing",
        installed_again,
    ),
    (
        "helm upgrade with namespaces leaves the controller no permission elsewhere",
        limited,
    ),
    (
        "helm upgrade from the chart of the previous commit opens nothing",
        release::upgraded_from_previous,
    ),
    ("helm upgrade with another configuration", release::reconfigured),
    (
        "a failed helm upgrade rolls back, and the controller runs",
        release::failed_upgrade,
    ),
    (
        "kubelet and containerd are killed and come back; pods keep running",
        release::node_restarted,
    ),
    (
        "keyring.generate: a Job creates the keyring once; uninstall keeps it",
        release::keyring_generated,
    ),
];

fn installed(suite: &Suite) -> Result<()> {
    suite
        .plane
        .install(&suite.parts, &suite.directory.join("keyring"), VALUES)?;
    let pods = suite.kubectl("get pods -A")?;
    print!("{pods}");
    ensure!(
        pods.contains(" 1/1 ") && pods.contains(" Running "),
        "the pod is not running:\n{pods}"
    );
    Ok(())
}

fn notes(suite: &Suite) -> Result<()> {
    let notes = checked_text(
        suite
            .plane
            .helm(&suite.parts)
            .args(["get", "notes", RELEASE, "-n", RELEASE]),
    )?;
    let commands: Vec<&str> = notes.lines().filter_map(|line| line.strip_prefix("  ")).collect();
    ensure!(commands.len() >= 7, "too few commands:\n{notes}");
    let printed = suite.shell(&commands.join("\n"))?;
    ensure!(
        printed.contains("condition met\nhello"),
        "the commands printed\n{printed}"
    );
    Ok(())
}

fn pod_reads_secret(suite: &Suite) -> Result<()> {
    suite.kubectl("create namespace app")?;
    suite.apply_password("first-password")?;
    suite.until("get events -n app", " SecretCreated ")?; // events have a low priority
    println!(
        "events of the first seal:\n{}",
        suite.kubectl("get events -n app")?
    );
    let manifest = DEPLOYMENT.replace("IMAGE", &suite.parts.pod.name);
    fs::write(suite.work.join("deployment.yaml"), manifest)?;
    suite.shell(
        "kubectl apply -f deployment.yaml && kubectl rollout status -n app deployment/reader --timeout=120s",
    )?;
    suite.until(
        "logs -n app deployment/reader",
        "environment: first-password\nfile: first-password\n",
    )
}

const DEPLOYMENT: &str = r"
apiVersion: apps/v1
kind: Deployment
metadata: {name: reader, namespace: app}
spec:
  selector: {matchLabels: {app: reader}}
  template:
    metadata: {labels: {app: reader}}
    spec:
      terminationGracePeriodSeconds: 0
      containers:
      - name: reader
        image: IMAGE
        args: [show, /secret/password, PASSWORD]
        env:
        - name: PASSWORD
          valueFrom: {secretKeyRef: {name: db, key: password}}
        volumeMounts:
        - {name: secret, mountPath: /secret, readOnly: true}
      volumes:
      - name: secret
        secret: {secretName: db}
";

fn metrics(suite: &Suite) -> Result<()> {
    let metrics = suite.scrape()?;
    for line in [
        "envelope_secrets_build_info{",
        "envelope_secrets_objects{state=\"Synced\"} 2",
    ] {
        ensure!(metrics.contains(line), "no {line} in\n{metrics}");
    }
    Ok(())
}

fn killed(suite: &Suite) -> Result<()> {
    let pod = "get pods -n envelope-secrets -o jsonpath={.items[*].metadata.uid}";
    let before = suite.kubectl(pod)?;
    suite.kubectl("delete pods -n envelope-secrets --all --grace-period=0 --force")?;
    // Sealed while no controller runs, or just after it came back.
    suite.apply_password("second-password")?;
    suite.kubectl("rollout status -n envelope-secrets deployment/envelope-secrets --timeout=120s")?;
    let after = suite.kubectl(pod)?;
    ensure!(before != after, "the pod was not replaced: {after}");
    suite.until("logs -n app deployment/reader", "file: second-password\n")
}

const KEPT: &str = "get crd/envelopesecrets.envelope-secrets.io -o name";

fn uninstalled(suite: &Suite) -> Result<()> {
    let before = suite.kubectl(VERSIONS)?;
    ensure!(
        before.split(' ').count() == 2,
        "one EnvelopeSecret and one Secret expected: {before}"
    );
    run(suite
        .plane
        .helm(&suite.parts)
        .args(["uninstall", RELEASE, "-n", RELEASE, "--wait"])
        .stdout(Stdio::null()))?;
    suite.until(
        "get deployments,serviceaccounts,services -n envelope-secrets -o name",
        "serviceaccount/default\n",
    )?;
    let left = suite.kubectl("get deployments,services,clusterroles,clusterrolebindings -A -l app.kubernetes.io/name=envelope-secrets -o name")?;
    ensure!(left.is_empty(), "objects of the release are left: {left}");
    suite.kubectl(KEPT)?;
    let after = suite.kubectl(VERSIONS)?;
    ensure!(before == after, "objects changed: {before} -> {after}");
    Ok(())
}

fn installed_again(suite: &Suite) -> Result<()> {
    let before = suite.kubectl(VERSIONS)?;
    suite.plane.install_chart(&suite.parts, VALUES)?;
    // Ready means that both lists are complete; the objects have been reconciled when they are counted.
    let start = Instant::now();
    while !suite
        .scrape()?
        .contains("envelope_secrets_objects{state=\"Synced\"} 2")
    {
        ensure!(
            start.elapsed() < TIMEOUT,
            "the objects were not reconciled:\n{}",
            suite.scrape()?
        );
        thread::sleep(Duration::from_millis(500));
    }
    let metrics = suite.scrape()?;
    let opened = metrics
        .lines()
        .find(|line| line.starts_with("envelope_secrets_opens_total{"));
    ensure!(opened.is_none(), "documents were opened again: {opened:?}");
    let after = suite.kubectl(VERSIONS)?;
    ensure!(before == after, "objects changed: {before} -> {after}");
    ensure!(
        succeeds(&mut suite.plane.kubectl(&["get", "secret", "db", "-n", "app"])),
        "the Secret is gone"
    );
    Ok(())
}

fn limited(suite: &Suite) -> Result<()> {
    let mut helm = suite.plane.helm(&suite.parts);
    helm.args([
        "upgrade",
        RELEASE,
        "charts/envelope-secrets",
        "--namespace",
        RELEASE,
    ]);
    helm.args([
        "--reuse-values",
        "--set",
        "namespaces={app}",
        "--wait",
        "--timeout",
        "3m",
    ]);
    run(helm.stdout(Stdio::null()))?;
    for (namespace, expected) in [("app", "yes"), ("default", "no"), ("envelope-secrets", "no")] {
        let user = format!("--as=system:serviceaccount:{RELEASE}:{RELEASE}");
        let can = ["auth", "can-i", "list", "secrets", "-n", namespace, &user];
        // The exit status of `no` is 1.
        let answer = output(&mut suite.plane.kubectl(&can))?;
        ensure!(
            answer.trim() == expected,
            "can-i list secrets in {namespace}: {answer}"
        );
    }
    suite.apply_password("third-password")?;
    suite.until("logs -n app deployment/reader", "file: third-password\n")
}
