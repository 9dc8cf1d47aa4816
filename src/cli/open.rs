//! `open`: `EnvelopeSecrets` in, Secrets out.

use std::collections::BTreeMap;

use clap::Args;
use serde::Serialize;

use super::args::{InputArgs, KeyArgs, OutputArgs, PlaceArgs};
use super::clock;
use super::failure::{Failure, Result};
use super::failures::Failures;
use super::git;
use super::input::{self, Input, StdinGuard};
use super::keychain::Reader;
use super::output::{Output, Piece, join};
use super::place::PlaceRule;
use super::printer::Printer;
use super::program::Program;
use crate::api::{SEALED_FOR_ANNOTATION, sealed_elsewhere};
use crate::envelope::{Document, Opened, ReaderPolicy, Refusal, SealTime, SecretBytes};
use crate::files::Overwrite;
use crate::kms;
use crate::manifest::{self, Aliases, Item, Node, SecretManifest, Treatment, Values, is_text};

/// Open EnvelopeSecrets: print the Secrets that the controller would create from them
///
/// Requires permission to use the KMS key. A document is verified completely before anything of it is printed. The output
/// is plaintext.
#[derive(Args)]
#[command(after_help = "Examples:\n  \
    envelope open -f sealed.yaml\n  \
    envelope open -f sealed.yaml --string-data\n  \
    envelope open -f sealed.yaml --value tls.crt > tls.crt")]
pub(super) struct OpenArgs {
    #[command(flatten)]
    input: InputArgs,
    #[command(flatten)]
    place: PlaceArgs,
    /// Print this entry's value alone, byte for byte
    #[arg(long, value_name = "NAME", conflicts_with_all = ["string_data", "output"])]
    value: Option<String>,
    /// Write values that are text under `stringData`, as text
    #[arg(long)]
    string_data: bool,
    /// Use the KMS keys that the document names, too, not only those of flags, environment and keyring
    #[arg(long)]
    trust_document_keys: bool,
    /// Replace the file of --write, and write plaintext into a Git work tree
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    output: OutputArgs,
    #[command(flatten)]
    keys: KeyArgs,
}

struct Opener {
    reader: Reader,
    place: PlaceRule,
    string_data: bool,
}

/// Runs it.
pub(super) async fn run(args: &OpenArgs, program: &Program, printer: Printer) -> Result<()> {
    let inputs = input::manifests(&args.input, &mut StdinGuard::default())?;
    let target = Target::choose(args, printer)?;
    let opener = Opener {
        reader: Reader::choose(&args.keys, args.trust_document_keys)?,
        place: PlaceRule::new(&args.place, program)?,
        string_data: args.string_data,
    };
    let mut failures = Failures::new(inputs.len(), printer);
    let texts = input::texts(&inputs, &mut failures)?;
    let (files, bad) = input::documents(&texts, Aliases::Ignore);
    bad.into_iter().try_for_each(|failure| failures.add(failure))?;
    let mut sealed = Vec::new();
    for (input, parts) in &files {
        for item in parts.iter().flat_map(manifest::Part::objects_to_process) {
            if item.treatment() == Treatment::Sealed {
                sealed.push((*input, item));
            } else {
                printer.note(&format!("{}: skipped {}", input.label(), item.describe()));
            }
        }
    }
    opener.place.check_count(sealed.len())?;
    if sealed.is_empty() && failures.is_empty() {
        return Err(Failure::failed("there is no EnvelopeSecret in the input")
            .help("give a manifest with `kind: EnvelopeSecret`"));
    }
    let done = match &args.value {
        Some(name) => opener.print_value(&sealed, name, &target).await,
        None => opener.print(&sealed, failures, &target).await,
    };
    clock::warn(opener.reader.registry.clocks(), printer);
    done
}

/// Where the plaintext goes.
struct Target {
    output: Output,
    overwrite: Overwrite,
    printer: Printer,
}

impl Target {
    /// Checked before anything is opened.
    fn choose(args: &OpenArgs, printer: Printer) -> Result<Self> {
        let output = Output::choose(&args.output)?;
        let Some(path) = output.file.as_deref().filter(|_| !args.force) else {
            return Ok(Target {
                output,
                overwrite: Overwrite::Replace,
                printer,
            });
        };
        output.must_be_new("choose another name, or replace it with --force")?;
        if git::would_commit(path) {
            return Err(Failure::failed(format!(
                "{} lies in a Git work tree that does not ignore it, and would hold plaintext",
                path.display()
            ))
            .help("write it elsewhere, name it in .gitignore, or use --force"));
        }
        Ok(Target {
            output,
            overwrite: Overwrite::Never,
            printer,
        })
    }

    fn write(&self, plaintext: &[u8]) -> Result<()> {
        self.output.write_private(plaintext, self.overwrite, self.printer)
    }
}

impl Opener {
    /// Goes on after a document that fails. What succeeded is printed, but a file is written only when all did.
    async fn print(
        &self,
        sealed: &[(&Input, Item<'_>)],
        mut failures: Failures,
        target: &Target,
    ) -> Result<()> {
        let mut pieces = Vec::new();
        for (input, item) in sealed {
            match self.open(input, item).await {
                Ok(secret) => pieces.push(Piece::New(self.secret(&secret)?, false)),
                Err(failure) => failures.add(failure)?,
            }
        }
        if !pieces.is_empty() && (failures.is_empty() || target.output.file.is_none()) {
            let text = join(pieces, target.output.format)?;
            target.write(text.expose())?;
        }
        failures.finish(target.output.file.is_some())
    }

    /// `--value`.
    async fn print_value(&self, sealed: &[(&Input, Item<'_>)], name: &str, target: &Target) -> Result<()> {
        let [(input, item)] = sealed else {
            let count = sealed.len();
            return Err(Failure::usage(format!(
                "--value needs one EnvelopeSecret, and there are {count}"
            )));
        };
        let secret = self.open(input, item).await?;
        let value = entry(&secret, name)?;
        if target.output.file.is_none() && Printer::to_terminal() && !is_text(value.expose()) {
            return Err(Failure::failed(format!(
                "the value of {name:?} is binary, and standard output is a terminal"
            ))
            .help("write it to a file with -w FILE, or pipe it on"));
        }
        target.write(value.expose())
    }

    async fn open(&self, input: &Input, item: &Item<'_>) -> Result<Opened> {
        let opened = self.open_placed(item).await;
        opened.map_err(|failure| failure.about(item.describe()).about(input.label()))
    }

    async fn open_placed(&self, item: &Item<'_>) -> Result<Opened> {
        let (namespace, name) = item.place();
        let name = self.place.resolve_name(name)?;
        let namespace = self.place.resolve_namespace(namespace)?;
        let json = item.sealed_json(Some(&name))?;
        let document = Document::from_object_json(&json, namespace.as_deref()).map_err(|error| {
            if namespace.is_none() && error.field == "metadata.namespace" {
                self.place.no_namespace()
            } else {
                Failure::from(error)
            }
        })?;
        let now = SealTime::now().ok_or_else(|| {
            Failure::failed("this host's clock is outside the years 1970 to 9999").help("set the clock")
        })?;
        let policy = ReaderPolicy::command_line(now);
        let accepted = document
            .accept(&policy, &|key| self.reader.usable(key))
            .map_err(|refusal| match refusal {
                Refusal::NoUsableWrap(ref unusable) => {
                    let advice = self.reader.advice(&unusable.keys);
                    Failure::from(refusal).help(advice)
                }
                Refusal::Policy(_) => Failure::from(refusal),
            })?;
        kms::open(accepted, &self.reader.registry).await.map_err(|error| {
            let integrity = error.is_integrity();
            let failure = Failure::from(error);
            let annotation = item.annotation(SEALED_FOR_ANNOTATION).filter(|_| integrity);
            let namespace = namespace.as_deref().unwrap_or("");
            match annotation.and_then(|annotation| sealed_elsewhere(annotation, namespace, &name)) {
                // A hint from the readable part: it says nothing about why the document does not open.
                Some(place) => failure.help(format!("its annotation says that it was sealed for {place}")),
                None => failure,
            }
        })
    }

    /// The Secret as the controller would create it, without the controller's own labels and owner reference.
    fn secret(&self, opened: &Opened) -> Result<Node> {
        let values = if self.string_data {
            Values::Text
        } else {
            Values::Data
        };
        let template = &opened.document().spec().template;
        let secret = SecretManifest {
            opened,
            metadata: Metadata::new(opened.document()),
            type_: template.type_.as_deref(),
            immutable: template.immutable == Some(true),
            values,
        };
        Ok(secret.to_node()?)
    }
}

/// `metadata` of the printed Secret.
#[derive(Serialize)]
struct Metadata<'a> {
    name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    namespace: Option<&'a str>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    labels: &'a BTreeMap<String, String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    annotations: &'a BTreeMap<String, String>,
}

impl<'a> Metadata<'a> {
    fn new(document: &'a Document) -> Self {
        let (place, template) = (document.place(), &document.spec().template);
        Metadata {
            name: &place.name,
            namespace: place.namespace.as_deref(),
            labels: &template.labels,
            annotations: &template.annotations,
        }
    }
}

fn entry<'o>(opened: &'o Opened, name: &str) -> Result<&'o SecretBytes> {
    opened.entries().get(name).ok_or_else(|| {
        let names: Vec<&str> = opened.entries().keys().map(String::as_str).collect();
        Failure::failed(format!("there is no entry {name:?}")).help(format!("it has: {}", names.join(", ")))
    })
}
