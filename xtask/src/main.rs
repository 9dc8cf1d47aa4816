//! Development tasks: `cargo xtask help`.
//!
//! Light on purpose: it starts cargo, testkit's binary and `envelope` itself, and links none of them.

#![expect(clippy::print_stdout, reason = "a program for a terminal")]

mod conformance;
mod diagram;
mod generate;
mod live;
mod prerequisites;
mod run;
mod suite;
mod testkit;

use std::{path::PathBuf, process::ExitCode};

use prerequisites::Missing;

use clap::{Args, Parser, Subcommand, ValueEnum};

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
    /// Show the main job from nothing: seal, apply, Secret, healing, restart, tampering; ends clean
    Demo(Demo),
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

#[derive(Args)]
struct Demo {
    /// Whose keys seal and open
    #[arg(long, value_enum, default_value_t = Provider::Local)]
    provider: Provider,
    /// Seal, open and tamper only; needs neither Go nor a cluster
    #[arg(long, conflicts_with_all = ["kubeconfig", "yes"])]
    no_cluster: bool,
    /// Use the cluster of this kubeconfig's current context, in one new namespace, and take away what was made.
    ///
    /// The commands have a HOME of their own: a login that reads files of your home directory does not work here. The controller, and the
    /// KMS emulator of `--provider tencent-kms`, run on this machine; nothing in the cluster calls them.
    #[arg(long, value_name = "FILE")]
    kubeconfig: Option<PathBuf>,
    /// Do not ask whether that cluster is meant
    #[arg(long, requires = "kubeconfig")]
    yes: bool,
}

#[derive(Clone, Copy, ValueEnum)]
enum Provider {
    /// A keyring file: seal, apply, Secret, healing, restart, tampering
    Local,
    /// Tencent Cloud KMS, played by our emulator: keys of two regions, a pod's identity, a region down, keys disabled, rotation, a key
    /// that is not allowed, tampering
    TencentKms,
}

#[derive(Clone, Copy, ValueEnum)]
enum Suite {
    /// Formatting, clippy, dependency rules, documentation and every test of the workspace
    Core,
    /// Tencent Cloud's Python and Node SDKs, from their registries, against the KMS emulator and beside our client: needs Python 3.10 and Node.js
    Conformance,
    /// What only an account of Tencent Cloud can settle, with your credentials about the KMS key in `ENVELOPE_KEY`; CI never runs it
    Live,
}

fn main() -> ExitCode {
    let done = match Cli::parse().task {
        Task::Demo(demo) => testkit::demo(&demo),
        Task::Test { suite: Suite::Core } => suite::core(),
        Task::Test {
            suite: Suite::Conformance,
        } => conformance::conformance(),
        Task::Test { suite: Suite::Live } => live::live(),
        Task::Generate { check } => generate::generate(check),
        Task::Controlplane { args } => testkit::controlplane(&args),
        Task::KmsEmulator { args } => testkit::kms_emulator(&args),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            println!("cargo xtask: {error:#}");
            match error.downcast_ref::<Missing>() {
                Some(_) => ExitCode::from(Missing::EXIT),
                None => ExitCode::FAILURE,
            }
        }
    }
}
