//! The only module that prints: documents and tables to standard output, everything else to standard error.

use std::fs::File;
use std::io::{self, IsTerminal as _, Write as _};
use std::os::fd::AsFd as _;

use super::env;
use super::failure::{Failure, Result};
use super::process;
use super::program;

/// When to use colours.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Color {
    /// On a terminal, unless `NO_COLOR` is set
    #[default]
    Auto,
    /// Always
    Always,
    /// Never
    Never,
}

/// Prints messages in the style that the global flags ask for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Printer {
    name: &'static str,
    quiet: bool,
    verbose: bool,
    color: bool,
}

impl Printer {
    /// `name` is the name of the program in advice; with `quiet`, only warnings and errors are printed.
    pub(super) fn new(name: &'static str, quiet: bool, verbose: bool, color: Color) -> Self {
        let color = match color {
            Color::Always => true,
            Color::Never => false,
            Color::Auto => !env::is_set(env::NO_COLOR) && io::stderr().is_terminal(),
        };
        Printer {
            name,
            quiet,
            verbose,
            color,
        }
    }

    /// Whether standard output is a terminal.
    pub(super) fn to_terminal() -> bool {
        io::stdout().is_terminal()
    }

    /// Prints a document or a table. Ends the process if the reader has closed the pipe (`| head`).
    pub(super) fn output(bytes: &[u8]) -> Result<()> {
        // Not through std's buffer, which would keep a copy of plaintext that is never wiped.
        let written = io::stdout()
            .as_fd()
            .try_clone_to_owned()
            .and_then(|fd| File::from(fd).write_all(bytes));
        Self::printed(written)
    }

    /// The result of writing to standard output. Ends the process on a broken pipe, silently and as SIGPIPE does: the
    /// output was not used, so the command has not succeeded.
    pub(super) fn printed(written: io::Result<()>) -> Result<()> {
        written.map_err(|error| {
            if error.kind() == io::ErrorKind::BrokenPipe {
                process::end_by_broken_pipe();
            }
            Failure::failed(format!("cannot write to standard output: {error}"))
        })
    }

    /// Prints what was done, unless `-q` is set.
    pub(super) fn done(self, text: &str) {
        if !self.quiet {
            line(&one_line(&program::advice(self.name, text)));
        }
    }

    /// Prints something worth knowing, unless `-q` is set.
    pub(super) fn note(self, text: &str) {
        if !self.quiet {
            self.labelled("note", "36", text);
        }
    }

    /// Prints a warning about something that is probably unintended.
    pub(super) fn warning(self, text: &str) {
        self.labelled("warning", "33", text);
    }

    /// Prints a detail if `-v` is set.
    pub(super) fn detail(self, text: &str) {
        if self.verbose {
            self.labelled("debug", "2", text);
        }
    }

    /// Prints a failure with its advice.
    pub(super) fn failure(self, failure: &Failure) {
        self.labelled("error", "31", &failure.message);
        if let Some(detail) = &failure.detail {
            self.detail(detail);
        }
        if let Some(help) = &failure.help {
            self.labelled("help", "36", &self.advice(help));
        }
    }

    /// Prints an error of clap, whose arguments are each on one line already.
    pub(super) fn invalid_arguments(self, error: &clap::Error) {
        let text = error.render();
        let text = if self.color {
            text.ansi().to_string()
        } else {
            text.to_string()
        };
        line(without_commands(&text).trim_end());
    }

    /// Advice with the program's name as it was invoked: `envelope` or `kubectl envelope`.
    pub(super) fn advice(self, text: &str) -> String {
        program::advice(self.name, text)
    }

    fn labelled(self, label: &str, color: &str, text: &str) {
        let text = one_line(text);
        if self.color {
            line(&format!("\u{1b}[1;{color}m{label}:\u{1b}[0m {text}"));
        } else {
            line(&format!("{label}: {text}"));
        }
    }
}

fn line(text: &str) {
    // If standard error is closed, there is no way to report it.
    let _ = writeln!(io::stderr(), "{text}");
}

/// Keeps a text on one line: a name or path with a line feed must not look like another message. Nor must it look like a
/// command to a CI system: `::error` at the start of a line, `##[error]` or `##vso[...]` anywhere.
pub(super) fn one_line(text: &str) -> String {
    let text = without_commands(&printable(text)).replace('\n', "\\n");
    if text.trim_start().starts_with("::") {
        format!("\u{fffd}{text}")
    } else {
        text
    }
}

/// Breaks the marks of commands to Azure Pipelines, TeamCity and old versions of GitHub's runner, which may be anywhere in
/// a line.
fn without_commands(text: &str) -> String {
    text.replace("##", "# #")
}

/// A text in a table: text from a cloud must neither control the terminal nor forge another line.
pub(super) fn cell(text: &str) -> String {
    printable(text).replace(['\n', '\t'], " ")
}

/// Replaces characters that a terminal would interpret: names from documents and paths may contain them.
pub(super) fn printable(text: &str) -> String {
    let reorders = |c: char| matches!(c, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    let allowed = |c: char| !(c.is_control() || reorders(c)) || matches!(c, '\n' | '\t');
    text.chars()
        .map(|c| if allowed(c) { c } else { '\u{fffd}' })
        .collect()
}
