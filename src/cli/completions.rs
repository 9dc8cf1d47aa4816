//! `completions`, and the completion protocol of kubectl plugins.

use clap::{Args, Command};
use clap_complete::Shell;

use super::failure::Result;
use super::printer::Printer;

/// Print a script that completes commands and flags in a shell
#[derive(Args)]
#[command(after_help = "Examples:\n  \
    envelope completions bash > ~/.local/share/bash-completion/completions/envelope\n  \
    envelope completions bash --kubectl > ~/.local/bin/kubectl_complete-envelope\n  \
    chmod +x ~/.local/bin/kubectl_complete-envelope")]
pub(super) struct CompletionsArgs {
    /// The shell
    #[arg(value_enum)]
    shell: Shell,
    /// Print the script that kubectl runs to complete `kubectl envelope`: save it on the PATH as
    /// kubectl_complete-envelope. It is the same for every shell
    #[arg(long)]
    kubectl: bool,
}

/// The words after `kubectl envelope`; the last one is incomplete.
#[derive(Args)]
pub(super) struct CompleteArgs {
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    words: Vec<String>,
}

/// kubectl runs it with the words after `kubectl envelope` (kubectl's docs, "Plugins", "Command line completion").
const KUBECTL_SCRIPT: &str = "#!/bin/sh\n\
    # Completes `kubectl envelope`: save it as kubectl_complete-envelope on the PATH, executable.\n\
    exec kubectl-envelope __complete -- \"$@\"\n";

/// Cobra's directive "also complete file names" (`ShellCompDirectiveDefault`).
const DIRECTIVE_DEFAULT: &str = ":0";

/// Runs `completions`.
pub(super) fn run(args: &CompletionsArgs, mut command: Command) -> Result<()> {
    if args.kubectl {
        return Printer::output(KUBECTL_SCRIPT.as_bytes());
    }
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut command, "envelope", &mut script);
    Printer::output(&script)
}

/// Prints candidates as cobra does: one per line, followed by a directive.
pub(super) fn complete(args: &CompleteArgs, command: Command) -> Result<()> {
    Printer::output(candidates(&args.words, command).as_bytes())
}

fn candidates(words: &[String], mut command: Command) -> String {
    command.build();
    let (current, before) = match words.split_last() {
        Some((current, before)) => (current.as_str(), before),
        None => ("", &[][..]),
    };
    let mut innermost = &command;
    for word in before {
        innermost = innermost
            .find_subcommand(word)
            .filter(|c| !c.is_hide_set())
            .unwrap_or(innermost);
    }
    let mut found: Vec<String> = Vec::new();
    if current.starts_with('-') {
        let flags = innermost
            .get_arguments()
            .filter(|arg| !arg.is_hide_set())
            .filter_map(clap::Arg::get_long);
        found.extend(flags.map(|flag| format!("--{flag}")));
    } else {
        let commands = innermost.get_subcommands().filter(|c| !c.is_hide_set());
        found.extend(commands.map(|c| c.get_name().to_owned()));
        let values = before
            .last()
            .and_then(|flag| flag.strip_prefix("--"))
            .and_then(|flag| innermost.get_arguments().find(|arg| arg.get_long() == Some(flag)));
        let values = values.map(clap::Arg::get_possible_values).unwrap_or_default();
        found.extend(values.iter().map(|value| value.get_name().to_owned()));
    }
    found.retain(|candidate| candidate.starts_with(current));
    found.push(DIRECTIVE_DEFAULT.to_owned());
    found.join("\n") + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    fn complete(words: &[&str]) -> Vec<String> {
        let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
        let text = candidates(&words, crate::cli::root::command("envelope"));
        text.lines().map(str::to_owned).collect()
    }

    #[test]
    fn kubectl_completion_prints_candidates_and_a_directive() {
        assert_eq!(complete(&["se"]), ["seal", ":0"]);
        assert_eq!(complete(&["keys", "pro"]), ["promote", ":0"]);
        assert_eq!(complete(&["seal", "--from-l"]), ["--from-literal", ":0"]);
        assert_eq!(complete(&["seal", "--scope", "n"]), ["namespace-wide", ":0"]);
        assert!(!complete(&["_"]).contains(&"__complete".to_owned()));
        assert!(complete(&[]).contains(&"open".to_owned()));
    }
}
