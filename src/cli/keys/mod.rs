//! `keys`: manages KMS keys through their provider.

mod retire;
mod search;
mod secret;

use std::path::PathBuf;

use clap::builder::PossibleValuesParser;
use clap::{Args, Subcommand, ValueEnum, ValueHint};
use serde_json::Value;

use super::args::path_parser;
use super::clock;
use super::failure::{Failure, Result};
use super::git;
use super::keychain::invalid_key;
use super::printer::Printer;
use super::providers::{ProviderArgs, holders};
use super::table;
use crate::kms::{
    self, Capability, Disposal, KeyFilter, KeyInfo, KeyManager, KeyUri, NewKey, Notes, Provider,
    ProviderError, RotationChange,
};
use crate::manifest::{self, Member, Node};

/// Manage KMS keys: create, list, describe, promote, retire, rotate
///
/// Local KMS keys are stored in a keyring file: the first one seals, all of them open. KMS keys of a cloud never leave
/// the KMS.
#[derive(Args)]
pub(super) struct KeysArgs {
    #[command(subcommand)]
    command: KeysCommand,
}

#[derive(Subcommand)]
enum KeysCommand {
    /// Create a KMS key and print its URI
    ///
    /// The first KMS key of a new keyring seals. In an existing keyring, the new KMS key comes last and only opens until
    /// `keys promote` moves it to the front; distribute the keyring to every controller in between. In a cloud, it is a
    /// symmetric key whose material never leaves the KMS.
    Create {
        #[command(flatten)]
        provider: ProviderChoice,
        /// An alias for the KMS key, in a cloud KMS that has aliases
        #[arg(long, value_name = "ALIAS")]
        alias: Option<String>,
        /// A description of the KMS key, in a cloud KMS
        #[arg(long, value_name = "TEXT")]
        description: Option<String>,
        #[command(flatten)]
        region: RegionArgs,
    },
    /// Create a Secret in the cluster with a keyring, unless it exists
    ///
    /// For the controller, which mounts it. An existing Secret is never changed, whatever it holds. The API server needs to
    /// allow get, create and patch for this one name. Hidden: a Job of the chart runs it (`keyring.generate`).
    #[command(hide = true)]
    CreateSecret {
        #[command(flatten)]
        secret: secret::SecretArgs,
        #[command(flatten)]
        provider: ProviderChoice,
    },
    /// List the KMS keys
    List {
        #[command(flatten)]
        provider: ProviderChoice,
        /// List only KMS keys whose alias or id contains this text, in a cloud KMS
        #[arg(long, value_name = "TEXT")]
        alias: Option<String>,
        #[command(flatten)]
        region: RegionArgs,
        #[command(flatten)]
        output: TableArgs,
    },
    /// Describe a KMS key
    Describe {
        /// The URI of the KMS key
        key: String,
        #[command(flatten)]
        provider: ProviderChoice,
        #[command(flatten)]
        output: TableArgs,
    },
    /// Make a KMS key of a keyring the one that seals by default
    Promote {
        /// The KMS key, as local://fa1975b2 or fa1975b2
        key: String,
        #[command(flatten)]
        provider: ProviderChoice,
    },
    /// Remove a KMS key from a keyring permanently
    ///
    /// Documents sealed with this KMS key alone can never be opened again. Therefore files are searched first, and the
    /// key is kept if a document uses it, if a file other than prose names it, such as .envelope.yaml or the values of a
    /// chart, or if no document is found at all. All files are searched, including hidden ones, those that Git ignores,
    /// and text in base64, gzip and zip; the history of Git is not. The retired key stays in the keyring as a comment.
    ///
    /// To search a cluster too: kubectl get envelopesecrets -A -o yaml | envelope keys retire KEY . -
    Retire {
        /// The KMS key, as local://fa1975b2 or fa1975b2
        key: String,
        /// The files, directories and pipes to search for documents that use the KMS key; `-` is standard input
        #[arg(value_name = "PATH", default_value = ".", value_hint = ValueHint::AnyPath, value_parser = path_parser())]
        paths: Vec<PathBuf>,
        /// Remove it without searching for documents that use it
        #[arg(long)]
        no_check: bool,
        /// Erase the key instead of keeping it as a comment
        #[arg(long)]
        purge: bool,
        #[command(flatten)]
        provider: ProviderChoice,
    },
    /// Rotate the material of a KMS key automatically
    ///
    /// The URI of the KMS key does not change. Existing documents still open; new ones use the new material.
    EnableRotation {
        /// The URI of the KMS key
        key: String,
        /// The period in days; defaults to a year
        #[arg(long, value_name = "DAYS", value_parser = clap::value_parser!(u16).range(7..=365))]
        days: Option<u16>,
        #[command(flatten)]
        provider: ProviderChoice,
    },
    /// Stop rotating the material of a KMS key
    DisableRotation {
        /// The URI of the KMS key
        key: String,
        #[command(flatten)]
        provider: ProviderChoice,
    },
}

#[derive(Args)]
struct ProviderChoice {
    /// The provider of the KMS key; defaults to the one of its URI, then to `local`
    #[arg(long, value_name = "PROVIDER", value_parser = schemes())]
    provider: Option<String>,
    #[command(flatten)]
    settings: ProviderArgs,
}

#[derive(Args)]
struct RegionArgs {
    /// The region of the KMS key, in a cloud KMS that has regions
    #[arg(long, value_name = "REGION")]
    region: Option<String>,
}

#[derive(Args)]
struct TableArgs {
    /// The format
    #[arg(short, long, value_name = "FORMAT", value_enum, default_value_t)]
    output: TableFormat,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum TableFormat {
    /// For humans
    #[default]
    Table,
    /// For programs
    Json,
}

fn schemes() -> PossibleValuesParser {
    let manages = kms::providers()
        .into_iter()
        .filter(|provider| provider.can(Capability::ManageKeys));
    PossibleValuesParser::new(manages.map(Provider::scheme))
}

/// Runs it.
pub(super) async fn run(args: &KeysArgs, printer: Printer) -> Result<()> {
    match &args.command {
        KeysCommand::Create {
            provider,
            alias,
            description,
            region,
        } => {
            let new = NewKey {
                region: region.region.clone(),
                alias: alias.clone(),
                description: description.clone(),
            };
            create(&provider.keys(None)?, &new, printer).await
        }
        KeysCommand::CreateSecret { secret, provider } => {
            let keys = provider.keys(None)?;
            // Fails if the file is not a valid keyring.
            let listed = keys.manager.list(&KeyFilter::default()).await;
            keys.finish(listed, printer)?;
            let file = keys.manager.file().ok_or_else(|| {
                Failure::usage(format!("{} has no keyring", keys.provider.title()))
                    .help("leave out --provider, and name a keyring with --keyring FILE")
            })?;
            secret::create(secret, file, printer).await
        }
        KeysCommand::List {
            provider,
            alias,
            region,
            output,
        } => {
            let keys = provider.keys(None)?;
            let filter = KeyFilter {
                region: region.region.clone(),
                alias: alias.clone(),
            };
            let listed = keys.manager.list(&filter).await;
            show_list(&keys, &keys.finish(listed, printer)?, output.output)
        }
        KeysCommand::Describe {
            key,
            provider,
            output,
        } => {
            let keys = provider.keys(Some(key))?;
            let described = keys.manager.describe(&keys.parse(key)?).await;
            show(&keys, keys.finish(described, printer)?, output.output)
        }
        KeysCommand::Promote { key, provider } => {
            let keys = provider.keys(Some(key))?;
            keys.refuse_committed_file()?;
            let promoted = keys.manager.promote(&keys.parse(key)?).await;
            keys.report(promoted, printer)
        }
        KeysCommand::Retire {
            key,
            paths,
            no_check,
            purge,
            provider,
        } => {
            let keys = provider.keys(Some(key))?;
            let uri = keys.parse(key)?;
            keys.manager.can_retire(&uri)?;
            if !no_check {
                retire::refuse_key_in_use(&uri, keys.manager.file(), paths, printer)?;
            }
            let disposal = if *purge {
                Disposal::Erase
            } else {
                Disposal::Comment
            };
            let retired = keys.manager.retire(&uri, disposal).await;
            keys.report(retired, printer)
        }
        KeysCommand::EnableRotation { key, days, provider } => {
            rotate(provider, key, RotationChange::Every(*days), printer).await
        }
        KeysCommand::DisableRotation { key, provider } => {
            rotate(provider, key, RotationChange::Off, printer).await
        }
    }
}

/// The KMS keys of one provider.
struct Keys {
    provider: &'static dyn Provider,
    manager: Box<dyn KeyManager>,
}

impl ProviderChoice {
    /// The provider by `--provider`, else by the URI in `key`, else the one that uses only its configured keys.
    fn keys(&self, key: Option<&str>) -> Result<Keys> {
        let provider = match (&self.provider, key) {
            (Some(scheme), _) => kms::provider_of_scheme(scheme),
            (None, Some(key)) if key.contains("://") => Some(provider_of(key)?),
            (None, _) => holders().next(),
        };
        let provider = provider.ok_or_else(|| Failure::usage("no provider manages this KMS key"))?;
        self.settings.only_for(provider)?;
        let manager = provider.key_manager(self.settings.settings())?;
        Ok(Keys { provider, manager })
    }
}

fn provider_of(key: &str) -> Result<&'static dyn Provider> {
    let uri = KeyUri::parse(key).map_err(|error| invalid_key(key, &error))?;
    Ok(kms::require_provider(&uri)?)
}

impl Keys {
    fn parse(&self, key: &str) -> Result<KeyUri> {
        Ok(self.provider.parse_key(key)?)
    }

    /// Refuses to write a keyring that would be committed.
    fn refuse_committed_file(&self) -> Result<()> {
        match self.manager.file() {
            Some(file) if git::would_commit(file) => Err(Failure::usage(format!(
                "{} is in a Git work tree that does not ignore it, and anyone with a keyring can open everything",
                file.display()
            ))
            .help("keep it outside the repository, or add it to .gitignore")),
            _ => Ok(()),
        }
    }

    /// Warns of a wrong clock, which a call may have revealed, and returns the result of the call.
    fn finish<T>(&self, result: std::result::Result<T, ProviderError>, printer: Printer) -> Result<T> {
        let ahead = self.manager.clock_ahead();
        clock::warn(ahead.map(|ahead| (self.provider.scheme(), ahead)), printer);
        Ok(result?)
    }

    fn report(&self, result: std::result::Result<Notes, ProviderError>, printer: Printer) -> Result<()> {
        for note in self.finish(result, printer)? {
            printer.done(&note);
        }
        Ok(())
    }
}

async fn create(keys: &Keys, new: &NewKey, printer: Printer) -> Result<()> {
    keys.refuse_committed_file()?;
    let created = keys.manager.create(new).await;
    let created = keys.finish(created, printer)?;
    for note in &created.notes {
        printer.done(note);
    }
    Printer::output(format!("{}\n", created.uri).as_bytes())
}

async fn rotate(
    provider: &ProviderChoice,
    key: &str,
    change: RotationChange,
    printer: Printer,
) -> Result<()> {
    let keys = provider.keys(Some(key))?;
    let rotated = keys.manager.rotate(&keys.parse(key)?, change).await;
    keys.report(rotated, printer)
}

fn show_list(keys: &Keys, listed: &[KeyInfo], format: TableFormat) -> Result<()> {
    match format {
        TableFormat::Table => {
            let rows = listed.iter().map(|key| key.cells.clone());
            Printer::output(table::columns(keys.manager.headings(), rows).as_bytes())
        }
        TableFormat::Json => print_json(&Node::List(listed.iter().map(node).collect())),
    }
}

fn show(keys: &Keys, key: KeyInfo, format: TableFormat) -> Result<()> {
    match format {
        TableFormat::Table if key.details.is_empty() => {
            Printer::output(table::columns(keys.manager.headings(), [key.cells]).as_bytes())
        }
        TableFormat::Table => Printer::output(table::fields(&key.details).as_bytes()),
        TableFormat::Json => print_json(&node(&key)),
    }
}

fn print_json(node: &Node) -> Result<()> {
    Printer::output(manifest::to_json_pretty(node).expose())
}

fn node(key: &KeyInfo) -> Node {
    let members = key.members.iter().map(|(name, value)| {
        let value = match value {
            Value::Bool(value) => Node::Bool(*value),
            Value::Number(value) => Node::Number(value.to_string()),
            Value::String(value) => Node::text(value.as_str()),
            Value::Null | Value::Array(_) | Value::Object(_) => Node::Null,
        };
        Member::new(*name, value)
    });
    Node::Map(members.collect())
}
