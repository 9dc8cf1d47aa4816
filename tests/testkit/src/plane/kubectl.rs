//! Runs kubectl against this control plane, isolated from the caller's settings.

use std::ffi::OsStr;
use std::io::Write as _;
use std::process::{Command, Output, Stdio};

use anyhow::{Context as _, Result, bail};

use super::ControlPlane;
use crate::binaries::Part;

impl ControlPlane {
    /// The complete environment for commands that use this control plane: a separate HOME, its kubeconfig, and kubectl's directory first in
    /// `PATH`. The caller's `KUBECONFIG` and proxies are not in it.
    pub fn environment(&self) -> Vec<(String, String)> {
        let kubectl = self
            .binaries
            .path(Part::Kubectl)
            .parent()
            .map(|directory| directory.display().to_string());
        let path = std::env::var("PATH").unwrap_or_default();
        vec![
            (
                "HOME".to_owned(),
                self.directory.join("home").display().to_string(),
            ),
            ("KUBECONFIG".to_owned(), self.kubeconfig().display().to_string()),
            (
                "PATH".to_owned(),
                kubectl.map_or(path.clone(), |directory| format!("{directory}:{path}")),
            ),
        ]
    }

    /// A kubectl command for the caller to complete and run.
    pub fn kubectl_command(&self) -> Command {
        let mut command = Command::new(self.binaries.path(Part::Kubectl));
        command.env_clear().envs(self.environment());
        command
    }

    /// Runs kubectl and returns its standard output.
    ///
    /// # Errors
    /// If kubectl fails, with its standard error.
    pub fn kubectl<S: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = S>) -> Result<String> {
        self.kubectl_with_input(arguments, "")
    }

    /// Does the same with `input` on standard input, for `-f -`.
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

    /// Runs kubectl with `input` on standard input and returns its output and exit status, whether or not it succeeds.
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
        // In a thread: kubectl may write output before it has read all of its input.
        let input = input.to_owned();
        let writer = std::thread::spawn(move || stdin.write_all(input.as_bytes()));
        let output = child.wait_with_output()?;
        // kubectl may exit without reading its input; its exit status is what matters.
        let _ = writer.join();
        Ok(output)
    }
}
