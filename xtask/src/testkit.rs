//! The tasks that the testkit binary runs.

use std::{io::Write as _, os::unix::process::CommandExt as _, process::Command};

use anyhow::{Context as _, Result, ensure};
use clap::ValueEnum as _;

use crate::{
    args::Demo,
    prerequisites::{Need, check},
    run::{cargo, profile_directory, run, shown},
};

pub(crate) fn demo(demo: &Demo) -> Result<()> {
    let mut needs = vec![Need::CCompiler];
    let mut args = vec!["demo".into()];
    if let Some(provider) = demo.provider.to_possible_value() {
        args.extend(["--provider".into(), provider.get_name().into()]);
    }
    if let Some(kubeconfig) = &demo.kubeconfig {
        ensure!(kubeconfig.is_file(), "{} is not a file", kubeconfig.display());
        needs.push(Need::Kubectl);
        args.extend(["--kubeconfig".into(), kubeconfig.into()]);
    } else if demo.no_cluster {
        args.push("--no-cluster".into());
    } else {
        needs.push(Need::ControlPlane);
    }
    if demo.yes {
        args.push("--yes".into());
    }
    check(&needs)?;
    build(&["envelope", "testkit"])?;
    args.extend([
        "--envelope".into(),
        profile_directory()?.join("envelope").into_os_string(),
    ]);
    exec_testkit(Command::new(profile_directory()?.join("testkit")).args(args))
}

pub(crate) fn controlplane(args: &[String]) -> Result<()> {
    check(&[Need::CCompiler, Need::ControlPlane])?;
    build(&["testkit"])?;
    exec_testkit(
        Command::new(profile_directory()?.join("testkit"))
            .arg("controlplane")
            .args(args),
    )
}

pub(crate) fn kms_emulator(args: &[String]) -> Result<()> {
    check(&[Need::CCompiler])?;
    build(&["testkit"])?;
    exec_testkit(
        Command::new(profile_directory()?.join("testkit"))
            .arg("kms-emulator")
            .args(args),
    )
}

/// Builds binaries of the workspace and says beforehand how long that takes.
pub(crate) fn build(binaries: &[&str]) -> Result<()> {
    let is_first = binaries
        .iter()
        .any(|name| !profile_directory().is_ok_and(|directory| directory.join(name).is_file()));
    let time = if is_first {
        "about 3 minutes the first time on 2 cores"
    } else {
        "a few seconds if little has changed"
    };
    // To standard error: a shell may evaluate standard output.
    let _ = writeln!(std::io::stderr(), "building {}: {time}", binaries.join(" and "));
    let mut command = cargo(["build", "--locked", "--workspace"]);
    for name in binaries {
        command.args(["--bin", name]);
    }
    run(&mut command)
}

/// Replaces this process with testkit, which then receives signals and sets the exit status.
fn exec_testkit(command: &mut Command) -> Result<()> {
    let error = command.exec();
    Err(error).with_context(|| format!("cannot start {}", shown(command)))
}
