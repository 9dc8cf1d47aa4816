//! `seal`: encrypts Secrets into EnvelopeSecrets.

mod document;
mod entries;

use clap::{Args, ValueEnum, ValueHint};

use std::path::PathBuf;

use super::args::{Format, InputArgs, KeyArgs, OutputArgs, PlaceArgs};
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
use crate::files::{Mode, Overwrite};
use crate::manifest::{Kind, Part, SecretInput};
use document::Sealer;
use entries::{EntrySource, Newlines};

/// Seal Secrets: encrypt them into EnvelopeSecrets that are safe to commit
///
/// Reads Secret manifests (or values with --from-*), and prints an EnvelopeSecret for each. Every value is encrypted;
/// names, type, labels and annotations stay readable. Other manifests pass through unchanged.
#[derive(Args)]
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
    #[arg(long, value_name = "PATH", value_hint = ValueHint::FilePath, conflicts_with_all = ["files", "filename"])]
    from_env_file: Vec<PathBuf>,
    /// Add an entry and prompt for its value without echo; NAME=- reads it from standard input
    #[arg(long, value_name = "NAME", conflicts_with_all = ["files", "filename"])]
    from_literal: Vec<String>,
    /// Accept a Secret without data
    #[arg(long)]
    allow_empty: bool,
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
    let entries = EntrySource::all(
        &args.from_file,
        &args.from_env_file,
        &args.from_literal,
        &mut guard,
    )?;
    let source = if entries.is_empty() {
        Source::Manifests(input::manifests(&args.input, &mut guard)?)
    } else {
        Source::Entries(entries)
    };
    let output = Output::choose(&args.output)?;
    output
        .must_be_new("envelope seal writes only new files: choose another name, or remove the file first")?;
    let rule = PlaceRule::new(&args.place, program)?;
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
    let done = seal(&sealer, source, newlines, &output).await;
    clock::warn(sealer.recipients.registry.clocks(), printer);
    done
}

async fn seal(sealer: &Sealer, source: Source, newlines: Newlines, output: &Output) -> Result<()> {
    let printer = sealer.printer;
    match source {
        Source::Entries(entries) => {
            let secret = SecretInput {
                entries: entries::read(&entries, newlines, printer)?,
                ..SecretInput::default()
            };
            sealer.place.needs_name()?;
            let done = sealer.seal(secret, true).await?;
            let text = join(vec![Piece::New(done.object, false)], output.format)?;
            output.write(text.expose(), Mode::Kept, Overwrite::Never)?;
            printer.done(&done.report);
            Ok(())
        }
        Source::Manifests(inputs) => seal_manifests(sealer, &inputs, output).await,
    }
}

/// Continues after a file that fails. Successful results are printed, but a file is written only if all succeeded.
async fn seal_manifests(sealer: &Sealer, inputs: &[Input], output: &Output) -> Result<()> {
    let mut failures = Failures::new(inputs.len(), sealer.printer);
    let texts = input::texts(inputs, &mut failures)?;
    let files = input::documents(&texts, &mut failures)?;
    let secrets = files.iter().flat_map(|(_, parts)| parts).flat_map(Part::items);
    let secrets = secrets.filter(|item| item.kind() == Kind::Secret).count();
    sealer.place.check_count(secrets)?;
    if secrets == 0 && failures.none() {
        return Err(Failure::failed("the input contains no Secret").help(
            "give a manifest with `kind: Secret`, or values with --from-file, --from-literal or --from-env-file",
        ));
    }
    let (mut pieces, mut reports) = (Vec::new(), Vec::new());
    for (input, parts) in &files {
        match seal_parts(sealer, parts, output.format).await {
            Ok((more, about_them)) => {
                pieces.extend(more);
                reports.extend(about_them);
            }
            Err(failure) => failures.add(failure.about(input.label()))?,
        }
    }
    if !pieces.is_empty() && (failures.none() || output.file.is_none()) {
        let text = join(pieces, output.format)?;
        output.write(text.expose(), Mode::Kept, Overwrite::Never)?;
        for report in &reports {
            sealer.printer.done(report);
        }
    }
    failures.end(output.file.is_some())
}

/// Seals the documents of one file; returns the results and their reports.
async fn seal_parts<'p>(
    sealer: &Sealer,
    parts: &'p [Part<'p>],
    format: Format,
) -> Result<(Vec<Piece<'p>>, Vec<String>)> {
    let (mut pieces, mut reports) = (Vec::new(), Vec::new());
    for part in parts {
        let items = part.items();
        let holds_secret = items.iter().any(|item| item.kind() == Kind::Secret);
        if !holds_secret {
            pieces.extend(Piece::kept(part, format)?);
            continue;
        }
        for item in items {
            let object = if item.kind() == Kind::Secret {
                let done = sealer.seal(item.secret()?, false).await?;
                reports.push(done.report);
                done.object
            } else {
                item.rewritable()?.clone()
            };
            pieces.push(Piece::New(object, part.explicit));
        }
    }
    Ok((pieces, reports))
}
