//! Dependencies inside the source trees: the direction between the modules at the root of `src/` ([`direction`]), and
//! the parts of the controller ([`controller`]), no cycles between files ([`cycles`]).
//!
//! Why tokens are read instead of using a lint: the lists of clippy's `disallowed_types` and `disallowed_methods` apply
//! to a whole package and name single items, not paths such as `std::fs`; Cargo could only separate whole crates.

mod controller;
mod cycles;
mod direction;
mod reader;

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

/// The module that a file defines: `["kms", "local"]` for `kms/local/mod.rs`, `[]` for the crate root.
fn module_of(file: &Path) -> reader::ModulePath {
    let mut parts: Vec<String> = file
        .with_extension("")
        .components()
        .map(|part| part.as_os_str().to_string_lossy().into_owned())
        .collect();
    match parts.last().map(String::as_str) {
        Some("mod" | "lib") => drop(parts.pop()),
        Some("main") if parts.len() == 1 => parts.clear(),
        _ => {}
    }
    parts
}

/// The Rust files in a directory of the repository, by their path in it.
fn sources_in(directory: &str) -> BTreeMap<PathBuf, String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join(directory);
    let mut found = BTreeMap::new();
    let mut directories = vec![root.clone()];
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(&directory).expect("a source directory") {
            let path = entry.expect("a directory entry").path();
            if path.is_dir() {
                directories.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let name = path.strip_prefix(&root).expect("in the directory").to_owned();
                found.insert(name, fs::read_to_string(&path).expect("UTF-8"));
            }
        }
    }
    found
}
