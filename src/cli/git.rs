//! Whether a file would be committed sooner or later.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Whether `path` lies in a Git work tree that does not ignore it. The file need not be there. Where Git cannot be
/// asked, it counts as not ignored.
pub(super) fn would_commit(path: &Path) -> bool {
    let (folder, rest) = located(path);
    if !folder.ancestors().any(|ancestor| ancestor.join(".git").exists()) {
        return false;
    }
    let asked = Command::new("git")
        // A repository's own configuration must not start programs here.
        .args(["-c", "core.fsmonitor=false"])
        .arg("-C")
        .arg(&folder)
        .args(["check-ignore", "--quiet", "--"])
        .arg(&rest)
        .env_remove("GIT_DIR")
        .env_remove("GIT_WORK_TREE")
        .env_remove("GIT_INDEX_FILE")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    !asked.is_ok_and(|status| status.success())
}

/// The nearest folder that is there, and the path from it.
fn located(path: &Path) -> (PathBuf, PathBuf) {
    let whole = path
        .canonicalize()
        .or_else(|_| std::path::absolute(path))
        .unwrap_or_else(|_| path.to_owned());
    for folder in whole.ancestors().skip(1) {
        if let Ok(real) = folder.canonicalize() {
            let rest = whole.strip_prefix(folder).unwrap_or(&whole);
            return (real, rest.to_owned());
        }
    }
    (PathBuf::from("/"), whole)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn only_what_git_would_take_counts() {
        let folder = tempfile::tempdir().expect("a folder");
        let root = folder.path();
        assert!(!would_commit(&root.join("keyring")), "no repository");
        let git = Command::new("git")
            .args(["init", "--quiet"])
            .arg(root)
            .status()
            .expect("git runs");
        assert!(git.success());
        fs::write(root.join(".gitignore"), "*.key\n/private/\n").expect("written");
        for (path, expected) in [
            ("keyring", true),
            ("a/b/keyring", true),
            ("x.key", false),
            ("a/b/x.key", false),
            ("private/keyring", false),
            ("private/a/keyring", false),
        ] {
            assert_eq!(would_commit(&root.join(path)), expected, "{path}");
        }
        fs::create_dir(root.join("outside")).expect("made");
        let elsewhere = tempfile::tempdir().expect("a folder");
        fs::write(elsewhere.path().join("k"), "").expect("written");
        std::os::unix::fs::symlink(elsewhere.path().join("k"), root.join("link")).expect("linked");
        assert!(
            !would_commit(&root.join("link")),
            "what a link leads to is not committed"
        );
    }
}
