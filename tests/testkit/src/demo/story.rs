//! The steps that the stories have in common.

use anyhow::{Context as _, Result, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::stage::{Controller, Stage};

/// The namespace of the demo's objects, except on an existing cluster.
pub(super) const NAMESPACE: &str = "demo";
pub(super) const PASSWORD: &str = "correct-horse-battery-staple";
pub(super) const OPENS: &str = "envelope_secrets_opens_total";

/// The product's main job with one KMS.
pub(super) trait Story {
    /// Creates keys and seals a Secret.
    fn seal(&mut self, stage: &mut Stage<'_>, namespace: &str) -> Result<()>;

    /// Without a cluster: opens the document with the keys, and tampers with it.
    fn open(&mut self, stage: &mut Stage<'_>) -> Result<()>;

    /// Runs the controller. The CRD and the namespace exist.
    fn cluster(&mut self, stage: &mut Stage<'_>, namespace: &str) -> Result<()>;
}

/// Runs the story's part with a cluster; if it fails, shows the end of the controller's log.
pub(super) fn run_in_cluster(story: &mut dyn Story, stage: &mut Stage<'_>, namespace: &str) -> Result<()> {
    let done = story.cluster(stage, namespace);
    if done.is_err() {
        let log = stage.controller_log();
        stage.say("The end of the controller's log:")?;
        stage.print(&log)?;
    }
    done
}

/// Writes `db.yaml`, a Secret in this namespace.
pub(super) fn write_secret(stage: &Stage<'_>, namespace: &str, password: &str) -> Result<()> {
    stage.write(
        "db.yaml",
        &format!(
            "apiVersion: v1\nkind: Secret\nmetadata:\n  name: db\n  namespace: {namespace}\nstringData:\n  username: app\n  \
             password: {password}\n"
        ),
    )
}

/// Seals a Secret to `db.sealed.yaml`, with these flags of `envelope seal`.
pub(super) fn seal(stage: &mut Stage<'_>, namespace: &str, flags: &str) -> Result<()> {
    stage.say("Start with an ordinary Secret.")?;
    write_secret(stage, namespace, PASSWORD)?;
    stage.run("cat db.yaml")?;
    stage.say("Seal it. The result is safe to commit to Git: every value is encrypted, and the document is bound to this namespace and name.")?;
    stage.run(&format!("envelope seal {flags} -f db.yaml -w db.sealed.yaml"))?;
    let sealed = stage.run("cat db.sealed.yaml")?;
    ensure!(
        !contains_password(&sealed, PASSWORD),
        "the sealed file contains the password"
    );
    Ok(())
}

/// Whether the text contains the password, plain or in base64.
pub(super) fn contains_password(text: &str, password: &str) -> bool {
    text.contains(password) || text.contains(&STANDARD.encode(password))
}

/// Runs `envelope open` with these flags, which must return the password.
pub(super) fn open(stage: &mut Stage<'_>, flags: &str, password: &str) -> Result<()> {
    let opened = stage.run(&format!("envelope open {flags} --string-data -f db.sealed.yaml"))?;
    ensure!(
        opened.contains(password),
        "the opened Secret does not contain the password"
    );
    Ok(())
}

/// Tampers with the document; `envelope open` with these flags must reject it.
pub(super) fn reject_tampered(stage: &mut Stage<'_>, flags: &str, password: &str) -> Result<()> {
    tamper(stage)?;
    stage.say("The document no longer opens, not even in part.")?;
    let output = stage.run_failing(
        1,
        &format!("envelope open {flags} --string-data -f tampered.yaml"),
    )?;
    ensure!(
        !output.contains(password),
        "a tampered document revealed its password"
    );
    Ok(())
}

/// Writes `tampered.yaml`, with one character of one encrypted value changed.
fn tamper(stage: &mut Stage<'_>) -> Result<()> {
    stage.say(
        "Tamper with it: an attacker with write access to the repository changes one character of one value.",
    )?;
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
    let old = payload.get(24..36).context("the payload is too short")?;
    let new = format!("{}{}", if old.starts_with('A') { 'B' } else { 'A' }, &old[1..]);
    stage.run(&format!("sed 's/{old}/{new}/' db.sealed.yaml > tampered.yaml"))?;
    stage.run_failing(1, "diff db.sealed.yaml tampered.yaml")?;
    Ok(())
}

pub(super) fn apply(stage: &mut Stage<'_>, namespace: &str, controller: &Controller) -> Result<()> {
    stage.say("Apply the sealed object. The controller creates the Secret.")?;
    stage.run("kubectl apply -f db.sealed.yaml")?;
    stage.run(&format!(
        "kubectl wait -n {namespace} --for=condition=Ready envsec/db --timeout=60s"
    ))?;
    stage.run(&format!("kubectl get -n {namespace} envsec"))?;
    show_secret(stage, namespace, PASSWORD)?;
    ensure!(
        sum(&controller.metric(OPENS)?) >= 1.0,
        "the controller's metrics do not count an opened document"
    );
    Ok(())
}

/// Applies a tampered document. The Secret, with this password, must not be written.
pub(super) fn apply_tampered(stage: &mut Stage<'_>, namespace: &str, password: &str) -> Result<()> {
    tamper(stage)?;
    stage.say("Apply it. The Secret does not change, and the object's condition states the reason.")?;
    let version = secret_version(stage, namespace)?;
    stage.run("kubectl apply -f tampered.yaml")?;
    wait_for_failure(stage, namespace, "db")?;
    ensure!(
        conditions(stage, namespace, "db")?.contains("Ready=False IntegrityError"),
        "the condition does not report the integrity error"
    );
    show_secret(stage, namespace, password)?;
    ensure!(
        secret_version(stage, namespace)? == version,
        "a tampered document changed the Secret"
    );
    Ok(())
}

pub(super) fn wait_for_failure(stage: &mut Stage<'_>, namespace: &str, name: &str) -> Result<()> {
    stage.run(&format!(
        "kubectl wait -n {namespace} --for=condition=Ready=False envsec/{name} --timeout=60s"
    ))?;
    Ok(())
}

/// Shows and returns the object's conditions, each as `TYPE=STATUS REASON: MESSAGE`.
pub(super) fn conditions(stage: &mut Stage<'_>, namespace: &str, name: &str) -> Result<String> {
    stage.run(&format!(
        "kubectl get -n {namespace} envsec {name} -o jsonpath='{{range .status.conditions[*]}}{{.type}}={{.status}} {{.reason}}: \
         {{.message}}{{\"\\n\"}}{{end}}'"
    ))
}

/// Waits until the Secret has this password.
pub(super) fn wait_for_password(stage: &mut Stage<'_>, namespace: &str, password: &str) -> Result<()> {
    stage.run(&format!(
        "kubectl wait -n {namespace} --for=jsonpath='{{.data.password}}'={} secret/db --timeout=60s",
        STANDARD.encode(password)
    ))?;
    show_secret(stage, namespace, password)
}

pub(super) fn show_secret(stage: &mut Stage<'_>, namespace: &str, password: &str) -> Result<()> {
    let shown = stage.run(&format!(
        "kubectl get -n {namespace} secret db -o go-template='{{{{range $name, $value := .data}}}}{{{{$name}}}}: \
         {{{{base64decode $value}}}}{{{{\"\\n\"}}}}{{{{end}}}}'"
    ))?;
    ensure!(
        shown
            .lines()
            .eq([format!("password: {password}").as_str(), "username: app"]),
        "the Secret does not have the sealed values"
    );
    Ok(())
}

pub(super) fn secret_version(stage: &mut Stage<'_>, namespace: &str) -> Result<String> {
    let line = format!(
        "kubectl get -n {namespace} secret db -o jsonpath='{{.metadata.resourceVersion}}{{\"\\n\"}}'"
    );
    Ok(stage.run(&line)?.trim().to_owned())
}

pub(super) fn sum(samples: &[(String, f64)]) -> f64 {
    samples.iter().map(|(_, value)| value).sum()
}
