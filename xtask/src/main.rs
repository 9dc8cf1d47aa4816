//! Development tasks: `cargo xtask help`.
//!
//! Deliberately light: it starts cargo, the testkit binary and `envelope`, and links none of them.

#![expect(clippy::print_stdout, reason = "a program for a terminal")]

mod args;
mod bench;
mod chart;
mod cluster;
mod conformance;
mod diagram;
mod generate;
mod git;
mod gitops;
mod image;
mod live;
mod node;
mod prerequisites;
mod release;
mod run;
mod suite;
mod testkit;

use std::process::ExitCode;

use args::{Cli, Suite, Task};
use clap::Parser as _;
use prerequisites::Missing;

fn main() -> ExitCode {
    let done = match Cli::parse().task {
        Task::Demo(demo) => testkit::demo(&demo),
        Task::Test { suite: Suite::Core } => suite::core(),
        Task::Test {
            suite: Suite::Conformance,
        } => conformance::conformance(),
        Task::Test { suite: Suite::Live } => live::live(),
        Task::Test { suite: Suite::Chart } => chart::chart(),
        Task::Test { suite: Suite::Gitops } => gitops::gitops(),
        Task::Test { suite: Suite::Node } => node::node(),
        Task::Test { suite: Suite::Image } => release::reproducible::image_suite(),
        Task::Dist(arguments) => release::archive::dist(&arguments),
        Task::Bench(arguments) => bench::bench(&arguments),
        Task::Image(arguments) => image::image(&arguments),
        Task::Cluster { action } => cluster::cluster(&action),
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
