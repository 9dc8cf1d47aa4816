//! Values without a manifest: from files, env files, the terminal and standard input.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::super::failure::{Failure, Result};
use super::super::input::{Input, StdinGuard};
use super::super::printer::Printer;
use super::super::prompt;
use crate::envelope::SecretBytes;
use crate::envelope::names::is_entry_name;
use crate::manifest::ENTRY_NAME;
use crate::paths::expand_home;

const FROM_FILE: &str = "--from-file";
const FROM_LITERAL: &str = "--from-literal";

/// The source of one or more entries.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum EntrySource {
    /// `--from-file`, and `--from-literal NAME=-`.
    Whole(String, Input),
    /// `--from-env-file`.
    Lines(Input),
    /// `--from-literal NAME`.
    Prompt(String),
}

/// How to treat a line ending at the end of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Newlines {
    /// Remove it (`--trim`).
    Trim,
    /// Keep it and warn: most are unintended.
    Warn,
}

impl EntrySource {
    /// Parses the flags; files come first, then env files, then literals.
    pub(super) fn all(
        files: &[String],
        env_files: &[PathBuf],
        literals: &[String],
        guard: &mut StdinGuard,
    ) -> Result<Vec<Self>> {
        let mut all = Vec::new();
        for word in files {
            all.push(from_file(word)?);
        }
        all.extend(env_files.iter().map(|path| EntrySource::Lines(Input::new(path))));
        for word in literals {
            all.push(from_literal(word)?);
        }
        for source in &all {
            if let EntrySource::Whole(_, input) | EntrySource::Lines(input) = source {
                guard.take(input)?;
            }
        }
        Ok(all)
    }
}

fn from_file(word: &str) -> Result<EntrySource> {
    let (name, path) = word.split_once('=').map_or_else(
        || {
            let last = Path::new(word)
                .file_name()
                .map(|name| name.to_string_lossy().into_owned());
            (last.filter(|_| word != "-").unwrap_or_default(), word)
        },
        |(name, path)| (name.to_owned(), path),
    );
    if name.is_empty() || path.is_empty() {
        return Err(
            Failure::usage("--from-file needs a path, and a name if the path has none")
                .help("write --from-file NAME=PATH"),
        );
    }
    check_name(&name, FROM_FILE)?;
    Ok(EntrySource::Whole(name, Input::new(&expand_home(path.as_ref()))))
}

/// The text after `=` may be a secret, so no message repeats it.
fn from_literal(word: &str) -> Result<EntrySource> {
    let Some((name, rest)) = word.split_once('=') else {
        check_name(word, FROM_LITERAL)?;
        return Ok(EntrySource::Prompt(word.to_owned()));
    };
    if rest != "-" {
        return Err(Failure::usage(
            "--from-literal takes no value: it would stay in the shell's history and in the list of processes",
        )
        .help(
            "leave out `=` and what follows to be asked for the value; or pipe it in: \
             printf %s \"$VALUE\" | envelope seal --from-literal NAME=- ...",
        ));
    }
    check_name(name, FROM_LITERAL)?;
    Ok(EntrySource::Whole(name.to_owned(), Input::Stdin))
}

fn check_name(name: &str, flag: &str) -> Result<()> {
    if is_entry_name(name) {
        return Ok(());
    }
    let advice = if flag == FROM_LITERAL {
        "write --from-literal NAME and nothing else: the value is asked for, or read from standard input with NAME=-"
    } else {
        "for a file write NAME=PATH"
    };
    Err(Failure::usage(format!("{flag}: the name of the entry {ENTRY_NAME}")).help(advice))
}

/// Reads all sources. Fails if two entries have the same name.
pub(super) fn read(
    sources: &[EntrySource],
    newlines: Newlines,
    printer: Printer,
) -> Result<BTreeMap<String, SecretBytes>> {
    let mut entries = BTreeMap::new();
    for source in sources {
        match source {
            EntrySource::Prompt(name) => insert(&mut entries, name, prompt(name, printer)?)?,
            EntrySource::Whole(name, input) => {
                let value = read_whole(name, input)?;
                let value = trim_or_warn(value, name, newlines, printer);
                insert(&mut entries, name, value)?;
            }
            EntrySource::Lines(input) => {
                let text = input.read()?;
                let lines =
                    env_lines(text.expose(), printer).map_err(|failure| failure.about(input.label()))?;
                for (name, value) in lines {
                    insert(&mut entries, &name, value)?;
                }
            }
        }
    }
    Ok(entries)
}

/// `--from-file password=hunter2` was probably meant as a literal, so the message does not repeat what follows `=`.
fn read_whole(name: &str, input: &Input) -> Result<SecretBytes> {
    let Input::File(path) = input else {
        return input.read();
    };
    if path.file_name().is_some_and(|file| file == name) || path.exists() {
        return input.read();
    }
    Err(
        Failure::failed(format!("--from-file {name}=...: there is no such file")).help(format!(
            "--from-file takes a path; to enter the value, use --from-literal {name}"
        )),
    )
}

fn insert(entries: &mut BTreeMap<String, SecretBytes>, name: &str, value: SecretBytes) -> Result<()> {
    match entries.insert(name.to_owned(), value) {
        None => Ok(()),
        Some(_) => Err(Failure::usage(format!("entry {name:?} is given twice"))),
    }
}

/// Prompts on the terminal, wherever the standard streams lead.
fn prompt(name: &str, printer: Printer) -> Result<SecretBytes> {
    let value = prompt::read_line(&format!("value of {name}: ")).map_err(|error| {
        Failure::usage(format!("cannot ask for the value of {name:?}: {error}")).help(format!(
            "read it from a file with --from-file {name}=PATH, or pipe it in with --from-literal {name}=-"
        ))
    })?;
    if value.expose().is_empty() {
        printer.warning(&format!("the value of {name:?} is empty"));
    }
    Ok(value)
}

/// Trims one line ending, or warns about it: in a value of one line it usually comes from an editor or `echo`. Texts of
/// several lines normally end with one.
fn trim_or_warn(value: SecretBytes, name: &str, newlines: Newlines, printer: Printer) -> SecretBytes {
    let bytes = value.expose();
    let Some(without) = bytes.strip_suffix(b"\n") else {
        return value;
    };
    let without = without.strip_suffix(b"\r").unwrap_or(without);
    match newlines {
        Newlines::Trim => SecretBytes::new(without.to_vec()),
        Newlines::Warn => {
            if !without.contains(&b'\n') {
                printer.warning(&format!(
                    "the value of {name:?} ends with a line ending, which is sealed too; --trim removes it"
                ));
            }
            value
        }
    }
}

/// Parses lines `NAME=value` as kubectl does: blank lines and lines that begin with `#` are ignored; the value is
/// everything after the first `=`. A line that continues the value of the line before is refused: its beginning would
/// become the name of an entry, which stays readable.
fn env_lines(text: &[u8], printer: Printer) -> Result<Vec<(String, SecretBytes)>> {
    let text = std::str::from_utf8(text)
        .map_err(|_| Failure::failed("the text is not UTF-8").help("read a binary value with --from-file"))?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut entries: Vec<(String, SecretBytes)> = Vec::new();
    for (index, line) in text.lines().enumerate() {
        // `lines` keeps a lone CR at the end of the text; kubectl drops it.
        let line = line.strip_suffix('\r').unwrap_or(line).trim_start();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let at = |what: &str| Failure::failed(format!("line {}: {what}", index + 1));
        let continues = || {
            at("not NAME=value: values have one line")
                .help("read a value of several lines with --from-file; write a comment behind `#`")
        };
        let Some((name, value)) = line.split_once('=') else {
            return Err(continues());
        };
        let before = entries.last().map_or(&b""[..], |(_, value)| value.expose());
        if is_continuation(before, line) {
            return Err(continues());
        }
        if !is_entry_name(name) {
            return Err(at("the text before `=` is not a valid name of an entry").help(
                "a name has letters, digits, `-`, `_` and `.`, and no blank around the `=`; \
                     values have one line, use --from-file for longer ones",
            ));
        }
        let quoted = ['"', '\'']
            .into_iter()
            .any(|q| value.len() > 1 && value.starts_with(q) && value.ends_with(q));
        if quoted {
            printer.warning(&format!(
                "the quotes around the value of {name:?} are sealed as part of it, as in kubectl"
            ));
        }
        entries.push((name.to_owned(), SecretBytes::new(value.as_bytes().to_vec())));
    }
    Ok(entries)
}

/// Recognizes the last line of wrapped base64, and lines after the beginning of a PEM block or of a quoted value.
fn is_continuation(before: &[u8], line: &str) -> bool {
    let base64 = |text: &[u8]| {
        text.iter()
            .all(|b| b.is_ascii_alphanumeric() || b"+/-_".contains(b))
    };
    let content = line.trim_end_matches('=');
    let padded = content.len() < line.len() && line.len().is_multiple_of(4) && base64(content.as_bytes());
    // `NAME=` has one `=` too, so a single one counts only after a long line of base64.
    let wrapped = before.len() >= 32 && base64(before);
    let upper_case = content.bytes().all(|b| b.is_ascii_uppercase() || b == b'_');
    let open_pem = before.windows(11).any(|window| window == b"-----BEGIN ")
        || before.starts_with(b"-----BEGIN")
        || before.starts_with(b"\"-----BEGIN");
    let open_quote = matches!(before, [quote @ (b'"' | b'\''), rest @ ..] if rest.last() != Some(quote) && !rest.contains(quote));
    // A shell continuation, and padding after a line that is not itself complete base64.
    let open_line = before.last() == Some(&b'\\');
    let only_padding =
        line.ends_with("==") && content.len() >= 8 && !upper_case && base64(content.as_bytes());
    open_line
        || only_padding
        || open_pem && !before.windows(9).any(|window| window == b"-----END ")
        || open_quote
        || (padded && (wrapped || (line.ends_with("==") && !upper_case)))
}

#[cfg(test)]
mod tests {
    use super::super::super::printer::Color;
    use super::*;

    fn quiet() -> Printer {
        Printer::new("envelope", true, false, Color::Never)
    }

    #[test]
    fn an_entry_from_a_file_is_named_by_its_last_path_component() {
        for (word, name, path) in [
            ("a/b.txt", "b.txt", "a/b.txt"),
            ("n=a/b", "n", "a/b"),
            ("n=a=b", "n", "a=b"),
        ] {
            let Ok(EntrySource::Whole(found, Input::File(file))) = from_file(word) else {
                panic!("{word}")
            };
            assert_eq!((found.as_str(), file.to_str()), (name, Some(path)));
        }
        assert_eq!(from_file("n=-"), Ok(EntrySource::Whole("n".into(), Input::Stdin)));
        for bad in ["-", "", "=a", "n=", "a b", "x y=z", ".."] {
            assert!(from_file(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_literal_value_is_refused_and_not_repeated() {
        let Err(failure) = from_literal("password=hunter2") else {
            panic!("must be refused")
        };
        assert!(!format!("{failure:?}").contains("hunter2"), "{failure:?}");
        assert_eq!(from_literal("a"), Ok(EntrySource::Prompt("a".into())));
        assert_eq!(
            from_literal("a=-"),
            Ok(EntrySource::Whole("a".into(), Input::Stdin))
        );
        assert!(from_literal("a=").is_err());
    }

    fn value(text: &[u8], newlines: Newlines) -> Vec<u8> {
        trim_or_warn(SecretBytes::new(text.to_vec()), "a", newlines, quiet())
            .expose()
            .to_vec()
    }

    #[test]
    fn trim_removes_one_line_ending() {
        for (text, trimmed) in [
            (&b"a\n"[..], &b"a"[..]),
            (b"a\r\n", b"a"),
            (b"a\n\n", b"a\n"),
            (b"a", b"a"),
            (b"a\r", b"a\r"),
            (b"\n", b""),
            (b"", b""),
        ] {
            assert_eq!(value(text, Newlines::Trim), trimmed);
            assert_eq!(value(text, Newlines::Warn), text, "byte for byte");
        }
    }

    #[test]
    fn env_files_are_read_as_kubectl_does() {
        let read = |text: &str| {
            env_lines(text.as_bytes(), quiet()).map(|lines| {
                lines
                    .into_iter()
                    .map(|(n, v)| (n, String::from_utf8(v.expose().to_vec()).expect("UTF-8")))
                    .collect::<Vec<_>>()
            })
        };
        let Ok(lines) = read("\u{feff}# c\n\n  A=1\nB = 2\n")
            .or_else(|_| read("\u{feff}# c\n\n  A=1 \r\nB=\"x\"\nC=\nD=a=b#c"))
        else {
            panic!("must be read")
        };
        let lines: Vec<(&str, &str)> = lines.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
        assert_eq!(lines, [("A", "1 "), ("B", "\"x\""), ("C", ""), ("D", "a=b#c")]);
        assert_eq!(
            read("A=1\r").map(|lines| lines[0].1.clone()),
            Ok("1".to_owned()),
            "a lone CR at the end is dropped"
        );
        let wrapped = format!("KEY={}\nhunter2hunter2hunter2wA=\n", "QUJD".repeat(16));
        for bad in [
            "hunter2",
            "A=1\nmy hunter2=x",
            "=hunter2",
            &wrapped,
            "KEY=-----BEGIN-----\nhunter2A1==",
            "KEY=\"-----BEGIN PRIVATE KEY-----\nhunter2=\n-----END PRIVATE KEY-----\"",
            "KEY='first\nhunter2=x'",
            "TOKEN=abc\nhunter2hunter2abAb==",
            "A=MIIEabcdefgh\nhunter2lmnopq==",
            "A=multi\\\nhunter2=x",
        ] {
            let Err(failure) = read(bad) else { panic!("{bad}") };
            assert!(!format!("{failure:?}").contains("hunter2"), "{failure:?}");
        }
        for good in ["A=\nAB=\nABC=\n", "A=QUJD\nB=QUJDRA==\n", "TOKEN=abc\nDB=="] {
            assert!(read(good).is_ok(), "{good}");
        }
    }
}
