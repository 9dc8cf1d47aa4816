//! docs/cli.md, made from the same definitions as the help.

use std::fmt::Write as _;

use clap::{Arg, ArgAction, Command};

use crate::kms::{self, Provider};

const HEAD: &str = "<!-- Made by `cargo xtask generate` from the definitions of the command line; a test fails when they differ. -->\n\n\
    # Command line\n\n";

/// The whole page, for the root command.
pub(super) fn markdown(mut command: Command) -> String {
    command.build();
    let mut page = HEAD.to_owned();
    if let Some(about) = command.get_about() {
        let _ = writeln!(page, "{about}.\n");
    }
    page.push_str(
        "The same binary under the name `kubectl-envelope` on the `PATH` is the kubectl plugin `kubectl envelope`.\n\n\
         Standard output carries documents and tables only, everything else goes to standard error.\n\n\
         | exit code | meaning |\n|---|---|\n\
         | 0 | done |\n\
         | 1 | failed; of several files at least one |\n\
         | 2 | usage or configuration |\n\
         | 3 | looked and found something (`doctor`) |\n\
         | 4 | a KMS or the network failed in a way that passes: worth repeating |\n\
         | 130 | interrupted |\n\n\
         | variable | meaning |\n|---|---|\n\
         | `ENVELOPE_KEY` | KMS keys to seal with if `--key` is not given; separated by commas |\n\
         | `NO_COLOR` | no colours |\n",
    );
    for provider in kms::providers() {
        variables(&mut page, provider);
    }
    page.push('\n');
    page.push_str("## Flags of every command\n\n");
    let globals: Vec<&Arg> = command
        .get_arguments()
        .filter(|arg| arg.is_global_set())
        .collect();
    flags(&mut page, &globals);
    for sub in visible(&command) {
        section(&mut page, sub, 2);
    }
    let mut page = page.trim_end().to_owned();
    page.push('\n');
    page
}

/// The environment variables of a provider: those of its flags, and others.
fn variables(page: &mut String, provider: &dyn Provider) {
    for setting in provider.settings() {
        let _ = writeln!(page, "| `{}` | `--{}` |", setting.variable, setting.flag);
    }
    for variable in provider.variables() {
        let names: Vec<String> = variable.names.iter().map(|name| format!("`{name}`")).collect();
        let _ = writeln!(page, "| {} | {} |", names.join(", "), variable.meaning);
    }
}

fn visible(command: &Command) -> impl Iterator<Item = &Command> {
    command
        .get_subcommands()
        .filter(|sub| !sub.is_hide_set() && sub.get_name() != "help")
}

fn section(page: &mut String, command: &Command, level: usize) {
    let name = command.get_bin_name().unwrap_or(command.get_name());
    let _ = writeln!(page, "{} {name}\n", "#".repeat(level));
    if let Some(about) = command.get_long_about().or_else(|| command.get_about()) {
        let _ = writeln!(page, "{}\n", about.to_string().trim_end());
    }
    let subs: Vec<&Command> = visible(command).collect();
    if subs.is_empty() {
        let usage = command.clone().render_usage().to_string();
        let _ = writeln!(page, "```text\n{}\n```\n", usage.trim());
        let own: Vec<&Arg> = command
            .get_arguments()
            .filter(|arg| !arg.is_hide_set() && !arg.is_global_set())
            .collect();
        flags(page, &own);
    }
    if let Some(after) = command.get_after_help() {
        let _ = writeln!(page, "```text\n{}\n```\n", after.to_string().trim_end());
    }
    for sub in subs {
        section(page, sub, level + 1);
    }
}

fn flags(page: &mut String, args: &[&Arg]) {
    let rows: Vec<String> = args
        .iter()
        .filter(|arg| arg.get_id() != "help" && arg.get_id() != "version")
        .map(|arg| row(arg))
        .collect();
    if !rows.is_empty() {
        let _ = writeln!(page, "| flag | meaning |\n|---|---|\n{}\n", rows.join("\n"));
    }
}

fn row(arg: &Arg) -> String {
    let value = arg
        .get_value_names()
        .filter(|_| matches!(arg.get_action(), ArgAction::Set | ArgAction::Append))
        .map(|names| {
            names
                .iter()
                .map(ToString::to_string)
                .collect::<Vec<_>>()
                .join(" ")
        });
    let mut forms = Vec::new();
    forms.extend(arg.get_short().map(|short| format!("-{short}")));
    forms.extend(arg.get_long().map(|long| format!("--{long}")));
    let mut flag = forms.join(", ");
    if let Some(value) = value {
        let bracketed = if forms.is_empty() && !arg.is_required_set() {
            format!("[{value}]")
        } else {
            value
        };
        if !flag.is_empty() {
            flag.push(' ');
        }
        flag.push_str(&bracketed);
    }
    let help = arg
        .get_long_help()
        .or_else(|| arg.get_help())
        .map(ToString::to_string)
        .unwrap_or_default();
    let mut meaning = paragraphs(&help);
    let values: Vec<String> = arg
        .get_possible_values()
        .iter()
        .filter(|value| !value.is_hide_set() && matches!(arg.get_action(), ArgAction::Set))
        .map(|value| match value.get_help() {
            Some(help) => format!("`{}` ({})", value.get_name(), lower_first(&help.to_string())),
            None => format!("`{}`", value.get_name()),
        })
        .collect();
    if !values.is_empty() {
        meaning = format!("{meaning}: {}", values.join(", "));
    }
    let defaults: Vec<String> = arg
        .get_default_values()
        .iter()
        .map(|value| format!("`{}`", value.to_string_lossy()))
        .collect();
    if !defaults.is_empty() && matches!(arg.get_action(), ArgAction::Set | ArgAction::Append) {
        meaning = format!("{meaning}; default {}", defaults.join(", "));
    }
    format!("| `{flag}` | {} |", meaning.replace('|', "\\|"))
}

/// The paragraphs of a help text as sentences on one line.
fn paragraphs(help: &str) -> String {
    let lines = help
        .split("\n\n")
        .map(|paragraph| paragraph.split_whitespace().collect::<Vec<_>>().join(" "));
    let sentences: Vec<String> = lines.map(|line| line.trim_end_matches('.').to_owned()).collect();
    sentences.join(". ")
}

fn lower_first(text: &str) -> String {
    let mut chars = text.chars();
    chars
        .next()
        .map(|first| first.to_lowercase().chain(chars).collect())
        .unwrap_or_default()
}
