//! `keys retire` keeps a KMS key that is still in use.

use std::path::PathBuf;

use super::super::env;
use super::super::failure::{Failure, Result};
use super::super::printer::Printer;
use super::search;
use crate::kms::KeyUri;

/// Refuses to remove a key that anything under `paths` uses or may use. A search that finds no document at all proves
/// nothing.
pub(super) fn refuse_key_in_use(
    uri: &KeyUri,
    keyring: Option<&std::path::Path>,
    paths: &[PathBuf],
    printer: Printer,
) -> Result<()> {
    let id = uri.rest().rsplit('/').next().unwrap_or_default();
    let mut found = search::search(paths, id, keyring)?;
    if env::text(env::KEY)?.is_some_and(|keys| keys.contains(id)) {
        found.mentions.push(env::KEY.to_owned());
    }
    for path in &found.dangling {
        printer.warning(&format!("{path}: symlink to a file that does not exist"));
    }
    for (places, what) in [
        (&found.special, "not searched, because they are not regular files"),
        (&found.unsearched, "not searched"),
    ] {
        if !places.is_empty() {
            printer.warning(&format!("{what}: {}", list(places)));
        }
    }
    if !found.users.is_empty() {
        if !found.mentions.is_empty() {
            printer.warning(&format!("{uri} is also named in {}", list(&found.mentions)));
        }
        return Err(
            Failure::failed(format!("{uri} is still used by {}", list(&found.users)))
                .help("re-seal these files with another KMS key first; or remove it anyway with --no-check"),
        );
    }
    if !found.mentions.is_empty() {
        return Err(
            Failure::failed(format!("{uri} is still named in {}", list(&found.mentions))).help(
                "name another KMS key there first, since seal or a template may use it; or remove it anyway with \
                 --no-check",
            ),
        );
    }
    if !found.templates.is_empty() {
        return Err(Failure::failed(format!(
            "cannot tell which KMS key {} uses: it holds a ciphertext, but not the URI of its KMS key",
            list(&found.templates)
        ))
        .help("render it, and name the result or pipe it in with -; or remove the KMS key anyway with --no-check"));
    }
    if !found.unsearched.is_empty() {
        return Err(
            Failure::failed(format!("cannot search {}", list(&found.unsearched))).help(
                "unpack it and name the result, or name other paths; or remove the KMS key anyway with --no-check",
            ),
        );
    }
    if found.with_documents == 0 {
        let paths: Vec<String> = paths.iter().map(|path| search::shown(path)).collect();
        return Err(
            Failure::failed(format!("found no EnvelopeSecret in {}", list(&paths))).help(
                "name the files and directories that hold your documents; or remove the KMS key without a search \
                 with --no-check",
            ),
        );
    }
    for (places, what) in [
        (&found.remarks, "is mentioned in prose or comments"),
        (&found.copies, "has a copy"),
    ] {
        if !places.is_empty() {
            printer.note(&format!("{uri} {what}: {}", list(places)));
        }
    }
    let files = match found.with_documents {
        1 => "1 file".to_owned(),
        files => format!("{files} files"),
    };
    printer.done(&format!("searched {files} with EnvelopeSecrets: none uses {uri}"));
    Ok(())
}

/// The first places, and the number of others.
fn list(places: &[String]) -> String {
    const SHOWN: usize = 20;
    let mut text = places[..places.len().min(SHOWN)].join(", ");
    if places.len() > SHOWN {
        text = format!("{text} and {} more", places.len() - SHOWN);
    }
    text
}
