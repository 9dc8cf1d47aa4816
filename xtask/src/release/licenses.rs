//! THIRD-PARTY-LICENSES: the licenses of all linked crates, with their texts.
//!
//! cargo-about does the same and more, but it has to be built first, and takes minutes to recognize texts that each crate
//! has already declared.

use std::{collections::BTreeMap, fmt::Write as _, fs, path::Path};

use anyhow::{Context as _, Result, ensure};
use cargo_metadata::Package;

use super::dependencies::dependencies;

/// The name of the file in the root of the repository.
pub(crate) const FILE: &str = "THIRD-PARTY-LICENSES";
/// What the names of license files start with, in upper case.
const PREFIXES: [&str; 5] = ["LICENSE", "LICENCE", "COPYING", "COPYRIGHT", "NOTICE"];

/// The text of the file.
pub(crate) fn text() -> Result<String> {
    let crates = dependencies()?.crates;
    let mut page =
        "The binaries of envelope-secrets contain these crates. `cargo xtask generate` writes this file.\n\n"
            .to_owned();
    let mut texts: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for package in &crates {
        let name = format!("{} {}", package.name, package.version);
        let license = package.license.as_deref();
        let license = license.with_context(|| format!("{name} declares no license expression"))?;
        let _ = writeln!(page, "  {name}: {license}");
        for text in texts_of(package)? {
            texts.entry(text).or_default().push(name.clone());
        }
    }
    // By the first crate of each text: a new version of a crate moves no others.
    let mut texts: Vec<(Vec<String>, String)> =
        texts.into_iter().map(|(text, crates)| (crates, text)).collect();
    texts.sort();
    for (crates, text) in texts {
        let _ = write!(page, "\n{}\n{}\n\n{text}\n", "=".repeat(80), crates.join(", "));
    }
    Ok(page)
}

/// The license files of a crate, in order of their names.
fn texts_of(package: &Package) -> Result<Vec<String>> {
    let directory = package.manifest_path.parent().context("a directory")?;
    let mut names: Vec<String> = Vec::new();
    for entry in fs::read_dir(directory).with_context(|| directory.to_string())? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if is_license_file(&name) && entry.path().is_file() {
            names.push(name);
        }
    }
    names.extend(package.license_file.as_ref().map(ToString::to_string));
    names.sort();
    names.dedup();
    names
        .iter()
        .map(|name| read(&directory.as_std_path().join(name)))
        .collect()
}

fn is_license_file(name: &str) -> bool {
    let name = name.to_uppercase();
    let is_code = [".RS", ".PY", ".TOML", ".JSON"]
        .iter()
        .any(|end| name.ends_with(end));
    !is_code && PREFIXES.iter().any(|prefix| name.starts_with(prefix))
}

/// The text without differences that carry no meaning, so that equal licenses are listed once.
fn read(path: &Path) -> Result<String> {
    let text = fs::read_to_string(path).with_context(|| path.display().to_string())?;
    let lines: Vec<&str> = text.lines().map(str::trim_end).collect();
    let text = lines.join("\n").trim_matches('\n').to_owned();
    ensure!(!text.is_empty(), "{} is empty", path.display());
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn license_files_are_recognized_by_name() {
        for name in [
            "LICENSE",
            "LICENSE-MIT",
            "license.txt",
            "COPYING",
            "NOTICE.md",
            "LICENCE-APACHE",
        ] {
            assert!(is_license_file(name), "{name}");
        }
        for name in ["Cargo.toml", "license.rs", "README.md", "licenses.json", "src"] {
            assert!(!is_license_file(name), "{name}");
        }
    }
}
