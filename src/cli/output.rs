//! Joins results into one stream and writes it.

use std::path::{Path, PathBuf};

use super::args::{Format, OutputArgs};
use super::failure::{Failure, Result};
use super::git;
use super::printer::Printer;
use crate::files::{Overwrite, Public, WriteError, Written, write_private, write_public};
use crate::manifest::{self, Member, Node, Part, SecretBuffer, Syntax, shown};

/// The destination and format of results.
#[derive(Clone, Debug)]
pub(super) struct Output {
    pub(super) format: Format,
    /// `None` is standard output.
    pub(super) file: Option<PathBuf>,
}

impl Output {
    /// The format is that of `-o`, else json for `-w x.json`, else yaml.
    pub(super) fn choose(args: &OutputArgs) -> Result<Self> {
        if args.write.as_deref() == Some(Path::new("-")) {
            return Err(
                Failure::usage("--write needs the name of a file").help("leave it out for standard output")
            );
        }
        if let Some(directory) = args.write.as_deref().filter(|path| names_directory(path)) {
            return Err(Failure::usage(format!(
                "--write needs the name of a file, but {} is a directory",
                shown(&directory.to_string_lossy())
            ))
            .help("add the name of the file: -w DIRECTORY/FILE"));
        }
        let json_file = args
            .write
            .as_deref()
            .and_then(Path::extension)
            .is_some_and(|extension| extension.eq_ignore_ascii_case("json"));
        let format = args
            .output
            .unwrap_or(if json_file { Format::Json } else { Format::Yaml });
        Ok(Output {
            format,
            file: args.write.clone(),
        })
    }

    /// Writes sealed documents in one step.
    pub(super) fn write_public(
        &self,
        bytes: Public<'_>,
        overwrite: Overwrite,
        printer: Printer,
    ) -> Result<()> {
        match &self.file {
            None => Printer::output(bytes.0),
            Some(path) => {
                warn_if_not_synced(path, &write_public(path, bytes, overwrite)?, printer);
                Ok(())
            }
        }
    }

    /// Writes plaintext in one step.
    pub(super) fn write_private(&self, bytes: &[u8], overwrite: Overwrite, printer: Printer) -> Result<()> {
        match &self.file {
            None => Printer::output(bytes),
            Some(path) => {
                let written = write_private(path, bytes, overwrite, &git::staging(path))?;
                warn_if_not_synced(path, &written, printer);
                Ok(())
            }
        }
    }

    /// Refuses an existing file before any work is done.
    pub(super) fn must_be_new(&self, advice: &str) -> Result<()> {
        match &self.file {
            Some(path)
                if path
                    .metadata()
                    .is_ok_and(|found| !found.is_file() && !found.is_dir()) =>
            {
                Err(Failure::failed(WriteError::NotRegular(path.clone()).to_string())
                    .help("leave out --write to write to standard output"))
            }
            Some(path) if path.symlink_metadata().is_ok() => {
                Err(Failure::failed(WriteError::Exists(path.clone()).to_string()).help(advice))
            }
            _ => Ok(()),
        }
    }
}

/// Recognizes a directory, and a path that ends like one: `x/`, `x/.`, `..`.
fn names_directory(path: &Path) -> bool {
    let text = path.as_os_str().as_encoded_bytes();
    path.is_dir() || text.ends_with(b"/") || text.ends_with(b"/.") || path.file_name().is_none()
}

/// The file is complete and has its name, so this is not a failure.
fn warn_if_not_synced(path: &Path, written: &Written, printer: Printer) {
    if let Some(error) = &written.not_synced {
        printer.warning(&format!(
            "wrote {}, but could not sync its directory: {error}",
            path.display()
        ));
    }
}

/// One result.
pub(super) enum Piece<'p> {
    /// A rewritten document, and whether the original began with `---`.
    New(Node, bool),
    /// A document that passes through byte for byte.
    Kept(&'p Part<'p>),
}

impl<'p> Piece<'p> {
    /// Passes a document through: byte for byte from YAML to YAML, else rewritten, which may fail.
    pub(super) fn kept(part: &'p Part<'p>, format: Format) -> Result<Vec<Self>> {
        if (part.syntax, format) == (Syntax::Yaml, Format::Yaml) {
            return Ok(vec![Piece::Kept(part)]);
        }
        part.objects_to_process()
            .iter()
            .map(|item| Ok(Piece::New(item.rewritable()?, false)))
            .collect()
    }
}

/// Joins all results into one text.
pub(super) fn join(pieces: Vec<Piece<'_>>, format: Format) -> Result<SecretBuffer> {
    match format {
        Format::Yaml => Ok(yaml_stream(&pieces)),
        Format::Json => json_object(pieces),
    }
}

fn yaml_stream(pieces: &[Piece<'_>]) -> SecretBuffer {
    let mut out = SecretBuffer::default();
    for (index, piece) in pieces.iter().enumerate() {
        let first = index == 0;
        if !first && !out.expose().ends_with(b"\n") {
            out.push(b"\n");
        }
        match piece {
            Piece::New(node, explicit) => {
                if !first || *explicit {
                    out.push(b"---\n");
                }
                out.push(manifest::to_yaml(node).expose());
            }
            Piece::Kept(part) => {
                let text = if first {
                    part.text
                } else {
                    part.text.trim_start_matches('\u{feff}')
                };
                if !first {
                    // YAML allows a directive only after the explicit end of a document.
                    match (part.explicit, part.has_directive()) {
                        (true, true) => out.push(b"...\n"),
                        (true, false) => {}
                        (false, _) => out.push(b"---\n"),
                    }
                }
                out.push(text.as_bytes());
            }
        }
    }
    out
}

/// Returns the only object, or a list of several.
fn json_object(pieces: Vec<Piece<'_>>) -> Result<SecretBuffer> {
    let mut nodes = Vec::new();
    for piece in pieces {
        match piece {
            Piece::New(node, _) => nodes.push(node),
            Piece::Kept(part) => {
                for item in part.objects_to_process() {
                    nodes.push(item.rewritable()?);
                }
            }
        }
    }
    let whole = match <[Node; 1]>::try_from(nodes) {
        Ok([only]) => only,
        Err(several) => Node::Map(vec![
            Member::new("apiVersion", Node::text("v1")),
            Member::new("kind", Node::text("List")),
            Member::new("items", Node::List(several)),
        ]),
    };
    Ok(manifest::to_json_pretty(&whole))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::Aliases;

    /// Replaces Secrets by `{new: x}` and keeps everything else.
    fn joined(texts: &[&str], format: Format) -> String {
        let parts: Vec<Part<'_>> = texts
            .iter()
            .flat_map(|text| {
                manifest::read(text.as_bytes(), Aliases::Ignore)
                    .map_err(|e| e.to_string())
                    .expect("readable")
            })
            .collect();
        let mut pieces = Vec::new();
        for part in &parts {
            if part
                .objects_to_process()
                .iter()
                .any(|item| item.treatment() == manifest::Treatment::Secret)
            {
                let new = Node::Map(vec![Member::new("new", Node::text("x"))]);
                pieces.push(Piece::New(new, part.explicit));
            } else {
                pieces.extend(Piece::kept(part, format).map_err(|f| f.message).expect("kept"));
            }
        }
        let text = join(pieces, format).map_err(|f| f.message).expect("joined");
        String::from_utf8(text.expose().to_vec()).expect("UTF-8")
    }

    const SECRET: &str = "apiVersion: v1\nkind: Secret\n";

    #[test]
    fn other_documents_pass_through_byte_for_byte() {
        for (texts, expected) in [
            (
                vec![format!(
                    "# top\n---\n{SECRET}# of the Secret\n---\n# c\na:   1 # x\r\n--- \nb: 2"
                )],
                "---\nnew: x\n---\n# c\na:   1 # x\r\n--- \nb: 2",
            ),
            (
                vec![SECRET.to_owned(), "a: 1".to_owned(), "b: 2\n".to_owned()],
                "new: x\n---\na: 1\n---\nb: 2\n",
            ),
            (
                vec!["a: 1\n...\n".to_owned(), "%YAML 1.2\n---\nb: 2\n".to_owned()],
                "a: 1\n...\n...\n%YAML 1.2\n---\nb: 2\n",
            ),
            (
                vec!["\u{feff}a: 1\n".to_owned(), "\u{feff}b: 2\n".to_owned()],
                "\u{feff}a: 1\n---\nb: 2\n",
            ),
            (
                vec!["{\"a\": 1}".to_owned(), SECRET.to_owned()],
                "a: 1\n---\nnew: x\n",
            ),
            (vec!["---\n---\na: 1\n".to_owned()], "---\n---\na: 1\n"),
        ] {
            let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
            let text = joined(&texts, Format::Yaml);
            assert_eq!(text, expected);
            assert!(manifest::read(text.as_bytes(), Aliases::Ignore).is_ok(), "{text}");
        }
    }

    #[test]
    fn json_output_is_one_object_or_a_list() {
        assert_eq!(
            joined(&[SECRET, "---\n# nothing\n"], Format::Json),
            "{\n  \"new\": \"x\"\n}\n"
        );
        let text = joined(&[SECRET, "a: 0x10\n"], Format::Json);
        let value: serde_json::Value = serde_json::from_str(&text).expect("JSON");
        assert_eq!(
            value,
            serde_json::json!({"apiVersion": "v1", "kind": "List", "items": [{"new": "x"}, {"a": 16}]})
        );
    }
}
