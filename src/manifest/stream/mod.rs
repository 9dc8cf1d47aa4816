//! The documents of a text, and the objects in them.

use std::ops::Range;

use super::error::{Ambiguity, ManifestError};
use super::json_read;
use super::lookalike::{self, Plaintext};
use super::node::{Member, Node};
use super::secret::SecretInput;
use super::shown::shown;
use super::unpack::{self, Kind, TypeMeta, text};
use super::write;
use super::yaml_read::{self, Aliases, Marks};

/// The syntax of a document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Syntax {
    /// YAML 1.2.
    Yaml,
    /// RFC 8259.
    Json,
}

/// One document and its bytes.
pub struct Part<'t> {
    /// Its bytes. The parts of a text concatenate to the text.
    pub text: &'t str,
    /// Its syntax.
    pub syntax: Syntax,
    /// Whether it begins with `---`.
    pub explicit: bool,
    /// Its first line in the text, from 1.
    pub line: usize,
    root: Node,
    marks: Marks,
    /// Whether it begins with a byte order mark and `{`: most readers accept it as YAML, none as JSON.
    marked: bool,
    /// The first U+0085, U+2028 or U+2029 outside JSON, where kubectl ends a line.
    line_break: Option<(usize, char)>,
}

/// The content of a document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content {
    /// Nothing, or only comments.
    Empty,
    /// A list that is unpacked because it contains a Secret or an EnvelopeSecret.
    List,
    /// One object, or anything else that passes through unchanged.
    Object,
}

/// One object of a [`Part`].
pub struct Item<'p> {
    part: &'p Part<'p>,
    node: &'p Node,
    /// Its type, which may be inherited from its list.
    meta: TypeMeta<'p>,
    /// The document's bytes, if they are JSON and hold only this object.
    json: Option<&'p str>,
}

/// Reads a text as JSON or YAML. Fails if any document cannot be read.
pub fn read<'t>(bytes: &'t [u8], aliases: Aliases<'_>) -> Result<Vec<Part<'t>>, ManifestError> {
    let text = utf8(bytes)?;
    if text.trim_start().starts_with('{')
        && let Some(documents) = json_read::read(text)?
    {
        let mut lines = Lines::new(text);
        let parts = documents.into_iter().map(|document| Part {
            line: lines.line_at(document.range.start),
            text: &text[document.range],
            syntax: Syntax::Json,
            explicit: false,
            root: document.root,
            marks: Marks::default(),
            marked: false,
            line_break: None,
        });
        return Ok(parts.collect());
    }
    let documents = yaml_read::read(text, aliases).map_err(|error| template(error, text))?;
    let marked = |range: &Range<usize>| {
        let behind = text[range.clone()].strip_prefix('\u{feff}');
        behind.is_some_and(|text| text.trim_start().starts_with('{'))
    };
    let mut lines = Lines::new(text);
    let parts = documents.into_iter().map(|document| {
        let line = lines.line_at(document.range.start);
        let marked = marked(&document.range);
        let text = &text[document.range];
        Part {
            line_break: odd_line_break(text, line),
            marked,
            text,
            line,
            syntax: Syntax::Yaml,
            explicit: document.explicit,
            root: document.root,
            marks: document.marks,
        }
    });
    Ok(parts.collect())
}

/// Reads every document that can be read, and reports the others.
pub fn read_each<'t>(bytes: &'t [u8], mut aliases: Aliases<'_>) -> (Vec<Part<'t>>, Vec<ManifestError>) {
    let error = match read(bytes, aliases.reborrow()) {
        Ok(parts) => return (parts, Vec::new()),
        Err(error) => error,
    };
    let chunks = match utf8(bytes) {
        Ok(text) if !text.trim_start().starts_with('{') => chunks(text),
        _ => return (Vec::new(), vec![error]),
    };
    if chunks.len() < 2 {
        return (Vec::new(), vec![error]);
    }
    let (mut parts, mut errors, mut line) = (Vec::new(), Vec::new(), 0);
    for chunk in chunks {
        match read(chunk.as_bytes(), aliases.reborrow()) {
            Ok(more) => parts.extend(more.into_iter().map(|part| part.shifted(line))),
            Err(error) => errors.push(error.shifted(line)),
        }
        line += chunk.matches('\n').count();
    }
    (parts, errors)
}

/// Splits a stream before each line that begins with `---` and a blank, as kubectl does.
fn chunks(text: &str) -> Vec<&str> {
    let mut out = Vec::new();
    let (mut start, mut offset) = (0, 0);
    for line in text.split_inclusive('\n') {
        let marker = line
            .strip_prefix("---")
            .is_some_and(|rest| rest.is_empty() || rest.starts_with([' ', '\t', '\r', '\n']));
        if marker && offset > start {
            out.push(&text[start..offset]);
            start = offset;
        }
        offset += line.len();
    }
    if offset > start {
        out.push(&text[start..]);
    }
    out
}

/// UTF-16 without a byte order mark is valid UTF-8 full of NUL, which neither YAML nor JSON allows.
fn utf8(bytes: &[u8]) -> Result<&str, ManifestError> {
    match std::str::from_utf8(bytes) {
        Ok(text) if !bytes.contains(&0) => Ok(text),
        _ => Err(ManifestError::NotUtf8),
    }
}

/// Recognizes the template behind a syntax error.
fn template(error: ManifestError, text: &str) -> ManifestError {
    match error {
        ManifestError::Yaml { line, what } if text.contains("{{") && text.contains("}}") => {
            ManifestError::Template { line, what }
        }
        other => other,
    }
}

fn odd_line_break(text: &str, first_line: usize) -> Option<(usize, char)> {
    let (offset, c) = text
        .char_indices()
        .find(|(_, c)| matches!(c, '\u{85}' | '\u{2028}' | '\u{2029}'))?;
    Some((first_line + text[..offset].matches('\n').count(), c))
}

/// Counts lines up to offsets that never decrease.
struct Lines<'t> {
    text: &'t str,
    offset: usize,
    line: usize,
}

impl<'t> Lines<'t> {
    fn new(text: &'t str) -> Self {
        Lines {
            text,
            offset: 0,
            line: 1,
        }
    }

    fn line_at(&mut self, offset: usize) -> usize {
        if let Some(between) = self.text.get(self.offset..offset) {
            self.line += between.matches('\n').count();
            self.offset = offset;
        }
        self.line
    }
}

impl Part<'_> {
    /// Returns what the document contains.
    pub fn content(&self) -> Content {
        if self.root == Node::Null {
            Content::Empty
        } else if unpack::items_of(&self.root, TypeMeta::of(&self.root)).is_some() && self.holds_ours() {
            Content::List
        } else {
            Content::Object
        }
    }

    /// Returns its objects; a list is unpacked if it contains a Secret or an EnvelopeSecret.
    pub fn items(&self) -> Vec<Item<'_>> {
        match self.content() {
            Content::Empty => Vec::new(),
            Content::List => self.objects(),
            Content::Object => vec![Item {
                json: (self.syntax == Syntax::Json).then_some(self.text),
                ..self.item(&self.root, TypeMeta::of(&self.root))
            }],
        }
    }

    /// Returns its objects with every list unpacked, as kubectl sees them.
    pub fn objects(&self) -> Vec<Item<'_>> {
        if self.root == Node::Null {
            return Vec::new();
        }
        let mut out = Vec::new();
        unpack::each(&self.root, &mut |node, meta| out.push(self.item(node, meta)));
        out
    }

    /// Fails if the document is an array, which kubectl does not accept.
    pub fn check_object(&self) -> Result<(), ManifestError> {
        match self.root {
            Node::List(_) => Err(ManifestError::Array { line: self.line }),
            _ => Ok(()),
        }
    }

    /// Returns the first plaintext in a document that would pass through: a lookalike of a Secret, or text in which
    /// kubectl may see one.
    pub fn plaintext(&self) -> Option<Plaintext> {
        if let Some((line, c)) = self.line_break {
            let what = Ambiguity::LineBreak(c).to_string();
            return Some(Plaintext { line, what });
        }
        if self.root == Node::Null {
            return None;
        }
        self.objects()
            .iter()
            .find_map(Item::plaintext)
            .or_else(|| lookalike::nested(&self.root, self.line))
    }

    /// Reports whether this is YAML whose `---` follows a directive: the document before it must end with `...`.
    pub fn has_directive(&self) -> bool {
        self.explicit
            && self.syntax == Syntax::Yaml
            && self
                .text
                .lines()
                .take_while(|line| !line.starts_with("---"))
                .any(|line| line.starts_with('%'))
    }

    fn holds_ours(&self) -> bool {
        self.objects().iter().any(|item| item.kind() != Kind::Other)
    }

    fn item<'p>(&'p self, node: &'p Node, meta: TypeMeta<'p>) -> Item<'p> {
        Item {
            part: self,
            node,
            meta,
            json: None,
        }
    }

    fn shifted(mut self, by: usize) -> Self {
        self.line += by;
        self.marks.shift(by);
        self.root.shift_lines(by);
        if let Some((line, _)) = &mut self.line_break {
            *line += by;
        }
        self
    }
}

impl<'p> Item<'p> {
    /// Returns how this program treats it.
    pub fn kind(&self) -> Kind {
        self.meta.treatment()
    }

    /// Returns the line on which it begins, from 1; the document's if it is not known.
    pub fn line(&self) -> usize {
        match self.node {
            Node::Map(members) => members.iter().map(|m| m.line).find(|line| *line > 0),
            _ => None,
        }
        .unwrap_or(self.part.line)
    }

    /// Reads a [`Kind::Secret`].
    pub fn secret(&self) -> Result<SecretInput, ManifestError> {
        let marks = &self.part.marks;
        if let Some(line) = marks.tag {
            return Err(ManifestError::Tag { line });
        }
        self.unambiguous()?;
        if self.meta.api_version != Some("v1") {
            return Err(ManifestError::NotV1 { line: self.line() });
        }
        SecretInput::from_node(self.node)
    }

    /// Returns the plaintext in an object that would pass through, if there is any.
    pub fn plaintext(&self) -> Option<Plaintext> {
        lookalike::object(self.node, &self.meta, self.line())
    }

    /// Returns the annotation with this key, if it is a string.
    pub fn annotation(&self, key: &str) -> Option<&'p str> {
        let annotations = self
            .node
            .get("metadata")
            .and_then(|metadata| metadata.get("annotations"))?;
        text(annotations, key)
    }

    /// Returns `metadata.namespace` and `metadata.name`, if they are non-empty strings.
    pub fn place(&self) -> (Option<&str>, Option<&str>) {
        let field = |key| {
            self.node
                .get("metadata")
                .and_then(|m| text(m, key))
                .filter(|text| !text.is_empty())
        };
        (field("namespace"), field("name"))
    }

    /// Returns a [`Kind::Sealed`] as JSON for the format's strict reader; input that is JSON is returned unchanged. `name`
    /// is used if the object has none.
    pub fn sealed_json(&self, name: Option<&str>) -> Result<Vec<u8>, ManifestError> {
        let name = name.filter(|_| self.place().1.is_none());
        if let (Some(json), None) = (self.json, name) {
            return Ok(json.trim().as_bytes().to_vec());
        }
        if self.part.marked {
            return Err(ManifestError::ByteOrderMark);
        }
        let marks = &self.part.marks;
        let refused = marks
            .reference
            .or(marks.tag.map(|line| (line, "a tag")))
            .or(marks.odd_key.map(|line| (line, "a key that is not a string")));
        if let Some((line, what)) = refused {
            return Err(ManifestError::Irregular { line, what });
        }
        let node = self.typed();
        let json = match name {
            Some(name) => write::to_json(&with_name(node, name)),
            None => write::to_json(&node),
        };
        Ok(json.expose().to_vec())
    }

    /// Returns the object for rewriting (an item of a list, or YAML that becomes JSON). Fails if that could change how
    /// kubectl reads it.
    pub fn rewritable(&self) -> Result<Node, ManifestError> {
        let marks = &self.part.marks;
        if let Some(line) = marks.tag {
            return Err(ManifestError::NotRewritable { line, what: "a tag" });
        }
        self.unambiguous()?;
        let number = self.node.find_line(|node| match node {
            Node::Number(text) => write::json_number(text).is_none(),
            _ => false,
        });
        if let Some(line) = marks.differs.or(number) {
            return Err(ManifestError::NotRewritable {
                line,
                what: "an unquoted word or number on which readers disagree",
            });
        }
        Ok(self.typed())
    }

    /// Returns `ConfigMap prod/app`, for messages. Always one line.
    pub fn describe(&self) -> String {
        let kind = match self.meta.kind {
            Some(kind) => shown(kind),
            None => "a document without a kind".to_owned(),
        };
        match self.place() {
            (Some(namespace), Some(name)) => format!("{kind} {}/{}", shown(namespace), shown(name)),
            (None, Some(name)) => format!("{kind} {}", shown(name)),
            (_, None) => kind,
        }
    }

    fn unambiguous(&self) -> Result<(), ManifestError> {
        let marks = &self.part.marks;
        let found = (marks.odd_key.map(|line| (line, Ambiguity::Key)))
            .or(marks.late_merge.map(|line| (line, Ambiguity::LateMerge)))
            .or(self
                .part
                .line_break
                .map(|(line, c)| (line, Ambiguity::LineBreak(c))));
        match found {
            Some((line, what)) => Err(ManifestError::Ambiguous { line, what }),
            None => Ok(()),
        }
    }

    /// The object, with the type that it inherits from its list.
    fn typed(&self) -> Node {
        let own = TypeMeta::of(self.node);
        let mut node = self.node.clone();
        if let Node::Map(members) = &mut node {
            for (key, own, inherited) in [
                ("kind", own.kind, self.meta.kind),
                ("apiVersion", own.api_version, self.meta.api_version),
            ] {
                if let (None, Some(inherited)) = (own, inherited) {
                    members.retain(|member| member.key != key);
                    members.insert(0, Member::new(key, Node::text(inherited)));
                }
            }
        }
        node
    }
}

/// Returns the object with `metadata.name` set.
fn with_name(mut node: Node, name: &str) -> Node {
    if let Node::Map(members) = &mut node
        && let Some(Node::Map(metadata)) = members
            .iter_mut()
            .find(|member| member.key == "metadata")
            .map(|member| &mut member.value)
    {
        metadata.retain(|member| member.key != "name");
        metadata.push(Member::new("name", Node::text(name)));
    }
    node
}

#[cfg(test)]
mod tests;
