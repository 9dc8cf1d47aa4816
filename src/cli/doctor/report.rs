//! The report of `doctor`, for humans and for programs.

use std::fmt::Write as _;

use serde::Serialize;
use serde_json::{Map, Value};

use super::duty::Duty;
use crate::cli::failure::{Failure, Result};
use crate::cli::printer::{Printer, cell, printable};
use crate::kms::{Finding, KmsError, Severity};

/// One line of the report. Holds no secret value, key or credential.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Check {
    /// A provider (`local`, `tencent-kms`) or a KMS key by its URI.
    subject: String,
    /// `keyring`, `credentials`, `clock`, `state`, `rotation`, `generate`, `encrypt`, `decrypt`.
    #[serde(rename = "check")]
    name: &'static str,
    pub(super) result: Severity,
    pub(super) message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    advice: Option<String>,
    /// The same facts for programs, which need not parse the message.
    #[serde(skip_serializing_if = "Map::is_empty")]
    facts: Map<String, Value>,
}

impl Check {
    pub(super) fn new(
        subject: &str,
        name: &'static str,
        result: Severity,
        message: impl Into<String>,
    ) -> Self {
        Check {
            subject: subject.to_owned(),
            name,
            result,
            message: message.into(),
            advice: None,
            facts: Map::new(),
        }
    }

    /// An error of a KMS, with its advice. A note has none: it must not suggest granting what only the other duty
    /// needs.
    pub(super) fn of_error(
        subject: &str,
        name: &'static str,
        result: Severity,
        before: &str,
        error: &KmsError,
    ) -> Self {
        let check = Check::new(subject, name, result, format!("{before}{}", error.cause()));
        let check = match result {
            Severity::Note => check,
            Severity::Pass | Severity::Fail => check.advice(error.advice()),
        };
        check
            .fact("class", error.class.as_str())
            .fact("code", error.code.as_deref())
            .fact("requestId", error.request_id.as_deref())
    }

    /// A finding of a provider about itself.
    pub(super) fn of_finding(subject: &str, finding: Finding) -> Self {
        Check {
            advice: finding.advice,
            facts: finding.facts,
            ..Check::new(subject, finding.check, finding.severity, finding.message)
        }
    }

    #[must_use]
    pub(super) fn advice(mut self, advice: impl Into<String>) -> Self {
        self.advice = Some(advice.into());
        self
    }

    #[must_use]
    pub(super) fn fact(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.facts.insert(name.to_owned(), value.into());
        self
    }
}

/// The whole report.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Report {
    /// Whether nothing failed.
    ok: bool,
    /// The duties that were checked.
    r#for: Vec<Duty>,
    /// Where the KMS keys are configured: `--key`, `ENVELOPE_KEY`, `keyring PATH`.
    keys_from: String,
    /// The encryption context of the data keys that were wrapped.
    context: String,
    checks: Vec<Check>,
}

impl Report {
    pub(super) fn new(duties: &[Duty], keys_from: String, context: &str, checks: Vec<Check>) -> Self {
        Report {
            ok: checks.iter().all(|check| check.result != Severity::Fail),
            r#for: duties.to_vec(),
            keys_from,
            context: context.to_owned(),
            checks,
        }
    }

    pub(super) fn json(&self) -> Result<String> {
        serde_json::to_string_pretty(self)
            .map(|text| text + "\n")
            .map_err(|error| Failure::failed(format!("cannot write the report as JSON: {error}")))
    }

    /// Each subject, followed by its checks.
    pub(super) fn text(&self, printer: Printer) -> String {
        let widest = self.checks.iter().map(|check| check.name.len()).max();
        let widest = widest.unwrap_or(0);
        let mut out = String::new();
        let mut subject = "";
        for check in &self.checks {
            if check.subject != subject {
                subject = &check.subject;
                let _ = writeln!(out, "{}", printable(subject));
            }
            let (result, name) = (check.result.as_str(), check.name);
            let _ = writeln!(out, "  {result}  {name:widest$}  {}", cell(&check.message));
            if let Some(advice) = &check.advice {
                let advice = cell(&printer.advice(advice));
                let _ = writeln!(out, "        {:widest$}  help: {advice}", "");
            }
        }
        out
    }

    /// The result of the command: exit code 3 if a check failed.
    pub(super) fn result(&self) -> Result<()> {
        let failed = self.checks.iter().filter(|check| check.result == Severity::Fail);
        match failed.count() {
            0 => Ok(()),
            failed => Err(Failure::findings(format!(
                "{failed} of {} checks failed",
                self.checks.len()
            ))),
        }
    }
}
