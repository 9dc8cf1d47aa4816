//! Finds manifests that use a KMS key.

use std::path::{Path, PathBuf};

use ignore::WalkBuilder;

use super::super::failure::{Failure, Result};
use super::super::input::Input;
use crate::envelope::{Document, wire};
use crate::kms::KeyUri;
use crate::manifest::{self, Aliases, Kind, Part};

/// The result of a search.
pub(super) struct Found {
    /// The number of files searched.
    pub(super) files: usize,
    /// Files that contain a wrap under the KMS key.
    pub(super) users: Vec<PathBuf>,
}

/// Searches files and directories (`.yaml`, `.yml`, `.json`). Fails on a file that cannot be read, since it may use the
/// KMS key.
pub(super) fn search(paths: &[PathBuf], key: &KeyUri) -> Result<Found> {
    let mut found = Found {
        files: 0,
        users: Vec::new(),
    };
    let Some((first, others)) = paths.split_first() else {
        return Ok(found);
    };
    let mut walk = WalkBuilder::new(first);
    for path in others {
        walk.add(path);
    }
    walk.sort_by_file_path(Path::cmp);
    for entry in walk.build() {
        let entry = entry.map_err(|error| Failure::failed(format!("cannot search: {error}")))?;
        let named = entry.depth() == 0;
        let is_file = entry.file_type().is_some_and(|kind| kind.is_file());
        if is_file && (named || is_manifest(entry.path())) {
            found.files += 1;
            let used = uses(entry.path(), key, named).map_err(|failure| {
                failure
                    .about(entry.path().display())
                    .help("correct the file, or exclude its directory")
            })?;
            if used {
                found.users.push(entry.into_path());
            }
        }
    }
    Ok(found)
}

fn is_manifest(path: &Path) -> bool {
    path.extension()
        .is_some_and(|extension| ["yaml", "yml", "json"].iter().any(|e| extension == *e))
}

/// Repositories contain templates and other JSON, so a file that does not mention both the kind and the KMS key is not
/// parsed.
fn uses(path: &Path, key: &KeyUri, named: bool) -> Result<bool> {
    let text = Input::File(path.to_owned()).read()?;
    let mentions = |word: &str| {
        text.expose()
            .windows(word.len())
            .any(|window| window == word.as_bytes())
    };
    let may_use = mentions(wire::KIND) && mentions(key.as_str());
    if !named && !may_use {
        return Ok(false);
    }
    let parts = manifest::read(text.expose(), Aliases::Ignore)?;
    let mut used = false;
    for item in parts
        .iter()
        .flat_map(Part::items)
        .filter(|item| item.kind() == Kind::Sealed)
    {
        // The place is irrelevant here, and a manifest may omit it.
        let json = item.sealed_json(Some("unnamed"))?;
        let document = Document::from_object_json(&json, Some("default"))?;
        let mut wraps = document
            .spec()
            .data_keys
            .iter()
            .flat_map(|data_key| &data_key.wraps);
        used |= wraps.any(|wrap| wrap.key == key.as_str());
    }
    Ok(used)
}
