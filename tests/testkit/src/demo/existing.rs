//! The demo on a cluster that is there: it asks, stays in one namespace, and takes away only what it made.

use std::io::{BufRead as _, IsTerminal as _, Write as _};

use anyhow::{Context as _, Result, bail, ensure};

use super::cleaner::{CRD, Cleaner};
use super::stage::Stage;
use super::story::{self, Story};

pub(super) fn run(story: &mut dyn Story, stage: &mut Stage<'_>, yes: bool) -> Result<()> {
    stage.say("The cluster of this kubeconfig.")?;
    stage.shows_environment()?;
    let context = stage.runs("kubectl config current-context")?;
    let server =
        stage.runs("kubectl config view --minify -o jsonpath='{.clusters[0].cluster.server}{\"\\n\"}'")?;
    let namespace = format!("envelope-demo-{:08x}", crate::random() >> 32);
    if !yes {
        confirm(context.trim(), server.trim(), &namespace)?;
    }
    let found = stage.runs(&format!("kubectl get crd {CRD} --ignore-not-found -o name"))?;
    let missing = found.trim().is_empty();

    story.seal(stage, &namespace)?;
    let mut cleaner = Cleaner::start(stage.environment())?;
    let done = acts(story, stage, &namespace, missing, &mut cleaner);
    // In any case, and before an error is shown: what it says belongs to the end.
    let gone = cleaner.finish();
    done?;
    gone
}

fn acts(
    story: &mut dyn Story,
    stage: &mut Stage<'_>,
    namespace: &str,
    missing: bool,
    cleaner: &mut Cleaner,
) -> Result<()> {
    if missing {
        stage.say("The custom resource is not there. It is created, and removed at the end unless somebody uses it by then.")?;
        stage.runs("envelope crd > crd.yaml")?;
        // `create`, not `apply`: if it is there by now, it is not ours.
        let made = stage.runs("kubectl create -f crd.yaml -o jsonpath='{.metadata.uid}{\"\\n\"}'")?;
        cleaner.made_crd(last_line(&made)?)?;
        stage.runs(&format!(
            "kubectl wait --for=condition=Established crd/{CRD} --timeout=60s"
        ))?;
    } else {
        stage.say(
            "The custom resource is there already and stays as it is. A controller that serves the whole cluster will look at the \
             demo's object too; it has not its key and cannot open it.",
        )?;
    }
    stage.say("A namespace for this demo alone.")?;
    cleaner.makes_namespace(namespace)?;
    let made = stage.runs(&format!(
        "kubectl create namespace {namespace} -o jsonpath='{{.metadata.uid}}{{\"\\n\"}}'"
    ))?;
    cleaner.made_namespace(namespace, last_line(&made)?)?;
    story::cluster(story, stage, namespace)
}

/// The uid that a `create` printed, behind any warnings.
fn last_line(text: &str) -> Result<&str> {
    let uid = text.lines().last().unwrap_or_default();
    ensure!(
        uid.len() == 36 && uid.split('-').count() == 5,
        "kubectl printed no uid"
    );
    Ok(uid)
}

fn confirm(context: &str, server: &str, namespace: &str) -> Result<()> {
    let input = std::io::stdin();
    if !input.is_terminal() {
        bail!("nobody can be asked whether context {context} at {server} is meant; if it is, add --yes");
    }
    let mut error = std::io::stderr();
    write!(
        error,
        "\nUse context {context} at {server}, in a new namespace {namespace}? [y/N] "
    )?;
    error.flush()?;
    let mut answer = String::new();
    input.lock().read_line(&mut answer).context("standard input")?;
    ensure!(matches!(answer.trim(), "y" | "Y" | "yes"), "nothing was done");
    Ok(())
}
