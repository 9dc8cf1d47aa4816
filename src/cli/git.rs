//! Detects files that Git would pick up.

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::files::Staging;

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
    let status = git(&directory)
        .args(["check-ignore", "--quiet", "--"])
        .arg(&rest)
        .stdout(Stdio::null())
        .status();
    !status.is_ok_and(|status| status.success())
}

/// Returns where a temporary file with the content of `path` may have a name: in Git's own directory if Git would pick it
/// up beside `path`.
pub(super) fn staging(path: &Path) -> Staging {
    let (directory, _) = split_at_existing_directory(path);
    if !would_commit(&directory.join(".envelope-x.tmp")) {
        return Staging::Beside;
    }
    let output = git(&directory).args(["rev-parse", "--absolute-git-dir"]).output();
    let printed = output
        .ok()
        .filter(|output| output.status.success())
        .map(|output| output.stdout);
    let git_directory = printed
        .and_then(|printed| String::from_utf8(printed).ok())
        .map(|line| PathBuf::from(line.trim_end_matches('\n')));
    let device = |path: &Path| path.metadata().map(|found| found.dev()).ok();
    match git_directory {
        Some(git_directory) if device(&git_directory).is_some_and(|d| Some(d) == device(&directory)) => {
            Staging::In(git_directory)
        }
        _ => Staging::Nowhere,
    }
}

/// Git, without the effects of the environment and of the repository's configuration.
fn git(directory: &Path) -> Command {
    let mut command = Command::new("git");
    command
        // The repository's configuration must not start programs.
        .args(["-c", "core.fsmonitor=false"])
        .arg("-C")
        .arg(directory)
        .env_remove("GIT_DIR")
        .env_remove("GIT_WORK_TREE")
        .env_remove("GIT_INDEX_FILE")
        .stdin(Stdio::null())
        .stderr(Stdio::null());
    command
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
    fn plaintext_is_staged_in_gits_own_directory_unless_ignored_beside_the_file() {
        let directory = tempfile::tempdir().expect("a directory");
        let root = directory.path().canonicalize().expect("a directory");
        let path = root.join("plain.yaml");
        assert_eq!(staging(&path), Staging::Beside, "no repository");
        let init = Command::new("git").args(["init", "--quiet"]).arg(&root).status();
        assert!(init.expect("git runs").success());
        fs::write(root.join(".gitignore"), "plain.yaml\n").expect("written");
        assert_eq!(staging(&path), Staging::In(root.join(".git")));
        fs::write(root.join(".gitignore"), "*\n").expect("written");
        assert_eq!(staging(&path), Staging::Beside);
    }

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
