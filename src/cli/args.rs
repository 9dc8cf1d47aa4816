//! What can be typed: the commands, and the flags that several of them share. What it means is settled once, in
//! each command's own file.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum, ValueHint};

use super::completions::{CompleteArgs, CompletionsArgs};
use super::controller::ControllerArgs;
use super::crd::CrdArgs;
use super::doctor::DoctorArgs;
use super::keys::KeysArgs;
use super::open::OpenArgs;
use super::printer::Color;
use super::seal::SealArgs;
use super::tencent::TencentArgs;

/// `0.1.0 (commit 0123456789ab, formats es1)`.
const VERSION: &str = concat!(
    env!("CARGO_PKG_VERSION"),
    " (commit ",
    env!("ENVELOPE_COMMIT"),
    ", formats es1)"
);

/// The whole command line.
#[derive(Parser)]
#[command(
    name = "envelope",
    version = VERSION,
    about = "Seal Kubernetes Secrets so that they can lie in Git; only a KMS key opens them",
    after_help = "First steps:\n  \
        envelope keys create                              a keyring of your own, to begin with\n  \
        envelope seal -f secret.yaml -w sealed.yaml       safe to commit\n  \
        kubectl apply -f sealed.yaml                      the controller makes the Secret of it\n  \
        envelope open -f sealed.yaml                      what is in it, for whoever may use its KMS key",
    after_long_help = "First steps:\n  \
        envelope keys create                              a keyring of your own, to begin with\n  \
        envelope seal -f secret.yaml -w sealed.yaml       safe to commit\n  \
        kubectl apply -f sealed.yaml                      the controller makes the Secret of it\n  \
        envelope open -f sealed.yaml                      what is in it, for whoever may use its KMS key\n\n\
        Exit codes: 0 done; 1 failed; 2 usage or configuration; 3 looked and found something; 4 a KMS or the network failed in a way that \
        passes, worth repeating; 130 interrupted.",
    subcommand_required = true,
    arg_required_else_help = true,
    max_term_width = 100
)]
pub(super) struct Cli {
    #[command(flatten)]
    pub(super) globals: Globals,
    #[command(subcommand)]
    pub(super) command: Command,
}

#[derive(Args)]
#[command(next_help_heading = "Messages")]
pub(super) struct Globals {
    /// Print errors and warnings only
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    pub(super) quiet: bool,
    /// Print more about what is done and why it failed
    #[arg(short, long, global = true)]
    pub(super) verbose: bool,
    /// When to use colours
    #[arg(long, global = true, value_name = "WHEN", value_enum, default_value_t)]
    pub(super) color: Color,
}

#[derive(Subcommand)]
pub(super) enum Command {
    Seal(SealArgs),
    Open(OpenArgs),
    Keys(KeysArgs),
    Doctor(DoctorArgs),
    Crd(CrdArgs),
    Controller(ControllerArgs),
    Completions(CompletionsArgs),
    /// Print the reference of this command line (docs/cli.md)
    #[command(hide = true)]
    Reference,
    #[command(name = "__complete", hide = true)]
    Complete(CompleteArgs),
}

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
    pub(super) keyring: KeyringArgs,
    #[command(flatten)]
    pub(super) tencent: TencentArgs,
}

/// Which keyring.
#[derive(Args)]
pub(super) struct KeyringArgs {
    /// The keyring file of local keys
    ///
    /// Without it, ENVELOPE_KEYRING, else ~/.config/envelope-secrets/keyring where that is there.
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(super) keyring: Option<PathBuf>,
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
