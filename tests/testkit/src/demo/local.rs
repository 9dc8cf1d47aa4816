//! The story with a keyring file.

use std::time::Duration;

use anyhow::{Result, ensure};

use super::stage::{Controller, Stage};
use super::story::{self, OPENS, PASSWORD, Story, secret_version, sum};
use crate::until;

const FLAGS: &str = "--keyring keyring";
const RECONCILES: &str = "envelope_secrets_reconcile_total";
/// How long the controller may take for what it does at once.
const LIMIT: Duration = Duration::from_mins(1);

pub(super) struct Local;

impl Story for Local {
    fn seal(&mut self, stage: &mut Stage<'_>, namespace: &str) -> Result<()> {
        stage.say("A keyring file with a new key. It stands in for a KMS: to try things, in air-gapped clusters, in tests.")?;
        stage.runs(&format!("envelope keys create {FLAGS}"))?;
        story::seals(stage, namespace, FLAGS)
    }

    fn open(&mut self, stage: &mut Stage<'_>) -> Result<()> {
        stage.say("Who holds the key can open it.")?;
        story::opens(stage, FLAGS, PASSWORD)?;
        story::opens_nothing_changed(stage, FLAGS, PASSWORD)
    }

    fn cluster(&mut self, stage: &mut Stage<'_>, namespace: &str) -> Result<()> {
        let start = format!("envelope controller {FLAGS} --namespaces {namespace}");
        stage.say("The controller, with the same key, for this namespace only.")?;
        let controller = stage.starts_controller(&start)?;
        story::applied(stage, namespace, &controller)?;
        let version = healed(stage, namespace)?;
        let controller = restarted(stage, namespace, &controller, &start, &version)?;
        story::tampered(stage, namespace, PASSWORD)?;
        stage.say("The object is deleted, and its Secret goes with it.")?;
        stage.runs(&format!("kubectl delete -n {namespace} envsec db"))?;
        stage.runs(&format!(
            "kubectl wait -n {namespace} --for=delete secret/db --timeout=60s"
        ))?;
        stage.stops_controller(&controller)
    }
}

/// The Secret's resourceVersion once the controller has noted it.
fn healed(stage: &mut Stage<'_>, namespace: &str) -> Result<String> {
    stage.say("Somebody edits the Secret by hand. It is put back.")?;
    stage.runs(&format!(
        "kubectl patch -n {namespace} secret db --type=merge -p '{{\"stringData\":{{\"password\":\"edited by hand\"}}}}'"
    ))?;
    story::waits_for_secret(stage, namespace, PASSWORD)?;
    secret_version(stage, namespace)
}

fn restarted(
    stage: &mut Stage<'_>,
    namespace: &str,
    controller: &Controller,
    start: &str,
    version: &str,
) -> Result<Controller> {
    stage
        .say("A restart opens nothing and writes nothing: the object's status says what was done already.")?;
    // It is written after the Secret; a restart between the two would rightly look into the document again.
    stage.runs(&format!(
        "kubectl wait -n {namespace} --for=jsonpath='{{.status.applied.secretResourceVersion}}'={version} envsec/db --timeout=60s"
    ))?;
    stage.stops_controller(controller)?;
    let controller = stage.starts_controller(start)?;
    until(LIMIT, "the restarted controller has looked at the object", || {
        Ok((sum(&controller.metric(RECONCILES)?) >= 1.0).then_some(()))
    })?;
    stage.prints(&format!("http://127.0.0.1:{}/metrics says:", controller.metrics))?;
    for (sample, value) in controller.metric(RECONCILES)? {
        stage.prints(&format!("  {sample} {value}"))?;
    }
    let opens = controller.metric(OPENS)?;
    for (sample, value) in &opens {
        stage.prints(&format!("  {sample} {value}"))?;
    }
    if opens.is_empty() {
        stage.prints(&format!("  and no {OPENS}: nothing was opened"))?;
    }
    ensure!(sum(&opens) == 0.0, "the restarted controller opened a document");
    ensure!(
        secret_version(stage, namespace)? == version,
        "the restarted controller wrote the Secret"
    );
    Ok(controller)
}
