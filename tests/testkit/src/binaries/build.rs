//! Builds missing executables from their published Go modules.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

use super::version::{GO_MOD, GO_SUM, Part, Pins, Version, parse_go_version};

/// The prefix of build directories.
pub(super) const WORK_PREFIX: &str = ".build-";
/// How often a running build reports its progress.
const PROGRESS_INTERVAL: Duration = Duration::from_secs(20);

pub(super) fn build(parts: &[Part], cache: &Path, pins: &Pins, say: &dyn Fn(&str)) -> Result<()> {
    check_go(&pins.go)?;
    let names: Vec<&str> = parts.iter().map(|part| part.file_name()).collect();
    say(&format!(
        "building {} from their Go modules, once, in {}: about 6 minutes on 2 cores for all four, and 3 GB in Go's caches",
        names.join(", "),
        cache.display()
    ));
    // A copy of the module: the build must match the hash in the cache directory's name even if the source tree changes meanwhile.
    let work = tempfile::Builder::new().prefix(WORK_PREFIX).tempdir_in(cache)?;
    std::fs::write(work.path().join("go.mod"), GO_MOD)?;
    std::fs::write(work.path().join("go.sum"), GO_SUM)?;
    for part in parts {
        let started = Instant::now();
        let flags = kubernetes_flags(&pins.kubernetes);
        run_go(part.file_name(), part.package(), &flags, work.path(), say)?;
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
        "install Go {}.{} or later (https://go.dev/dl), or set KUBEBUILDER_ASSETS to a directory with etcd, kube-apiserver, \
         kube-controller-manager and kubectl",
        needed.major, needed.minor
    );
    let output = match Command::new("go").arg("version").stdin(Stdio::null()).output() {
        Ok(output) => output,
        Err(error) => bail!("cannot build the control plane: cannot run go: {error}; {advice}"),
    };
    let found = parse_go_version(&String::from_utf8_lossy(&output.stdout)).map_err(anyhow::Error::msg)?;
    if (found.major, found.minor) < (needed.major, needed.minor) {
        bail!("cannot build the control plane: Go {found} is too old; {advice}");
    }
    Ok(())
}

/// Linker flags that set the version which Kubernetes' components report.
pub(super) fn kubernetes_flags(version: &Version) -> String {
    let package = "k8s.io/component-base/version";
    format!(
        "-s -w -X {package}.gitVersion={version} -X {package}.gitMajor={} -X {package}.gitMinor={}",
        version.major, version.minor
    )
}

/// Builds `package` of the module in `work` as the file `name` in it.
pub(super) fn run_go(name: &str, package: &str, flags: &str, work: &Path, say: &dyn Fn(&str)) -> Result<()> {
    // Through `testkit exec`, so that the build is killed with its owner.
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
        flags,
    ]);
    command.arg("-o").arg(name).arg(package).current_dir(work);
    // The next build removes what a killed one leaves in its directory.
    command.env("GOTMPDIR", work);
    // The user's Go settings must not change what is built.
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
    let (mut packages, mut modules, mut messages) = (0_u32, 0_u32, Vec::new());
    let mut next_report = PROGRESS_INTERVAL;
    loop {
        match lines.recv_timeout(next_report.saturating_sub(started.elapsed())) {
            Ok(line) if line.starts_with("go: downloading ") => modules += 1,
            Ok(line) if is_package(&line) => packages += 1,
            Ok(line) => messages.push(line),
            Err(RecvTimeoutError::Timeout) => {
                let done = format!("{packages} packages compiled, {modules} modules downloaded");
                say(&format!("{}: {done}, {}", name, minutes(started.elapsed())));
                next_report += PROGRESS_INTERVAL;
            }
            Err(RecvTimeoutError::Disconnected) => break,
        }
    }
    let _ = reader.join();
    let status = go.wait()?;
    if !status.success() {
        let tail = messages.len().saturating_sub(20);
        bail!(
            "building {} failed ({status}):\n{}",
            name,
            messages[tail..].join("\n")
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
