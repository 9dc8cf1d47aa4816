//! A YAML document of a text, and the objects in it.

use super::super::buffer::SecretBuffer;
use super::super::comments::{self, Comment};
use super::super::error::{Ambiguity, ManifestError};
use super::super::lookalike::{self, PlaintextFinding};
use super::super::node::{Member, Node};
use super::super::secret::SecretInput;
use super::super::shown::shown;
use super::super::unpack::{self, Treatment, TypeMeta, text};
use super::super::write;
use super::super::yaml_read::YamlFeatures;

/// The syntax of a document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Syntax {
    /// YAML 1.2.
    Yaml,
    /// RFC 8259.
    Json,
}

/// One YAML document, or one JSON value, and its bytes.
pub struct Part<'t> {
    /// Its bytes. The parts of a text concatenate to the text.
    pub text: &'t str,
    /// Its syntax.
    pub syntax: Syntax,
    /// Whether it begins with `---`.
    pub explicit: bool,
    /// Its first line in the text, from 1.
    pub line: usize,
    pub(super) root: Node,
    pub(super) features: YamlFeatures,
    /// Whether it begins with a byte order mark and `{`: most readers accept it as YAML, none as JSON.
    pub(super) bom_before_json: bool,
    /// The first U+0085, U+2028 or U+2029 outside JSON, where kubectl ends a line.
    pub(super) line_break: Option<(usize, char)>,
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

    /// Returns the objects that are sealed, opened or passed through one by one: a list is unpacked only if it contains a
    /// Secret or an EnvelopeSecret.
    pub fn objects_to_process(&self) -> Vec<Item<'_>> {
        match self.content() {
            Content::Empty => Vec::new(),
            Content::List => self.all_objects(),
            Content::Object => vec![Item {
                json: (self.syntax == Syntax::Json).then_some(self.text),
                ..self.item(&self.root, TypeMeta::of(&self.root))
            }],
        }
    }

    /// Returns all objects, with every list unpacked, as kubectl sees them.
    pub fn all_objects(&self) -> Vec<Item<'_>> {
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
    pub fn find_plaintext(&self) -> Option<PlaintextFinding> {
        if let Some((line, c)) = self.line_break {
            let what = Ambiguity::LineBreak(c).to_string();
            return Some(PlaintextFinding { line, what });
        }
        let in_objects = || self.all_objects().iter().find_map(Item::find_plaintext);
        let in_comments = || {
            let comments = self.comments();
            comments
                .iter()
                .find_map(|c| lookalike::commented(c.text(), c.line))
        };
        in_objects()
            .or_else(|| lookalike::nested(&self.root, self.line))
            .or_else(in_comments)
    }

    /// Returns the comments of a YAML document, with their lines in the text.
    pub fn comments(&self) -> Vec<Comment> {
        if self.syntax == Syntax::Json || !self.text.contains('#') {
            return Vec::new();
        }
        let mut comments = comments::of(self.text);
        for comment in &mut comments {
            comment.line += self.line - 1;
        }
        comments
    }

    /// Returns the whole document as JSON, with every scalar in one spelling: for searches.
    pub fn to_json(&self) -> SecretBuffer {
        write::to_json(&self.root)
    }

    /// Reports whether the text says anything that [`Part::to_json`] does not contain: comments, directives, anchors,
    /// tags, members that a merge overrides, numbers in another spelling.
    pub fn has_more_than_values(&self) -> bool {
        let respelled = |node: &Node| match node {
            Node::Number(text) => write::json_number(text).as_deref() != Some(text),
            _ => false,
        };
        let features = &self.features;
        self.text.contains(['#', '%'])
            || features.reference.is_some()
            || features.tag.is_some()
            || self.root.find_line(respelled).is_some()
    }

    /// Returns the fields of a [`Content::List`] that are lost when it is unpacked, each with its line. kubectl ignores them.
    pub fn fields_beside_items(&self) -> Vec<(usize, String)> {
        let lost = unpack::beside_items(&self.root);
        lost.into_iter()
            .map(|member| (member.line.max(self.line), shown(&member.key)))
            .collect()
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
        self.all_objects()
            .iter()
            .any(|item| item.treatment() != Treatment::Other)
    }

    fn item<'p>(&'p self, node: &'p Node, meta: TypeMeta<'p>) -> Item<'p> {
        Item {
            part: self,
            node,
            meta,
            json: None,
        }
    }

    /// Moves all lines down, for a document that was read alone.
    pub(super) fn shifted(mut self, by: usize) -> Self {
        self.line += by;
        self.features.shift(by);
        self.root.shift_lines(by);
        if let Some((line, _)) = &mut self.line_break {
            *line += by;
        }
        self
    }
}

impl<'p> Item<'p> {
    /// Returns how this program treats it.
    pub fn treatment(&self) -> Treatment {
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

    /// Reads a [`Treatment::Secret`].
    pub fn secret(&self) -> Result<SecretInput, ManifestError> {
        let features = &self.part.features;
        if let Some(line) = features.tag {
            return Err(ManifestError::Tag { line });
        }
        self.check_unambiguous()?;
        if self.meta.api_version != Some("v1") {
            return Err(ManifestError::NotV1 { line: self.line() });
        }
        SecretInput::from_node(self.node)
    }

    /// Returns the plaintext in an object that would pass through, if there is any.
    pub fn find_plaintext(&self) -> Option<PlaintextFinding> {
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

    /// Returns the object as JSON, with every scalar in one spelling: for searches.
    pub fn to_json(&self) -> SecretBuffer {
        write::to_json(&self.typed())
    }

    /// Returns a [`Treatment::Sealed`] as JSON for the format's strict reader; input that is JSON is returned unchanged. `name`
    /// is used if the object has none.
    pub fn sealed_json(&self, name: Option<&str>) -> Result<Vec<u8>, ManifestError> {
        let name = name.filter(|_| self.place().1.is_none());
        if let (Some(json), None) = (self.json, name) {
            return Ok(json.trim().as_bytes().to_vec());
        }
        if self.part.bom_before_json {
            return Err(ManifestError::ByteOrderMark);
        }
        let features = &self.part.features;
        let refused = features
            .reference
            .or(features.tag.map(|line| (line, "a tag")))
            .or(features.odd_key.map(|line| (line, "a key that is not a string")));
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
        let features = &self.part.features;
        if let Some(line) = features.tag {
            return Err(ManifestError::NotRewritable { line, what: "a tag" });
        }
        self.check_unambiguous()?;
        let number = self.node.find_line(|node| match node {
            Node::Number(text) => write::json_number(text).is_none(),
            _ => false,
        });
        if let Some(line) = features.differs.or(number) {
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

    pub(super) fn check_unambiguous(&self) -> Result<(), ManifestError> {
        let features = &self.part.features;
        let found = (features.odd_key.map(|line| (line, Ambiguity::Key)))
            .or(features.late_merge.map(|line| (line, Ambiguity::LateMerge)))
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
