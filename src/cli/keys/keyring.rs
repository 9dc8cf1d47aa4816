//! `keys` of a keyring file.

use std::path::{Path, PathBuf};

use super::super::failure::{Failure, Result};
use super::super::git;
use super::super::printer::Printer;
use super::super::table;
use super::{TableFormat, users};
use crate::kms::local::{self, FileRules, Kid, LocalKms};
use crate::kms::{KeyDescription, KeyUri, Kms as _};
use crate::manifest::{self, Member, Node};

pub(super) fn create(path: &Path, printer: Printer) -> Result<()> {
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
            super::super::program::quoted(&shown.to_string())
        ));
    }
    printer.done("Back the keyring up now: without it, nothing that it sealed opens again.");
    Printer::output(format!("{uri}\n").as_bytes())
}

pub(super) async fn list(path: &Path, format: TableFormat) -> Result<()> {
    let ring = LocalKms::open(path, FileRules::Person)?;
    let mut keys = Vec::new();
    for kid in ring.kids() {
        keys.push(ring.describe(&kid.uri()).await?);
    }
    show(&keys, format, Node::List)
}

pub(super) async fn describe(path: &Path, key: &str, format: TableFormat) -> Result<()> {
    let ring = LocalKms::open(path, FileRules::Person)?;
    let described = ring.describe(&parse_kid(key)?.uri()).await?;
    show(&[described], format, |mut keys| keys.pop().unwrap_or(Node::Null))
}

/// Prints keys of a keyring; in JSON `wrap` makes one document of them.
fn show(keys: &[KeyDescription], format: TableFormat, wrap: impl FnOnce(Vec<Node>) -> Node) -> Result<()> {
    match format {
        TableFormat::Table => {
            let rows = keys.iter().map(|key| {
                let seals = if key.default { "yes" } else { "no" };
                [key.uri.as_str(), &key.state, seals].map(str::to_owned)
            });
            Printer::output(table::columns(["KEY", "STATE", "SEALS"], rows).as_bytes())
        }
        TableFormat::Json => {
            let keys = keys.iter().map(|key| {
                Node::Map(vec![
                    Member::new("uri", Node::text(key.uri.as_str())),
                    Member::new("state", Node::text(&*key.state)),
                    Member::new("seals", Node::Bool(key.default)),
                ])
            });
            Printer::output(manifest::to_json_pretty(&wrap(keys.collect())).expose())
        }
    }
}

pub(super) fn promote(path: &Path, key: &str, printer: Printer) -> Result<()> {
    let kid = parse_kid(key)?;
    let done = if local::promote(path, kid)? {
        "seals from now on"
    } else {
        "is the KMS key that seals already"
    };
    printer.done(&format!("{} {done}", kid.uri()));
    Ok(())
}

pub(super) fn retire(path: &Path, key: &str, paths: &[PathBuf], printer: Printer) -> Result<()> {
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
                "open them and seal them with another KMS key first; or remove it all the same with --no-check",
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
        Failure::usage("that is no local KMS key; it is written like local://fa1975b2 or fa1975b2")
            .help("see the KMS keys there are: envelope keys list")
    })
}
