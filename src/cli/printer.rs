//! The one place that prints: documents and tables on standard output, all else on standard error.

use std::fs::File;
use std::io::{self, IsTerminal as _, Write as _};
use std::os::fd::AsFd as _;

use super::env;
use super::failure::{Failure, Result};
use super::program;

/// When to colour.
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

/// Prints.
#[derive(Clone, Copy, Debug)]
pub(super) struct Printer {
    name: &'static str,
    quiet: bool,
    verbose: bool,
    color: bool,
}

impl Printer {
    /// `name` is how the program was called; `quiet` leaves warnings and errors.
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

    /// A document or a table. A reader that has gone (`| head`) is no failure.
    pub(super) fn output(bytes: &[u8]) -> Result<()> {
        // Not through std's buffer, which would keep a copy of a plaintext that nobody wipes.
        let written = io::stdout()
            .as_fd()
            .try_clone_to_owned()
            .and_then(|fd| File::from(fd).write_all(bytes));
        Self::printed(written)
    }

    /// What became of writing to standard output. A reader that has gone is no failure.
    pub(super) fn printed(written: io::Result<()>) -> Result<()> {
        match written {
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(Failure::failed(format!(
                "cannot write to standard output: {error}"
            ))),
            _ => Ok(()),
        }
    }

    /// What was done. Not with `-q`.
    pub(super) fn done(self, text: &str) {
        if !self.quiet {
            line(&printable(&program::advice(self.name, text)));
        }
    }

    /// What the person may want to know. Not with `-q`.
    pub(super) fn note(self, text: &str) {
        if !self.quiet {
            self.labelled("note", "36", text);
        }
    }

    /// What is probably not meant.
    pub(super) fn warning(self, text: &str) {
        self.labelled("warning", "33", text);
    }

    /// With `-v`.
    pub(super) fn detail(self, text: &str) {
        if self.verbose {
            self.labelled("debug", "2", text);
        }
    }

    /// A failure: what, why, and what to do.
    pub(super) fn failure(self, failure: &Failure) {
        self.labelled("error", "31", &failure.message);
        if let Some(detail) = &failure.detail {
            self.detail(detail);
        }
        if let Some(help) = &failure.help {
            self.labelled("help", "36", &self.advice(help));
        }
    }

    /// Advice as this program was called: `envelope` or `kubectl envelope`.
    pub(super) fn advice(self, text: &str) -> String {
        program::advice(self.name, text)
    }

    fn labelled(self, label: &str, color: &str, text: &str) {
        let text = printable(text);
        if self.color {
            line(&format!("\u{1b}[1;{color}m{label}:\u{1b}[0m {text}"));
        } else {
            line(&format!("{label}: {text}"));
        }
    }
}

fn line(text: &str) {
    // Nobody can be told when standard error is gone.
    let _ = writeln!(io::stderr(), "{text}");
}

/// Names out of documents and paths may hold control characters, which a terminal would obey.
pub(super) fn printable(text: &str) -> String {
    let allowed = |c: char| !c.is_control() || matches!(c, '\n' | '\t');
    text.chars()
        .map(|c| if allowed(c) { c } else { '\u{fffd}' })
        .collect()
}
