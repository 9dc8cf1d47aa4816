//! The chart's unit tests, and its objects against the API of the oldest and the newest supported Kubernetes and of the
//! Prometheus operator.

use std::{fs, process::Command};

use anyhow::{Context as _, Result, ensure};

use super::{
    support::{ALL_VALUES, CHART, KEYRING, Suite, success},
    values::dry_run,
};
use crate::{
    cluster::{RELEASE, checked_text, tool},
    run::{profile_directory, root},
};

/// Installs the kinds of the Prometheus operator, for dry runs of objects of these kinds.
pub(super) fn install_monitoring_crds(suite: &Suite) -> Result<()> {
    let testkit = profile_directory()?.join("testkit");
    let crds = checked_text(Command::new(testkit).arg("monitoring-crds"))?;
    for kind in ["servicemonitors", "podmonitors", "prometheusrules"] {
        let file = format!("{}/monitoring.coreos.com_{kind}.yaml", crds.trim());
        suite.kubectl(&["apply", "--server-side", "-f", &file])?;
        let crd = format!("crd/{kind}.monitoring.coreos.com");
        suite.established(&crd)?;
    }
    Ok(())
}

pub(super) fn check(suite: &mut Suite) -> Result<()> {
    let tested = unit_tests();
    suite.record("helm-unittest", tested);
    let covered = every_template_has_tests();
    suite.record("every template has unit tests", covered);
    let all = suite.render(&["--values", ALL_VALUES], &[])?;
    let default = suite.render(&[], &[KEYRING])?;
    let testkit = profile_directory()?.join("testkit");
    for line in checked_text(Command::new(&testkit).arg("schemas"))?.lines() {
        let (version, directory) = line.split_once(' ').context("version and directory")?;
        for (name, text) in [("all values", &all), ("the default values", &default)] {
            let checked = conforms(suite, directory, text);
            suite.record(
                &format!("kubeconform with {name} against Kubernetes {version}"),
                checked,
            );
        }
    }
    let objects = suite.render(&["--no-hooks", "--values", ALL_VALUES], &[])?;
    let applied = dry_run(suite, &objects);
    suite.record(
        "helm template and server-side dry run with all values, Prometheus operator included",
        applied,
    );
    Ok(())
}

/// Needs a release, because the hooks' pods name its service account.
pub(super) fn check_hooks(suite: &mut Suite) -> Result<()> {
    let templates = ["templates/keyring-job.yaml", "templates/test.yaml"];
    let mut arguments = vec!["--values", ALL_VALUES];
    for template in templates {
        arguments.extend(["--show-only", template]);
    }
    // The longest name that the chart accepts.
    let longest = format!("fullnameOverride={}", "a".repeat(50));
    let hooks = suite.render(
        &arguments,
        &[
            "keyring.generate=true",
            &longest,
            "serviceAccount.create=false",
            "serviceAccount.name=envelope-secrets",
        ],
    )?;
    ensure!(
        hooks.contains("kind: Job") && hooks.contains("kind: Pod"),
        "no hooks: {hooks}"
    );
    // Admission resolves the class of a pod.
    suite.kubectl(&["create", "priorityclass", "high", "--value=1"])?;
    // The Job's account is part of the hooks, and not stored by a dry run.
    suite.kubectl(&[
        "create",
        "serviceaccount",
        &format!("{}-create-keyring", "a".repeat(47)),
        "-n",
        RELEASE,
    ])?;
    let applied = dry_run(suite, &hooks);
    suite.record("server-side dry run of the hooks", applied);
    Ok(())
}

fn unit_tests() -> Result<()> {
    let mut command = Command::new(tool("helm-unittest")?);
    let printed = success(&command.args(["--strict", CHART]).current_dir(root()).output()?)?;
    let count = printed
        .lines()
        .find_map(|line| line.strip_prefix("Tests:"))
        .context("no count of tests")?;
    println!("helm-unittest:{count}");
    ensure!(!count.trim().starts_with("0 "), "no test ran");
    Ok(())
}

fn every_template_has_tests() -> Result<()> {
    let mut tests = String::new();
    for entry in fs::read_dir(root().join(CHART).join("tests"))? {
        let path = entry?.path();
        if path.is_file() {
            tests += &fs::read_to_string(path)?;
        }
    }
    for entry in fs::read_dir(root().join(CHART).join("templates"))? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        if name.starts_with('_') || name == "tests" {
            continue;
        }
        ensure!(tests.contains(&format!("templates/{name}")), "no test of {name}");
    }
    Ok(())
}

/// kubeconform knows no schema of the kinds that a CRD defines; the dry run validates those.
fn conforms(suite: &Suite, schemas: &str, manifest: &str) -> Result<()> {
    let file = suite.work.join("kubeconform.yaml");
    fs::write(&file, manifest)?;
    let mut command = Command::new(tool("kubeconform")?);
    command.args([
        "-strict",
        "-summary",
        "-skip",
        "ServiceMonitor,PodMonitor,PrometheusRule",
    ]);
    let location = format!("{schemas}/{{{{.ResourceKind}}}}{{{{.KindSuffix}}}}.json");
    let printed = success(
        &command
            .args(["-schema-location", &location])
            .arg(&file)
            .output()?,
    )?;
    ensure!(
        printed.contains("Invalid: 0, Errors: 0") && !printed.contains("Valid: 0"),
        "{printed}"
    );
    Ok(())
}
