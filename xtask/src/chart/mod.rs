//! Suite `chart`: the Helm chart without a node, on a real API server.

mod controller;
mod dashboard;
mod helm3;
mod lifecycle;
mod monitoring;
mod package;
mod policy;
pub(crate) mod previous;
pub(crate) mod readme;
mod roles;
mod support;
mod tools;
mod values;

use anyhow::{Result, ensure};

use crate::{
    cluster::ControlPlane,
    prerequisites::{Need, check},
    testkit::build,
};
pub(crate) use support::CHART;
use support::Suite;

/// The checks, in this order: those that render only, then those that change the cluster.
const CHECKS: &[fn(&mut Suite) -> Result<()>] = &[
    |suite| {
        tools::install_monitoring_crds(suite)?;
        values::check(suite);
        Ok(())
    },
    tools::check,
    |suite| {
        package::check(suite);
        Ok(())
    },
    helm3::check,
    lifecycle::check,
    tools::check_hooks,
    roles::check,
    controller::check,
    policy::check,
];

pub(crate) fn chart() -> Result<()> {
    check(&[Need::CCompiler, Need::ControlPlane])?;
    build(&["envelope", "testkit"])?;
    let mut plane = ControlPlane::start()?;
    let mut suite = Suite::new(&plane.plane)?;
    let done = suite
        .prepare()
        .and_then(|()| CHECKS.iter().try_for_each(|check| check(&mut suite)));
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
