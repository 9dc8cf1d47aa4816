use std::ffi::{OsStr, OsString};
use std::path::Path;

const PLAIN: &str = "envelope";
const PLUGIN: &str = "kubectl envelope";
/// The commands that advice names.
const COMMANDS: [&str; 7] = [
    "completions",
    "controller",
    "crd",
    "doctor",
    "keys",
    "open",
    "seal",
];

/// How this program was called, for help and advice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Program {
    name: &'static str,
    typed: Vec<String>,
}

impl Program {
    /// From the whole argument list. A binary of the name `kubectl-envelope` is a kubectl plugin.
    pub(super) fn new(argv: &[OsString]) -> Self {
        let called = argv.first().map(Path::new).and_then(Path::file_stem);
        let name = if called == Some(OsStr::new("kubectl-envelope")) {
            PLUGIN
        } else {
            PLAIN
        };
        let typed = argv
            .iter()
            .skip(1)
            .map(|arg| arg.to_string_lossy().into_owned())
            .collect();
        Program { name, typed }
    }

    /// `envelope` or `kubectl envelope`.
    pub(super) fn name(&self) -> &'static str {
        self.name
    }

    /// The command that was typed, with more behind it.
    pub(super) fn again_with(&self, more: &str) -> String {
        let mut words = vec![PLAIN.to_owned()];
        words.extend(self.typed.iter().map(|word| quoted(word)));
        // Everything after `--` is a file.
        let end = self.typed.iter().position(|word| word == "--");
        words.insert(end.map_or(words.len(), |end| end + 1), more.to_owned());
        words.join(" ")
    }
}

/// Advice names commands as `envelope seal`; a plugin's person types `kubectl envelope seal`.
pub(super) fn advice(name: &str, text: &str) -> String {
    if name == PLAIN {
        return text.to_owned();
    }
    COMMANDS.iter().fold(text.to_owned(), |text, command| {
        text.replace(&format!("{PLAIN} {command}"), &format!("{name} {command}"))
    })
}

/// A word as a shell takes it.
pub(super) fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+@%:,=".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', "'\\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn program(argv: &[&str]) -> Program {
        Program::new(&argv.iter().map(OsString::from).collect::<Vec<_>>())
    }

    #[test]
    fn advice_speaks_as_it_was_called() {
        let plain = program(&["/usr/bin/envelope", "seal", "-f", "my file.yaml"]);
        assert_eq!(
            plain.again_with("-n NAMESPACE"),
            "envelope seal -f 'my file.yaml' -n NAMESPACE"
        );
        let plugin = program(&["/usr/bin/kubectl-envelope", "seal"]);
        let text = plugin.again_with("-n x");
        assert_eq!(advice(plugin.name(), &text), "kubectl envelope seal -n x");
        assert_eq!(advice(plain.name(), &text), "envelope seal -n x");
        assert_eq!(
            program(&["envelope", "seal", "--", "-a.yaml"]).again_with("-n NAMESPACE"),
            "envelope seal -n NAMESPACE -- -a.yaml"
        );
        assert_eq!(program(&[]).name(), "envelope");
    }
}
