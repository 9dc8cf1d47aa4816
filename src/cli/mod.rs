//! The command line: one file per subcommand, which defines and resolves its arguments. All output goes through
//! `printer`.

#![expect(
    clippy::doc_markdown,
    reason = "doc comments on clap's types are help texts for a terminal"
)]

mod args;
mod arguments;
mod broker;
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
mod man;
mod metrics;
mod open;
mod output;
mod place;
mod printer;
pub mod process;
mod program;
mod prompt;
mod providers;
mod reference;
mod root;
mod seal;
mod table;

use std::ffi::OsString;

use clap::FromArgMatches as _;

pub use failure::{Exit, Failure};
use printer::{Color, Printer};
use program::Program;
use root::{Cli, Command};

/// Parses the whole argument list and runs the command. Failures have been printed when it returns.
pub fn run(argv: &[OsString]) -> Exit {
    let program = Program::new(argv);
    let mut command = root::command(program.name());
    command.build();
    let argv = arguments::without_blank_flags(argv, &command);
    if let Err(failure) = arguments::check_variables(&argv, &command) {
        return report(&program, &failure);
    }
    let parsed = command
        .clone()
        .try_get_matches_from(&argv)
        .and_then(|matches| Cli::from_arg_matches(&matches));
    let cli = match parsed {
        Ok(cli) => cli,
        Err(error) => {
            if let Some(failure) = arguments::invalid_variable(&error, &argv, &command) {
                return report(&program, &failure);
            }
            if error.use_stderr() {
                default_printer(&program).invalid_arguments(&arguments::on_one_line(error));
                return Exit::Usage;
            }
            // Help and version are not errors and go to standard output.
            let printed = if Printer::to_terminal() {
                Printer::printed(error.print())
            } else {
                // clap's printer does not report a closed standard output.
                Printer::output(error.render().to_string().as_bytes())
            };
            return match printed {
                Ok(()) => Exit::Done,
                Err(failure) => report(&program, &failure),
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

/// Prints a failure that precedes the global flags.
fn report(program: &Program, failure: &Failure) -> Exit {
    default_printer(program).failure(failure);
    failure.exit
}

fn default_printer(program: &Program) -> Printer {
    Printer::new(program.name(), false, false, Color::Auto)
}

/// Returns the text of docs/cli.md.
pub fn markdown() -> String {
    reference::markdown(root::command("envelope"))
}

fn dispatch(command: &Command, program: &Program, printer: Printer) -> failure::Result<()> {
    match command {
        Command::Seal(args) => block_on(seal::run(args, program, printer)),
        Command::Open(args) => block_on(open::run(args, program, printer)),
        Command::Keys(args) => block_on(keys::run(args, printer)),
        Command::Doctor(args) => block_on(doctor::run(args, printer)),
        Command::Crd(args) => crd::run(args),
        Command::Controller(args) => controller::run(args, program),
        Command::Completions(args) => completions::run(args, root::command("envelope")),
        Command::Reference => Printer::output(markdown().as_bytes()),
        Command::Man(args) => man::run(args, root::command("envelope")),
        Command::Complete(args) => completions::complete(args, root::command(program.name())),
    }
}

/// Runs a command that terminates on its own; one thread is enough.
fn block_on<T>(work: impl Future<Output = failure::Result<T>>) -> failure::Result<T> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::failed(format!("cannot start: {error}")))?
        .block_on(work)
}
