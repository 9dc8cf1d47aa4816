//! Development tasks: `cargo xtask help`.
//!
//! Light on purpose: it starts cargo, testkit's binary and `envelope` itself, and links none of them.

#![expect(clippy::print_stdout, reason = "a program for a terminal")]

mod generate;
mod prerequisites;
mod run;
mod suite;
mod testkit;

use std::process::ExitCode;

use clap::{Parser, Subcommand, ValueEnum};

#[derive(Parser)]
#[command(
    name = "cargo xtask",
    bin_name = "cargo xtask",
    about = "Development tasks of envelope-secrets"
)]
struct Cli {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Run a suite of tests: step by step, seconds for each, ending at the first step that fails
    Test {
        #[arg(value_enum, default_value_t = Suite::Core)]
        suite: Suite,
    },
    /// Write the files that programs of this repository print: the custom resource
    Generate {
        /// Only compare
        #[arg(long)]
        check: bool,
    },
    /// Start a Kubernetes control plane and stay; prints how to use it
    Controlplane {
        /// Arguments of `testkit controlplane` (`--help` lists them)
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<String>,
    },
    /// Serve an emulator of Tencent Cloud KMS on this machine and stay; prints how to use it
    KmsEmulator {
        /// Arguments of `testkit kms-emulator`, such as `--listen 127.0.0.1:8099` (`--help` lists them)
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<String>,
    },
}

#[derive(Clone, Copy, ValueEnum)]
enum Suite {
    /// Formatting, clippy, dependency rules, documentation and every test of the workspace
    Core,
}

fn main() -> ExitCode {
    let done = match Cli::parse().task {
        Task::Test { suite: Suite::Core } => suite::core(),
        Task::Generate { check } => generate::generate(check),
        Task::Controlplane { args } => testkit::controlplane(&args),
        Task::KmsEmulator { args } => testkit::kms_emulator(&args),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            println!("cargo xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}
