//! `doctor`: checks whether the chosen KMS keys can be used from this host.

mod duty;
mod key;
mod report;

use clap::{Args, ValueEnum};
use futures::future::join_all;

use super::args::KeyArgs;
use super::failure::Result;
use super::git;
use super::keychain::{Selection, Unusable, Why};
use super::printer::Printer;
use crate::envelope::{Binding, EncryptionContext, Scope};
use crate::kms::{Caller, Capability, Evidence, Finding, KeyUri, Registry, Severity, action, can};
use duty::Duty;
use key::Examination;
use report::{Check, Report};

/// The audience in the context of what is wrapped. No document uses it, and it is recognizable in an audit log.
const AUDIENCE: &str = "envelope-doctor";

/// Check KMS keys: credentials, clock, state, sealing and opening
///
/// Describes each KMS key that `seal` would choose, wraps a data key under it as `seal` does, and unwraps it as the
/// controller does. The first KMS key generates the data key, the others encrypt one. The data keys are discarded; no
/// document is read or written. If sealing and opening are the duties of two identities, use `--for` to name the duty
/// of these credentials: what only the other identity needs is then a note, not a failure. `--for open` checks a named
/// keyring file as the controller does, whose file is mounted: a group may read it, and anyone may own it.
#[derive(Args)]
#[command(after_help = "Examples:\n  \
    envelope doctor\n  \
    envelope doctor --key tencent-kms://ap-guangzhou/23e80852-1e38-11e9-b129-5cb9019b4b01 --for seal\n  \
    envelope doctor -o json")]
pub(super) struct DoctorArgs {
    /// The duty of these credentials; defaults to both
    #[arg(long = "for", value_name = "DUTY", value_enum)]
    duty: Option<Duty>,
    /// The format
    #[arg(short, long, value_name = "FORMAT", value_enum, default_value_t)]
    output: ReportFormat,
    #[command(flatten)]
    keys: KeyArgs,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum ReportFormat {
    /// For humans
    #[default]
    Text,
    /// For programs
    Json,
}

/// Runs it.
pub(super) async fn run(args: &DoctorArgs, printer: Printer) -> Result<()> {
    let duties = args
        .duty
        .map_or_else(|| vec![Duty::Seal, Duty::Open], |duty| vec![duty]);
    let context = Binding::new(Scope::ClusterWide, Some(AUDIENCE), "", "").context();
    let caller = match args.duty {
        Some(Duty::Open) => Caller::ControllerCheck,
        Some(Duty::Seal) | None => Caller::CommandLine,
    };
    let selection = Selection::new(&args.keys, caller)?;
    let is_broken = |unusable: &Unusable| matches!(unusable.why, Why::Broken(_));
    if selection.keys.is_empty() && !selection.unusable.iter().any(is_broken) {
        return Err(selection.nothing_to_seal_with());
    }
    printer.done(&format!(
        "KMS keys from {}; everything is wrapped with the context {}",
        selection.source,
        context.as_str()
    ));
    let mut checks: Vec<Check> = selection.unusable.iter().map(unusable).collect();
    let examined = examine(&selection.keys, &selection.registry, &duties, &context).await?;
    for (scheme, kms) in selection.registry.iter() {
        let of_it = || examined.iter().filter(|found| found.key.scheme() == scheme);
        let evidence = Evidence {
            unauthenticated: of_it().find_map(|found| found.unauthenticated.as_ref()),
            authenticated: of_it().any(|found| found.authenticated),
        };
        let findings = kms.diagnose(&evidence).into_iter().map(committed);
        checks.extend(findings.map(|finding| Check::of_finding(scheme, finding)));
    }
    checks.extend(examined.into_iter().flat_map(|found| found.checks));
    let report = Report::new(&duties, selection.source, context.as_str(), checks);
    let text = match args.output {
        ReportFormat::Text => report.text(printer),
        ReportFormat::Json => report.json()?,
    };
    Printer::output(text.as_bytes())?;
    report.result()
}

/// Examines all keys concurrently: each has a region and a latency of its own.
async fn examine(
    keys: &[KeyUri],
    registry: &Registry,
    duties: &[Duty],
    context: &EncryptionContext,
) -> Result<Vec<Examination>> {
    let mut examinations = Vec::with_capacity(keys.len());
    for (index, key) in keys.iter().enumerate() {
        // A keyring that cannot be used has a line of its own; nothing more is known about its keys.
        if can(key, Capability::ConfiguredKeysOnly) && registry.provider(key).is_none() {
            continue;
        }
        let kms = registry.require(key, action::DESCRIBE_KEY)?;
        examinations.push(key::examine(kms.as_ref(), key, index == 0, duties, context));
    }
    Ok(join_all(examinations).await)
}

/// A keyring that cannot be used: it is missing, others can read it, a line is invalid.
fn unusable(unusable: &Unusable) -> Check {
    let subject = unusable.provider.scheme();
    match &unusable.why {
        Why::Absent(why) => Check::new(subject, "keyring", Severity::Fail, why.as_str())
            .advice(unusable.provider.setup_advice()),
        Why::Broken(error) => {
            let check = Check::new(subject, "keyring", Severity::Fail, error.message.as_str());
            let check = check.advice(error.advice.as_str());
            match &error.file {
                Some(file) => check.fact("file", file.display().to_string()),
                None => check,
            }
        }
    }
}

/// Fails a finding about a key file that Git would commit.
fn committed(finding: Finding) -> Finding {
    match &finding.file {
        Some(file) if git::would_commit(file) => Finding {
            severity: Severity::Fail,
            message: format!("{} is in a Git work tree that does not ignore it", file.display()),
            advice: Some(
                "keep it outside the repository, or add it to .gitignore; if it was committed, anyone with the \
                 repository knows its KMS keys"
                    .to_owned(),
            ),
            ..finding
        },
        _ => finding,
    }
}
