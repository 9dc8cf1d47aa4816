//! The root command: every subcommand and the global flags.

use std::ffi::OsStr;

use clap::builder::Resettable;
use clap::{Args, CommandFactory as _, Parser, Subcommand};

use super::completions::{CompleteArgs, CompletionsArgs};
use super::controller::ControllerArgs;
use super::crd::CrdArgs;
use super::doctor::DoctorArgs;
use super::keys::KeysArgs;
use super::man::ManArgs;
use super::open::OpenArgs;
use super::printer::Color;
use super::program;
use super::seal::SealArgs;

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
    about = "Encrypt Kubernetes Secrets so they are safe to commit; a controller decrypts them in the cluster",
    after_help = "First steps:\n  \
        envelope keys create                              create a keyring with a local KMS key\n  \
        envelope seal -f secret.yaml -w sealed.yaml       encrypt a Secret; the result is safe to commit\n  \
        kubectl apply -f sealed.yaml                      the controller creates the Secret from it\n  \
        envelope open -f sealed.yaml                      decrypt it, with permission to use its KMS key",
    after_long_help = "First steps:\n  \
        envelope keys create                              create a keyring with a local KMS key\n  \
        envelope seal -f secret.yaml -w sealed.yaml       encrypt a Secret; the result is safe to commit\n  \
        kubectl apply -f sealed.yaml                      the controller creates the Secret from it\n  \
        envelope open -f sealed.yaml                      decrypt it, with permission to use its KMS key\n\n\
        Exit codes: 0 done; 1 failed; 2 usage or configuration; 3 completed with findings; 4 a KMS or the network failed \
        temporarily, worth repeating; 130 interrupted; 141 broken pipe.",
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
    /// Print details of what is done and why it failed
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
    #[command(hide = true)]
    Man(ManArgs),
    #[command(name = "__complete", hide = true)]
    Complete(CompleteArgs),
}

/// The definitions, with examples that name the program as it was invoked: `envelope` or `kubectl envelope`.
pub(super) fn command(name: &str) -> clap::Command {
    let command = ignore_blank_variables(Cli::command());
    if name == "envelope" {
        command
    } else {
        rename_in_examples(command, name).bin_name(name.to_owned())
    }
}

/// Makes a blank environment variable count as unset, for every flag (a chart renders an unused setting as `""`).
fn ignore_blank_variables(command: clap::Command) -> clap::Command {
    let is_blank = |variable: &OsStr| {
        let value = std::env::var_os(variable);
        value.is_some_and(|value| value.to_str().is_some_and(|text| text.trim().is_empty()))
    };
    command
        .mut_args(|arg| match arg.get_env() {
            Some(variable) if is_blank(variable) => arg.env(Resettable::Reset),
            _ => arg,
        })
        .mut_subcommands(ignore_blank_variables)
}

fn rename_in_examples(command: clap::Command, name: &str) -> clap::Command {
    let renamed = |text: &clap::builder::StyledStr| program::advice(name, &text.to_string());
    let after = command.get_after_help().map(renamed);
    let after_long = command.get_after_long_help().map(renamed);
    let mut command = command;
    if let Some(text) = after {
        command = command.after_help(text);
    }
    if let Some(text) = after_long {
        command = command.after_long_help(text);
    }
    command.mut_subcommands(|sub| rename_in_examples(sub, name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn definitions_pass_the_assertions_of_clap() {
        command("envelope").debug_assert();
        command("kubectl envelope").debug_assert();
    }

    #[test]
    fn help_of_the_plugin_names_kubectl() {
        let mut command = command("kubectl envelope");
        command.build();
        let help = command.render_long_help().to_string();
        assert!(help.contains("  kubectl envelope seal -f secret.yaml"), "{help}");
        let seal = command
            .find_subcommand_mut("seal")
            .map(|seal| seal.render_long_help().to_string());
        let help = seal.expect("seal");
        assert!(help.contains("Usage: kubectl envelope seal"), "{help}");
        assert!(help.contains("| kubectl envelope seal\n"), "{help}");
        assert!(
            !help.replace("kubectl envelope", "").contains("envelope seal"),
            "{help}"
        );
    }
}
