//! What the demo does, act by act.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};

use super::stage::{Controller, Stage};
use crate::until;

const PASSWORD: &str = "correct-horse-battery-staple";
const PASSWORD_BASE64: &str = "Y29ycmVjdC1ob3JzZS1iYXR0ZXJ5LXN0YXBsZQ==";
const OPENS: &str = "envelope_secrets_opens_total";
const RECONCILES: &str = "envelope_secrets_reconcile_total";
/// How long the controller may take for what it does at once.
const LIMIT: Duration = Duration::from_mins(1);

/// A keyring, a Secret, and its sealed form.
pub(super) fn seal(stage: &mut Stage<'_>, namespace: &str) -> Result<()> {
    stage.say("A keyring file with a new key. It stands in for a KMS: to try things, in air-gapped clusters, in tests.")?;
    stage.runs("envelope keys create --keyring keyring")?;
    stage.say("A Secret as you have it today.")?;
    stage.write(
        "db.yaml",
        &format!(
            "apiVersion: v1\nkind: Secret\nmetadata:\n  name: db\n  namespace: {namespace}\nstringData:\n  username: app\n  \
             password: {PASSWORD}\n"
        ),
    )?;
    stage.runs("cat db.yaml")?;
    stage.say("Sealed, it may be committed to Git: each value is encrypted, and all of it is bound to this namespace and name.")?;
    stage.runs("envelope seal --keyring keyring -f db.yaml -w db.sealed.yaml")?;
    let sealed = stage.runs("cat db.sealed.yaml")?;
    ensure!(
        !sealed.contains(PASSWORD) && !sealed.contains(PASSWORD_BASE64),
        "the sealed file holds the password"
    );
    Ok(())
}

/// Without a cluster: what a holder of the key reads, and what becomes of a changed document.
pub(super) fn open(stage: &mut Stage<'_>) -> Result<()> {
    stage.say("Who holds the key can open it.")?;
    let opened = stage.runs("envelope open --keyring keyring --string-data -f db.sealed.yaml")?;
    ensure!(
        opened.contains(PASSWORD),
        "the opened Secret does not hold the password"
    );
    tamper(stage)?;
    stage.say("It does not open, in no part.")?;
    let refused = stage.ends(
        1,
        "envelope open --keyring keyring --string-data -f tampered.yaml",
    )?;
    ensure!(
        !refused.contains(PASSWORD),
        "a document that was tampered with gave its password"
    );
    Ok(())
}

/// One changed character of one encrypted value, in `tampered.yaml`.
fn tamper(stage: &mut Stage<'_>) -> Result<()> {
    stage.say("Somebody who can write to the repository changes one character of one value.")?;
    let sealed = stage.read("db.sealed.yaml")?;
    let (_, entries) = sealed
        .split_once("encryptedData:")
        .context("no encryptedData in the sealed file")?;
    let (_, value) = entries
        .split_once("password: ")
        .context("no password in the sealed file")?;
    let (_, payload) = value
        .split_once('.')
        .context("no payload in the sealed password")?;
    let old = payload.get(24..36).context("a payload too short to change")?;
    let new = format!("{}{}", if old.starts_with('A') { 'B' } else { 'A' }, &old[1..]);
    stage.runs(&format!("sed 's/{old}/{new}/' db.sealed.yaml > tampered.yaml"))?;
    stage.ends(1, "diff db.sealed.yaml tampered.yaml")?;
    Ok(())
}

/// The controller at work. Custom resource and namespace are there.
pub(super) fn cluster(stage: &mut Stage<'_>, namespace: &str) -> Result<()> {
    let done = acts(stage, namespace);
    if done.is_err() {
        let log = stage.controller_log();
        stage.say("The end of the controller's log:")?;
        stage.prints(&log)?;
    }
    done
}

fn acts(stage: &mut Stage<'_>, namespace: &str) -> Result<()> {
    let start = format!("--keyring keyring --namespaces {namespace}");
    stage.say("The controller, with the same key, for this namespace only.")?;
    let controller = stage.starts_controller(&start)?;
    applied(stage, namespace, &controller)?;
    let version = healed(stage, namespace)?;
    let controller = restarted(stage, namespace, &controller, &start, &version)?;
    tampered(stage, namespace, &version)?;
    stage.say("The object is deleted, and its Secret goes with it.")?;
    stage.runs(&format!("kubectl delete -n {namespace} envsec db"))?;
    stage.runs(&format!(
        "kubectl wait -n {namespace} --for=delete secret/db --timeout=60s"
    ))?;
    stage.stops_controller(&controller)
}

fn applied(stage: &mut Stage<'_>, namespace: &str, controller: &Controller) -> Result<()> {
    stage.say("Apply the sealed object; the controller makes the Secret.")?;
    stage.runs("kubectl apply -f db.sealed.yaml")?;
    stage.runs(&format!(
        "kubectl wait -n {namespace} --for=condition=Ready envsec/db --timeout=60s"
    ))?;
    stage.runs(&format!("kubectl get -n {namespace} envsec"))?;
    shows_secret(stage, namespace)?;
    ensure!(
        sum(&controller.metric(OPENS)?) >= 1.0,
        "the controller counts no open"
    );
    Ok(())
}

/// The Secret's resourceVersion once the controller has noted it.
fn healed(stage: &mut Stage<'_>, namespace: &str) -> Result<String> {
    stage.say("Somebody edits the Secret by hand. It is put back.")?;
    stage.runs(&format!(
        "kubectl patch -n {namespace} secret db --type=merge -p '{{\"stringData\":{{\"password\":\"edited by hand\"}}}}'"
    ))?;
    stage.runs(&format!(
        "kubectl wait -n {namespace} --for=jsonpath='{{.data.password}}'={PASSWORD_BASE64} secret/db --timeout=60s"
    ))?;
    shows_secret(stage, namespace)?;
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

fn tampered(stage: &mut Stage<'_>, namespace: &str, version: &str) -> Result<()> {
    tamper(stage)?;
    stage.say("Applied, it changes nothing: the object says why, and the Secret keeps its values.")?;
    stage.runs("kubectl apply -f tampered.yaml")?;
    stage.runs(&format!(
        "kubectl wait -n {namespace} --for=condition=Ready=False envsec/db --timeout=60s"
    ))?;
    let condition = stage.runs(&format!(
        "kubectl get -n {namespace} envsec db -o jsonpath='{{range .status.conditions[*]}}{{.type}}={{.status}} {{.reason}}: \
         {{.message}}{{\"\\n\"}}{{end}}'"
    ))?;
    ensure!(
        condition.contains("Ready=False IntegrityError"),
        "the condition does not say that the document was changed"
    );
    shows_secret(stage, namespace)?;
    ensure!(
        secret_version(stage, namespace)? == version,
        "a tampered document changed the Secret"
    );
    Ok(())
}

fn secret_version(stage: &mut Stage<'_>, namespace: &str) -> Result<String> {
    let line = format!(
        "kubectl get -n {namespace} secret db -o jsonpath='{{.metadata.resourceVersion}}{{\"\\n\"}}'"
    );
    Ok(stage.runs(&line)?.trim().to_owned())
}

fn shows_secret(stage: &mut Stage<'_>, namespace: &str) -> Result<()> {
    let shown = stage.runs(&format!(
        "kubectl get -n {namespace} secret db -o go-template='{{{{range $name, $value := .data}}}}{{{{$name}}}}: \
         {{{{base64decode $value}}}}{{{{\"\\n\"}}}}{{{{end}}}}'"
    ))?;
    ensure!(
        shown
            .lines()
            .eq([format!("password: {PASSWORD}").as_str(), "username: app"]),
        "the Secret does not hold what was sealed"
    );
    Ok(())
}

fn sum(samples: &[(String, f64)]) -> f64 {
    samples.iter().map(|(_, value)| value).sum()
}
