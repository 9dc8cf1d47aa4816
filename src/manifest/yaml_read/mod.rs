//! Reads YAML 1.2 from parser events: one tree per document, and the features of YAML that restrict how it may be used.

mod aliases;
mod features;

pub use aliases::{AliasBudget, Aliases};
pub(super) use features::YamlFeatures;

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};
use std::ops::Range;

use serde_saphyr::granit_parser::{
    ErrorKind, Event, Options, Parser, ScalarStyle, ScanError, Span, StrInput, Tag, options,
};
use zeroize::Zeroizing;

use super::base64_std::from_base64;
use super::error::ManifestError;
use super::node::{Member, Node};
use super::schema::{self, Plain};
use super::shown::quoted;
use super::write::json_number;

/// One document of a stream.
pub(super) struct YamlDocument {
    /// Its byte range, from its `---` (or the end of the previous document) to the next.
    pub(super) range: Range<usize>,
    /// Whether it begins with `---`.
    pub(super) explicit: bool,
    pub(super) root: Node,
    pub(super) features: YamlFeatures,
}

/// Reads all documents of a stream. Their ranges cover the text. Comments alone are not a document.
pub(super) fn read(text: &str, aliases: Aliases<'_>) -> Result<Vec<YamlDocument>, ManifestError> {
    let mut composer = Composer {
        text,
        parser: Parser::new_from_str_with_options(text, reader_options()),
        anchors: HashMap::new(),
        aliases,
        features: YamlFeatures::default(),
    };
    let mut documents: Vec<YamlDocument> = Vec::new();
    let mut boundary = 0;
    loop {
        let (event, span) = composer.next()?;
        match event {
            Event::DocumentStart(explicit, _) => {
                let start = if explicit && !composer.only_prefix(boundary, span.start.byte_offset()) {
                    span.start.byte_offset().unwrap_or(boundary)
                } else {
                    boundary
                };
                if let Some(last) = documents.last_mut() {
                    last.range.end = start;
                }
                composer.anchors.clear();
                composer.features = YamlFeatures::default();
                let root = composer.node()?.node;
                documents.push(YamlDocument {
                    range: start..text.len(),
                    explicit,
                    root,
                    features: composer.features,
                });
            }
            Event::DocumentEnd => boundary = composer.end_of_document(&span),
            Event::StreamEnd => break,
            _ => {}
        }
    }
    if let Some(first) = documents.first_mut() {
        first.range.start = 0;
    }
    Ok(documents)
}

const TOO_MANY: &str = "aliases expand to more than this reader accepts";

fn reader_options() -> Options {
    options! {
        emit_comments: false,
        emit_unresolved_aliases: true,
        emit_anchor_events: false,
        // A block scalar at the end of the text ends with a line feed, present or not, as in kubectl.
        block_scalar_eof_without_line_feed: false,
    }
}

struct Composer<'t, 'b> {
    text: &'t str,
    parser: Parser<'t, StrInput<'t>>,
    anchors: HashMap<usize, Node>,
    aliases: Aliases<'b>,
    features: YamlFeatures,
}

/// A node and what a map needs to know if it is a key.
struct Composed {
    node: Node,
    line: usize,
    key: KeyForm,
}

/// The form of a node as a key.
#[derive(Clone, Copy, PartialEq, Eq)]
enum KeyForm {
    /// The plain scalar `<<`.
    Merge,
    /// A plain scalar that YAML 1.1 or 1.2 does not read as a string.
    NotString,
    Other,
}

impl<'t> Composer<'t, '_> {
    fn next(&mut self) -> Result<(Event<'t>, Span), ManifestError> {
        match self.parser.next_event() {
            Some(Ok(event)) => Ok(event),
            Some(Err(error)) => Err(from_scan(&error)),
            None => Err(ManifestError::Yaml {
                line: 0,
                what: "unexpected end of the text".into(),
            }),
        }
    }

    /// Reports whether the text between two offsets is the prefix (comments, directives) of the next document. After
    /// `...` it is; without `...`, comments belong to the previous document, which ends at the `---`.
    fn only_prefix(&self, boundary: usize, start: Option<usize>) -> bool {
        let ended = self.text[..boundary].trim_end_matches(['\r', '\n']);
        let marker = ended.rsplit('\n').next().unwrap_or(ended);
        boundary == 0 || (start.is_some_and(|s| s >= boundary) && marker.starts_with("..."))
    }

    /// Returns the offset after the line of `...`, or where the next document may begin.
    fn end_of_document(&self, span: &Span) -> usize {
        let Some(range) = span.byte_range() else {
            return self.text.len();
        };
        if range.is_empty() {
            return range.end;
        }
        match self.text[range.end..].find('\n') {
            Some(newline) => range.end + newline + 1,
            None => self.text.len(),
        }
    }

    fn node(&mut self) -> Result<Composed, ManifestError> {
        let (event, span) = self.next()?;
        self.node_from(event, &span)
    }

    fn node_from(&mut self, event: Event<'t>, span: &Span) -> Result<Composed, ManifestError> {
        let line = span.start.line();
        let mut key = KeyForm::Other;
        let (anchor, node) = match event {
            Event::Scalar(text, style, anchor, tag) => {
                self.mark(anchor, tag.as_deref(), line);
                if style == ScalarStyle::Plain && text == "<<" {
                    key = KeyForm::Merge;
                } else if style == ScalarStyle::Plain && tag.is_none() && schema::differs(&text) {
                    key = KeyForm::NotString;
                }
                (anchor, self.scalar(&text, style, tag.as_deref(), line))
            }
            Event::SequenceStart(_, anchor, tag) => {
                self.mark(anchor, tag.as_deref(), line);
                (anchor, self.list()?)
            }
            Event::MappingStart(_, anchor, tag) => {
                self.mark(anchor, tag.as_deref(), line);
                (anchor, self.map()?)
            }
            Event::Alias(id) => {
                self.features.reference.get_or_insert((line, "an alias"));
                (0, self.alias(id, line)?)
            }
            Event::UnresolvedAlias(_) => {
                return Err(yaml(
                    line,
                    "an alias without an anchor before it in this document",
                ));
            }
            _ => return Err(yaml(line, "a value was expected")),
        };
        if anchor != 0 && matches!(self.aliases, Aliases::Expand(_)) {
            self.spend(&node, line)?;
            self.anchors.insert(anchor, node.clone());
        }
        Ok(Composed { node, line, key })
    }

    fn mark(&mut self, anchor: usize, tag: Option<&Tag>, line: usize) {
        if anchor != 0 {
            self.features.reference.get_or_insert((line, "an anchor"));
        }
        if tag.is_some() {
            self.features.tag.get_or_insert(line);
        }
    }

    fn scalar(&mut self, text: &str, style: ScalarStyle, tag: Option<&Tag>, line: usize) -> Node {
        let string = || Node::String(Zeroizing::new(text.to_owned()));
        // kubectl decodes it, so that `kind: !!binary U2VjcmV0` is a Secret.
        if tag.is_some_and(|tag| tag.suffix() == "binary" || tag.suffix().ends_with(":binary"))
            && let Some(Ok(decoded)) =
                from_base64(text).map(|bytes| String::from_utf8(bytes.expose().to_vec()))
        {
            return Node::text(decoded);
        }
        // A document with a tag is recorded as such, and may only pass through byte for byte.
        if style != ScalarStyle::Plain || tag.is_some() {
            return string();
        }
        let plain = schema::resolve(text);
        if schema::differs(text) || (plain == Plain::Number && json_number(text).is_none()) {
            self.features.differs.get_or_insert(line);
        }
        match plain {
            Plain::Null => Node::Null,
            Plain::Bool(value) => Node::Bool(value),
            Plain::Number => Node::Number(text.to_owned()),
            Plain::String => string(),
        }
    }

    fn list(&mut self) -> Result<Node, ManifestError> {
        let mut items = Vec::new();
        loop {
            let (event, span) = self.next()?;
            if matches!(event, Event::SequenceEnd) {
                return Ok(Node::List(items));
            }
            items.push(self.node_from(event, &span)?.node);
        }
    }

    fn map(&mut self) -> Result<Node, ManifestError> {
        let mut map = MapBuilder::default();
        let mut seen = HashSet::new();
        loop {
            let (event, span) = self.next()?;
            if matches!(event, Event::MappingEnd) {
                break;
            }
            let Composed {
                node: key,
                line,
                key: form,
            } = self.node_from(event, &span)?;
            let value = self.node()?.node;
            if form == KeyForm::Merge {
                self.features.reference.get_or_insert((line, "a merge key"));
                if !map.members.is_empty() {
                    self.features.late_merge.get_or_insert(line);
                }
                let ignored = matches!(self.aliases, Aliases::Ignore) && value == Node::Null;
                if !ignored {
                    map.merge(value, line)?;
                }
                continue;
            }
            if form == KeyForm::NotString {
                self.features.odd_key.get_or_insert(line);
            }
            let key = self.key(key, line)?;
            if !seen.insert(key.clone()) {
                return Err(yaml(line, &format!("duplicate key {}", quoted(&key))));
            }
            map.set(Member { key, line, value });
        }
        Ok(Node::Map(map.members))
    }

    fn key(&mut self, key: Node, line: usize) -> Result<String, ManifestError> {
        let key = match key {
            Node::String(text) => return Ok(text.to_string()),
            Node::Number(text) => text,
            Node::Bool(value) => value.to_string(),
            Node::Null => "null".to_owned(),
            Node::List(_) | Node::Map(_) => return Err(yaml(line, "a key that is a list or a map")),
        };
        self.features.odd_key.get_or_insert(line);
        Ok(key)
    }

    fn alias(&mut self, id: usize, line: usize) -> Result<Node, ManifestError> {
        let Aliases::Expand(budget) = &mut self.aliases else {
            return Ok(Node::Null);
        };
        let Some(node) = self.anchors.get(&id) else {
            return Err(yaml(line, "an alias inside its own anchor"));
        };
        if !budget.spend(node) {
            return Err(yaml(line, TOO_MANY));
        }
        Ok(node.clone())
    }

    fn spend(&mut self, node: &Node, line: usize) -> Result<(), ManifestError> {
        if let Aliases::Expand(budget) = &mut self.aliases
            && !budget.spend(node)
        {
            return Err(yaml(line, TOO_MANY));
        }
        Ok(())
    }
}

/// The members of a map under construction.
#[derive(Default)]
struct MapBuilder {
    members: Vec<Member>,
    /// Positions by key, kept from the first merge on: without a merge, no member overrides another.
    positions: Option<HashMap<String, usize>>,
}

impl MapBuilder {
    /// Adds a member, or replaces the merged one with the same key.
    fn set(&mut self, member: Member) {
        if let Some(positions) = &mut self.positions {
            match positions.entry(member.key.clone()) {
                Entry::Occupied(old) => {
                    self.members[*old.get()] = member;
                    return;
                }
                Entry::Vacant(new) => new.insert(self.members.len()),
            };
        }
        self.members.push(member);
    }

    /// Merges as kubectl does (go-yaml v2, `decoder.merge`): the source overrides the members before it, the members
    /// after it override the source, and in a list of sources the earlier one wins.
    fn merge(&mut self, source: Node, line: usize) -> Result<(), ManifestError> {
        let members = &self.members;
        self.positions.get_or_insert_with(|| {
            let keys = members.iter().map(|member| member.key.clone());
            keys.zip(0..).collect()
        });
        match source {
            Node::Map(more) => {
                for member in more {
                    self.set(member);
                }
                Ok(())
            }
            Node::List(sources) if sources.iter().all(|s| matches!(s, Node::Map(_))) => sources
                .into_iter()
                .rev()
                .try_for_each(|source| self.merge(source, line)),
            _ => Err(yaml(line, "a merge key whose value is not a map")),
        }
    }
}

fn yaml(line: usize, what: &str) -> ManifestError {
    ManifestError::Yaml {
        line,
        what: what.to_owned(),
    }
}

fn from_scan(error: &ScanError) -> ManifestError {
    let what = match error.kind() {
        // The parser's message repeats the character, which may be part of a value.
        ErrorKind::UnexpectedCharacter { .. } => "unexpected character".to_owned(),
        kind => kind.to_string(),
    };
    ManifestError::Yaml {
        line: error.marker().line(),
        what,
    }
}

#[cfg(test)]
mod tests;
