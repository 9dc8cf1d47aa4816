//! Finds the `testkit` binary: cargo sets no variable with its path for tests of another package.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use anyhow::{Context as _, Result, bail};
use sha2::{Digest as _, Sha256};

/// Returns the `testkit` binary of this build.
///
/// It is the running executable itself, or the file next to it (`target/debug/testkit` for `target/debug/deps/it-...`), where a plain
/// `cargo test` puts it. If a narrower cargo command left none or an outdated one there, cargo builds it, once per process.
pub fn testkit_binary() -> Result<PathBuf> {
    static FOUND: OnceLock<std::result::Result<PathBuf, String>> = OnceLock::new();
    let found = FOUND.get_or_init(|| find().map_err(|error| format!("{error:#}")));
    found.clone().map_err(anyhow::Error::msg)
}

/// Identifies the version of the guard: a hash of its sources.
pub fn protocol_hash() -> String {
    let mut hash = Sha256::new();
    hash.update(include_bytes!("protocol.rs"));
    hash.update(include_bytes!("server.rs"));
    crate::to_hex(&hash.finalize())
}

fn find() -> Result<PathBuf> {
    let executable = std::env::current_exe()?;
    if executable.file_name().is_some_and(|name| name == "testkit") {
        return Ok(executable);
    }
    let profile = executable
        .parent()
        .filter(|dir| !dir.ends_with("deps"))
        .or_else(|| executable.parent()?.parent());
    let sibling = profile
        .context("this executable has no directory")?
        .join("testkit");
    if is_current(&sibling) {
        return Ok(sibling);
    }
    let built = build(
        profile
            .and_then(Path::file_name)
            .is_some_and(|name| name == "release"),
    )?;
    if !is_current(&built) {
        bail!(
            "{} does not match this build; run: cargo build --package testkit",
            built.display()
        );
    }
    Ok(built)
}

fn is_current(binary: &Path) -> bool {
    let output = Command::new(binary)
        .arg("protocol")
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output();
    output.is_ok_and(|output| output.stdout.trim_ascii() == protocol_hash().as_bytes())
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
    let advice = "build it manually: cargo build --package testkit";
    let output = command
        .output()
        .with_context(|| format!("cannot run cargo to build testkit; {advice}"))?;
    if !output.status.success() {
        bail!("building testkit failed ({}); {advice}", output.status);
    }
    String::from_utf8_lossy(&output.stdout)
        .lines()
        .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok())
        .find_map(|message| message.get("executable")?.as_str().map(PathBuf::from))
        .with_context(|| format!("cargo built testkit but did not report its path; {advice}"))
}
