//! The duties that credentials can have.

use clap::ValueEnum;
use serde::Serialize;

/// What an identity is meant to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub(super) enum Duty {
    /// Sealing: a person or a pipeline
    Seal,
    /// Opening: a controller
    Open,
}
