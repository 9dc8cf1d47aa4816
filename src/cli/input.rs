//! Reads files and standard input. The content may be plaintext and is wiped.

use std::fs::File;
use std::io::{self, IsTerminal as _, Read};
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use super::args::InputArgs;
use super::failure::{Failure, Result};
use super::failures::Failures;
use crate::envelope::SecretBytes;
use crate::manifest::{self, Aliases, Part, SecretBuffer, shown};

/// Far more than fits into a Secret; also ends reads of endless devices.
const MAX_BYTES: u64 = 64 << 20;

/// A source of text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Input {
    /// Standard input.
    Stdin,
    /// A file.
    File(PathBuf),
}

impl Input {
    /// `-` means standard input.
    pub(super) fn new(path: &Path) -> Self {
        if path == Path::new("-") {
            Input::Stdin
        } else {
            Input::File(path.to_owned())
        }
    }

    /// Returns its name for messages.
    pub(super) fn label(&self) -> String {
        match self {
            Input::Stdin => "standard input".to_owned(),
            Input::File(path) => match path.to_string_lossy() {
                text if text.chars().any(char::is_control) => shown(&text),
                text => text.into_owned(),
            },
        }
    }

    /// Reads all of it.
    pub(super) fn read(&self) -> Result<SecretBytes> {
        let read = match self {
            Input::Stdin => read_all(io::stdin().lock()),
            Input::File(path) => File::open(path).and_then(|file| {
                if file.metadata()?.is_dir() {
                    return Err(io::ErrorKind::IsADirectory.into());
                }
                read_all(file)
            }),
        };
        read.map_err(|error| {
            let failure = Failure::failed(format!("cannot read {}: {}", self.label(), reason(&error)));
            match error.kind() {
                io::ErrorKind::IsADirectory => failure.help("name the files in it"),
                io::ErrorKind::NotFound if self.label().starts_with('-') => {
                    failure.help("write flags before `--`: everything after it is a file")
                }
                _ => failure,
            }
        })
    }
}

fn reason(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => "no such file".to_owned(),
        io::ErrorKind::IsADirectory => "it is a directory".to_owned(),
        io::ErrorKind::PermissionDenied => "permission denied".to_owned(),
        _ => error.to_string(),
    }
}

fn read_all(from: impl Read) -> io::Result<SecretBytes> {
    let mut from = from.take(MAX_BYTES + 1);
    let mut buffer = SecretBuffer::default();
    let mut total = 0;
    let mut chunk = Zeroizing::new(vec![0; 64 * 1024]);
    loop {
        let read = match from.read(&mut chunk) {
            Ok(0) => return Ok(buffer.into_secret()),
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        buffer.push(&chunk[..read]);
        total += read as u64;
        if total > MAX_BYTES {
            return Err(io::Error::other(format!("more than {} MiB", MAX_BYTES >> 20)));
        }
    }
}

/// Ensures that standard input is used at most once.
#[derive(Default)]
pub(super) struct StdinGuard {
    taken: bool,
}

impl StdinGuard {
    /// Registers a use; fails on the second one.
    pub(super) fn take(&mut self, input: &Input) -> Result<()> {
        if *input == Input::Stdin && std::mem::replace(&mut self.taken, true) {
            return Err(Failure::usage(
                "standard input (`-`) is named twice but can be read only once",
            ));
        }
        Ok(())
    }
}

/// Returns the named inputs, or standard input if none is named and it is not a terminal.
pub(super) fn manifests(args: &InputArgs, guard: &mut StdinGuard) -> Result<Vec<Input>> {
    let mut inputs: Vec<Input> = args
        .filename
        .iter()
        .chain(&args.files)
        .map(|path| Input::new(path))
        .collect();
    if inputs.is_empty() {
        if io::stdin().is_terminal() {
            return Err(
                Failure::usage("no input: no file is named, and standard input is a terminal")
                    .help("name a file with -f FILE, or pipe a manifest in"),
            );
        }
        inputs.push(Input::Stdin);
    }
    inputs.iter().try_for_each(|input| guard.take(input))?;
    Ok(inputs)
}

/// Reads all inputs; those that cannot be read are reported in `failures`.
pub(super) fn texts(inputs: &[Input], failures: &mut Failures) -> Result<Vec<(Input, SecretBytes)>> {
    let mut texts = Vec::new();
    for input in inputs {
        match input.read() {
            Ok(text) => texts.push((input.clone(), text)),
            Err(failure) => failures.add(failure)?,
        }
    }
    Ok(texts)
}

/// Parses all texts; returns the failures of documents that cannot be read.
pub(super) fn documents<'t>(
    texts: &'t [(Input, SecretBytes)],
    mut aliases: Aliases<'_>,
) -> (Vec<(&'t Input, Vec<Part<'t>>)>, Vec<Failure>) {
    let (mut documents, mut failures) = (Vec::new(), Vec::new());
    for (input, text) in texts {
        let (parts, errors) = manifest::read_each(text.expose(), aliases.reborrow());
        documents.push((input, parts));
        failures.extend(
            errors
                .into_iter()
                .map(|error| Failure::from(error).about(input.label())),
        );
    }
    (documents, failures)
}
