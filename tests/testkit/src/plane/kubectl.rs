//! kubectl on this control plane, with nothing of the caller's own settings.

use std::ffi::OsStr;
use std::io::Write as _;
use std::process::{Command, Output, Stdio};

use anyhow::{Context as _, Result, bail};

use super::ControlPlane;
use crate::binaries::Part;

impl ControlPlane {
    /// The environment for commands on this control plane: a HOME of its own, its kubeconfig, and neither `KUBECONFIG` nor proxies of the
    /// caller. kubectl's folder comes first in `PATH`.
    pub fn environment(&self) -> Vec<(String, String)> {
        let kubectl = self
            .binaries
            .path(Part::Kubectl)
            .parent()
            .map(|folder| folder.display().to_string());
        let path = std::env::var("PATH").unwrap_or_default();
        vec![
            ("HOME".to_owned(), self.folder.join("home").display().to_string()),
            ("KUBECONFIG".to_owned(), self.kubeconfig().display().to_string()),
            (
                "PATH".to_owned(),
                kubectl.map_or(path.clone(), |folder| format!("{folder}:{path}")),
            ),
        ]
    }

    /// A kubectl command to be completed and run by the caller.
    pub fn kubectl_command(&self) -> Command {
        let mut command = Command::new(self.binaries.path(Part::Kubectl));
        command.env_clear().envs(self.environment());
        command
    }

    /// Runs kubectl; its standard output, or an error with what it said.
    pub fn kubectl<S: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = S>) -> Result<String> {
        self.kubectl_with_input(arguments, "")
    }

    /// The same with a text on standard input, for `-f -`.
    pub fn kubectl_with_input<S: AsRef<OsStr>>(
        &self,
        arguments: impl IntoIterator<Item = S>,
        input: &str,
    ) -> Result<String> {
        let output = self.kubectl_output(arguments, input)?;
        if !output.status.success() {
            bail!(
                "kubectl: {}: {}",
                output.status,
                String::from_utf8_lossy(&output.stderr).trim_end()
            );
        }
        String::from_utf8(output.stdout).context("kubectl's output")
    }

    /// Runs kubectl with a text on standard input, whatever comes of it.
    pub fn kubectl_output<S: AsRef<OsStr>>(
        &self,
        arguments: impl IntoIterator<Item = S>,
        input: &str,
    ) -> Result<Output> {
        let mut command = self.kubectl_command();
        command
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.spawn().context("cannot start kubectl")?;
        let mut stdin = child.stdin.take().context("kubectl without standard input")?;
        // From a thread: kubectl may answer before it has read everything.
        let input = input.to_owned();
        let writer = std::thread::spawn(move || stdin.write_all(input.as_bytes()));
        let output = child.wait_with_output()?;
        // kubectl may end without reading; its status says whether that was right.
        let _ = writer.join();
        Ok(output)
    }
}
