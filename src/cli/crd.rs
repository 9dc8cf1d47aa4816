//! `crd`: prints the CustomResourceDefinition.

use clap::Args;

use super::args::Format;
use super::failure::{Failure, Result};
use super::printer::Printer;
use crate::api;
use crate::manifest;

/// Print the CustomResourceDefinition of EnvelopeSecret; apply it before the controller starts
#[derive(Args)]
#[command(after_help = "Example:\n  envelope crd | kubectl apply --server-side -f -")]
pub(super) struct CrdArgs {
    /// The format
    #[arg(short, long, value_name = "FORMAT", value_enum, default_value = "yaml")]
    output: Format,
}

/// Runs it.
pub(super) fn run(args: &CrdArgs) -> Result<()> {
    let failed = |error: &dyn std::fmt::Display| Failure::failed(format!("cannot write the CRD: {error}"));
    match args.output {
        Format::Yaml => Printer::output(api::crd_yaml().map_err(|error| failed(&error))?.as_bytes()),
        Format::Json => {
            let text = serde_json::to_string(&api::crd()).map_err(|error| failed(&error))?;
            Printer::output(manifest::to_json_pretty(&manifest::from_json(&text)?).expose())
        }
    }
}
