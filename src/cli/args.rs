//! Flags that several commands share. Each command resolves them in its own file.

use std::path::PathBuf;

use clap::builder::{OsStringValueParser, TypedValueParser as _};
use clap::{Args, ValueEnum, ValueHint};

use super::providers::ProviderArgs;
use crate::paths;

/// Parses a path of a flag or argument: `~/` at its start is the home directory.
pub(super) fn path_parser() -> impl clap::builder::TypedValueParser<Value = PathBuf> {
    OsStringValueParser::new().try_map(|path| paths::resolve(&path))
}

/// The manifests to read.
#[derive(Args)]
pub(super) struct InputArgs {
    /// Manifests to read, YAML or JSON; `-` is standard input, which is also read if no file is given
    #[arg(value_name = "FILE", value_hint = ValueHint::FilePath, value_parser = path_parser())]
    pub(super) files: Vec<PathBuf>,
    /// The same as FILE
    #[arg(short = 'f', long = "filename", value_name = "FILE", value_hint = ValueHint::FilePath, value_parser = path_parser())]
    pub(super) filename: Vec<PathBuf>,
}

/// Namespace and name of an object, for manifests that lack them.
#[derive(Args)]
pub(super) struct PlaceArgs {
    /// The namespace, if the manifest has none; the namespace of the kubeconfig is never used
    #[arg(short, long, value_name = "NAMESPACE")]
    pub(super) namespace: Option<String>,
    /// The name of the object, if the manifest has none
    #[arg(long, value_name = "NAME")]
    pub(super) name: Option<String>,
}

/// The KMS keys to use.
#[derive(Args)]
#[command(next_help_heading = "KMS keys")]
pub(super) struct KeyArgs {
    /// A KMS key by its URI, such as local://fa1975b2; repeat the flag for several, any of which can open alone
    ///
    /// Defaults to ENVELOPE_KEY (URIs separated by commas), then to the first KMS key of the keyring.
    #[arg(long, value_name = "URI")]
    pub(super) key: Vec<String>,
    #[command(flatten)]
    pub(super) providers: ProviderArgs,
}

/// Destination and format of the results.
#[derive(Args)]
#[command(next_help_heading = "Output")]
pub(super) struct OutputArgs {
    /// The format; json where `--write` names a .json file, else yaml
    #[arg(short, long, value_name = "FORMAT", value_enum)]
    pub(super) output: Option<Format>,
    /// Write to this file, atomically, instead of standard output
    #[arg(short, long, value_name = "FILE", value_hint = ValueHint::FilePath, value_parser = path_parser())]
    pub(super) write: Option<PathBuf>,
}

/// The format of documents.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    /// A YAML stream
    Yaml,
    /// One JSON object; several results become a v1 List
    Json,
}
