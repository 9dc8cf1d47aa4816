//! Suite `node`: the image and the chart on a real node. Whatever happens, the cluster is stopped and removed.

mod checks;
mod cluster;
mod release;

use std::{
    fs,
    path::Path,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail, ensure};

use crate::{
    cluster::{Parts, Plane},
    run::{output, target_directory},
};
use checks::CHECKS;
use cluster::Suite;

/// How long processes may take to exit, and files to be removed.
const REMOVAL_TIMEOUT: Duration = Duration::from_mins(1);
pub(crate) fn node() -> Result<()> {
    // The profile `dev` compiles in half the time. `cargo xtask cluster up` runs the released one.
    let parts = Parts::prepare("dev")?;
    let directory = target_directory().join("node");
    let start = Instant::now();
    let mut child = parts
        .node(&directory)?
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .context("cannot start testkit")?;
    let plane = match Plane::read(&mut child) {
        Ok(plane) => plane,
        Err(error) => {
            stop(&mut child)?;
            return Err(error);
        }
    };
    println!("the node is ready after {:.1} s", start.elapsed().as_secs_f64());
    let suite = Suite {
        parts,
        plane,
        directory: directory.clone(),
        work: directory.join("work"),
    };
    let (mut passed, mut failure) = (0, None);
    for (name, test) in CHECKS {
        let start = Instant::now();
        match fs::create_dir_all(&suite.work)
            .map_err(Into::into)
            .and_then(|()| test(&suite))
        {
            Ok(()) => {
                println!("ok: {name} ({:.1} s)", start.elapsed().as_secs_f64());
                passed += 1;
            }
            Err(error) => {
                println!(
                    "FAILED: {name} ({:.1} s): {error:#}",
                    start.elapsed().as_secs_f64()
                );
                suite.diagnose();
                failure = Some(name);
                break;
            }
        }
    }
    // SIGKILL, the hardest way to stop it. After a failure, the orderly way.
    if failure.is_none() {
        child.kill()?;
        child.wait()?;
    } else {
        stop(&mut child)?;
    }
    let removed = removed(&directory);
    println!(
        "{}: everything is removed from this host after SIGKILL",
        if removed.is_ok() { "ok" } else { "FAILED" }
    );
    passed += usize::from(removed.is_ok());
    let failed = usize::from(failure.is_some()) + usize::from(removed.is_err());
    println!(
        "\n{passed} passed, {failed} failed, {} not run; {:.0} s",
        CHECKS.len() + 1 - passed - failed,
        start.elapsed().as_secs_f64()
    );
    removed?;
    match failure {
        None => Ok(()),
        Some(name) => bail!("suite node failed: {name}"),
    }
}

/// Ends testkit's standard input and waits until it has stopped and removed the cluster.
fn stop(child: &mut Child) -> Result<()> {
    drop(child.stdin.take());
    let status = child.wait()?;
    ensure!(status.success(), "testkit failed: {status}");
    Ok(())
}

fn removed(directory: &Path) -> Result<()> {
    let start = Instant::now();
    while directory.exists() && start.elapsed() < REMOVAL_TIMEOUT {
        thread::sleep(Duration::from_millis(100));
    }
    ensure!(!directory.exists(), "{} is still there", directory.display());
    let link = Command::new("ip")
        .args(["link", "show", "envelope-node"])
        .output()?;
    ensure!(!link.status.success(), "the network interface is still there");
    let mounts = fs::read_to_string("/proc/self/mounts")?;
    ensure!(
        !mounts.contains(&directory.display().to_string()),
        "a mount is still there"
    );
    let cgroups = output(Command::new("find").args([
        "/sys/fs/cgroup",
        "-maxdepth",
        "2",
        "-name",
        "envelope-secrets-node*",
    ]))?;
    ensure!(cgroups.is_empty(), "cgroups are still there: {cgroups}");
    let processes = output(Command::new("pgrep").args(["-af", "--"]).arg(directory))?;
    ensure!(processes.is_empty(), "processes are still running: {processes}");
    Ok(())
}
