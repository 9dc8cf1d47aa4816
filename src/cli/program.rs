//! The name and arguments of this process, as advice repeats them.

use std::ffi::{OsStr, OsString};
use std::path::Path;

use crate::paths::quoted;

const PLAIN: &str = "envelope";
const PLUGIN: &str = "kubectl envelope";
/// The commands that advice mentions.
const COMMANDS: [&str; 7] = [
    "completions",
    "controller",
    "crd",
    "doctor",
    "keys",
    "open",
    "seal",
];

/// How this program was invoked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Program {
    name: &'static str,
    arguments: Vec<String>,
}

impl Program {
    /// From the whole argument list. A binary named `kubectl-envelope` is a kubectl plugin.
    pub(super) fn new(argv: &[OsString]) -> Self {
        let called = argv.first().map(Path::new).and_then(Path::file_stem);
        let name = if called == Some(OsStr::new("kubectl-envelope")) {
            PLUGIN
        } else {
            PLAIN
        };
        let arguments = argv
            .iter()
            .skip(1)
            .map(|arg| arg.to_string_lossy().into_owned())
            .collect();
        Program { name, arguments }
    }

    /// `envelope` or `kubectl envelope`.
    pub(super) fn name(&self) -> &'static str {
        self.name
    }

    /// The source of a value: the flag if it was given, else its variable if that is set, else the flag.
    pub(super) fn source_of(&self, flag: &'static str, variable: &'static str) -> &'static str {
        let is_flag = |word: &String| {
            word.strip_prefix(flag)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('='))
        };
        if !self.arguments.iter().any(is_flag) && std::env::var_os(variable).is_some() {
            variable
        } else {
            flag
        }
    }

    /// This command with another flag, as advice.
    pub(super) fn rerun_with(&self, more: &str) -> String {
        let mut words = vec![PLAIN.to_owned()];
        words.extend(self.arguments.iter().map(|word| quoted(word)));
        // Everything after `--` is a file.
        let end = self.arguments.iter().position(|word| word == "--");
        words.insert(end.map_or(words.len(), |end| end + 1), more.to_owned());
        words.join(" ")
    }
}

/// Replaces `envelope seal` with `kubectl envelope seal` and so on if this is the plugin.
pub(super) fn advice(name: &str, text: &str) -> String {
    if name == PLAIN {
        return text.to_owned();
    }
    COMMANDS.iter().fold(text.to_owned(), |text, command| {
        text.replace(&format!("{PLAIN} {command}"), &format!("{name} {command}"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn program(argv: &[&str]) -> Program {
        Program::new(&argv.iter().map(OsString::from).collect::<Vec<_>>())
    }

    #[test]
    fn advice_uses_the_name_of_the_invocation() {
        let plain = program(&["/usr/bin/envelope", "seal", "-f", "my file.yaml"]);
        assert_eq!(
            plain.rerun_with("-n NAMESPACE"),
            "envelope seal -f 'my file.yaml' -n NAMESPACE"
        );
        let plugin = program(&["/usr/bin/kubectl-envelope", "seal"]);
        let text = plugin.rerun_with("-n x");
        assert_eq!(advice(plugin.name(), &text), "kubectl envelope seal -n x");
        assert_eq!(advice(plain.name(), &text), "envelope seal -n x");
        assert_eq!(
            program(&["envelope", "seal", "--", "-a.yaml"]).rerun_with("-n NAMESPACE"),
            "envelope seal -n NAMESPACE -- -a.yaml"
        );
        assert_eq!(program(&[]).name(), "envelope");
    }
}
