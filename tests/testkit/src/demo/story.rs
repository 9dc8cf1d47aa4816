//! What the stories have in common.

use anyhow::{Context as _, Result, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::stage::{Controller, Stage};

pub(super) const PASSWORD: &str = "correct-horse-battery-staple";
pub(super) const OPENS: &str = "envelope_secrets_opens_total";

/// The product's main job with the keys of one KMS.
pub(super) trait Story {
    /// Keys, a Secret, and its sealed form.
    fn seal(&mut self, stage: &mut Stage<'_>, namespace: &str) -> Result<()>;

    /// Without a cluster: what a holder of the keys reads, and what becomes of a changed document.
    fn open(&mut self, stage: &mut Stage<'_>) -> Result<()>;

    /// The controller at work. Custom resource and namespace are there.
    fn cluster(&mut self, stage: &mut Stage<'_>, namespace: &str) -> Result<()>;
}

/// The controller at work; a failure comes with the end of its log.
pub(super) fn cluster(story: &mut dyn Story, stage: &mut Stage<'_>, namespace: &str) -> Result<()> {
    let done = story.cluster(stage, namespace);
    if done.is_err() {
        let log = stage.controller_log();
        stage.say("The end of the controller's log:")?;
        stage.prints(&log)?;
    }
    done
}

/// `db.yaml`, in this namespace.
pub(super) fn writes_secret(stage: &Stage<'_>, namespace: &str, password: &str) -> Result<()> {
    stage.write(
        "db.yaml",
        &format!(
            "apiVersion: v1\nkind: Secret\nmetadata:\n  name: db\n  namespace: {namespace}\nstringData:\n  username: app\n  \
             password: {password}\n"
        ),
    )
}

/// From a Secret to `db.sealed.yaml`, with these flags of `envelope seal`.
pub(super) fn seals(stage: &mut Stage<'_>, namespace: &str, flags: &str) -> Result<()> {
    stage.say("A Secret as you have it today.")?;
    writes_secret(stage, namespace, PASSWORD)?;
    stage.runs("cat db.yaml")?;
    stage.say("Sealed, it may be committed to Git: each value is encrypted, and all of it is bound to this namespace and name.")?;
    stage.runs(&format!("envelope seal {flags} -f db.yaml -w db.sealed.yaml"))?;
    let sealed = stage.runs("cat db.sealed.yaml")?;
    ensure!(!tells(&sealed, PASSWORD), "the sealed file holds the password");
    Ok(())
}

/// Whether this text holds the password, as it is or in base64.
pub(super) fn tells(text: &str, password: &str) -> bool {
    text.contains(password) || text.contains(&STANDARD.encode(password))
}

/// `envelope open` with these flags gives the password of `db.sealed.yaml`.
pub(super) fn opens(stage: &mut Stage<'_>, flags: &str, password: &str) -> Result<()> {
    let opened = stage.runs(&format!("envelope open {flags} --string-data -f db.sealed.yaml"))?;
    ensure!(
        opened.contains(password),
        "the opened Secret does not hold the password"
    );
    Ok(())
}

/// `envelope open` with these flags opens no changed document.
pub(super) fn opens_nothing_changed(stage: &mut Stage<'_>, flags: &str, password: &str) -> Result<()> {
    tamper(stage)?;
    stage.say("It does not open, in no part.")?;
    let refused = stage.ends(
        1,
        &format!("envelope open {flags} --string-data -f tampered.yaml"),
    )?;
    ensure!(
        !refused.contains(password),
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

pub(super) fn applied(stage: &mut Stage<'_>, namespace: &str, controller: &Controller) -> Result<()> {
    stage.say("Apply the sealed object; the controller makes the Secret.")?;
    stage.runs("kubectl apply -f db.sealed.yaml")?;
    stage.runs(&format!(
        "kubectl wait -n {namespace} --for=condition=Ready envsec/db --timeout=60s"
    ))?;
    stage.runs(&format!("kubectl get -n {namespace} envsec"))?;
    shows_secret(stage, namespace, PASSWORD)?;
    ensure!(
        sum(&controller.metric(OPENS)?) >= 1.0,
        "the controller counts no open"
    );
    Ok(())
}

/// A changed document is applied; the Secret, which holds this password, is not even written.
pub(super) fn tampered(stage: &mut Stage<'_>, namespace: &str, password: &str) -> Result<()> {
    tamper(stage)?;
    stage.say("Applied, it changes nothing: the object says why, and the Secret keeps its values.")?;
    let version = secret_version(stage, namespace)?;
    stage.runs("kubectl apply -f tampered.yaml")?;
    waits_for_refusal(stage, namespace, "db")?;
    ensure!(
        conditions(stage, namespace, "db")?.contains("Ready=False IntegrityError"),
        "the condition does not say that the document was changed"
    );
    shows_secret(stage, namespace, password)?;
    ensure!(
        secret_version(stage, namespace)? == version,
        "a tampered document changed the Secret"
    );
    Ok(())
}

pub(super) fn waits_for_refusal(stage: &mut Stage<'_>, namespace: &str, name: &str) -> Result<()> {
    stage.runs(&format!(
        "kubectl wait -n {namespace} --for=condition=Ready=False envsec/{name} --timeout=60s"
    ))?;
    Ok(())
}

/// The object's conditions, each as `TYPE=STATUS REASON: MESSAGE`.
pub(super) fn conditions(stage: &mut Stage<'_>, namespace: &str, name: &str) -> Result<String> {
    stage.runs(&format!(
        "kubectl get -n {namespace} envsec {name} -o jsonpath='{{range .status.conditions[*]}}{{.type}}={{.status}} {{.reason}}: \
         {{.message}}{{\"\\n\"}}{{end}}'"
    ))
}

/// Until the Secret holds this password.
pub(super) fn waits_for_secret(stage: &mut Stage<'_>, namespace: &str, password: &str) -> Result<()> {
    stage.runs(&format!(
        "kubectl wait -n {namespace} --for=jsonpath='{{.data.password}}'={} secret/db --timeout=60s",
        STANDARD.encode(password)
    ))?;
    shows_secret(stage, namespace, password)
}

pub(super) fn shows_secret(stage: &mut Stage<'_>, namespace: &str, password: &str) -> Result<()> {
    let shown = stage.runs(&format!(
        "kubectl get -n {namespace} secret db -o go-template='{{{{range $name, $value := .data}}}}{{{{$name}}}}: \
         {{{{base64decode $value}}}}{{{{\"\\n\"}}}}{{{{end}}}}'"
    ))?;
    ensure!(
        shown
            .lines()
            .eq([format!("password: {password}").as_str(), "username: app"]),
        "the Secret does not hold what was sealed"
    );
    Ok(())
}

pub(super) fn secret_version(stage: &mut Stage<'_>, namespace: &str) -> Result<String> {
    let line = format!(
        "kubectl get -n {namespace} secret db -o jsonpath='{{.metadata.resourceVersion}}{{\"\\n\"}}'"
    );
    Ok(stage.runs(&line)?.trim().to_owned())
}

pub(super) fn sum(samples: &[(String, f64)]) -> f64 {
    samples.iter().map(|(_, value)| value).sum()
}
