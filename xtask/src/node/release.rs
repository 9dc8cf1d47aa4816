//! Checks of releases on the node: upgrades, rollback, restarts, and a keyring that is created in the cluster.

use std::{
    fs,
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};

use super::cluster::{Suite, TIMEOUT, VALUES, VERSIONS};
use crate::{
    chart::{CHART, previous::previous_chart},
    cluster::{RELEASE, checked_text},
    run::{run, succeeds},
};

/// Runs helm in the release's namespace, quietly.
fn helm(suite: &Suite, arguments: &[&str]) -> Result<()> {
    run(suite
        .plane
        .helm(&suite.parts)
        .args(arguments)
        .args(["--namespace", RELEASE])
        .stdout(Stdio::null()))
}

/// The values of the release, for an upgrade that begins from the chart's defaults.
fn values(suite: &Suite) -> Result<Vec<String>> {
    let tag = suite.parts.tag()?;
    let mut arguments = vec![
        "--set".to_owned(),
        format!("keyring.existingSecret=envelope-keyring,image.tag={tag}"),
    ];
    for value in VALUES {
        arguments.extend(["--set".to_owned(), (*value).to_owned()]);
    }
    Ok(arguments)
}

fn upgrade(suite: &Suite, chart: &str, more: &[&str]) -> Result<()> {
    let values = values(suite)?;
    let mut arguments = vec!["upgrade", RELEASE, chart, "--wait", "--timeout", "3m"];
    arguments.extend(values.iter().map(String::as_str));
    arguments.extend(more);
    helm(suite, &arguments)
}

/// Waits until the controller has reconciled both objects again, and fails if it opened a document.
fn opened_nothing(suite: &Suite) -> Result<()> {
    let start = Instant::now();
    let metrics = loop {
        let metrics = suite.scrape().unwrap_or_default();
        if metrics.contains("envelope_secrets_objects{state=\"Synced\"} 2") {
            break metrics;
        }
        ensure!(
            start.elapsed() < TIMEOUT,
            "the objects were not reconciled:\n{metrics}"
        );
        thread::sleep(Duration::from_millis(500));
    };
    let opened = metrics
        .lines()
        .find(|line| line.starts_with("envelope_secrets_opens_total{"));
    ensure!(opened.is_none(), "documents were opened again: {opened:?}");
    Ok(())
}

pub(super) fn upgraded_from_previous(suite: &Suite) -> Result<()> {
    let previous = previous_chart(&suite.work)?.context("there is no Git history here")?;
    let before = suite.kubectl(VERSIONS)?;
    upgrade(suite, &previous.display().to_string(), &[])?;
    opened_nothing(suite)?;
    upgrade(suite, CHART, &[])?;
    opened_nothing(suite)?;
    let pod = suite.kubectl(
        "get pods -n envelope-secrets -o jsonpath={.items[*].metadata.creationTimestamp},{.items[*].status.conditions[?(@.type==\"Ready\")].lastTransitionTime}",
    )?;
    println!("the pod was created and became ready at {pod}");
    let after = suite.kubectl(VERSIONS)?;
    ensure!(before == after, "objects changed: {before} -> {after}");
    Ok(())
}

pub(super) fn reconfigured(suite: &Suite) -> Result<()> {
    upgrade(
        suite,
        CHART,
        &["--set", "logging.level=debug,podLabels.team=platform"],
    )?;
    opened_nothing(suite)?;
    let labels = suite.kubectl("get pods -n envelope-secrets -l team=platform -o name")?;
    ensure!(labels.starts_with("pod/"), "no pod has the new label");
    suite.until("get pods -n envelope-secrets -o yaml", "--log-level=debug")
}

/// The image does not exist. The strategy `Recreate` stops the old pod first, so only the rollback starts one again.
pub(super) fn failed_upgrade(suite: &Suite) -> Result<()> {
    let values = values(suite)?;
    let mut arguments = vec![
        "upgrade",
        RELEASE,
        CHART,
        "--rollback-on-failure",
        "--timeout",
        "30s",
    ];
    arguments.extend(values.iter().map(String::as_str));
    arguments.extend(["--set", "image.tag=does-not-exist"]);
    ensure!(helm(suite, &arguments).is_err(), "the upgrade succeeded");
    suite.kubectl("rollout status -n envelope-secrets deployment/envelope-secrets --timeout=120s")?;
    suite.apply_password("fourth-password")?;
    suite.until("logs -n app deployment/reader", "file: fourth-password\n")
}

/// SIGKILL of both; init starts them again.
pub(super) fn node_restarted(suite: &Suite) -> Result<()> {
    let state = "get pods -A -o jsonpath={.items[*].metadata.uid},{.items[*].status.containerStatuses[*].containerID}";
    let before = suite.kubectl(state)?;
    let directory = suite.directory.display().to_string();
    let mut killed = Vec::new();
    for entry in fs::read_dir("/proc")? {
        let path = entry?.path();
        let Ok(command) = fs::read(path.join("cmdline")) else {
            continue;
        };
        let words: Vec<String> = command
            .split(|byte| *byte == 0)
            .map(|word| String::from_utf8_lossy(word).into_owned())
            .collect();
        let program = words.first().map(String::as_str).unwrap_or_default();
        let ours = words.iter().any(|word| word.contains(&directory));
        let name = program.rsplit('/').next().unwrap_or_default();
        if ours && (name == "kubelet" || name == "containerd") {
            let id = path
                .file_name()
                .unwrap_or_default()
                .to_string_lossy()
                .into_owned();
            run(Command::new("kill").args(["-KILL", &id]))?;
            killed.push(name.to_owned());
        }
    }
    ensure!(killed.len() == 2, "killed {killed:?}, not kubelet and containerd");
    // A changed Secret reaches the pod only through a kubelet and a containerd that run.
    suite.apply_password("fifth-password")?;
    suite.until("logs -n app deployment/reader", "file: fifth-password\n")?;
    let after = suite.kubectl(state)?;
    ensure!(before == after, "pods were restarted: {before} -> {after}");
    Ok(())
}

/// A second release, without the CRD.
pub(super) fn keyring_generated(suite: &Suite) -> Result<()> {
    // Two releases must not serve the same namespace.
    upgrade(suite, CHART, &["--set", "namespaces={app}"])?;
    let tag = suite.parts.tag()?;
    let namespace = "generated";
    suite.kubectl("create namespace generated")?;
    suite.kubectl("label namespace generated pod-security.kubernetes.io/enforce=restricted")?;
    let set = format!("keyring.generate=true,crds.enabled=false,namespaces={{generated}},image.tag={tag}");
    let release = |arguments: &[&str]| {
        let mut helm = suite.plane.helm(&suite.parts);
        helm.args(arguments).args(["--namespace", namespace]);
        helm
    };
    let secret = "get secret second-envelope-secrets-keyring -n generated";
    let install = [
        "install",
        "second",
        CHART,
        "--wait",
        "--timeout",
        "3m",
        "--set",
        &set,
    ];
    run(release(&install).stdout(Stdio::null()))?;
    // `envelope doctor` as the release's pods mount the keyring: files of root that the pod's group may read.
    run(release(&["test", "second", "--timeout", "2m"]).stdout(Stdio::null()))?;
    let version = format!("{secret} -o jsonpath={{.metadata.uid}}-{{.metadata.resourceVersion}}");
    let before = suite.kubectl(&version)?;
    let encoded = suite.kubectl(&format!("{secret} -o jsonpath={{.data.keyring}}"))?;
    let keyring = suite.shell(&format!(
        "kubectl {secret} -o jsonpath='{{.data.keyring}}' | base64 -d"
    ))?;
    let material = keyring
        .split_whitespace()
        .max_by_key(|word| word.len())
        .context("an empty keyring")?;
    ensure!(
        material.len() > 30,
        "the longest word of the keyring is too short for a key"
    );
    // The key is neither in the release, whose history is a Secret, nor in an event or a log that still exists.
    let all = checked_text(&mut release(&["get", "all", "second"]))?;
    let events = suite.kubectl("get events -n generated -o yaml")?;
    let logs = suite.kubectl("logs -n generated deployment/second-envelope-secrets")?;
    for (place, text) in [("the release", &all), ("an event", &events), ("the log", &logs)] {
        ensure!(
            !text.contains(material) && !text.contains(&encoded),
            "{place} contains the key"
        );
    }
    let left = suite.kubectl("get jobs,roles,rolebindings,serviceaccounts -n generated -o name")?;
    ensure!(!left.contains("create-keyring"), "the hook left objects: {left}");
    // It seals and opens.
    suite.shell(
        "kubectl get secret second-envelope-secrets-keyring -n generated -o jsonpath='{.data.keyring}' | base64 -d >second.keyring
         chmod 600 second.keyring
         kubectl create secret generic db -n generated --from-literal=password=x --dry-run=client -o yaml |
             envelope seal --keyring second.keyring | kubectl apply -f -
         kubectl wait -n generated --for=condition=Ready --timeout=120s envsec/db",
    )?;
    run(release(&["uninstall", "second", "--wait"]).stdout(Stdio::null()))?;
    ensure!(
        suite.kubectl(&version)? == before,
        "helm uninstall changed the keyring"
    );
    ensure!(
        succeeds(&mut suite.plane.kubectl(&["get", "secret", "db", "-n", "generated"])),
        "helm uninstall removed a Secret"
    );
    Ok(())
}
