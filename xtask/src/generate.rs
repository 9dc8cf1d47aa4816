//! Generated files, printed by `envelope` and checked in for people and tools to read.

use std::{fs, process::Command};

use anyhow::{Context as _, Result, ensure};

use crate::chart::readme;
use crate::run::{cargo, checked_output, profile_directory, root, run};

/// Each file with the arguments of `envelope` that print it.
const FILES: &[(&str, &[&str])] = &[
    ("crds/envelopesecrets.yaml", &["crd"]),
    ("charts/envelope-secrets/files/envelopesecrets.yaml", &["crd"]),
    ("docs/cli.md", &["reference"]),
];

/// Builds `envelope` and writes all generated files; with `check`, fails if one is out of date.
pub(crate) fn generate(check: bool) -> Result<()> {
    run(&mut cargo(["build", "--quiet", "--locked", "--bin", "envelope"]))?;
    generate_with_built(check)
}

/// Does the same with the binary that is already built.
pub(crate) fn generate_with_built(check: bool) -> Result<()> {
    let mut stale = Vec::new();
    for (name, args) in FILES {
        let text = checked_output(Command::new(profile_directory()?.join("envelope")).args(*args))?;
        write(name, &text, check, &mut stale)?;
    }
    let licenses = crate::release::licenses::text()?;
    write(
        crate::release::licenses::FILE,
        licenses.as_bytes(),
        check,
        &mut stale,
    )?;
    write(&readme::path(), readme::generate()?.as_bytes(), check, &mut stale)?;
    crate::diagram::generate(check)?;
    ensure!(
        stale.is_empty(),
        "out of date: {}; run `cargo xtask generate`",
        stale.join(", ")
    );
    Ok(())
}

/// Writes the file if it is out of date; with `check`, only records its name.
fn write(name: &str, text: &[u8], check: bool, stale: &mut Vec<String>) -> Result<()> {
    let path = root().join(name);
    if fs::read(&path).is_ok_and(|old| old == text) {
        println!("{name}: unchanged");
    } else if check {
        stale.push(name.to_owned());
    } else {
        fs::write(&path, text).with_context(|| format!("cannot write {name}"))?;
        println!("{name}: written");
    }
    Ok(())
}
