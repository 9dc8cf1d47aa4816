//! Suite `live`: `tests/live`, with the caller's credentials.

use std::process::Command;

use anyhow::{Result, bail};

use crate::{
    prerequisites::{Missing, Need, check},
    run::{cargo, run_lines},
};

/// How `tests/live` says that nobody could be asked.
const NOT_RUN: &str = "not run: ";

/// Builds and runs it.
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
        (Err(_), Some(why)) => bail!(Missing::told(why)),
        (Err(error), None) if last.is_empty() => Err(error),
        (Err(_), None) => bail!(last), // what cargo says of it says less
    }
}
