//! Suite `chart`: the Helm chart without a node, on a real API server.

mod controller;
mod lifecycle;
mod monitoring;
pub(crate) mod previous;
pub(crate) mod readme;
mod roles;
mod tools;
mod values;

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};

use crate::{
    cluster::{Plane, RELEASE, helm},
    prerequisites::{Need, check},
    run::{profile_directory, succeeds},
    testkit::build,
};

pub(crate) const CHART: &str = "charts/envelope-secrets";
const KEYRING: &str = "keyring.existingSecret=envelope-keyring";
/// Values that switch on everything.
const ALL_VALUES: &str = "charts/envelope-secrets/ci/all-values.yaml";

/// How long the control plane may take while the host is busy.
const TIMEOUT: Duration = Duration::from_mins(3);

/// The checks, in this order: those that render only, then those that change the cluster.
const CHECKS: &[fn(&mut Suite) -> Result<()>] = &[
    values::check,
    tools::check,
    lifecycle::check,
    tools::check_hooks,
    roles::check,
    controller::check,
];

pub(crate) fn chart() -> Result<()> {
    check(&[Need::CCompiler, Need::ControlPlane])?;
    build(&["envelope", "testkit"])?;
    let mut plane = ControlPlane::start()?;
    let mut suite = Suite::new(&plane.plane)?;
    let done = suite.run();
    let Suite {
        passed,
        failures,
        not_run,
        ..
    } = suite;
    plane.stop();
    done?;
    println!();
    for what in &not_run {
        println!("NOT RUN: {what}");
    }
    println!(
        "{} passed, {} failed, {} not run",
        passed,
        failures.len(),
        not_run.len()
    );
    ensure!(
        failures.is_empty(),
        "suite chart failed:\n{}",
        failures.join("\n")
    );
    Ok(())
}

struct Suite<'a> {
    helm: PathBuf,
    plane: &'a Plane,
    /// For files of the checks; removed with the control plane.
    work: PathBuf,
    passed: usize,
    failures: Vec<String>,
    not_run: Vec<String>,
}

impl<'a> Suite<'a> {
    fn new(plane: &'a Plane) -> Result<Self> {
        let work = Path::new(&plane.kubeconfig).with_file_name("chart");
        fs::create_dir_all(&work)?;
        Ok(Self {
            helm: helm()?,
            plane,
            work,
            passed: 0,
            failures: Vec::new(),
            not_run: Vec::new(),
        })
    }

    fn run(&mut self) -> Result<()> {
        for namespace in [RELEASE, "one", "two"] {
            self.kubectl(&["create", "namespace", namespace])?;
            // The API server then warns about each pod template that violates the standard, dry run included.
            let warn = "pod-security.kubernetes.io/warn=restricted";
            self.kubectl(&["label", "namespace", namespace, warn])?;
        }
        CHECKS.iter().try_for_each(|check| check(self))
    }

    fn record(&mut self, name: &str, result: Result<()>) {
        match result {
            Ok(()) => {
                println!("ok: {name}");
                self.passed += 1;
            }
            Err(error) => {
                println!("FAILED: {name}: {error:#}");
                self.failures.push(format!("{name}: {error:#}"));
            }
        }
    }

    fn not_run(&mut self, what: &str) {
        self.not_run.push(what.to_owned());
    }

    /// Runs helm in the release's namespace.
    fn helm(&self, command: &str, arguments: &[&str], values: &[&str]) -> Result<Output> {
        let mut helm = self.plane.command(&self.helm);
        helm.arg(command).args(arguments).args(["--namespace", RELEASE]);
        for value in values {
            helm.args(["--set", value]);
        }
        helm.stdin(Stdio::null()).output().context("cannot start helm")
    }

    /// The objects of the release with these values.
    fn render(&self, arguments: &[&str], values: &[&str]) -> Result<String> {
        let arguments = [&[RELEASE, CHART], arguments].concat();
        success(&self.helm("template", &arguments, values)?)
    }

    fn kubectl(&self, arguments: &[&str]) -> Result<String> {
        let mut kubectl = self.plane.kubectl(arguments);
        success(&kubectl.stdin(Stdio::null()).output()?).with_context(|| arguments.join(" "))
    }

    /// Waits until the API server serves the kind of this CRD.
    fn established(&self, crd: &str) -> Result<()> {
        let start = Instant::now();
        let condition = "--for=condition=Established";
        // A CRD without conditions, as right after its creation, is an error.
        while !succeeds(&mut self.plane.kubectl(&["wait", condition, crd])) {
            ensure!(start.elapsed() < TIMEOUT, "{crd} is not served");
            thread::sleep(Duration::from_millis(100));
        }
        Ok(())
    }

    /// Runs lines of shell in the work directory, with helm, kubectl and envelope in `PATH`, and returns their output.
    fn shell(&self, lines: &str) -> Result<String> {
        let mut bash = self.plane.command("bash");
        let path = bash
            .get_envs()
            .find(|(name, _)| *name == "PATH")
            .and_then(|(_, path)| path)
            .map(|path| path.to_string_lossy().into_owned())
            .unwrap_or_default();
        let helm = self.helm.parent().context("helm without a directory")?;
        bash.env("PATH", format!("{}:{path}", helm.display()))
            .env("CHART", crate::run::root().join(CHART))
            .args(["-euo", "pipefail", "-c", lines])
            .current_dir(&self.work)
            .stdin(Stdio::null());
        success(&bash.output()?)
    }
}

fn success(output: &Output) -> Result<String> {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    ensure!(
        output.status.success(),
        "{}\n{}{}",
        output.status,
        text(&output.stdout),
        text(&output.stderr)
    );
    Ok(text(&output.stdout))
}

/// Fails unless the text contains each of these; `!` means that it must not.
fn contains(text: &str, expected: &[&str]) -> Result<()> {
    for part in expected {
        let (wanted, part) = part.strip_prefix('!').map_or((true, *part), |part| (false, part));
        let word = if wanted { "does not contain" } else { "contains" };
        ensure!(text.contains(part) == wanted, "the result {word} {part:?}");
    }
    Ok(())
}

fn refusal(output: &Output, expected: &str) -> Result<()> {
    ensure!(!output.status.success(), "it was accepted");
    let error = String::from_utf8_lossy(&output.stderr);
    ensure!(
        error.contains(expected),
        "the error does not mention {expected}: {error}"
    );
    Ok(())
}

/// A control plane that stops with this process.
struct ControlPlane {
    child: Child,
    plane: Plane,
}

impl ControlPlane {
    fn start() -> Result<Self> {
        let mut command = Command::new(profile_directory()?.join("testkit"));
        let command = command.arg("controlplane").stdin(Stdio::piped());
        let mut child = command
            .stdout(Stdio::piped())
            .spawn()
            .context("cannot start testkit")?;
        let plane = Plane::read(&mut child)?;
        Ok(Self { child, plane })
    }

    fn stop(&mut self) {
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use crate::run::root;

    #[test]
    fn chart_has_the_version_of_the_binary() {
        let chart = fs::read_to_string(root().join(super::CHART).join("Chart.yaml")).unwrap();
        let version = env!("CARGO_PKG_VERSION");
        for line in [
            format!("version: {version}"),
            format!("appVersion: \"{version}\""),
        ] {
            assert!(chart.lines().any(|it| it == line), "{line}");
        }
    }

    #[test]
    fn crd_of_the_chart_is_the_generated_one() {
        let read = |path: &str| fs::read_to_string(root().join(path)).unwrap();
        assert_eq!(
            read("charts/envelope-secrets/files/envelopesecrets.yaml"),
            read("crds/envelopesecrets.yaml")
        );
    }
}
