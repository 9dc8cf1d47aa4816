//! Finds the files that use a KMS key.
//!
//! Files are searched as text, so nothing depends on their names or on whether they can be parsed: templates, JSON with
//! `local:\/\/`, UTF-16 and documents nested in any other object are all found, and no YAML alias is expanded. Text
//! that only resembles a document counts as one: keeping a KMS key too long does no harm.

mod archive;
mod scan;
mod text;

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, IsTerminal as _, Read};
use std::path::{Path, PathBuf};

use ignore::{DirEntry, WalkBuilder};

use super::super::failure::{Failure, Result};
use scan::Scan;
use text::Naming;

/// The name of the repository configuration.
const CONFIGURATION: &str = ".envelope.yaml";

const STDIN: &str = "standard input";

/// A named path, for messages.
pub(super) fn shown(path: &Path) -> String {
    if path == Path::new("-") {
        STDIN.to_owned()
    } else {
        path.display().to_string()
    }
}

/// The result of a search. Places are paths, in part with a line: `values.yaml:3`.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// The number of files that hold documents, whatever their KMS keys.
    pub(super) with_documents: usize,
    /// Files with documents that use the key.
    pub(super) users: Vec<String>,
    /// Other files that name the key, so that the next `seal` or a template may use it.
    pub(super) mentions: Vec<String>,
    /// Prose and comments that name the key.
    pub(super) remarks: Vec<String>,
    /// Copies of the key itself.
    pub(super) copies: Vec<String>,
    /// Files with ciphertexts of a local KMS key that they do not name.
    pub(super) templates: Vec<String>,
    /// Files that could not be searched completely, and why.
    pub(super) unsearched: Vec<String>,
    /// Pipes, sockets and devices in searched directories.
    pub(super) special: Vec<String>,
    /// Symlinks whose target does not exist.
    pub(super) dangling: Vec<String>,
}

/// Searches files and directories for the key with this id. Symlinks are followed; only `.git` is skipped, and
/// `keyring`, which holds the key. The configuration that applies to a path is searched too, and `-` is standard input.
/// Fails if anything cannot be read, since it might use the key.
pub(super) fn search(paths: &[PathBuf], id: &str, keyring: Option<&Path>) -> Result<Found> {
    let mut found = Found::default();
    let (stdin, files): (Vec<&PathBuf>, Vec<&PathBuf>) =
        paths.iter().partition(|path| path.as_path() == Path::new("-"));
    match stdin.len() {
        0 => {}
        1 => found.add_stdin(id)?,
        _ => {
            return Err(Failure::usage(
                "standard input (`-`) is named twice but can be read only once",
            ));
        }
    }
    let Some((first, others)) = files.split_first() else {
        return Ok(found);
    };
    for path in &files {
        // A dangling symlink is reported by the walk.
        path.symlink_metadata()
            .map_err(|error| unreadable(&path.display().to_string(), &error))?;
    }
    let keyring = keyring.and_then(|path| path.canonicalize().ok());
    let mut walk = WalkBuilder::new(first);
    for path in others {
        walk.add(path);
    }
    walk.standard_filters(false)
        .follow_links(true)
        .sort_by_file_path(Path::cmp)
        .filter_entry(|entry| entry.depth() == 0 || entry.file_name() != ".git");
    for entry in walk.build() {
        match entry {
            Ok(entry) => found.add(&entry, id, keyring.as_deref())?,
            Err(error) => found.add_error(&error)?,
        }
    }
    let configurations: BTreeSet<PathBuf> = files.iter().filter_map(|path| configuration(path)).collect();
    for path in &configurations {
        found.add_file(path, id)?;
    }
    Ok(found)
}

/// The nearest configuration above a path, in the same repository.
fn configuration(path: &Path) -> Option<PathBuf> {
    let path = path.canonicalize().ok()?;
    let is_root = |directory: &Path| directory.join(".git").exists();
    if is_root(&path) {
        return None;
    }
    for directory in path.ancestors().skip(1) {
        let file = directory.join(CONFIGURATION);
        if file.is_file() {
            return Some(file).filter(|file| *file != path);
        }
        if is_root(directory) {
            return None;
        }
    }
    None
}

impl Found {
    fn add(&mut self, entry: &DirEntry, id: &str, keyring: Option<&Path>) -> Result<()> {
        let path = entry.path();
        let kind = entry.file_type();
        if kind.is_some_and(|kind| kind.is_dir()) {
            return Ok(());
        }
        // A pipe is read only if it was named: one in a directory may have no writer.
        if entry.depth() > 0 && !kind.is_some_and(|kind| kind.is_file()) {
            self.special.push(path.display().to_string());
            return Ok(());
        }
        if keyring.is_some() && path.canonicalize().ok().as_deref() == keyring {
            return Ok(());
        }
        self.add_file(path, id)
    }

    fn add_file(&mut self, path: &Path, id: &str) -> Result<()> {
        let scan = File::open(path).and_then(|mut file| Scan::of(&mut file, id));
        let scan = scan.map_err(|error| unreadable(&path.display().to_string(), &error))?;
        self.add_scan(&path.display().to_string(), &scan, is_prose(path));
        Ok(())
    }

    fn add_stdin(&mut self, id: &str) -> Result<()> {
        let mut stdin = io::stdin().lock();
        if stdin.is_terminal() {
            return Err(Failure::usage("standard input is a terminal").help(
                "pipe the documents in: kubectl get envelopesecrets -A -o yaml | envelope keys retire KEY -",
            ));
        }
        let scan = Scan::of(&mut stdin as &mut dyn Read, id).map_err(|error| unreadable(STDIN, &error))?;
        self.add_scan(STDIN, &scan, false);
        Ok(())
    }

    fn add_scan(&mut self, name: &str, scan: &Scan<'_>, is_prose: bool) {
        let traits = scan.traits;
        let place = scan
            .line
            .map_or_else(|| name.to_owned(), |line| format!("{name}:{line}"));
        self.with_documents += usize::from(traits.is_document());
        if let Some(why) = scan.unsearched {
            self.unsearched.push(format!("{name} ({why})"));
        }
        match traits.naming {
            _ if traits.uses_key() => self.users.push(name.to_owned()),
            Some(Naming::Value) if !is_prose => self.mentions.push(place),
            Some(Naming::Value | Naming::Comment) => self.remarks.push(place),
            Some(Naming::Copy) => self.copies.push(place),
            None if traits.is_template() => self.templates.push(name.to_owned()),
            None => {}
        }
    }

    /// A symlink to an ancestor is not searched again. A dangling one has nothing to search.
    fn add_error(&mut self, error: &ignore::Error) -> Result<()> {
        if is_loop(error) {
            return Ok(());
        }
        if let Some(path) = path_of(error).filter(|path| path.is_symlink() && !path.exists()) {
            self.dangling.push(path.display().to_string());
            return Ok(());
        }
        Err(Failure::failed(format!("cannot search for documents: {error}")).help(ADVICE))
    }
}

/// Files for people: what they say about a KMS key has no effect.
fn is_prose(path: &Path) -> bool {
    const EXTENSIONS: [&str; 6] = ["md", "markdown", "rst", "adoc", "txt", "org"];
    let stem = path.file_stem().and_then(OsStr::to_str).unwrap_or_default();
    match path.extension().and_then(OsStr::to_str) {
        Some(extension) => EXTENSIONS
            .iter()
            .any(|known| extension.eq_ignore_ascii_case(known)),
        None => ["README", "CHANGELOG", "NOTES"].contains(&stem),
    }
}

const ADVICE: &str = "make it readable, or name other paths to search; --no-check skips the search";

fn unreadable(name: &str, error: &io::Error) -> Failure {
    let failure = Failure::failed(format!("cannot search {name}: {error}"));
    match error.kind() {
        io::ErrorKind::NotFound => failure.help("name files and directories that exist"),
        _ => failure.help(ADVICE),
    }
}

fn is_loop(error: &ignore::Error) -> bool {
    match error {
        ignore::Error::Loop { .. } => true,
        ignore::Error::WithPath { err, .. } | ignore::Error::WithDepth { err, .. } => is_loop(err),
        _ => false,
    }
}

fn path_of(error: &ignore::Error) -> Option<&Path> {
    match error {
        ignore::Error::WithPath { path, .. } => Some(path),
        ignore::Error::WithDepth { err, .. } => path_of(err),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
