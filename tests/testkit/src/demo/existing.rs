//! The demo on an existing cluster: asks for confirmation, uses one namespace, and removes only what it created.

use std::io::{BufRead as _, IsTerminal as _, Write as _};

use anyhow::{Context as _, Result, bail, ensure};

use super::cleaner::{CRD, Cleaner};
use super::stage::Stage;
use super::story::{self, Story};

pub(super) fn run(story: &mut dyn Story, stage: &mut Stage<'_>, yes: bool) -> Result<()> {
    stage.say("Use the cluster of this kubeconfig.")?;
    stage.show_environment()?;
    let context = stage.run("kubectl config current-context")?;
    let server =
        stage.run("kubectl config view --minify -o jsonpath='{.clusters[0].cluster.server}{\"\\n\"}'")?;
    let namespace = format!("envelope-demo-{:08x}", crate::random() >> 32);
    if !yes {
        confirm(context.trim(), server.trim(), &namespace)?;
    }
    let found = stage.run(&format!("kubectl get crd {CRD} --ignore-not-found -o name"))?;
    let create_crd = found.trim().is_empty();

    story.seal(stage, &namespace)?;
    let mut cleaner = Cleaner::start(stage.environment())?;
    let done = run_with_cleaner(story, stage, &namespace, create_crd, &mut cleaner);
    // Even after an error, and before it is shown: the cleaner's output comes first.
    let removal = cleaner.finish();
    done?;
    removal
}

fn run_with_cleaner(
    story: &mut dyn Story,
    stage: &mut Stage<'_>,
    namespace: &str,
    create_crd: bool,
    cleaner: &mut Cleaner,
) -> Result<()> {
    if create_crd {
        stage.say("The cluster does not have the CRD. Create it; it is deleted at the end unless it is in use by then.")?;
        stage.run("envelope crd > crd.yaml")?;
        // `create` instead of `apply`: it fails if another user has created the CRD in the meantime.
        let output = stage.run("kubectl create -f crd.yaml -o jsonpath='{.metadata.uid}{\"\\n\"}'")?;
        cleaner.created_crd(uid(&output)?)?;
        stage.run(&format!(
            "kubectl wait --for=condition=Established crd/{CRD} --timeout=60s"
        ))?;
    } else {
        stage.say(
            "The cluster already has the CRD, which the demo does not change. A controller that serves the whole cluster will also reconcile \
             the demo's object, but cannot open it without the key.",
        )?;
    }
    stage.say("Create a namespace for this demo.")?;
    cleaner.will_create_namespace(namespace)?;
    let output = stage.run(&format!(
        "kubectl create namespace {namespace} -o jsonpath='{{.metadata.uid}}{{\"\\n\"}}'"
    ))?;
    cleaner.created_namespace(namespace, uid(&output)?)?;
    story::run_in_cluster(story, stage, namespace)
}

/// The UID that `kubectl create` printed, after any warnings.
fn uid(output: &str) -> Result<&str> {
    let uid = output.lines().last().unwrap_or_default();
    ensure!(
        uid.len() == 36 && uid.split('-').count() == 5,
        "kubectl did not print a UID"
    );
    Ok(uid)
}

fn confirm(context: &str, server: &str, namespace: &str) -> Result<()> {
    let input = std::io::stdin();
    if !input.is_terminal() {
        bail!(
            "cannot ask for confirmation: standard input is not a terminal; add --yes to use context {context} at {server}"
        );
    }
    let mut error = std::io::stderr();
    write!(
        error,
        "\nUse context {context} at {server}, in a new namespace {namespace}? [y/N] "
    )?;
    error.flush()?;
    let mut answer = String::new();
    input.lock().read_line(&mut answer).context("standard input")?;
    ensure!(
        matches!(answer.trim(), "y" | "Y" | "yes"),
        "canceled; the cluster was not changed"
    );
    Ok(())
}
