//! The command line as a person and a script use it.

mod canary;
mod differential;
mod doctor;
mod opening;
mod plaintext;
mod refusals;
mod sealing;
mod shell;
mod tencent;
mod tencent_keys;
mod tencent_proxy;
mod tencent_settings;

use std::{fs, path::Path};

#[test]
fn the_reference_is_what_the_definitions_say() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/cli.md");
    let written = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        written == envelope_secrets::cli::markdown(),
        "docs/cli.md differs from the code: cargo run -p envelope-secrets -- reference > docs/cli.md"
    );
}

/// The cases in `tests/cmd/`: what is typed and what it gives. `TRYCMD=overwrite` writes them anew.
#[test]
fn cases() {
    let folder = tempfile::tempdir().expect("a folder");
    let plugin = folder.path().join("kubectl-envelope");
    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_envelope"), &plugin).expect("linked");
    let cases = trycmd::TestCases::new();
    cases
        .register_bin("envelope", Path::new(env!("CARGO_BIN_EXE_envelope")))
        .register_bin("kubectl-envelope", plugin.as_path())
        .env("HOME", "/nonexistent");
    for variable in [
        "ENVELOPE_KEY",
        "ENVELOPE_KEYRING",
        "XDG_CONFIG_HOME",
        "TENCENTCLOUD_SECRET_ID",
        "TENCENTCLOUD_SECRET_KEY",
        "TENCENTCLOUD_REGION",
    ] {
        cases.env(variable, "");
    }
    cases.case("tests/cmd/*.trycmd").run();
}
