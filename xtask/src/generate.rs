//! Files that a program of this repository prints, checked in so that people and tools can read them.

use std::{fs, process::Command};

use anyhow::{Context as _, Result, ensure};

use crate::run::{cargo, checked_output, profile_folder, root, run};

/// A file, and the arguments of `envelope` that print it.
const FILES: &[(&str, &[&str])] = &[
    ("crds/envelopesecrets.yaml", &["crd"]),
    ("docs/cli.md", &["reference"]),
];

/// Builds `envelope` and writes them all; with `check` only compares.
pub(crate) fn generate(check: bool) -> Result<()> {
    run(&mut cargo(["build", "--quiet", "--locked", "--bin", "envelope"]))?;
    with_built(check)
}

/// The same with the binary that is built.
pub(crate) fn with_built(check: bool) -> Result<()> {
    let mut stale = Vec::new();
    for (name, args) in FILES {
        let text = checked_output(Command::new(profile_folder()?.join("envelope")).args(*args))?;
        let path = root().join(name);
        if fs::read(&path).is_ok_and(|old| old == text) {
            println!("{name}: unchanged");
        } else if check {
            stale.push(*name);
        } else {
            fs::write(&path, &text).with_context(|| format!("cannot write {name}"))?;
            println!("{name}: written");
        }
    }
    crate::diagram::generate(check)?;
    ensure!(
        stale.is_empty(),
        "not what the program prints: {}; run `cargo xtask generate`",
        stale.join(", ")
    );
    Ok(())
}
