//! The story with a keyring file.

use std::time::Duration;

use anyhow::{Result, ensure};

use super::stage::{Controller, Stage};
use super::story::{self, OPENS, PASSWORD, Story, secret_version, sum};
use crate::until;

const FLAGS: &str = "--keyring keyring";
const RECONCILES: &str = "envelope_secrets_reconcile_total";
/// How long the controller may take for work that is not delayed.
const TIMEOUT: Duration = Duration::from_mins(1);

pub(super) struct Local;

impl Story for Local {
    fn seal(&mut self, stage: &mut Stage<'_>, namespace: &str) -> Result<()> {
        stage.say("Create a keyring file with a new key. It replaces the KMS for first tries, tests and air-gapped clusters.")?;
        stage.run(&format!("envelope keys create {FLAGS}"))?;
        story::seal(stage, namespace, FLAGS)
    }

    fn open(&mut self, stage: &mut Stage<'_>) -> Result<()> {
        stage.say("Users with the key can open the document.")?;
        story::open(stage, FLAGS, PASSWORD)?;
        story::reject_tampered(stage, FLAGS, PASSWORD)
    }

    fn cluster(&mut self, stage: &mut Stage<'_>, namespace: &str) -> Result<()> {
        let start = format!("envelope controller {FLAGS} --namespaces {namespace}");
        stage.say("Start the controller with the same key, for this namespace only.")?;
        let controller = stage.start_controller(&start)?;
        story::apply(stage, namespace, &controller)?;
        let version = revert_edit(stage, namespace)?;
        let controller = restart(stage, namespace, &controller, &start, &version)?;
        story::apply_tampered(stage, namespace, PASSWORD)?;
        stage.say("Delete the object. Kubernetes deletes its Secret with it.")?;
        stage.run(&format!("kubectl delete -n {namespace} envsec db"))?;
        stage.run(&format!(
            "kubectl wait -n {namespace} --for=delete secret/db --timeout=60s"
        ))?;
        stage.stop_controller(&controller)
    }
}

/// Edits the Secret and waits until the controller has reverted the edit. Returns the Secret's resourceVersion.
fn revert_edit(stage: &mut Stage<'_>, namespace: &str) -> Result<String> {
    stage
        .say("Edit the Secret manually. The controller detects the drift and restores the sealed values.")?;
    stage.run(&format!(
        "kubectl patch -n {namespace} secret db --type=merge -p '{{\"stringData\":{{\"password\":\"edited by hand\"}}}}'"
    ))?;
    story::wait_for_password(stage, namespace, PASSWORD)?;
    secret_version(stage, namespace)
}

fn restart(
    stage: &mut Stage<'_>,
    namespace: &str,
    controller: &Controller,
    start: &str,
    version: &str,
) -> Result<Controller> {
    stage
        .say("Restart the controller. The object's status records the state that was applied, so nothing is opened or written.")?;
    // The status is written after the Secret. If the restart came between the two, the controller would rightly open the document again.
    stage.run(&format!(
        "kubectl wait -n {namespace} --for=jsonpath='{{.status.applied.secretResourceVersion}}'={version} envsec/db --timeout=60s"
    ))?;
    stage.stop_controller(controller)?;
    let controller = stage.start_controller(start)?;
    until(
        TIMEOUT,
        "the restarted controller has reconciled the object",
        || Ok((sum(&controller.metric(RECONCILES)?) >= 1.0).then_some(())),
    )?;
    stage.print(&format!("http://127.0.0.1:{}/metrics:", controller.metrics))?;
    for (sample, value) in controller.metric(RECONCILES)? {
        stage.print(&format!("  {sample} {value}"))?;
    }
    let opens = controller.metric(OPENS)?;
    for (sample, value) in &opens {
        stage.print(&format!("  {sample} {value}"))?;
    }
    if opens.is_empty() {
        stage.print(&format!("  ({OPENS} has no samples: nothing was opened)"))?;
    }
    ensure!(sum(&opens) == 0.0, "the restarted controller opened a document");
    ensure!(
        secret_version(stage, namespace)? == version,
        "the restarted controller wrote the Secret"
    );
    Ok(controller)
}
