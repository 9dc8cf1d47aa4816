//! Finds the files that use a KMS key.
//!
//! Files are searched as text, so nothing depends on their names or on whether they can be parsed: templates, JSON with
//! `local:\/\/`, UTF-16 and documents nested in any other object are all found, and no YAML alias is expanded. Text
//! that only resembles a document counts as one: keeping a KMS key too long does no harm.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use ignore::{DirEntry, WalkBuilder};
use memchr::memmem;

use super::super::failure::{Failure, Result};
use crate::envelope::wire;

/// The result of a search.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// The number of files that hold documents, whatever their KMS keys.
    pub(super) with_documents: usize,
    /// Files with documents that use the key.
    pub(super) users: Vec<PathBuf>,
    /// Files that mention the key, but hold no document.
    pub(super) mentions: Vec<PathBuf>,
    /// Pipes, sockets and devices in searched directories.
    pub(super) special: Vec<PathBuf>,
    /// Symlinks whose target does not exist.
    pub(super) dangling: Vec<PathBuf>,
}

/// Searches files and directories for the key with this id. Symlinks are followed; only `.git` is skipped, and
/// `keyring`, which holds the key. Fails if anything cannot be read, since it might use the key.
pub(super) fn search(paths: &[PathBuf], id: &str, keyring: Option<&Path>) -> Result<Found> {
    let mut found = Found::default();
    let Some((first, others)) = paths.split_first() else {
        return Ok(found);
    };
    let keyring = keyring.and_then(|path| path.canonicalize().ok());
    let mut walk = WalkBuilder::new(named(first));
    for path in others {
        walk.add(named(path));
    }
    walk.standard_filters(false)
        .follow_links(true)
        .sort_by_file_path(Path::cmp)
        .filter_entry(|entry| entry.depth() == 0 || entry.file_name() != ".git");
    for entry in walk.build() {
        match entry {
            Ok(entry) => found.add(&entry, id, keyring.as_deref())?,
            Err(error) => found.add_error(&error)?,
        }
    }
    Ok(found)
}

/// The path that an argument names: `-` is standard input.
fn named(argument: &Path) -> &Path {
    if argument == Path::new("-") {
        Path::new("/dev/stdin")
    } else {
        argument
    }
}

impl Found {
    fn add(&mut self, entry: &DirEntry, id: &str, keyring: Option<&Path>) -> Result<()> {
        let path = entry.path();
        let kind = entry.file_type();
        if kind.is_some_and(|kind| kind.is_dir()) {
            return Ok(());
        }
        // A pipe is read only if it was named: one in a directory may have no writer.
        if entry.depth() > 0 && !kind.is_some_and(|kind| kind.is_file()) {
            self.special.push(path.to_owned());
            return Ok(());
        }
        if keyring.is_some() && path.canonicalize().ok().as_deref() == keyring {
            return Ok(());
        }
        let traits = scan(path, id).map_err(|error| unreadable(path, &error))?;
        self.with_documents += usize::from(traits.is_document());
        match (traits.names_key, traits.resembles_document()) {
            (true, true) => self.users.push(path.to_owned()),
            (true, false) => self.mentions.push(path.to_owned()),
            (false, _) => {}
        }
        Ok(())
    }

    /// A symlink to an ancestor is not searched again. A dangling one has nothing to search.
    fn add_error(&mut self, error: &ignore::Error) -> Result<()> {
        if is_loop(error) {
            return Ok(());
        }
        if let Some(path) = path_of(error).filter(|path| path.is_symlink() && !path.exists()) {
            self.dangling.push(path.to_owned());
            return Ok(());
        }
        Err(Failure::failed(format!("cannot search for documents: {error}")).help(ADVICE))
    }
}

const ADVICE: &str = "make it readable, or name other paths to search; --no-check skips the search";

fn unreadable(path: &Path, error: &io::Error) -> Failure {
    Failure::failed(format!("cannot search {}: {error}", path.display())).help(ADVICE)
}

fn is_loop(error: &ignore::Error) -> bool {
    match error {
        ignore::Error::Loop { .. } => true,
        ignore::Error::WithPath { err, .. } | ignore::Error::WithDepth { err, .. } => is_loop(err),
        _ => false,
    }
}

fn path_of(error: &ignore::Error) -> Option<&Path> {
    match error {
        ignore::Error::WithPath { path, .. } => Some(path),
        ignore::Error::WithDepth { err, .. } => path_of(err),
        _ => None,
    }
}

/// What the text of a file contains.
#[expect(clippy::struct_excessive_bools, reason = "independent findings")]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Traits {
    /// The id of the key.
    names_key: bool,
    /// The kind of a document.
    names_kind: bool,
    /// The beginning of a ciphertext of a local KMS key.
    has_local_wrap: bool,
    /// A ciphertext of any KMS key.
    has_ciphertext: bool,
}

impl Traits {
    /// Whether the file certainly holds a document: not only a page or a schema that describes one.
    fn is_document(self) -> bool {
        self.names_kind && self.has_ciphertext
    }

    /// Whether the file may hold a document.
    fn resembles_document(self) -> bool {
        self.names_kind || self.has_local_wrap
    }

    fn add(&mut self, text: &[u8], id: &str) {
        self.names_key = self.names_key || contains_id(text, id.as_bytes());
        self.names_kind = self.names_kind || memmem::find(text, wire::KIND.as_bytes()).is_some();
        self.has_local_wrap = self.has_local_wrap || memmem::find(text, b"esl1.").is_some();
        self.has_ciphertext = self.has_ciphertext || contains_ciphertext(text);
    }
}

/// Files are read in pieces, so that their size does not matter.
const PIECE: usize = 4 << 20;
/// The end of a piece is searched again with the next one. Longer than anything that is searched for, in UTF-32.
const OVERLAP: usize = 4 << 10;

fn scan(path: &Path, id: &str) -> io::Result<Traits> {
    let mut file = File::open(path)?;
    let mut traits = Traits::default();
    let mut window = Vec::new();
    loop {
        let read = file.by_ref().take(PIECE as u64).read_to_end(&mut window)?;
        let text = without_nul(&window);
        traits.add(&text, id);
        if text.contains(&b'\\') {
            traits.add(&unescaped(&text), id);
        }
        if read == 0 {
            return Ok(traits);
        }
        window.drain(..window.len().saturating_sub(OVERLAP));
    }
}

/// Turns UTF-16 and UTF-32 of ASCII characters into ASCII, whatever the byte order.
fn without_nul(bytes: &[u8]) -> Vec<u8> {
    bytes.iter().copied().filter(|byte| *byte != 0).collect()
}

/// Resolves the escape sequences of JSON and of double-quoted YAML that stand for ASCII characters, and escaped line
/// ends.
fn unescaped(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((&byte, after)) = rest.split_first() {
        let escaped = (byte == b'\\').then(|| escape(after)).flatten();
        if let Some((character, length)) = escaped {
            out.extend(character);
            rest = &after[length..];
        } else {
            out.push(byte);
            rest = after;
        }
    }
    out
}

/// The character of the sequence after a backslash (`None` for a line end), and the length of the sequence.
fn escape(after: &[u8]) -> Option<(Option<u8>, usize)> {
    let digits = match *after.first()? {
        b'/' => return Some((Some(b'/'), 1)),
        b'\n' | b'\r' => {
            let blank = after.iter().take_while(|byte| byte.is_ascii_whitespace()).count();
            return Some((None, blank));
        }
        b'x' => 2,
        b'u' => 4,
        b'U' => 8,
        _ => return None,
    };
    let text = std::str::from_utf8(after.get(1..=digits)?).ok()?;
    let code = u32::from_str_radix(text, 16).ok()?;
    let character = u8::try_from(code).ok().filter(u8::is_ascii)?;
    Some((Some(character), 1 + digits))
}

/// Whether the text contains the id, and not as a part of a longer hexadecimal number.
fn contains_id(text: &[u8], id: &[u8]) -> bool {
    let is_hex = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_hexdigit);
    memmem::find_iter(text, id).any(|at| {
        !is_hex(at.checked_sub(1).and_then(|before| text.get(before))) && !is_hex(text.get(at + id.len()))
    })
}

/// Whether a field `ciphertext` has a value: pages and schemas only name the field.
fn contains_ciphertext(text: &[u8]) -> bool {
    const SHORTEST: usize = 40;
    let is_syntax = |byte: &u8| byte.is_ascii_whitespace() || b"\"':\\|>-".contains(byte);
    let is_base64 = |byte: &u8| byte.is_ascii_alphanumeric() || b"+/=._-".contains(byte);
    memmem::find_iter(text, b"ciphertext").any(|at| {
        let after = &text[at + b"ciphertext".len()..];
        let start = after.iter().take_while(|byte| is_syntax(byte)).count();
        start > 0 && after[start..].iter().take_while(|byte| is_base64(byte)).count() >= SHORTEST
    })
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    const ID: &str = "fa1975b2";
    const DOCUMENT: &str = "apiVersion: envelope-secrets.io/v1\nkind: EnvelopeSecret\nspec:\n  dataKeys:\n  - wraps:\n    - key: local://fa1975b2\n      \
                            ciphertext: esl1.AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\n";

    fn found(files: &[(&str, &[u8])]) -> Found {
        let directory = tempfile::tempdir().expect("a directory");
        for (name, content) in files {
            let path = directory.path().join(name);
            fs::create_dir_all(path.parent().expect("a parent")).expect("created");
            fs::write(path, content).expect("written");
        }
        search(&[directory.path().to_owned()], ID, None).expect("searched")
    }

    #[test]
    fn document_is_found_in_any_file_and_encoding() {
        let utf16 = |text: &str, big: bool| -> Vec<u8> {
            let units = text.encode_utf16();
            units
                .flat_map(|unit| {
                    if big {
                        unit.to_be_bytes()
                    } else {
                        unit.to_le_bytes()
                    }
                })
                .collect()
        };
        let json =
            r#"{"kind":"EnvelopeSecret","spec":{"dataKeys":[{"wraps":[{"key":"local:\/\/fa1975b2"}]}]}}"#;
        let escaped = r#"{"kind":"EnvelopeSecret","key":"local://\u0066a1975b2"}"#;
        let nested = r#"{"data":{"a":"kind: EnvelopeSecret\nkey: local:\/\/fa1975b2\n"}}"#;
        let large = format!("{}{DOCUMENT}", " ".repeat(PIECE - 100));
        for (name, content) in [
            ("a.yaml", DOCUMENT.as_bytes().to_vec()),
            (".hidden/.a", DOCUMENT.as_bytes().to_vec()),
            ("a", DOCUMENT.as_bytes().to_vec()),
            (
                "t/a.yaml.tpl",
                format!("{{{{ if }}}}: [\n{DOCUMENT}").into_bytes(),
            ),
            ("crlf.yml", DOCUMENT.replace('\n', "\r\n").into_bytes()),
            ("bom.yaml", format!("\u{feff}{DOCUMENT}").into_bytes()),
            ("le", utf16(&format!("\u{feff}{DOCUMENT}"), false)),
            ("be", utf16(DOCUMENT, true)),
            ("a.json", json.into()),
            ("escaped.json", escaped.into()),
            ("nested.json", nested.into()),
            (
                "template",
                "kind: EnvelopeSecret\nkey: local://{{ .Values.id }} # fa1975b2".into(),
            ),
            ("large", large.into_bytes()),
        ] {
            let found = found(&[(name, &content), (".ignore", b"*"), (".gitignore", b"*")]);
            assert_eq!(found.users.len(), 1, "{name}");
            assert!(found.users[0].ends_with(name), "{found:?}");
        }
    }

    #[test]
    fn other_keys_and_mentions_are_not_uses() {
        let other = DOCUMENT.replace("fa1975b2", "41f313f6");
        let crd = "kind: CustomResourceDefinition\nspec: {names: {kind: EnvelopeSecret}}\nciphertext:\n  description: x\n";
        let found = found(&[
            ("other.yaml", other.as_bytes()),
            ("crd.yaml", crd.as_bytes()),
            ("README", b"sealed with local://fa1975b2"),
            ("lock", b"kind: EnvelopeSecret, commit 0fa1975b2c"),
            (".git/kept", DOCUMENT.as_bytes()),
        ]);
        assert!(found.users.is_empty(), "{found:?}");
        assert_eq!(found.with_documents, 1, "{found:?}");
        assert_eq!(found.mentions.len(), 1, "{found:?}");
    }

    #[test]
    fn symlinks_are_followed_or_reported() {
        let (directory, elsewhere) = (tempfile::tempdir().expect("a"), tempfile::tempdir().expect("b"));
        fs::write(elsewhere.path().join("s.yaml"), DOCUMENT).expect("written");
        symlink(elsewhere.path(), directory.path().join("directory")).expect("linked");
        symlink(elsewhere.path().join("s.yaml"), directory.path().join("file")).expect("linked");
        symlink("nothing", directory.path().join("dangling")).expect("linked");
        symlink(".", directory.path().join("loop")).expect("linked");
        let found = search(&[directory.path().to_owned()], ID, None).expect("searched");
        assert_eq!(found.users.len(), 2, "{found:?}");
        assert_eq!(found.dangling, [directory.path().join("dangling")]);
    }

    #[test]
    fn keyring_itself_is_not_searched() {
        let directory = tempfile::tempdir().expect("a directory");
        let keyring = directory.path().join("keyring");
        fs::write(&keyring, "ES-LOCAL-KEY-1 fa1975b2 x").expect("written");
        let found = search(&[directory.path().to_owned()], ID, Some(&keyring)).expect("searched");
        assert!(found.mentions.is_empty(), "{found:?}");
        assert!(search(&[directory.path().join("missing")], ID, None).is_err());
    }
}
