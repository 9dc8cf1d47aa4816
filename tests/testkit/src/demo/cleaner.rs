//! Takes the demo's objects out of an existing cluster, however the demo ends.
//!
//! A process of its own, in a process group of its own, that is told over a pipe what the demo makes. The pipe's end, which the kernel
//! brings about even after Ctrl-C or SIGKILL, is its signal. Objects are deleted by uid: what somebody else made under the same name in
//! the meantime stays.

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
/// A namespace goes in seconds; its contents have no finalizers of ours.
const GONE_LIMIT: Duration = Duration::from_mins(3);

/// What the demo has made; each line on the pipe holds all of it.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Made {
    /// Its name is random: nobody else makes it, and it is ours even when its uid did not arrive.
    namespace: Option<String>,
    namespace_uid: Option<String>,
    crd_uid: Option<String>,
}

/// The demo's handle.
pub(super) struct Cleaner {
    process: Child,
    pipe: Option<ChildStdin>,
    made: Made,
}

impl Cleaner {
    /// `environment` is that of the demo's commands.
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
            made: Made::default(),
        })
    }

    pub(super) fn made_crd(&mut self, uid: &str) -> Result<()> {
        self.made.crd_uid = Some(uid.to_owned());
        self.tell()
    }

    /// Said before it is made.
    pub(super) fn makes_namespace(&mut self, name: &str) -> Result<()> {
        self.made.namespace = Some(name.to_owned());
        self.tell()
    }

    pub(super) fn made_namespace(&mut self, name: &str, uid: &str) -> Result<()> {
        self.made.namespace_uid = Some(uid.to_owned());
        self.makes_namespace(name)
    }

    fn tell(&mut self) -> Result<()> {
        let mut line = serde_json::to_string(&self.made)?;
        line.push('\n');
        let pipe = self.pipe.as_mut().context("the cleaner was ended")?;
        pipe.write_all(line.as_bytes())
            .context("the cleaner does not listen any more")
    }

    /// Lets it clean, and waits for it.
    pub(super) fn finish(mut self) -> Result<()> {
        drop(self.pipe.take());
        let status = self.process.wait()?;
        ensure!(
            status.success(),
            "not everything could be taken out of the cluster; see above"
        );
        Ok(())
    }
}

/// The cleaner's side: `testkit demo-cleaner`.
pub fn clean(input: impl BufRead) -> Result<()> {
    let mut made = Made::default();
    for line in input.lines() {
        let Ok(line) = line else { break };
        made = serde_json::from_str(&line).context("line not understood")?;
    }
    let namespace = made
        .namespace
        .map_or(Ok(()), |name| namespace(&name, made.namespace_uid));
    let crd = made.crd_uid.map_or(Ok(()), |uid| crd(&uid));
    namespace.and(crd)
}

fn namespace(name: &str, uid: Option<String>) -> Result<()> {
    let path = format!("/api/v1/namespaces/{name}");
    let uid = match uid {
        Some(uid) => uid,
        None => match get(&path)? {
            Some(found) => uid_of(&found)?.to_owned(),
            None => return Ok(()),
        },
    };
    delete(&path, &uid)?;
    until(GONE_LIMIT, &format!("the end of namespace {name}"), || {
        let found = get(&path)?;
        let ours = found
            .as_ref()
            .map(uid_of)
            .transpose()?
            .is_some_and(|found| found == uid);
        Ok((!ours).then_some(()))
    })?;
    crate::say(&format!("namespace {name} is gone"));
    Ok(())
}

fn crd(uid: &str) -> Result<()> {
    let path = format!("/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{CRD}");
    let Some(found) = get(&path)? else { return Ok(()) };
    if uid_of(&found)? != uid {
        crate::say("the custom resource was made anew by somebody else and stays");
        return Ok(());
    }
    let objects = get(OBJECTS)?.context("the custom resource is not served")?;
    let none = objects["items"]
        .as_array()
        .context("no list of EnvelopeSecrets")?
        .is_empty();
    if !none {
        crate::say("the custom resource stays: there are EnvelopeSecrets in other namespaces by now");
        return Ok(());
    }
    delete(&path, uid)?;
    crate::say("the custom resource is gone");
    Ok(())
}

fn uid_of(object: &Value) -> Result<&str> {
    object
        .pointer("/metadata/uid")
        .and_then(Value::as_str)
        .context("an object without uid")
}

/// `None`: there is no such object.
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

/// Only the object with this uid.
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
