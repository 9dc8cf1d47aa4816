//! Suite `live`: runs `tests/live` with the caller's credentials.

use std::process::Command;

use anyhow::{Result, bail};

use crate::{
    prerequisites::{Missing, Need, check},
    run::{cargo, run_lines},
};

/// How the last line of `tests/live` starts if a prerequisite is missing.
const NOT_RUN: &str = "not run: ";

/// The command that builds and runs the suite.
pub(crate) fn live_command() -> Command {
    cargo([
        "test",
        "--quiet",
        "--locked",
        "--features",
        "live-tests",
        "--test",
        "live",
    ])
}

pub(crate) fn live() -> Result<()> {
    check(&[Need::CCompiler, Need::TencentKey])?;
    let mut last = String::new();
    let done = run_lines(&mut live_command(), |line| line.clone_into(&mut last));
    match (done, last.strip_prefix(NOT_RUN)) {
        (Ok(()), _) => Ok(()),
        (Err(_), Some(why)) => bail!(Missing::reported(why)),
        (Err(error), None) if last.is_empty() => Err(error),
        (Err(_), None) => bail!(last), // more specific than cargo's exit status
    }
}
