//! `keys`: manages KMS keys through their provider.

mod users;

use std::path::PathBuf;

use clap::builder::PossibleValuesParser;
use clap::{Args, Subcommand, ValueEnum, ValueHint};
use serde_json::Value;

use super::clock;
use super::failure::{Failure, Result};
use super::git;
use super::printer::Printer;
use super::providers::{ProviderArgs, holders};
use super::table;
use crate::kms::{
    self, Capability, KeyFilter, KeyInfo, KeyManager, KeyUri, NewKey, Notes, Provider, ProviderError,
    RotationChange,
};
use crate::manifest::{self, Member, Node};

/// Manage KMS keys: create, list, describe, promote, retire, rotate
///
/// Local KMS keys are in a keyring file: its first key seals, all of them open. Keys of a cloud KMS never leave it.
#[derive(Args)]
pub(super) struct KeysArgs {
    #[command(subcommand)]
    command: KeysCommand,
}

#[derive(Subcommand)]
enum KeysCommand {
    /// Create a KMS key and print its URI
    ///
    /// In a new keyring, the key seals. In an existing keyring it is added last and only opens until `keys promote`
    /// moves it to the front, so that every controller can have it before anything is sealed with it. In a cloud KMS,
    /// it is a symmetric key whose material never leaves the KMS.
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
    /// Documents sealed with this KMS key alone can never be opened again. Therefore manifests are searched first, and
    /// the key is kept if one uses it. Old versions in Git are not searched.
    Retire {
        /// The KMS key, as local://fa1975b2 or fa1975b2
        key: String,
        /// Where to search for manifests that use the KMS key; files that Git ignores are skipped
        #[arg(value_name = "PATH", default_value = ".", value_hint = ValueHint::AnyPath)]
        paths: Vec<PathBuf>,
        /// Remove it without searching
        #[arg(long)]
        no_check: bool,
        #[command(flatten)]
        provider: ProviderChoice,
    },
    /// Rotate the material of a KMS key automatically
    ///
    /// The KMS key keeps its URI. What was sealed before still opens; new documents use the new material.
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
    /// For people
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
            provider,
        } => {
            let paths = if *no_check { &[] } else { paths.as_slice() };
            retire(&provider.keys(Some(key))?, key, paths, printer).await
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
    /// The provider by `--provider`, else by the URI in `key`, else the one that holds its keys.
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
    let uri = KeyUri::parse(key).map_err(|error| Failure::usage(error.to_string()))?;
    kms::provider_of(&uri).ok_or_else(|| {
        let known: Vec<&str> = kms::providers().into_iter().map(Provider::scheme).collect();
        Failure::usage(format!("this version has no provider {}", uri.scheme())).help(format!(
            "use a KMS key of one of these providers: {}",
            known.join(", ")
        ))
    })
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

async fn retire(keys: &Keys, key: &str, paths: &[PathBuf], printer: Printer) -> Result<()> {
    let uri = keys.parse(key)?;
    keys.manager.can_retire(&uri)?;
    let found = users::search(paths, &uri)?;
    if !found.users.is_empty() {
        let files: Vec<String> = found
            .users
            .iter()
            .map(|path| path.display().to_string())
            .collect();
        return Err(
            Failure::failed(format!("{uri} is still used by {}", files.join(", ")))
                .help("re-seal these files with another KMS key first; or remove it anyway with --no-check"),
        );
    }
    let retired = keys.manager.retire(&uri).await;
    let notes = keys.finish(retired, printer)?;
    if !paths.is_empty() {
        let files = match found.files {
            1 => "1 manifest".to_owned(),
            files => format!("{files} manifests"),
        };
        printer.done(&format!("searched {files}, none uses it"));
    }
    for note in notes {
        printer.done(&note);
    }
    Ok(())
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
