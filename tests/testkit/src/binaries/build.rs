//! Building the missing executables from their published Go modules.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

use super::version::{Part, Pins, Version, read_go_version};
use super::{GO_MOD, GO_SUM};

/// How the folders are named in which a build works.
pub(super) const WORK_PREFIX: &str = ".build-";
/// How often a running build shows that it lives.
const HEARTBEAT: Duration = Duration::from_secs(20);

pub(super) fn build(parts: &[Part], cache: &Path, pins: &Pins, say: &dyn Fn(&str)) -> Result<()> {
    check_go(&pins.go)?;
    let names: Vec<&str> = parts.iter().map(|part| part.file_name()).collect();
    say(&format!(
        "building {} from their Go modules, once, into {}: about 6 minutes on 2 cores for all four and 3 GB of Go's caches",
        names.join(", "),
        cache.display()
    ));
    // A copy of the module, so that what is built is what the cache's name says, whatever happens to the source tree.
    let work = tempfile::Builder::new().prefix(WORK_PREFIX).tempdir_in(cache)?;
    std::fs::write(work.path().join("go.mod"), GO_MOD)?;
    std::fs::write(work.path().join("go.sum"), GO_SUM)?;
    for part in parts {
        let started = Instant::now();
        run_go(*part, work.path(), &pins.kubernetes, say)?;
        std::fs::rename(work.path().join(part.file_name()), cache.join(part.file_name()))?;
        say(&format!(
            "{}: built in {}",
            part.file_name(),
            minutes(started.elapsed())
        ));
    }
    Ok(())
}

fn check_go(needed: &Version) -> Result<()> {
    let advice = format!(
        "install Go {}.{} or newer (https://go.dev/dl), or set KUBEBUILDER_ASSETS to a folder with etcd, kube-apiserver, \
         kube-controller-manager and kubectl",
        needed.major, needed.minor
    );
    let output = match Command::new("go").arg("version").stdin(Stdio::null()).output() {
        Ok(output) => output,
        Err(error) => bail!("the control plane is built by Go, and go cannot be run ({error}); {advice}"),
    };
    let found = read_go_version(&String::from_utf8_lossy(&output.stdout)).map_err(anyhow::Error::msg)?;
    if (found.major, found.minor) < (needed.major, needed.minor) {
        bail!("the control plane is built by Go, and {found} is too old; {advice}");
    }
    Ok(())
}

fn run_go(part: Part, work: &Path, kubernetes: &Version, say: &dyn Fn(&str)) -> Result<()> {
    let package = "k8s.io/component-base/version";
    let flags = format!(
        "-s -w -X {package}.gitVersion={kubernetes} -X {package}.gitMajor={} -X {package}.gitMinor={}",
        kubernetes.major, kubernetes.minor
    );
    // Through `testkit exec`: a build whose owner is killed ends with it.
    let mut command = Command::new(crate::testkit_binary()?);
    command
        .arg("exec")
        .arg(std::process::id().to_string())
        .args(["--", "go", "build"]);
    command.args([
        "-v",
        "-trimpath",
        "-buildvcs=false",
        "-mod=readonly",
        "-ldflags",
        &flags,
    ]);
    command
        .arg("-o")
        .arg(part.file_name())
        .arg(part.package())
        .current_dir(work);
    // What a killed build leaves is removed with its folder by the next one.
    command.env("GOTMPDIR", work);
    // Settings of somebody's own Go work must not change what is built.
    command
        .env("CGO_ENABLED", "0")
        .env("GOWORK", "off")
        .env("GOFLAGS", "")
        .env_remove("GOOS")
        .env_remove("GOARCH");
    let mut go = command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()?;
    let stderr = go.stderr.take().context("go without standard error")?;
    let (send, lines) = channel();
    let reader = std::thread::spawn(move || {
        for line in BufReader::new(stderr).lines().map_while(Result::ok) {
            if send.send(line).is_err() {
                break;
            }
        }
    });
    let started = Instant::now();
    let (mut packages, mut modules, mut rest) = (0_u32, 0_u32, Vec::new());
    let mut next = HEARTBEAT;
    loop {
        match lines.recv_timeout(next.saturating_sub(started.elapsed())) {
            Ok(line) if line.starts_with("go: downloading ") => modules += 1,
            Ok(line) if is_package(&line) => packages += 1,
            Ok(line) => rest.push(line),
            Err(RecvTimeoutError::Timeout) => {
                let done = format!("{packages} packages compiled, {modules} modules fetched");
                say(&format!(
                    "{}: {done}, {}",
                    part.file_name(),
                    minutes(started.elapsed())
                ));
                next += HEARTBEAT;
            }
            Err(RecvTimeoutError::Disconnected) => break,
        }
    }
    let _ = reader.join();
    let status = go.wait()?;
    if !status.success() {
        let tail = rest.len().saturating_sub(20);
        bail!(
            "go cannot build {} ({status}):\n{}",
            part.file_name(),
            rest[tail..].join("\n")
        );
    }
    Ok(())
}

/// `go build -v` prints the import path of each package that it compiles.
fn is_package(line: &str) -> bool {
    !line.is_empty() && !line.contains([' ', ':', '#'])
}

fn minutes(time: Duration) -> String {
    format!("{} min {:02} s", time.as_secs() / 60, time.as_secs() % 60)
}
