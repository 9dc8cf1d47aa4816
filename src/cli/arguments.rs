//! Arguments and environment variables before and after clap: blank values count as unset, variables must be UTF-8, and
//! errors name the variable that a value comes from.

use std::ffi::{OsStr, OsString};

use clap::builder::StyledStr;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Arg, ArgAction, Command};

use super::failure::{Failure, Result};
use super::printer::one_line;
use crate::paths::may_be_secret;

/// The arguments without flags whose value is blank.
pub(super) fn without_blank_flags(argv: &[OsString], command: &Command) -> Vec<OsString> {
    let command = invoked(argv, command);
    let mut kept = Vec::with_capacity(argv.len());
    let mut words = argv.iter().peekable();
    while let Some(word) = words.next() {
        if word == "--" {
            kept.push(word.clone());
            kept.extend(words.cloned());
            break;
        }
        let (flag, attached) = split(word);
        let option = flag.and_then(|flag| option(command, flag));
        match (option, attached) {
            (Some(option), Some(value)) if is_blank(value) && blank_is_unset(option) => {}
            (Some(option), None) if needs_value(option) => match words.next() {
                Some(value) if is_blank(value) && blank_is_unset(option) => {}
                value => {
                    kept.push(word.clone());
                    kept.extend(value.cloned());
                }
            },
            _ => kept.push(word.clone()),
        }
    }
    kept
}

/// Fails if a variable of the invoked command is not UTF-8.
pub(super) fn check_variables(argv: &[OsString], command: &Command) -> Result<()> {
    let variables = invoked(argv, command).get_arguments().filter_map(Arg::get_env);
    for variable in variables {
        if std::env::var_os(variable).is_some_and(|value| value.to_str().is_none()) {
            return Err(super::env::not_utf_8(&variable.to_string_lossy()));
        }
    }
    Ok(())
}

/// The failure for an invalid value, if it comes from a variable. clap names only the flag.
pub(super) fn invalid_variable(error: &clap::Error, argv: &[OsString], command: &Command) -> Option<Failure> {
    if !matches!(error.kind(), ErrorKind::InvalidValue | ErrorKind::ValueValidation) {
        return None;
    }
    let context = |kind| match error.get(kind) {
        Some(ContextValue::String(text)) => Some(text.as_str()),
        _ => None,
    };
    let shown = context(ContextKind::InvalidArg)?;
    let mut options = invoked(argv, command).get_arguments();
    let option = options.find(|option| option.to_string() == shown)?;
    let variable = option.get_env()?.to_str()?;
    if is_given(argv, option) || std::env::var_os(variable).is_none() {
        return None;
    }
    let value = context(ContextKind::InvalidValue).unwrap_or_default();
    let reason = std::error::Error::source(error)
        .map_or_else(|| format!("{value:?} is not a valid value"), ToString::to_string);
    let failure = Failure::usage(format!("{variable}: {reason}"));
    let values = option.get_possible_values();
    let values: Vec<&str> = values
        .iter()
        .map(clap::builder::PossibleValue::get_name)
        .collect();
    Some(if values.is_empty() {
        failure.help(format!("correct the variable, or set {shown}"))
    } else {
        failure.help(format!("use one of {}", values.join(", ")))
    })
}

/// The error with the arguments that it repeats kept on one line: clap prints them as they are.
pub(super) fn on_one_line(mut error: clap::Error) -> clap::Error {
    let context: Vec<(ContextKind, ContextValue)> = error
        .context()
        .map(|(kind, value)| (kind, value.clone()))
        .collect();
    let shown = |text: &str| {
        if may_be_secret(text) {
            format!("a text of {} bytes", text.len())
        } else {
            one_line(text)
        }
    };
    let styled = |text: &StyledStr| match text.to_string() {
        plain if may_be_secret(&plain) => StyledStr::new(),
        plain if plain.contains(char::is_control) => StyledStr::from(one_line(&plain)),
        _ => text.clone(),
    };
    // "To pass '--dry-run' as a value, use '-- --dry-run'": it would be a file of that name.
    if error.kind() == ErrorKind::UnknownArgument {
        error.remove(ContextKind::Suggested);
    }
    for (kind, value) in context {
        if error.get(kind).is_none() {
            continue;
        }
        let value = match value {
            ContextValue::String(text) => ContextValue::String(shown(&text)),
            ContextValue::Strings(texts) => {
                ContextValue::Strings(texts.iter().map(|text| shown(text)).collect())
            }
            ContextValue::StyledStr(text) if kind != ContextKind::Usage => {
                ContextValue::StyledStr(styled(&text))
            }
            ContextValue::StyledStrs(texts) => ContextValue::StyledStrs(texts.iter().map(styled).collect()),
            other => other,
        };
        error.insert(kind, value);
    }
    error
}

/// The innermost command that the arguments name.
fn invoked<'c>(argv: &[OsString], command: &'c Command) -> &'c Command {
    let words = argv.iter().skip(1).take_while(|word| *word != "--");
    words.fold(command, |command, word| {
        command.find_subcommand(word).unwrap_or(command)
    })
}

/// `--flag`, `--flag=value`, `-f`: the flag and the attached value.
fn split(word: &OsStr) -> (Option<&str>, Option<&OsStr>) {
    let Some(text) = word
        .to_str()
        .filter(|text| text.len() > 1 && text.starts_with('-'))
    else {
        return (None, None);
    };
    match text.split_once('=') {
        Some((flag, value)) if flag.starts_with("--") => (Some(flag), Some(OsStr::new(value))),
        _ => (Some(text), None),
    }
}

fn option<'c>(command: &'c Command, flag: &str) -> Option<&'c Arg> {
    command
        .get_arguments()
        .find(|option| match flag.strip_prefix("--") {
            Some(long) => option.get_long() == Some(long),
            None => option
                .get_short()
                .is_some_and(|short| flag[1..].chars().eq([short])),
        })
}

fn is_given(argv: &[OsString], option: &Arg) -> bool {
    let long = option.get_long().map(|long| format!("--{long}"));
    argv.iter()
        .any(|word| split(word).0.is_some_and(|flag| Some(flag) == long.as_deref()))
}

fn needs_value(option: &Arg) -> bool {
    option.get_action().takes_values() && option.get_num_args().is_none_or(|count| count.min_values() > 0)
}

/// `controller --audience ""` accepts documents without an audience.
fn blank_is_unset(option: &Arg) -> bool {
    option.get_action().takes_values()
        && !(option.get_id() == "audience" && matches!(option.get_action(), ArgAction::Append))
}

fn is_blank(value: &OsStr) -> bool {
    value.to_str().is_some_and(|text| text.trim().is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(words: &[&str]) -> Vec<String> {
        let mut command = crate::cli::root::command("envelope");
        command.build();
        let argv: Vec<OsString> = std::iter::once(&"envelope")
            .chain(words)
            .map(OsString::from)
            .collect();
        let kept = without_blank_flags(&argv, &command).into_iter().skip(1);
        kept.map(|word| word.into_string().expect("UTF-8")).collect()
    }

    #[test]
    fn blank_flags_count_as_unset() {
        for (words, expected) in [
            (&["seal", "-n", "", "a.yaml"][..], &["seal", "a.yaml"][..]),
            (&["seal", "-n", " ", "--name="], &["seal"]),
            (
                &["seal", "--keyring=", "--keyring", "k"],
                &["seal", "--keyring", "k"],
            ),
            (&["seal", "-n", "a", ""], &["seal", "-n", "a", ""]),
            (&["seal", "--trim", ""], &["seal", "--trim", ""]),
            (&["seal", "--name", "--", ""], &["seal", "--name", "--", ""]),
            (&["seal", "--", "-n", ""], &["seal", "--", "-n", ""]),
            (&["seal", "--tencent-allow-http="], &["seal"]),
            (
                &["--color", "", "keys", "create", "--region", ""],
                &["keys", "create"],
            ),
            (
                &["controller", "--audience", "", "--log-level="],
                &["controller", "--audience", ""],
            ),
        ] {
            assert_eq!(kept(words), expected, "{words:?}");
        }
    }
}
