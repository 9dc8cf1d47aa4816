//! Development tasks: `cargo xtask help`.
//!
//! Light on purpose: it starts cargo, testkit's binaries and `envelope` itself, and links none of them.

#![expect(clippy::print_stdout, reason = "a program for a terminal")]

mod run;
mod suite;

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
}

#[derive(Clone, Copy, ValueEnum)]
enum Suite {
    /// Formatting, clippy, dependency rules, documentation and every test of the workspace
    Core,
}

fn main() -> ExitCode {
    let done = match Cli::parse().task {
        Task::Test { suite: Suite::Core } => suite::core(),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            println!("cargo xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}
