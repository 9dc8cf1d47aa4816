use super::failure::{Exit, Failure, Result};
use super::printer::Printer;

/// The failures of several files: each is told at once, and the command ends with one code.
pub(super) struct Failures {
    several: bool,
    printer: Printer,
    exits: Vec<Exit>,
}

impl Failures {
    pub(super) fn new(inputs: usize, printer: Printer) -> Self {
        Failures {
            several: inputs > 1,
            printer,
            exits: Vec::new(),
        }
    }

    /// Expects several failures from now on: the input has several documents.
    pub(super) fn expect_several(&mut self) {
        self.several = true;
    }

    pub(super) fn none(&self) -> bool {
        self.exits.is_empty()
    }

    /// One of several is told, and the work goes on; the only one ends the command.
    pub(super) fn add(&mut self, failure: Failure) -> Result<()> {
        if !self.several {
            return Err(failure);
        }
        self.printer.failure(&failure);
        self.exits.push(failure.exit);
        Ok(())
    }

    /// 1 when a file failed, but 4 when repeating the command is all that is needed.
    pub(super) fn end(self, to_file: bool) -> Result<()> {
        if self.exits.is_empty() {
            return Ok(());
        }
        let failed = self.exits.len();
        let all_pass = self.exits.iter().all(|exit| *exit == Exit::Temporary);
        let written = if to_file { "; nothing was written" } else { "" };
        let exit = if all_pass { Exit::Temporary } else { Exit::Failed };
        Err(Failure {
            exit,
            ..Failure::failed(format!("{failed} failed, see above{written}"))
        })
    }
}
