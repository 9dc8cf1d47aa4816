//! `doctor`: whether the KMS keys that are chosen here can be used from here.

mod key;
mod provider;
mod report;

use std::collections::BTreeSet;
use std::sync::Arc;

use clap::{Args, ValueEnum};
use futures::future::join_all;
use serde::Serialize;

use super::args::KeyArgs;
use super::failure::Result;
use super::keychain::{self, KeyringFile};
use super::printer::Printer;
use crate::envelope::{Binding, EncryptionContext, Scope};
use crate::kms::{KeyUri, Registry, action, local};
use key::Examination;
use report::{Check, Report};

/// The audience in the context of what is wrapped: no document is for it, and an audit log shows it.
const AUDIENCE: &str = "envelope-doctor";

/// Check KMS keys: credentials, clock, state, sealing and opening
///
/// Each KMS key that `seal` would choose here is described, a data key is made under it as `seal` does it, and opened
/// again as the controller does it. The first makes the data key, the others encrypt one. The data keys are thrown
/// away; no document is read or written. Where sealing and opening are the duties of two identities, say with `--for`
/// whose credentials these are: what only the other one needs is then a note and no failure.
#[derive(Args)]
#[command(after_help = "Examples:\n  \
    envelope doctor\n  \
    envelope doctor --key tencent-kms://ap-guangzhou/23e80852-1e38-11e9-b129-5cb9019b4b01 --for seal\n  \
    envelope doctor -o json")]
pub(super) struct DoctorArgs {
    /// What these credentials are meant for; without it, both
    #[arg(long = "for", value_name = "DUTY", value_enum)]
    duty: Option<Duty>,
    /// The format
    #[arg(short, long, value_name = "FORMAT", value_enum, default_value_t)]
    output: ReportFormat,
    #[command(flatten)]
    keys: KeyArgs,
}

/// What an identity is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
enum Duty {
    /// Sealing: a person or a pipeline
    Seal,
    /// Opening: a controller
    Open,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum ReportFormat {
    /// For people
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
    let Chosen {
        keys,
        source,
        registry,
        mut checks,
    } = Chosen::of(&args.keys)?;
    printer.done(&format!(
        "KMS keys from {source}; what is wrapped has the context {}",
        context.as_str()
    ));
    let examined = examine(&keys, &registry, &duties, &context).await?;
    let schemes: BTreeSet<&str> = keys.iter().map(KeyUri::scheme).collect();
    for scheme in schemes {
        let of_it = examined.iter().filter(|found| found.key.scheme() == scheme);
        let of_it: Vec<&Examination> = of_it.collect();
        if let Some(kms) = of_it.first().and_then(|found| registry.provider(&found.key)) {
            checks.extend(provider::checks(scheme, &kms.access(), &of_it));
        }
    }
    checks.extend(examined.into_iter().flat_map(|found| found.checks));
    let report = Report::new(&duties, source, context.as_str(), checks);
    let text = match args.output {
        ReportFormat::Text => report.text(printer),
        ReportFormat::Json => report.json()?,
    };
    Printer::output(text.as_bytes())?;
    report.end()
}

/// All keys at once: each has its own region and its own wait.
async fn examine(
    keys: &[KeyUri],
    registry: &Registry,
    duties: &[Duty],
    context: &EncryptionContext,
) -> Result<Vec<Examination>> {
    let mut examinations = Vec::with_capacity(keys.len());
    for (place, key) in keys.iter().enumerate() {
        // A keyring that cannot be used has its own line; there is nothing else to say about its keys.
        if key.scheme() == local::SCHEME && registry.provider(key).is_none() {
            continue;
        }
        let kms = registry.require(key, action::DESCRIBE_KEY)?;
        examinations.push(key::examine(kms.as_ref(), key, place == 0, duties, context));
    }
    Ok(join_all(examinations).await)
}

/// The keys to look at.
struct Chosen {
    keys: Vec<KeyUri>,
    source: String,
    registry: Registry,
    /// A keyring that cannot be used.
    checks: Vec<Check>,
}

impl Chosen {
    /// As `seal` chooses, but for a keyring that cannot be used: that is something found.
    fn of(args: &KeyArgs) -> Result<Self> {
        let (mut keys, source) = keychain::named(args)?;
        let mut source = source.to_owned();
        let mut registry = Registry::new();
        let mut checks = Vec::new();
        let is_named = !keys.is_empty();
        if !is_named || keys.iter().any(|key| key.scheme() == local::SCHEME) {
            let file = KeyringFile::choose(&args.keyring);
            if !is_named && let Ok(path) = file.path() {
                source = format!("keyring {}", path.display());
            }
            match file.open() {
                Ok(Some(ring)) => {
                    if !is_named {
                        keys.push(ring.default_key());
                    }
                    registry.insert(local::SCHEME, Arc::new(ring));
                }
                Ok(None) if !is_named => return Err(keychain::nothing_to_seal_with(&file)),
                Ok(None) => checks.push(provider::no_keyring()),
                Err(error) => checks.push(provider::unusable_keyring(&error)),
            }
        }
        keychain::set_up_clouds(&mut registry, args, keys.iter())?;
        Ok(Chosen {
            keys,
            source,
            registry,
            checks,
        })
    }
}
