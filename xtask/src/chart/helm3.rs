//! Helm 3, which many clusters still use: it renders the same objects, and its releases can be upgraded by Helm 4.

use std::{path::Path, process::Stdio};

use anyhow::{Context as _, Result, ensure};

use super::support::{ALL_VALUES, CHART, KEYRING, Suite, success};
use crate::cluster::{RELEASE, tool};

/// Removes the release and its CRD, so that the checks of Helm 4 begin with an empty cluster.
pub(super) fn check(suite: &mut Suite) -> Result<()> {
    let helm4 = suite.helm.clone();
    let helm3 = tool("helm3")?;
    let linted = with(
        suite,
        &helm3,
        &["lint", CHART, "--strict", "--values", ALL_VALUES],
    )
    .map(|_| ());
    suite.record("helm lint of Helm 3 with all values", linted);
    for (name, values) in [
        (
            "the default values",
            ["--set", KEYRING, "--set", "replicaCount=1"],
        ),
        (
            "all values",
            ["--values", ALL_VALUES, "--set", "keyring.generate=true"],
        ),
    ] {
        let template = [&["template", RELEASE, CHART], &values[..]].concat();
        let same = with(suite, &helm3, &template).and_then(|of_3| {
            let of_4 = with(suite, &helm4, &template)?;
            ensure!(of_3.lines().count() > 500, "only a few lines:\n{of_3}");
            same_lines(&of_3, &of_4)
        });
        suite.record(
            &format!("helm template of Helm 3 and 4 is the same with {name}"),
            same,
        );
    }
    let released = release(suite, &helm3, &helm4);
    suite.record(
        "Helm 3 installs, upgrades and rolls back; Helm 4 upgrades its release; Helm 3 uninstalls it",
        released,
    );
    Ok(())
}

/// Runs one of the two in the release's namespace.
fn with(suite: &Suite, program: &Path, arguments: &[&str]) -> Result<String> {
    let mut helm = suite.plane.command(program);
    let output = helm
        .args(arguments)
        .args(["--namespace", RELEASE])
        .stdin(Stdio::null())
        .output()?;
    success(&output).with_context(|| format!("{} {}", program.display(), arguments.join(" ")))
}

/// Helm 3 prints fewer empty lines.
fn same_lines(first: &str, second: &str) -> Result<()> {
    let mut others = second.lines().filter(|line| !line.trim().is_empty());
    for line in first.lines().filter(|line| !line.trim().is_empty()) {
        let other = others.next();
        ensure!(other == Some(line), "{line:?} in Helm 3, {other:?} in Helm 4");
    }
    let rest = others.next();
    ensure!(rest.is_none(), "only in Helm 4: {rest:?}");
    Ok(())
}

fn release(suite: &Suite, helm3: &Path, helm4: &Path) -> Result<()> {
    let values = ["--set", KEYRING, "--set", "crds.keep=false"];
    let run = |program: &Path, arguments: &[&str]| with(suite, program, &[arguments, &values].concat());
    let level = || {
        let path = "jsonpath={.spec.template.spec.containers[0].args}";
        suite.kubectl(&["get", "deployment", RELEASE, "-n", RELEASE, "-o", path])
    };
    run(helm3, &["install", RELEASE, CHART])?;
    suite.established("crd/envelopesecrets.envelope-secrets.io")?;
    run(
        helm3,
        &["upgrade", RELEASE, CHART, "--set", "logging.level=debug"],
    )?;
    ensure!(
        level()?.contains("--log-level=debug"),
        "not upgraded: {}",
        level()?
    );
    with(suite, helm3, &["rollback", RELEASE, "1"])?;
    ensure!(
        level()?.contains("--log-level=info"),
        "not rolled back: {}",
        level()?
    );
    run(helm4, &["upgrade", RELEASE, CHART, "--set", "logging.level=warn"])?;
    ensure!(
        level()?.contains("--log-level=warn"),
        "not upgraded: {}",
        level()?
    );
    with(suite, helm3, &["uninstall", RELEASE, "--wait"])?;
    let wait = ["wait", "--for=delete", "crd/envelopesecrets.envelope-secrets.io"];
    suite.kubectl(&[&wait[..], &["--timeout=120s"]].concat())?;
    Ok(())
}
