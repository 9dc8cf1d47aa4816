//! Flags that several commands share. What they mean is decided in each command's own file.

use std::path::PathBuf;

use clap::{Args, ValueEnum, ValueHint};

use super::providers::ProviderArgs;

/// The manifests to read.
#[derive(Args)]
pub(super) struct InputArgs {
    /// Manifests to read, YAML or JSON; `-` is standard input, which is also read when no file is named
    #[arg(value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(super) files: Vec<PathBuf>,
    /// The same as FILE
    #[arg(short = 'f', long = "filename", value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(super) filename: Vec<PathBuf>,
}

/// Where an object belongs, for manifests that do not say it themselves.
#[derive(Args)]
pub(super) struct PlaceArgs {
    /// The namespace, where the manifest has none; the kubeconfig's is never used
    #[arg(short, long, value_name = "NAMESPACE")]
    pub(super) namespace: Option<String>,
    /// The object's name, where the manifest has none
    #[arg(long, value_name = "NAME")]
    pub(super) name: Option<String>,
}

/// Which KMS keys.
#[derive(Args)]
#[command(next_help_heading = "KMS keys")]
pub(super) struct KeyArgs {
    /// A KMS key by its URI, such as local://fa1975b2; repeat it for several, each of which opens alone
    ///
    /// Without it, ENVELOPE_KEY (URIs separated by commas), else the first key of the keyring seals.
    #[arg(long, value_name = "URI")]
    pub(super) key: Vec<String>,
    #[command(flatten)]
    pub(super) providers: ProviderArgs,
}

/// Where results go and how they look.
#[derive(Args)]
#[command(next_help_heading = "Output")]
pub(super) struct OutputArgs {
    /// The format; json where `--write` names a .json file, else yaml
    #[arg(short, long, value_name = "FORMAT", value_enum)]
    pub(super) output: Option<Format>,
    /// Write to this file instead of standard output, all at once
    #[arg(short, long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(super) write: Option<PathBuf>,
}

/// How documents are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    /// A YAML stream
    Yaml,
    /// One JSON object; several become a v1 List
    Json,
}
