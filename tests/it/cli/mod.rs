//! The command line, run as users and scripts run it.

mod canary;
mod differential;
mod doctor;
mod key_selection;
mod keyring;
mod leaks;
mod opening;
mod output;
mod plaintext;
mod prompt;
mod refusals;
mod retiring;
mod sealing;
mod settings;
mod shell;
mod tencent;
mod tencent_keys;
mod tencent_proxy;
mod tencent_settings;

use std::{fs, path::Path};

#[test]
fn reference_page_matches_the_definitions() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/cli.md");
    let written = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        written == envelope_secrets::cli::markdown(),
        "docs/cli.md differs from the code: cargo run -p envelope-secrets -- reference > docs/cli.md"
    );
}

/// The cases in `tests/cmd/`: commands and their output. `TRYCMD=overwrite` updates them.
#[test]
fn commands_print_what_the_cases_say() {
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
