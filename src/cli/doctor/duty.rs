//! What the examined credentials are for.

use clap::ValueEnum;
use serde::Serialize;

/// The duty of an identity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub(super) enum Duty {
    /// Sealing: a person or a pipeline
    Seal,
    /// Opening: a controller
    Open,
}
