//! Paths in flags and variables, which no shell has expanded, and words of commands that a user copies.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::path::{Path, PathBuf};

/// A path that is almost certainly not meant literally. Using it would create a file or directory in an unexpected place.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct PathError {
    path: String,
    fault: &'static str,
}

const ADVICE: &str = "write the whole path, or ./ and the name if it is meant literally";
/// The fault of a variable that holds the content of a file: GitLab has variables of both types.
const IS_CONTENT: &str = "is not a path, but may be the content of a file";

impl std::error::Error for PathError {}

impl fmt::Display for PathError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}; {}", self.reason(), self.advice())
    }
}

/// Never shows what may be the content of a keyring.
impl fmt::Debug for PathError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl PathError {
    /// What is wrong, without the advice.
    pub(crate) fn reason(&self) -> String {
        if may_be_secret(&self.path) {
            format!("a text of {} bytes {}", self.path.len(), self.fault)
        } else {
            format!("{:?} {}", self.path, self.fault)
        }
    }

    /// What to do.
    pub(crate) fn advice(&self) -> &'static str {
        if self.fault == IS_CONTENT {
            "write it to a file that only you can read, outside the repository, and name that file"
        } else {
            ADVICE
        }
    }
}

/// Whether a text may be the content of a keyring or of another file, or a key alone: messages must not repeat it.
pub(crate) fn may_be_secret(text: &str) -> bool {
    // 32 bytes in base64url.
    let is_key = text.len() == 43
        && text
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "-_".contains(c))
        && text.chars().any(|c| c.is_ascii_digit())
        && text.chars().any(|c| c.is_ascii_lowercase())
        && text.chars().any(|c| c.is_ascii_uppercase());
    is_key || text.contains("ES-LOCAL-KEY-") || text.trim_end().contains('\n')
}

/// The path that a flag, an argument or a variable means. `~/` at its start is the home directory. Refuses what looks
/// like the work of a shell that was not there, or like a URL, unless a file of that name exists.
pub(crate) fn resolve(path: &OsStr) -> Result<PathBuf, PathError> {
    let expanded = expand_home(path);
    match fault(&expanded.to_string_lossy()) {
        Some(fault) if expanded.symlink_metadata().is_err() => Err(PathError {
            path: path.to_string_lossy().into_owned(),
            fault,
        }),
        _ => Ok(expanded),
    }
}

/// Why an expanded path cannot be meant literally.
fn fault(path: &str) -> Option<&'static str> {
    let is_quoted = |quote: char| path.len() > 1 && path.starts_with(quote) && path.ends_with(quote);
    let is_variable = |component: &str| {
        let name = component.strip_prefix('$');
        name.is_some_and(|name| name.starts_with(|c: char| c.is_ascii_alphabetic() || "_{(".contains(c)))
    };
    let is_scheme = |scheme: &str| {
        scheme.starts_with(|c: char| c.is_ascii_alphabetic())
            && scheme
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || "+.-".contains(c))
    };
    if may_be_secret(path) {
        Some(IS_CONTENT)
    } else if path.starts_with("./") {
        None
    } else if path == "~" || path.starts_with("~/") {
        Some("has a ~ that cannot be expanded, because HOME is not set")
    } else if path.starts_with('~') {
        Some("starts with a ~ that is not expanded: only ~/ is")
    } else if path.split('/').any(is_variable) {
        Some("has a variable that is not expanded")
    } else if path.contains("{{") {
        Some("has a template that is not rendered")
    } else if path.starts_with("file:")
        || path
            .split_once("://")
            .is_some_and(|(scheme, _)| is_scheme(scheme))
    {
        Some("is a URL, not a path")
    } else if is_quoted('"') || is_quoted('\'') {
        Some("has quotes around it")
    } else if path.trim() != path {
        Some("has a blank before or after it")
    } else if path.chars().any(char::is_control) {
        Some("has a control character")
    } else {
        None
    }
}

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

/// A word of a command, quoted for a shell if it needs quotes.
pub(crate) fn quoted(word: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "/._-+@%:,=~".contains(c);
    if !word.is_empty() && !word.starts_with('~') && word.chars().all(is_plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', "'\\''"))
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

    #[test]
    fn path_that_is_not_meant_literally_is_refused() {
        for (path, expected) in [
            ("~nouser/k", "only ~/ is"),
            ("$HOME/k", "a variable"),
            ("/a/${X}/k", "a variable"),
            ("$(pwd)/k", "a variable"),
            ("{{ .Values.k }}", "a template"),
            ("file:///x/k", "a URL"),
            ("file:x", "a URL"),
            ("https://x/k", "a URL"),
            ("\"/x/k\"", "quotes"),
            ("'k'", "quotes"),
            (" /x/k", "a blank"),
            ("/x/k\r", "a blank"),
            ("/x\x1b/k", "a control character"),
        ] {
            let error = resolve(OsStr::new(path)).expect_err(path);
            assert!(error.reason().contains(expected), "{error}");
            assert!(!error.to_string().contains('\n'), "{error}");
        }
        for path in [
            "k",
            "-",
            "/x/~k",
            "a:b",
            "./$HOME/k",
            "./~nouser",
            "a$b",
            "C$/k",
            "/dev/fd/63",
            "x y",
            "dir//k",
        ] {
            assert_eq!(resolve(OsStr::new(path)), Ok(PathBuf::from(path)), "{path}");
        }
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("$x");
        assert!(resolve(path.as_os_str()).is_err());
        std::fs::write(&path, "").expect("written");
        assert_eq!(resolve(path.as_os_str()), Ok(path.clone()), "it exists");
    }

    #[test]
    fn content_of_a_keyring_is_refused_and_not_repeated() {
        for content in [
            "# a\nES-LOCAL-KEY-1 fa1975b2 8kkJ6xAXYHTqbWLyZxcWEVoQPzEPOE0pgF7AeCH6z1I\n",
            "ES-LOCAL-KEY-1 fa1975b2 8kkJ6xAXYHTqbWLyZxcWEVoQPzEPOE0pgF7AeCH6z1I",
            "8kkJ6xAXYHTqbWLyZxcWEVoQPzEPOE0pgF7AeCH6z1I",
            "[default]\nsecret_key = planted-8kkJ6\n",
        ] {
            let error = resolve(OsStr::new(content)).expect_err("not a path");
            assert!(!error.to_string().contains("8kkJ6"), "{error}");
            assert!(error.advice().starts_with("write it to a file"), "{error}");
        }
    }

    #[test]
    fn words_with_special_characters_are_quoted() {
        for (word, shown) in [
            ("/a/b-1.ring", "/a/b-1.ring"),
            ("/a b", "'/a b'"),
            ("it's", "'it'\\''s'"),
            ("~x", "'~x'"),
            ("$(x)", "'$(x)'"),
            ("", "''"),
        ] {
            assert_eq!(quoted(word), shown);
        }
    }
}
