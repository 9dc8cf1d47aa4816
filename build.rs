//! Passes the commit to the program: the variable `ENVELOPE_COMMIT` if it is set (image builds set it, because their
//! source is not a Git work tree), otherwise the commit of this repository, otherwise `unknown`.

use std::path::Path;
use std::process::Command;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed=ENVELOPE_COMMIT");
    let configured = std::env::var("ENVELOPE_COMMIT")
        .ok()
        .filter(|commit| !commit.is_empty());
    let commit = configured
        .or_else(commit_of_this_repository)
        .unwrap_or_else(|| "unknown".to_owned());
    println!("cargo::rustc-env=ENVELOPE_COMMIT={commit}");
}

fn commit_of_this_repository() -> Option<String> {
    // A copy of this source in another repository does not have that repository's commit.
    let top = git(&["rev-parse", "--show-toplevel"])?;
    let here = Path::new(env!("CARGO_MANIFEST_DIR")).canonicalize().ok()?;
    if Path::new(&top).canonicalize().ok()? != here {
        return None;
    }
    // HEAD changes when the branch changes, its log with every commit.
    for name in ["HEAD", "logs/HEAD"] {
        if let Some(path) = git(&["rev-parse", "--git-path", name]).filter(|path| Path::new(path).exists()) {
            println!("cargo::rerun-if-changed={path}");
        }
    }
    git(&["rev-parse", "--short=12", "HEAD"])
}

fn git(args: &[&str]) -> Option<String> {
    let output = Command::new("git").args(args).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    let text = text.trim();
    (output.status.success() && !text.is_empty()).then(|| text.to_owned())
}
