//! The failures of a batch: each is reported immediately, and the batch ends with one exit code.

use super::failure::{Exit, Failure, Result};
use super::printer::Printer;

/// The failures of one command.
pub(super) struct Failures {
    is_batch: bool,
    printer: Printer,
    exits: Vec<Exit>,
}

impl Failures {
    /// Several `inputs` are a batch.
    pub(super) fn new(inputs: usize, printer: Printer) -> Self {
        Failures {
            is_batch: inputs > 1,
            printer,
            exits: Vec::new(),
        }
    }

    /// Makes this a batch: one input has several documents.
    pub(super) fn expect_several(&mut self) {
        self.is_batch = true;
    }

    pub(super) fn is_empty(&self) -> bool {
        self.exits.is_empty()
    }

    /// In a batch, reports the failure, so that the work continues. Otherwise returns it.
    pub(super) fn add(&mut self, failure: Failure) -> Result<()> {
        if !self.is_batch {
            return Err(failure);
        }
        self.printer.failure(&failure);
        self.exits.push(failure.exit);
        Ok(())
    }

    /// The result of the batch: exit code 1, or 4 if every failure is retryable. `to_file`: whether the results would
    /// have been written to a file.
    pub(super) fn finish(self, to_file: bool) -> Result<()> {
        if self.exits.is_empty() {
            return Ok(());
        }
        let failed = self.exits.len();
        let all_retryable = self.exits.iter().all(|exit| *exit == Exit::Retryable);
        let written = if to_file { "; nothing was written" } else { "" };
        let exit = if all_retryable {
            Exit::Retryable
        } else {
            Exit::Failed
        };
        Err(Failure {
            exit,
            ..Failure::failed(format!("{failed} failed, see above{written}"))
        })
    }
}
