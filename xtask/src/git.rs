//! Facts of the Git work tree.

use std::process::Command;

use crate::run::{output, root};

/// The commit of the work tree; empty outside of one.
pub(crate) fn short_commit() -> String {
    git(&["rev-parse", "--short=12", "HEAD"]).unwrap_or_default()
}

/// Seconds since 1970 of the commit; 0 outside of a Git work tree.
pub(crate) fn commit_time() -> String {
    git(&["log", "-1", "--format=%ct"]).unwrap_or_else(|| "0".to_owned())
}

fn git(arguments: &[&str]) -> Option<String> {
    let mut git = Command::new("git");
    let text = output(git.args(arguments).current_dir(root())).ok()?;
    Some(text.trim().to_owned()).filter(|text| !text.is_empty())
}
