//! Detects files that Git would pick up.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Reports whether `path` is inside a Git work tree that does not ignore it. The file need not exist. If Git cannot be
/// run, the file counts as not ignored.
pub(super) fn would_commit(path: &Path) -> bool {
    let (directory, rest) = split_at_existing_directory(path);
    if !directory
        .ancestors()
        .any(|ancestor| ancestor.join(".git").exists())
    {
        return false;
    }
    let status = Command::new("git")
        // The repository's configuration must not start programs.
        .args(["-c", "core.fsmonitor=false"])
        .arg("-C")
        .arg(&directory)
        .args(["check-ignore", "--quiet", "--"])
        .arg(&rest)
        .env_remove("GIT_DIR")
        .env_remove("GIT_WORK_TREE")
        .env_remove("GIT_INDEX_FILE")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    !status.is_ok_and(|status| status.success())
}

/// Splits the path into its nearest existing directory and the rest.
fn split_at_existing_directory(path: &Path) -> (PathBuf, PathBuf) {
    let whole = path
        .canonicalize()
        .or_else(|_| std::path::absolute(path))
        .unwrap_or_else(|_| path.to_owned());
    for directory in whole.ancestors().skip(1) {
        if let Ok(real) = directory.canonicalize() {
            let rest = whole.strip_prefix(directory).unwrap_or(&whole);
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
    fn files_that_git_does_not_ignore_would_be_committed() {
        let directory = tempfile::tempdir().expect("a directory");
        let root = directory.path();
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
        let elsewhere = tempfile::tempdir().expect("a directory");
        fs::write(elsewhere.path().join("k"), "").expect("written");
        std::os::unix::fs::symlink(elsewhere.path().join("k"), root.join("link")).expect("linked");
        assert!(
            !would_commit(&root.join("link")),
            "the target of a link outside the work tree is not committed"
        );
    }
}
