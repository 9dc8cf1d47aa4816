//! What the checks share: the control plane, helm, kubectl, and the results.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Output, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};

use crate::{
    cluster::{Plane, RELEASE, helm},
    run::{root, succeeds},
};

pub(crate) const CHART: &str = "charts/envelope-secrets";
pub(super) const KEYRING: &str = "keyring.existingSecret=envelope-keyring";
/// Values that switch on everything.
pub(super) const ALL_VALUES: &str = "charts/envelope-secrets/ci/all-values.yaml";

/// How long the control plane may take while the host is busy.
pub(super) const TIMEOUT: Duration = Duration::from_mins(3);

pub(super) struct Suite<'a> {
    pub(super) helm: PathBuf,
    pub(super) plane: &'a Plane,
    /// For files of the checks; removed with the control plane.
    pub(super) work: PathBuf,
    pub(super) passed: usize,
    pub(super) failures: Vec<String>,
    pub(super) not_run: Vec<String>,
}

impl<'a> Suite<'a> {
    pub(super) fn new(plane: &'a Plane) -> Result<Self> {
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

    /// Creates the namespaces of the checks.
    pub(super) fn prepare(&self) -> Result<()> {
        for namespace in [RELEASE, "one", "two"] {
            self.kubectl(&["create", "namespace", namespace])?;
            // The API server then warns about each pod template that violates the standard, dry run included.
            let warn = "pod-security.kubernetes.io/warn=restricted";
            self.kubectl(&["label", "namespace", namespace, warn])?;
        }
        Ok(())
    }

    pub(super) fn record(&mut self, name: &str, result: Result<()>) {
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

    pub(super) fn not_run(&mut self, what: &str) {
        self.not_run.push(what.to_owned());
    }

    /// Runs helm in the release's namespace.
    pub(super) fn helm(&self, command: &str, arguments: &[&str], values: &[&str]) -> Result<Output> {
        let mut helm = self.plane.command(&self.helm);
        helm.arg(command).args(arguments).args(["--namespace", RELEASE]);
        for value in values {
            helm.args(["--set", value]);
        }
        helm.stdin(Stdio::null()).output().context("cannot start helm")
    }

    /// The objects of the release with these values.
    pub(super) fn render(&self, arguments: &[&str], values: &[&str]) -> Result<String> {
        let arguments = [&[RELEASE, CHART], arguments].concat();
        success(&self.helm("template", &arguments, values)?)
    }

    pub(super) fn kubectl(&self, arguments: &[&str]) -> Result<String> {
        let mut kubectl = self.plane.kubectl(arguments);
        success(&kubectl.stdin(Stdio::null()).output()?).with_context(|| arguments.join(" "))
    }

    /// Waits until the API server serves the kind of this CRD.
    pub(super) fn established(&self, crd: &str) -> Result<()> {
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
    pub(super) fn shell(&self, lines: &str) -> Result<String> {
        let mut bash = self.plane.command("bash");
        let path = bash
            .get_envs()
            .find(|(name, _)| *name == "PATH")
            .and_then(|(_, path)| path)
            .map(|path| path.to_string_lossy().into_owned())
            .unwrap_or_default();
        let helm = self.helm.parent().context("helm without a directory")?;
        bash.env("PATH", format!("{}:{path}", helm.display()))
            .env("CHART", root().join(CHART))
            .args(["-euo", "pipefail", "-c", lines])
            .current_dir(&self.work)
            .stdin(Stdio::null());
        success(&bash.output()?)
    }
}

pub(super) fn success(output: &Output) -> Result<String> {
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
pub(super) fn contains(text: &str, expected: &[&str]) -> Result<()> {
    for part in expected {
        let (wanted, part) = part.strip_prefix('!').map_or((true, *part), |part| (false, part));
        let word = if wanted { "does not contain" } else { "contains" };
        ensure!(text.contains(part) == wanted, "the result {word} {part:?}");
    }
    Ok(())
}

pub(super) fn refusal(output: &Output, expected: &str) -> Result<()> {
    ensure!(!output.status.success(), "it was accepted");
    let error = String::from_utf8_lossy(&output.stderr);
    ensure!(
        error.contains(expected),
        "the error does not mention {expected}: {error}"
    );
    Ok(())
}
