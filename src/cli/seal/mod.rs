//! `seal`: encrypts Secrets into EnvelopeSecrets.

mod batch;
mod document;
mod entries;
mod leaks;

use clap::{Args, ValueEnum, ValueHint};

use std::path::PathBuf;

use super::args::{InputArgs, KeyArgs, OutputArgs, PlaceArgs, path_parser};
use super::clock;
use super::failure::{Failure, Result};
use super::failures::Failures;
use super::input::{self, Input, StdinGuard};
use super::keychain::Recipients;
use super::output::{Output, Piece, join};
use super::place::PlaceRule;
use super::printer::Printer;
use super::program::Program;
use crate::envelope::Scope;
use crate::envelope::names::is_audience;
use crate::files::{Overwrite, Public};
use crate::manifest::{AliasBudget, Aliases, Part, SecretInput, Treatment};
use batch::Batch;
use document::Sealer;
use entries::{EntrySource, Newlines};
use leaks::LeakCheck;

/// Seal Secrets: encrypt them into EnvelopeSecrets that are safe to commit
///
/// Reads Secret manifests (or values with --from-*), and prints an EnvelopeSecret for each. Every value is encrypted;
/// names, type, labels and annotations stay readable. Other manifests pass through unchanged, unless they look like a
/// Secret in plaintext or contain a value that is sealed.
#[derive(Args)]
#[expect(clippy::struct_excessive_bools, reason = "one for each flag")]
#[command(after_help = "Examples:\n  \
    envelope seal -f secret.yaml -w sealed.yaml\n  \
    kubectl get secret db -n prod -o yaml | envelope seal\n  \
    envelope seal --name db -n prod --from-literal password\n  \
    envelope seal --name web -n prod --from-file tls.crt --from-file tls.key")]
pub(super) struct SealArgs {
    #[command(flatten)]
    input: InputArgs,
    #[command(flatten)]
    place: PlaceArgs,
    /// Where the sealed document can be opened
    #[arg(long, value_enum, default_value_t)]
    scope: ScopeWord,
    /// Only controllers that accept this audience open the document; without it, only those without an audience
    #[arg(long, value_name = "AUDIENCE")]
    audience: Option<String>,
    /// The Secret's type if the manifest has none, such as kubernetes.io/tls
    #[arg(long = "type", value_name = "TYPE")]
    type_: Option<String>,
    /// Add an entry with a file's content, byte for byte; named after the file unless NAME is given
    #[arg(long, value_name = "[NAME=]PATH", value_hint = ValueHint::FilePath, conflicts_with_all = ["files", "filename"])]
    from_file: Vec<String>,
    /// Add entries from the lines NAME=value of a file; quotes are part of the value
    #[arg(long, value_name = "PATH", value_hint = ValueHint::FilePath, value_parser = path_parser(), conflicts_with_all = ["files", "filename"])]
    from_env_file: Vec<PathBuf>,
    /// Add an entry and prompt for its value without echo; NAME=- reads it from standard input
    #[arg(long, value_name = "NAME", conflicts_with_all = ["files", "filename"])]
    from_literal: Vec<String>,
    /// Accept a Secret without data
    #[arg(long)]
    allow_empty: bool,
    /// Pass documents through, with a warning each, even if they look like Secrets in plaintext
    #[arg(long)]
    pass_plain: bool,
    /// Replace the file of --write
    #[arg(long)]
    force: bool,
    /// Remove one line ending from the end of each value that is read from a file or pipe
    #[arg(long)]
    trim: bool,
    #[command(flatten)]
    output: OutputArgs,
    #[command(flatten)]
    keys: KeyArgs,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum ScopeWord {
    /// Only under its own namespace and name
    #[default]
    Strict,
    /// Under any name in its namespace
    NamespaceWide,
    /// In every namespace
    ClusterWide,
}

impl From<ScopeWord> for Scope {
    fn from(word: ScopeWord) -> Self {
        match word {
            ScopeWord::Strict => Scope::Strict,
            ScopeWord::NamespaceWide => Scope::NamespaceWide,
            ScopeWord::ClusterWide => Scope::ClusterWide,
        }
    }
}

/// The origin of the Secrets.
enum Source {
    Manifests(Vec<Input>),
    Entries(Vec<EntrySource>),
}

/// Runs the command.
pub(super) async fn run(args: &SealArgs, program: &Program, printer: Printer) -> Result<()> {
    let mut guard = StdinGuard::default();
    let rule = PlaceRule::new(&args.place, program)?;
    let entries = EntrySource::all(
        &args.from_file,
        &args.from_env_file,
        &args.from_literal,
        &mut guard,
    )?;
    let source = if entries.is_empty() {
        Source::Manifests(input::manifests(&args.input, &mut guard)?)
    } else {
        // Before any prompt or read.
        rule.needs_name()?;
        Source::Entries(entries)
    };
    let output = Output::choose(&args.output)?;
    let overwrite = if args.force {
        Overwrite::Replace
    } else {
        output.must_be_new("choose another name, or replace the whole file with --force")?;
        Overwrite::Never
    };
    if let Some(audience) = args.audience.as_deref().filter(|audience| !is_audience(audience)) {
        return Err(
            Failure::usage(format!("--audience {audience:?} is not a valid audience")).help(
                "an audience has 1 to 63 of a-z, 0-9, `-` and `.`, with a letter or digit at both ends",
            ),
        );
    }
    let newlines = if args.trim { Newlines::Trim } else { Newlines::Warn };
    let sealer = Sealer {
        scope: args.scope.into(),
        audience: args.audience.clone(),
        type_: args.type_.clone(),
        allow_empty: args.allow_empty,
        recipients: Recipients::choose(&args.keys)?,
        place: rule,
        printer,
    };
    let target = Target {
        output,
        overwrite,
        printer,
    };
    let done = match source {
        Source::Entries(entries) => seal_entries(&sealer, &entries, newlines, &target).await,
        Source::Manifests(inputs) => seal_manifests(&sealer, &inputs, args.pass_plain, &target).await,
    };
    clock::warn(sealer.recipients.registry.clocks(), printer);
    done
}

/// Where the result goes.
struct Target {
    output: Output,
    overwrite: Overwrite,
    printer: Printer,
}

impl Target {
    fn write(&self, bytes: &[u8]) -> Result<()> {
        self.output
            .write_public(Public(bytes), self.overwrite, self.printer)
    }
}

async fn seal_entries(
    sealer: &Sealer,
    entries: &[EntrySource],
    newlines: Newlines,
    target: &Target,
) -> Result<()> {
    let secret = SecretInput {
        entries: entries::read(entries, newlines, sealer.printer)?,
        ..SecretInput::default()
    };
    let prepared = sealer.prepare(secret, true)?;
    let check = LeakCheck::new([&prepared], &sealer.recipients.list());
    check.check_secret(&prepared)?;
    let done = sealer.seal(prepared).await?;
    let text = join(vec![Piece::New(done.object, false)], target.output.format)?;
    check.check_output(text.expose())?;
    target.write(text.expose())?;
    sealer.printer.done(&done.report);
    Ok(())
}

/// Continues after a document that fails. Successful results are printed, but a file is written only if all succeeded.
async fn seal_manifests(sealer: &Sealer, inputs: &[Input], pass_plain: bool, target: &Target) -> Result<()> {
    let mut failures = Failures::new(inputs.len(), sealer.printer);
    let texts = input::texts(inputs, &mut failures)?;
    let mut budget = AliasBudget::default();
    let (files, bad) = input::documents(&texts, Aliases::Expand(&mut budget));
    let items = || {
        files
            .iter()
            .flat_map(|(_, parts)| parts)
            .flat_map(Part::objects_to_process)
    };
    if items().count() + bad.len() > 1 {
        failures.expect_several();
    }
    bad.into_iter().try_for_each(|failure| failures.add(failure))?;
    let secrets = items()
        .filter(|item| item.treatment() == Treatment::Secret)
        .count();
    sealer.place.check_count(secrets)?;
    let mut batch = Batch::new(sealer, pass_plain, target.output.format);
    for (input, parts) in &files {
        for part in parts {
            batch.add(input, part, &mut failures)?;
        }
    }
    let sealed_already = items().any(|item| item.treatment() == Treatment::Sealed);
    if secrets == 0 && !sealed_already && failures.is_empty() {
        return Err(Failure::failed("the input contains no Secret").help(
            "give a manifest with `kind: Secret`, or values with --from-file, --from-literal or --from-env-file",
        ));
    }
    let (text, reports) = batch.finish(&mut failures).await?;
    if let Some(text) = text.filter(|_| failures.is_empty() || target.output.file.is_none()) {
        target.write(text.expose())?;
        for report in &reports {
            sealer.printer.done(report);
        }
    }
    failures.finish(target.output.file.is_some())
}
