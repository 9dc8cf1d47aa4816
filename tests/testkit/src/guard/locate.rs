//! Where the `testkit` binary is: cargo tells a test of another package nothing about it.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use anyhow::{Context as _, Result, bail};
use sha2::{Digest as _, Sha256};

/// The `testkit` binary that belongs to this build.
///
/// It is this very process, or lies beside the running executable (`target/debug/testkit` for `target/debug/deps/it-...`), where a plain
/// `cargo test` puts it. A narrower cargo command may have left none or an old one there: then cargo builds it, once.
pub fn testkit_binary() -> Result<PathBuf> {
    static FOUND: OnceLock<std::result::Result<PathBuf, String>> = OnceLock::new();
    let found = FOUND.get_or_init(|| find().map_err(|error| format!("{error:#}")));
    found.clone().map_err(anyhow::Error::msg)
}

/// Tells one build of the guard from another: a hash over its sources.
pub fn protocol_hash() -> String {
    let mut hash = Sha256::new();
    hash.update(include_bytes!("protocol.rs"));
    hash.update(include_bytes!("server.rs"));
    crate::to_hex(&hash.finalize())
}

fn find() -> Result<PathBuf> {
    let me = std::env::current_exe()?;
    if me.file_name().is_some_and(|name| name == "testkit") {
        return Ok(me);
    }
    let profile = me
        .parent()
        .filter(|dir| !dir.ends_with("deps"))
        .or_else(|| me.parent()?.parent());
    let beside = profile.context("this executable has no folder")?.join("testkit");
    if speaks(&beside) {
        return Ok(beside);
    }
    let built = build(
        profile
            .and_then(Path::file_name)
            .is_some_and(|name| name == "release"),
    )?;
    if !speaks(&built) {
        bail!(
            "{} is not the testkit of this build; run: cargo build --package testkit",
            built.display()
        );
    }
    Ok(built)
}

fn speaks(binary: &Path) -> bool {
    let answer = Command::new(binary)
        .arg("protocol")
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output();
    answer.is_ok_and(|answer| answer.stdout.trim_ascii() == protocol_hash().as_bytes())
}

fn build(release: bool) -> Result<PathBuf> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.args([
        "build",
        "--quiet",
        "--package",
        "testkit",
        "--bin",
        "testkit",
        "--message-format=json",
    ]);
    if release {
        command.arg("--release");
    }
    command
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .stdin(Stdio::null())
        .stderr(Stdio::inherit());
    let advice = "build it by hand: cargo build --package testkit";
    let output = command
        .output()
        .with_context(|| format!("cannot run cargo to build testkit; {advice}"))?;
    if !output.status.success() {
        bail!("cargo cannot build testkit ({}); {advice}", output.status);
    }
    String::from_utf8_lossy(&output.stdout)
        .lines()
        .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok())
        .find_map(|message| message.get("executable")?.as_str().map(PathBuf::from))
        .with_context(|| format!("cargo built testkit but names no file; {advice}"))
}
