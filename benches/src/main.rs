//! `bench`: benchmarks of the whole product on a real control plane, for `cargo xtask bench`.
//!
//! Each benchmark compares the controller with a bare client that sends the same requests to the same API server in the same run, so that
//! the ratio depends little on the host. docs/benchmarks.md has the results.
//!
//! ```text
//! runs      the benchmarks
//! cost      one cold start, of the controller or of the bare client
//! bare      the bare client, in a process of its own
//! lab       the control plane, the guard, the measured binary
//! audit     what a client requested, from the API server's audit log
//! usage     CPU time and memory, from /proc
//! record    results as JSON; page and plot render them
//! ```

mod args;
mod audit;
mod bare;
mod client;
mod controller;
mod cost;
mod lab;
mod page;
mod plot;
mod ready;
mod record;
mod runs;
mod sealed;
mod stats;
mod usage;

use std::process::ExitCode;

use anyhow::Result;
use args::{Action, Arguments, Settings};
use clap::Parser as _;
use lab::{Lab, say};

fn main() -> ExitCode {
    // Without a runtime where none is needed: `seals` must be small.
    let runtime = tokio::runtime::Runtime::new;
    let done = match Arguments::parse().action {
        Action::Run(settings) => runtime()
            .map_err(Into::into)
            .and_then(|runtime| runtime.block_on(run(settings.complete()))),
        Action::Render { directory } => page::render(&directory),
        Action::Bare(args) => runtime()
            .map_err(Into::into)
            .and_then(|runtime| runtime.block_on(bare::run(&args))),
        Action::Seals(args) => runs::seal::measure(&args),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(&format!("{error:#}"));
            ExitCode::FAILURE
        }
    }
}

async fn run(settings: Settings) -> Result<()> {
    let (names, output) = (settings.names.clone(), settings.output.clone());
    let mut lab = Lab::start(settings)?;
    for name in names {
        let record = runs::run(&mut lab, name).await?;
        record.write(&output.join("benchmarks"))?;
        // After each one, so that a failure of the next loses nothing.
        page::render(&output)?;
        for row in &record.rows {
            let met = row.met.map_or("", |met| if met { ", met" } else { ", MISSED" });
            let target = if row.target.is_empty() {
                String::new()
            } else {
                format!(" (target {}{met})", row.target)
            };
            say(&format!("{}: {}{target}", row.metric, row.median));
        }
    }
    lab.drop_plane();
    say(&format!("wrote {}", output.join("benchmarks.md").display()));
    Ok(())
}
