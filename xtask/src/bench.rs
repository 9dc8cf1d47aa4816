//! `cargo xtask bench`: benchmarks of the whole product, which the `bench` binary runs.

use std::{
    os::unix::process::CommandExt as _,
    path::PathBuf,
    process::{Command, Stdio},
};

use anyhow::{Context as _, Result, ensure};

use crate::{
    args::Bench,
    prerequisites::{Need, check},
    run::{cargo, root, run, shown, target_directory},
};

/// The number of objects for which the targets are defined.
const FULL_SIZE: usize = 10_000;

pub(crate) fn bench(arguments: &Bench) -> Result<()> {
    check(&[Need::CCompiler, Need::ControlPlane])?;
    let binaries = build(&arguments.profile)?;
    let bench = binaries.join("bench");
    if arguments.render {
        return run(Command::new(bench).arg("render").arg(root().join("docs")));
    }
    let mut command = Command::new(bench);
    command.arg("run").args(&arguments.names);
    command.arg("--envelope").arg(binaries.join("envelope"));
    command.args(["--profile", &arguments.profile, "--shown", &shown_command()]);
    command.args(["--runs", &arguments.runs.to_string()]);
    command.args(["--objects", &arguments.objects.to_string()]);
    if let Some(runs) = arguments.large_runs {
        command.args(["--large-runs", &runs.to_string()]);
    }
    if arguments.quick {
        command.arg("--quick");
    }
    // Only results of the release binary, with the numbers of the targets, belong on the page.
    let for_page = arguments.profile == "release" && !arguments.quick && arguments.objects == FULL_SIZE;
    let output = match &arguments.output {
        Some(directory) => directory.clone(),
        None if for_page => root().join("docs"),
        None => target_directory().join("bench"),
    };
    ensure!(!output.is_file(), "{} is a file", output.display());
    command.arg("--output").arg(output).stdin(Stdio::null());
    let error = command.exec();
    Err(error).with_context(|| format!("cannot start {}", shown(&command)))
}

/// Builds the measured binary and what measures it. Returns their directory.
fn build(profile: &str) -> Result<PathBuf> {
    println!("building envelope, testkit and bench, profile {profile}: minutes for the first release build");
    let mut command = cargo(["build", "--locked", "--workspace", "--profile", profile]);
    for name in ["envelope", "testkit", "bench"] {
        command.args(["--bin", name]);
    }
    run(&mut command)?;
    Ok(target_directory().join(if profile == "dev" { "debug" } else { profile }))
}

/// The command line as the user typed it.
fn shown_command() -> String {
    let words: Vec<String> = std::env::args().skip(1).collect();
    format!("cargo xtask {}", words.join(" "))
}
