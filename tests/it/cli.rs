//! The command line as a person and a script use it.

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
