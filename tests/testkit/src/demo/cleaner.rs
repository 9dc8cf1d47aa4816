//! Removes the demo's objects from an existing cluster, however the demo exits.
//!
//! Runs as a separate process in a separate process group. The demo reports the objects that it creates through a pipe. When the pipe
//! closes, which the kernel ensures even after Ctrl-C or SIGKILL, the cleaner deletes them by UID: an object that another user has created
//! under the same name is not deleted.

use std::io::{BufRead, Write as _};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::guard::testkit_binary;
use crate::until;

pub(super) const CRD: &str = "envelopesecrets.envelope-secrets.io";
const OBJECTS: &str = "/apis/envelope-secrets.io/v1/envelopesecrets?limit=1";
/// Deleting a namespace takes seconds: this project adds no finalizers.
const DELETION_TIMEOUT: Duration = Duration::from_mins(3);

/// The objects that the demo has created; each line on the pipe has the complete list.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Created {
    /// The name is random, so the namespace is the demo's even if its UID was never reported.
    namespace: Option<String>,
    namespace_uid: Option<String>,
    crd_uid: Option<String>,
}

/// The demo's handle of the cleaner process.
pub(super) struct Cleaner {
    process: Child,
    pipe: Option<ChildStdin>,
    created: Created,
}

impl Cleaner {
    /// Starts the process with the environment of the demo's commands.
    pub(super) fn start(environment: &[(String, String)]) -> Result<Self> {
        let mut command = Command::new(testkit_binary()?);
        command
            .arg("demo-cleaner")
            .env_clear()
            .envs(environment.iter().map(|(name, value)| (name, value)));
        command
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::null());
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        let mut process = command.spawn().context("cannot start the cleaner")?;
        let pipe = process.stdin.take();
        Ok(Self {
            process,
            pipe,
            created: Created::default(),
        })
    }

    pub(super) fn created_crd(&mut self, uid: &str) -> Result<()> {
        self.created.crd_uid = Some(uid.to_owned());
        self.report()
    }

    /// To be called before the namespace is created, so that a crash in between leaves nothing.
    pub(super) fn will_create_namespace(&mut self, name: &str) -> Result<()> {
        self.created.namespace = Some(name.to_owned());
        self.report()
    }

    pub(super) fn created_namespace(&mut self, name: &str, uid: &str) -> Result<()> {
        self.created.namespace_uid = Some(uid.to_owned());
        self.will_create_namespace(name)
    }

    fn report(&mut self) -> Result<()> {
        let mut line = serde_json::to_string(&self.created)?;
        line.push('\n');
        let pipe = self.pipe.as_mut().context("the cleaner was stopped")?;
        pipe.write_all(line.as_bytes())
            .context("the cleaner process no longer reads its input")
    }

    /// Closes the pipe, so that the cleaner starts, and waits for it.
    pub(super) fn finish(mut self) -> Result<()> {
        drop(self.pipe.take());
        let status = self.process.wait()?;
        ensure!(
            status.success(),
            "not all of the demo's objects were removed from the cluster; see above"
        );
        Ok(())
    }
}

/// The cleaner's side: `testkit demo-cleaner`.
pub fn clean(input: impl BufRead) -> Result<()> {
    let mut created = Created::default();
    for line in input.lines() {
        let Ok(line) = line else { break };
        created = serde_json::from_str(&line).context("invalid input line")?;
    }
    let namespace = created
        .namespace
        .map_or(Ok(()), |name| delete_namespace(&name, created.namespace_uid));
    let crd = created.crd_uid.map_or(Ok(()), |uid| delete_unused_crd(&uid));
    namespace.and(crd)
}

fn delete_namespace(name: &str, uid: Option<String>) -> Result<()> {
    let path = format!("/api/v1/namespaces/{name}");
    let uid = match uid {
        Some(uid) => uid,
        None => match get(&path)? {
            Some(found) => uid_of(&found)?.to_owned(),
            None => return Ok(()),
        },
    };
    delete(&path, &uid)?;
    until(DELETION_TIMEOUT, &format!("deletion of namespace {name}"), || {
        let found = get(&path)?;
        let exists = found
            .as_ref()
            .map(uid_of)
            .transpose()?
            .is_some_and(|found| found == uid);
        Ok((!exists).then_some(()))
    })?;
    crate::say(&format!("deleted namespace {name}"));
    Ok(())
}

fn delete_unused_crd(uid: &str) -> Result<()> {
    let path = format!("/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{CRD}");
    let Some(found) = get(&path)? else { return Ok(()) };
    if uid_of(&found)? != uid {
        crate::say("the CRD is kept: another user has re-created it");
        return Ok(());
    }
    let objects = get(OBJECTS)?.context("the API server does not serve EnvelopeSecrets")?;
    let is_unused = objects["items"]
        .as_array()
        .context("not a list of EnvelopeSecrets")?
        .is_empty();
    if !is_unused {
        crate::say("the CRD is kept: there are EnvelopeSecrets in other namespaces");
        return Ok(());
    }
    delete(&path, uid)?;
    crate::say("deleted the CRD");
    Ok(())
}

fn uid_of(object: &Value) -> Result<&str> {
    object
        .pointer("/metadata/uid")
        .and_then(Value::as_str)
        .context("the object has no UID")
}

/// Returns the object, or `None` if there is none.
fn get(path: &str) -> Result<Option<Value>> {
    let output = Command::new("kubectl")
        .args(["get", "--raw", path])
        .stdin(Stdio::null())
        .output()?;
    let error = String::from_utf8_lossy(&output.stderr);
    if output.status.success() {
        return Ok(Some(serde_json::from_slice(&output.stdout)?));
    }
    if error.contains("(NotFound)") {
        return Ok(None);
    }
    bail!("kubectl get --raw {path}: {}", error.trim_end())
}

/// Deletes the object if it has this UID.
fn delete(path: &str, uid: &str) -> Result<()> {
    let options = json!({"apiVersion": "v1", "kind": "DeleteOptions", "preconditions": {"uid": uid}});
    let mut command = Command::new("kubectl");
    command
        .args(["delete", "--raw", path, "-f", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    let mut kubectl = command.spawn().context("cannot start kubectl")?;
    if let Some(mut input) = kubectl.stdin.take() {
        input.write_all(options.to_string().as_bytes())?;
    }
    let output = kubectl.wait_with_output()?;
    let error = String::from_utf8_lossy(&output.stderr);
    ensure!(
        output.status.success() || error.contains("(NotFound)"),
        "kubectl delete --raw {path}: {}",
        error.trim_end()
    );
    Ok(())
}
