//! Removes what a node leaves behind when its processes are gone: the run directory and the cgroups. The kernel does the rest.
//!
//! A separate process in a separate process group, which acts when its standard input ends: however the owner exits, the kernel closes
//! that pipe.

use std::io::{BufRead, Write as _};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use rustix::process::Pid;

use super::lock;
use crate::{testkit_binary, until};

/// The parent of all pods' cgroups.
pub(super) const CGROUP: &str = "envelope-secrets-node";
/// A file that marks the run directory of a node: no other directory is removed.
pub(super) const MARKER: &str = "testkit-node";
const CGROUPS: &str = "/sys/fs/cgroup";
/// Longer than the guards wait between SIGTERM and SIGKILL.
const EXIT_TIMEOUT: Duration = Duration::from_secs(30);

/// The owner's handle.
pub(super) struct Cleaner {
    process: Child,
    pipe: Option<ChildStdin>,
}

impl Cleaner {
    pub(super) fn start(directory: &Path) -> Result<Self> {
        let mut command = Command::new(testkit_binary()?);
        command.arg("node-cleaner").arg(directory);
        command
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::null());
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        let mut process = command.spawn().context("cannot start the cleaner")?;
        let pipe = process.stdin.take();
        Ok(Self { process, pipe })
    }

    /// Makes the cleaner wait until this process has exited, too.
    pub(super) fn wait_for(&mut self, pid: u32) -> Result<()> {
        let pipe = self.pipe.as_mut().context("the cleaner was stopped")?;
        writeln!(pipe, "{pid}").context("the cleaner no longer accepts input")
    }
}

impl Drop for Cleaner {
    /// Lets it clean, and waits until it is done.
    fn drop(&mut self) {
        drop(self.pipe.take());
        if !self.process.wait().is_ok_and(|status| status.success()) {
            crate::say("the node was not removed completely; see above");
        }
    }
}

/// The cleaner's side: `testkit node-cleaner DIRECTORY`. Reads process IDs to wait for, one per line. With empty input it removes what is
/// left of an earlier run, after that run's own cleaner.
///
/// # Errors
/// If a process does not exit, or something cannot be removed.
pub fn clean(directory: &Path, input: impl BufRead) -> Result<()> {
    let _only = lock_cleaner()?;
    let mut processes = Vec::new();
    for line in input.lines() {
        let Ok(line) = line else { break };
        processes.push(line.trim().parse().context("a process ID")?);
    }
    for pid in processes {
        let pid = Pid::from_raw(pid).context("a process ID")?;
        until(EXIT_TIMEOUT, "end of the node's processes", || {
            Ok(rustix::process::test_kill_process(pid).is_err().then_some(()))
        })?;
    }
    let cgroups = remove_cgroups();
    ensure!(
        !directory.exists() || directory.join(MARKER).exists(),
        "{} is not the run directory of a node",
        directory.display()
    );
    let removed = match std::fs::remove_dir_all(directory) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| directory.display().to_string())
        }
        _ => Ok(()),
    };
    cgroups.and(removed)
}

/// Waits until no other cleaner runs on this host.
pub(super) fn lock_cleaner() -> Result<UnixListener> {
    until(EXIT_TIMEOUT, "end of the previous node's cleaner", || {
        Ok(lock::acquire("envelope-secrets-node-cleaner").ok())
    })
}

/// Removes the node's cgroup from every hierarchy. Its processes are dead or dying: their init process was killed.
fn remove_cgroups() -> Result<()> {
    for cgroup in hierarchies()?.into_iter().map(|root| root.join(CGROUP)) {
        if cgroup.exists() {
            until(EXIT_TIMEOUT, "removal of cgroups", || {
                Ok(remove_tree(&cgroup).is_ok().then_some(()))
            })
            .with_context(|| cgroup.display().to_string())?;
        }
    }
    Ok(())
}

/// The roots of all cgroup hierarchies: one with version 2, one per controller with version 1.
pub(super) fn hierarchies() -> Result<Vec<PathBuf>> {
    let root = Path::new(CGROUPS);
    if root.join("cgroup.controllers").exists() {
        return Ok(vec![root.to_owned()]);
    }
    let mut found = Vec::new();
    for entry in std::fs::read_dir(root).context(CGROUPS)? {
        let entry = entry?;
        // Symbolic links are second names of combined controllers.
        if entry.file_type()?.is_dir() {
            found.push(entry.path());
        }
    }
    Ok(found)
}

/// A cgroup is removed with `rmdir`, when it has neither processes nor children.
fn remove_tree(cgroup: &Path) -> std::io::Result<()> {
    for entry in std::fs::read_dir(cgroup)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            remove_tree(&entry.path())?;
        }
    }
    std::fs::remove_dir(cgroup)
}
