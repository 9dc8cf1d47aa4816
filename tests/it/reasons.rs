//! Commands and flags in messages and troubleshooting pages exist.

use std::collections::BTreeSet;

use assert_cmd::Command;

/// Pages that contain every message (compared by a unit test of `api`) and the remedies.
const PAGES: [(&str, &str); 2] = [
    (
        "troubleshooting.md",
        include_str!("../../docs/troubleshooting.md"),
    ),
    ("gitops.md", include_str!("../../docs/gitops.md")),
];

/// Commands of kubectl. The tests in `crd` and `controller` and the suite `gitops` run them.
const KUBECTL: [&str; 13] = [
    "annotate",
    "apply",
    "auth",
    "create",
    "delete",
    "describe",
    "edit",
    "get",
    "kustomize",
    "patch",
    "replace",
    "rollout",
    "wait",
];
const KUBECTL_FLAGS: [&str; 10] = [
    "--as",
    "--field-selector",
    "--for",
    "--force-conflicts",
    "--namespace",
    "--overwrite",
    "--patch-file",
    "--server-side",
    "--show-managed-fields",
    "--timeout",
];

/// Returns the output of `envelope <arguments> --help`; `None` if there is no such command.
pub(crate) fn help(arguments: &[&str]) -> Option<String> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_envelope"));
    let output = command.args(arguments).arg("--help").output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    output.status.success().then_some(text)
}

/// Returns the code of a page: everything between backquotes, spans and blocks.
fn code(page: &str) -> String {
    let parts = page.split('`').filter(|part| !part.is_empty());
    // A page begins with text. The three backquotes of a block leave empty parts, which are filtered out.
    parts.skip(1).step_by(2).collect::<Vec<_>>().join("\n")
}

/// Returns the words that follow each `word` in the code.
fn words_after<'a>(code: &'a str, word: &str) -> BTreeSet<&'a str> {
    let end = |c: char| !(c.is_ascii_lowercase() || c == '-');
    let after = |(at, _): (usize, &str)| {
        let bare = !code[..at].ends_with(|c: char| c.is_alphanumeric() || c == '-');
        let rest = code[at + word.len()..].strip_prefix(' ')?;
        let next = rest.split(end).next().unwrap_or_default();
        (bare && !next.is_empty() && !next.starts_with('-')).then_some(next)
    };
    code.match_indices(word).filter_map(after).collect()
}

fn flags(code: &str) -> BTreeSet<&str> {
    let end = |c: char| !(c.is_ascii_lowercase() || c == '-');
    code.split(end)
        .filter(|word| word.starts_with("--") && word.len() > 3)
        .collect()
}

#[test]
fn every_command_and_flag_in_the_documentation_exists() {
    let top = help(&[]).unwrap();
    let commands: Vec<&str> = top
        .lines()
        .skip_while(|line| !line.starts_with("Commands:"))
        .skip(1)
        .take_while(|line| line.starts_with("  "))
        .filter_map(|line| line.split_whitespace().next())
        .collect();
    assert!(commands.contains(&"seal") && commands.contains(&"open"), "{top}");
    let helps: Vec<String> = commands.iter().filter_map(|command| help(&[command])).collect();
    for (name, page) in PAGES {
        let page = &code(page);
        for command in words_after(page, "envelope") {
            assert!(
                commands.contains(&command),
                "{name}: no command `envelope {command}`"
            );
        }
        for command in words_after(page, "kubectl") {
            assert!(KUBECTL.contains(&command), "{name}: kubectl {command}");
        }
        for flag in flags(page) {
            let known = helps.iter().any(|help| flags(help).contains(flag)) || KUBECTL_FLAGS.contains(&flag);
            assert!(known, "{name}: no command has the flag {flag}");
        }
    }
    // The text mentions the subcommand `envelope keys list`.
    assert!(help(&["keys", "list"]).is_some());
}

#[test]
fn commands_and_flags_are_extracted_from_code() {
    let page = "text kubectl does `envelope seal --keyring K`, text --no-flag\n```sh\nkubectl get x --as=y\n```\n`my-envelope a`";
    let code = code(page);
    assert_eq!(words_after(&code, "envelope"), BTreeSet::from(["seal"]));
    assert_eq!(words_after(&code, "kubectl"), BTreeSet::from(["get"]));
    assert_eq!(flags(&code), BTreeSet::from(["--as", "--keyring"]));
}
