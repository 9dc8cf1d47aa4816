//! The static binary of the image and of the release archives.

use std::{
    env,
    path::{Path, PathBuf},
};

use anyhow::Result;

use crate::{
    prerequisites::musl_target,
    run::{cargo, root, run, target_directory},
};

/// Where a binary is built.
pub(crate) struct Place {
    /// The root of the sources.
    pub(crate) sources: PathBuf,
    pub(crate) target_directory: PathBuf,
    /// cargo's home, which holds the sources of all dependencies.
    pub(crate) cargo_home: PathBuf,
}

impl Place {
    /// This checkout.
    pub(crate) fn here() -> Self {
        Self {
            sources: root(),
            target_directory: target_directory(),
            cargo_home: cargo_home(),
        }
    }
}

/// cargo's home of this process.
pub(crate) fn cargo_home() -> PathBuf {
    let home = || PathBuf::from(env::var_os("HOME").unwrap_or_default()).join(".cargo");
    env::var_os("CARGO_HOME").map_or_else(home, PathBuf::from)
}

/// Builds `envelope` for musl with a profile of cargo, and returns its path.
///
/// Panic messages and the C code of the TLS library contain file names. They are made independent of the place, so that
/// anyone who builds the same commit with the same compilers gets the same bytes.
pub(crate) fn build(profile: &str, place: &Place, commit: &str) -> Result<PathBuf> {
    let target = musl_target();
    let renamed = [
        (&place.cargo_home, "/cargo"),
        (&place.target_directory, "/target"),
        (&place.sources, "/src"),
    ];
    let flags = |option: &str| renamed.map(|(from, to)| format!("{option}={}={to}", from.display()));
    let mut build = cargo(["build", "--locked", "--bin", "envelope", "--target", &target]);
    build
        .args(["--profile", profile])
        .current_dir(&place.sources)
        .env("CARGO_HOME", &place.cargo_home)
        .env("CARGO_TARGET_DIR", &place.target_directory)
        .env("ENVELOPE_COMMIT", commit)
        .env(
            "CARGO_ENCODED_RUSTFLAGS",
            flags("--remap-path-prefix").join("\u{1f}"),
        )
        .env(
            format!("CFLAGS_{}", target.replace('-', "_")),
            flags("-ffile-prefix-map").join(" "),
        );
    run(&mut build)?;
    Ok(built(&place.target_directory, &target, profile))
}

fn built(target_directory: &Path, target: &str, profile: &str) -> PathBuf {
    // cargo names the directory of its profile `dev` differently.
    let directory = if profile == "dev" { "debug" } else { profile };
    target_directory.join(target).join(directory).join("envelope")
}
