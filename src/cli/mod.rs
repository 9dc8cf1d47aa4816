//! The command line: one file a subcommand. What was typed (clap's types) becomes what it means once, in the
//! subcommand's own file; everything is printed by `printer`; a failure says what, why, and what to do.

#![expect(
    clippy::doc_markdown,
    reason = "comments on clap's types are help texts for a terminal"
)]

mod args;
mod clock;
mod completions;
mod controller;
mod crd;
mod doctor;
mod env;
mod failure;
mod failures;
mod git;
mod input;
mod keychain;
mod keys;
mod open;
mod output;
mod place;
mod printer;
pub mod process;
mod program;
mod reference;
mod seal;
mod table;
mod tencent;

use std::ffi::OsString;

use clap::{CommandFactory as _, FromArgMatches as _};

use args::{Cli, Command};
pub use failure::{Exit, Failure};
use printer::{Color, Printer};
use program::Program;
pub use reference::markdown;
#[cfg(feature = "live-tests")]
pub use tencent::of_variables as tencent_kms_of_variables;

/// Parses the whole argument list and runs the command. All failures have been printed when it returns.
pub fn run(argv: &[OsString]) -> Exit {
    let program = Program::new(argv);
    let cli = match command(program.name())
        .try_get_matches_from(argv)
        .and_then(|m| Cli::from_arg_matches(&m))
    {
        Ok(cli) => cli,
        Err(error) => {
            let printed = error.print();
            if error.use_stderr() {
                // Nobody can be told when standard error is gone.
                return Exit::Usage;
            }
            // Help and version are no errors, and go to standard output.
            return match Printer::printed(printed) {
                Ok(()) => Exit::Done,
                Err(failure) => {
                    Printer::new(program.name(), false, false, Color::Auto).failure(&failure);
                    failure.exit
                }
            };
        }
    };
    let globals = &cli.globals;
    let printer = Printer::new(program.name(), globals.quiet, globals.verbose, globals.color);
    match dispatch(&cli.command, &program, printer) {
        Ok(()) => Exit::Done,
        Err(failure) => {
            printer.failure(&failure);
            failure.exit
        }
    }
}

fn dispatch(command: &Command, program: &Program, printer: Printer) -> failure::Result<()> {
    match command {
        Command::Seal(args) => block_on(seal::run(args, program, printer)),
        Command::Open(args) => block_on(open::run(args, program, printer)),
        Command::Keys(args) => block_on(keys::run(args, printer)),
        Command::Doctor(args) => block_on(doctor::run(args, printer)),
        Command::Crd(args) => crd::run(args),
        Command::Controller(args) => controller::run(args),
        Command::Completions(args) => completions::run(args, self::command("envelope")),
        Command::Reference => Printer::output(markdown().as_bytes()),
        Command::Complete(args) => completions::complete(args, self::command(program.name())),
    }
}

/// Commands that end by themselves need one thread.
fn block_on<T>(work: impl Future<Output = failure::Result<T>>) -> failure::Result<T> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::failed(format!("cannot start: {error}")))?
        .block_on(work)
}

/// The definitions, with examples that speak as the program was called.
fn command(name: &'static str) -> clap::Command {
    let command = Cli::command();
    if name == "envelope" {
        command
    } else {
        speaking_as(command, name).bin_name(name)
    }
}

fn speaking_as(command: clap::Command, name: &str) -> clap::Command {
    let spoken = |text: &clap::builder::StyledStr| program::advice(name, &text.to_string());
    let after = command.get_after_help().map(spoken);
    let after_long = command.get_after_long_help().map(spoken);
    let mut command = command;
    if let Some(text) = after {
        command = command.after_help(text);
    }
    if let Some(text) = after_long {
        command = command.after_long_help(text);
    }
    command.mut_subcommands(|sub| speaking_as(sub, name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_definitions_are_sound() {
        command("envelope").debug_assert();
        command("kubectl envelope").debug_assert();
    }

    #[test]
    fn the_plugin_speaks_as_kubectl() {
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
