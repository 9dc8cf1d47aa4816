//! `keys`: the keyring of local keys.

mod users;

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::{Args, Subcommand, ValueEnum, ValueHint};

use super::args::KeyringArgs;
use super::failure::{Failure, Result};
use super::git;
use super::keychain::KeyringFile;
use super::printer::Printer;
use crate::kms::local::{self, FileRules, Kid, LocalKms};
use crate::kms::{KeyDescription, KeyUri, Kms as _};
use crate::manifest::{self, Member, Node};

/// Manage KMS keys: create, list, promote, retire
///
/// The provider `local` keeps its keys in a keyring file. The first key of the file seals, all of them open.
#[derive(Args)]
pub(super) struct KeysArgs {
    #[command(subcommand)]
    command: KeysCommand,
}

#[derive(Subcommand)]
enum KeysCommand {
    /// Create a key and print its URI
    ///
    /// In a new keyring it is the key that seals. In one that has keys it comes last and only opens, until
    /// `keys promote` moves it first: so that every controller has it before anything is sealed with it.
    Create(Common),
    /// List the keys
    List {
        #[command(flatten)]
        common: Common,
        /// The format
        #[arg(short, long, value_name = "FORMAT", value_enum, default_value_t)]
        output: TableFormat,
    },
    /// Make a key the one that seals
    Promote {
        /// The key, as local://fa1975b2 or fa1975b2
        key: String,
        #[command(flatten)]
        common: Common,
    },
    /// Remove a key for good
    ///
    /// What was sealed with it alone never opens again. Therefore manifests are searched for it first, and it stays
    /// while one uses it. Old versions in Git are not searched.
    Retire {
        /// The key, as local://fa1975b2 or fa1975b2
        key: String,
        /// Where to search for manifests that use the key; what Git ignores is left out
        #[arg(value_name = "PATH", default_value = ".", value_hint = ValueHint::AnyPath)]
        paths: Vec<PathBuf>,
        /// Remove it without a search
        #[arg(long)]
        no_check: bool,
        #[command(flatten)]
        common: Common,
    },
}

#[derive(Args)]
struct Common {
    /// The KMS that keeps the keys
    #[arg(long, value_enum, default_value_t)]
    provider: Provider,
    #[command(flatten)]
    keyring: KeyringArgs,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum Provider {
    /// A keyring file on this machine
    #[default]
    Local,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum TableFormat {
    /// For people
    #[default]
    Table,
    /// For programs
    Json,
}

/// Runs it.
pub(super) async fn run(args: &KeysArgs, printer: Printer) -> Result<()> {
    match &args.command {
        KeysCommand::Create(common) => create(&keyring(common)?, printer),
        KeysCommand::List { common, output } => list(&keyring(common)?, *output).await,
        KeysCommand::Promote { key, common } => promote(&keyring(common)?, key, printer),
        KeysCommand::Retire {
            key,
            paths,
            no_check,
            common,
        } => {
            let paths = if *no_check { &[] } else { paths.as_slice() };
            retire(&keyring(common)?, key, paths, printer)
        }
    }
}

fn keyring(common: &Common) -> Result<PathBuf> {
    match common.provider {
        Provider::Local => Ok(KeyringFile::choose(&common.keyring).path()?.clone()),
    }
}

fn create(path: &Path, printer: Printer) -> Result<()> {
    if git::would_commit(path) {
        return Err(Failure::usage(format!(
            "{} lies in a Git work tree that does not ignore it, and whoever has a keyring opens everything",
            path.display()
        ))
        .help("keep it outside of the repository, or name it in .gitignore"));
    }
    let is_new = path.symlink_metadata().is_err();
    let uri = local::create_key(path)?;
    let shown = path.display();
    if is_new {
        printer.done(&format!("created {uri} in a new keyring, {shown}"));
        printer.done("Whoever has this file can open what it seals, and seal anything in your name.");
    } else {
        printer.done(&format!(
            "created {uri} in {shown}; it opens, and does not seal yet"
        ));
        printer.done(&format!(
            "When every controller has the new keyring: envelope keys promote {uri} --keyring {}",
            super::program::quoted(&shown.to_string())
        ));
    }
    printer.done("Back the keyring up now: without it, nothing that it sealed opens again.");
    Printer::output(format!("{uri}\n").as_bytes())
}

async fn list(path: &Path, format: TableFormat) -> Result<()> {
    let ring = Arc::new(LocalKms::open(path, FileRules::Person)?);
    let mut keys = Vec::new();
    for kid in ring.kids() {
        keys.push(ring.describe(&kid.uri()).await?);
    }
    match format {
        TableFormat::Table => Printer::output(table(&keys).as_bytes()),
        TableFormat::Json => {
            let keys = keys.iter().map(|key| {
                Node::Map(vec![
                    Member::new("uri", Node::text(key.uri.as_str())),
                    Member::new("state", Node::text(&*key.state)),
                    Member::new("seals", Node::Bool(key.default)),
                ])
            });
            Printer::output(manifest::to_json_pretty(&Node::List(keys.collect())).expose())
        }
    }
}

fn table(keys: &[KeyDescription]) -> String {
    let width = keys
        .iter()
        .map(|key| key.uri.as_str().len())
        .max()
        .unwrap_or(0)
        .max(3);
    let state = keys.iter().map(|key| key.state.len()).max().unwrap_or(0).max(5);
    let mut out = format!("{:width$}  {:state$}  SEALS\n", "KEY", "STATE");
    for key in keys {
        let seals = if key.default { "yes" } else { "no" };
        let _ = writeln!(out, "{:width$}  {:state$}  {seals}", key.uri.as_str(), key.state);
    }
    out
}

fn promote(path: &Path, key: &str, printer: Printer) -> Result<()> {
    let kid = parse_kid(key)?;
    let done = if local::promote(path, kid)? {
        "seals from now on"
    } else {
        "is the key that seals already"
    };
    printer.done(&format!("{} {done}", kid.uri()));
    Ok(())
}

fn retire(path: &Path, key: &str, paths: &[PathBuf], printer: Printer) -> Result<()> {
    let kid = parse_kid(key)?;
    let found = users::search(paths, &kid.uri())?;
    if !found.users.is_empty() {
        let files: Vec<String> = found
            .users
            .iter()
            .map(|path| path.display().to_string())
            .collect();
        return Err(
            Failure::failed(format!("{} is still used by {}", kid.uri(), files.join(", "))).help(
                "open them and seal them with another key first; or remove it all the same with --no-check",
            ),
        );
    }
    let first = local::retire(path, kid)?;
    if !paths.is_empty() {
        let files = match found.files {
            1 => "1 manifest".to_owned(),
            files => format!("{files} manifests"),
        };
        printer.done(&format!("searched {files}, none uses it"));
    }
    printer.done(&format!(
        "removed {} from {}; {first} seals from now on",
        kid.uri(),
        path.display()
    ));
    Ok(())
}

fn parse_kid(text: &str) -> Result<Kid> {
    let kid = match KeyUri::parse(text) {
        Ok(uri) => Kid::of_uri(&uri),
        Err(_) => Kid::parse(text),
    };
    kid.ok_or_else(|| {
        Failure::usage("that is no local key; it is written like local://fa1975b2 or fa1975b2")
            .help("see the keys there are: envelope keys list")
    })
}
