//! The tasks that testkit's binary carries out.

use std::{io::Write as _, os::unix::process::CommandExt as _, process::Command};

use anyhow::{Context as _, Result, ensure};
use clap::ValueEnum as _;

use crate::{
    Demo,
    prerequisites::{Need, check},
    run::{cargo, profile_folder, run, shown},
};

pub(crate) fn demo(demo: &Demo) -> Result<()> {
    let mut needs = vec![Need::CCompiler];
    let mut args = vec!["demo".into()];
    if let Some(provider) = demo.provider.to_possible_value() {
        args.extend(["--provider".into(), provider.get_name().into()]);
    }
    if let Some(kubeconfig) = &demo.kubeconfig {
        ensure!(kubeconfig.is_file(), "there is no file {}", kubeconfig.display());
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
        profile_folder()?.join("envelope").into_os_string(),
    ]);
    become_testkit(Command::new(profile_folder()?.join("testkit")).args(args))
}

pub(crate) fn controlplane(args: &[String]) -> Result<()> {
    check(&[Need::CCompiler, Need::ControlPlane])?;
    build(&["testkit"])?;
    become_testkit(
        Command::new(profile_folder()?.join("testkit"))
            .arg("controlplane")
            .args(args),
    )
}

pub(crate) fn kms_emulator(args: &[String]) -> Result<()> {
    check(&[Need::CCompiler])?;
    build(&["testkit"])?;
    become_testkit(
        Command::new(profile_folder()?.join("testkit"))
            .arg("kms-emulator")
            .args(args),
    )
}

pub(crate) fn build(binaries: &[&str]) -> Result<()> {
    let first = binaries
        .iter()
        .any(|name| !profile_folder().is_ok_and(|folder| folder.join(name).is_file()));
    let time = if first {
        "about 3 minutes the first time on 2 cores"
    } else {
        "seconds, if little changed"
    };
    // Not to standard output, which may be what a shell is to read.
    let _ = writeln!(std::io::stderr(), "building {}: {time}", binaries.join(" and "));
    let mut command = cargo(["build", "--locked", "--workspace"]);
    for name in binaries {
        command.args(["--bin", name]);
    }
    run(&mut command)
}

/// Leaves the process to testkit, so that signals and the exit status are its own.
fn become_testkit(command: &mut Command) -> Result<()> {
    let error = command.exec();
    Err(error).with_context(|| format!("cannot start {}", shown(command)))
}
