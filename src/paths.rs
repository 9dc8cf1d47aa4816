//! Paths in flags and variables, where no shell has expanded `~`.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

/// Replaces `~` or `~/` at the start of a path with the home directory: bash leaves it in `--keyring=~/k`, and so do
/// systemd and Compose in variables.
pub(crate) fn expand_home(path: &OsStr) -> PathBuf {
    let home = std::env::var_os("HOME").filter(|home| !home.is_empty());
    expand(Path::new(path), home)
}

fn expand(path: &Path, home: Option<OsString>) -> PathBuf {
    match (path.strip_prefix("~"), home) {
        (Ok(rest), Some(home)) => PathBuf::from(home).join(rest),
        _ => path.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_leading_tilde_is_expanded() {
        let expanded = |path| expand(Path::new(path), Some("/home/a".into()));
        for (path, expected) in [
            ("~/k", "/home/a/k"),
            ("~", "/home/a"),
            ("~/a/~/b", "/home/a/a/~/b"),
            ("~user/k", "~user/k"),
            ("./~/k", "./~/k"),
            ("/~/k", "/~/k"),
        ] {
            assert_eq!(expanded(path), Path::new(expected), "{path}");
        }
        assert_eq!(expand(Path::new("~/k"), None), Path::new("~/k"));
    }
}
