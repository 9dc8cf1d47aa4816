use std::ops::Range;

use super::error::ManifestError;
use super::json_read;
use super::node::{Member, Node};
use super::secret::SecretInput;
use super::write;
use super::yaml_read::{self, Marks};
use crate::envelope::wire;

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
    root: Node,
    marks: Marks,
    /// Whether it begins with a byte order mark and `{`: most readers accept it as YAML, none as JSON.
    marked: bool,
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

/// How this program treats an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A plain Secret.
    Secret,
    /// An `EnvelopeSecret`.
    Sealed,
    /// Anything else.
    Other,
}

/// One object of a [`Part`].
pub struct Item<'p> {
    kind: Kind,
    marks: Marks,
    marked: bool,
    node: &'p Node,
    /// The document's bytes, if they are JSON and hold only this object.
    json: Option<&'p str>,
}

/// Reads a text as JSON or YAML.
pub fn read(bytes: &[u8]) -> Result<Vec<Part<'_>>, ManifestError> {
    let text = std::str::from_utf8(bytes).map_err(|_| ManifestError::NotUtf8)?;
    if text.trim_start().starts_with('{')
        && let Some(documents) = json_read::read(text)?
    {
        let parts = documents.into_iter().map(|document| Part {
            text: &text[document.range],
            syntax: Syntax::Json,
            explicit: false,
            root: document.root,
            marks: Marks::default(),
            marked: false,
        });
        return Ok(parts.collect());
    }
    let marked = |range: &Range<usize>| {
        let behind = text[range.clone()].strip_prefix('\u{feff}');
        behind.is_some_and(|text| text.trim_start().starts_with('{'))
    };
    let parts = yaml_read::read(text)?.into_iter().map(|document| Part {
        marked: marked(&document.range),
        text: &text[document.range],
        syntax: Syntax::Yaml,
        explicit: document.explicit,
        root: document.root,
        marks: document.marks,
    });
    Ok(parts.collect())
}

impl Part<'_> {
    /// Returns what the document contains.
    pub fn content(&self) -> Content {
        if self.root == Node::Null {
            Content::Empty
        } else if self.list().is_some() {
            Content::List
        } else {
            Content::Object
        }
    }

    /// Returns its objects, with lists unpacked.
    pub fn items(&self) -> Vec<Item<'_>> {
        let mut out = Vec::new();
        match self.content() {
            Content::Empty => {}
            Content::List => self.collect(&self.root, false, &mut out),
            Content::Object => {
                let json = (self.syntax == Syntax::Json).then_some(self.text);
                out.push(Item {
                    json,
                    ..self.item(&self.root, false)
                });
            }
        }
        out
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

    fn collect<'p>(&'p self, node: &'p Node, of_secrets: bool, out: &mut Vec<Item<'p>>) {
        match items_of(node) {
            Some((items, of_secrets)) => items.iter().for_each(|item| self.collect(item, of_secrets, out)),
            None => out.push(self.item(node, of_secrets)),
        }
    }

    fn item<'p>(&self, node: &'p Node, of_secrets: bool) -> Item<'p> {
        // The items of a typed list may omit their kind.
        let kind = if of_secrets && node.get("kind").is_none() {
            Kind::Secret
        } else {
            kind_of(node)
        };
        Item {
            kind,
            marks: self.marks,
            marked: self.marked,
            node,
            json: None,
        }
    }

    fn list(&self) -> Option<&[Node]> {
        let (items, of_secrets) = items_of(&self.root)?;
        (of_secrets || items.iter().any(holds_ours)).then_some(items)
    }
}

/// Returns the items of a list object, and whether all of them are Secrets.
fn items_of(node: &Node) -> Option<(&[Node], bool)> {
    let of_secrets = match (text(node, "apiVersion")?, text(node, "kind")?) {
        ("v1", "List") => false,
        (wire::API_VERSION, kind) if kind.strip_suffix("List") == Some(wire::KIND) => false,
        ("v1", "SecretList") => true,
        _ => return None,
    };
    match node.get("items")? {
        Node::List(items) => Some((items, of_secrets)),
        _ => None,
    }
}

fn holds_ours(node: &Node) -> bool {
    match items_of(node) {
        Some((items, of_secrets)) => of_secrets || items.iter().any(holds_ours),
        None => kind_of(node) != Kind::Other,
    }
}

fn kind_of(node: &Node) -> Kind {
    match (text(node, "apiVersion"), text(node, "kind")) {
        // Any version: the strict reader refuses unknown ones.
        (Some(version), Some(wire::KIND)) if group(version) == group(wire::API_VERSION) => Kind::Sealed,
        // Other groups may define this kind; without a group it is the core one.
        (version, Some("Secret")) if version.is_none_or(|v| !v.contains('/')) => Kind::Secret,
        _ => Kind::Other,
    }
}

fn group(api_version: &str) -> Option<&str> {
    api_version.split_once('/').map(|(group, _)| group)
}

fn text<'n>(node: &'n Node, key: &str) -> Option<&'n str> {
    node.get(key).and_then(Node::as_str)
}

impl<'p> Item<'p> {
    /// Returns how this program treats it.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Reads a [`Kind::Secret`].
    pub fn secret(&self) -> Result<SecretInput, ManifestError> {
        if let Some(line) = self.marks.tag {
            return Err(ManifestError::Tag { line });
        }
        SecretInput::from_node(self.node)
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
        if self.marked {
            return Err(ManifestError::ByteOrderMark);
        }
        let refused = self
            .marks
            .reference
            .or(self.marks.tag.map(|line| (line, "a tag")))
            .or(self
                .marks
                .odd_key
                .map(|line| (line, "a key that is not a string")));
        if let Some((line, what)) = refused {
            return Err(ManifestError::Irregular { line, what });
        }
        let json = match name {
            Some(name) => write::to_json(&with_name(self.node, name)),
            None => write::to_json(self.node),
        };
        Ok(json.expose().to_vec())
    }

    /// Returns the object for rewriting (an item of a list, or YAML that becomes JSON). Fails if that could change how a
    /// YAML 1.1 reader such as kubectl reads it.
    pub fn rewritable(&self) -> Result<&'p Node, ManifestError> {
        if let Some(line) = self.marks.tag {
            return Err(ManifestError::NotRewritable { line, what: "a tag" });
        }
        if let Some(line) = self.marks.differs {
            return Err(ManifestError::NotRewritable {
                line,
                what: "an unquoted word or number on which readers disagree",
            });
        }
        Ok(self.node)
    }

    /// Returns `ConfigMap/app`, for messages.
    pub fn describe(&self) -> String {
        let kind = text(self.node, "kind").unwrap_or("a document without a kind");
        match self.place().1 {
            Some(name) => format!("{kind}/{name}"),
            None => kind.to_owned(),
        }
    }
}

/// Returns the object with `metadata.name` set.
fn with_name(node: &Node, name: &str) -> Node {
    let mut node = node.clone();
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
mod tests {
    use super::*;

    fn kinds(text: &str) -> Vec<Kind> {
        let Ok(parts) = read(text.as_bytes()) else {
            panic!("{text}")
        };
        parts.iter().flat_map(Part::items).map(|i| i.kind()).collect()
    }

    #[test]
    fn kinds_are_recognized() {
        use Kind::{Other, Sealed, Secret};
        assert_eq!(
            kinds("apiVersion: v1\nkind: Secret\n---\nkind: ConfigMap\n---\n"),
            [Secret, Other]
        );
        assert_eq!(
            kinds("kind: Secret\n"),
            [Secret],
            "a forgotten apiVersion must not let values through"
        );
        assert_eq!(kinds("apiVersion: example.com/v1\nkind: Secret\n"), [Other]);
        assert_eq!(
            kinds("apiVersion: envelope-secrets.io/v1\nkind: EnvelopeSecret\n"),
            [Sealed]
        );
        assert_eq!(
            kinds("apiVersion: envelope-secrets.io/v2\nkind: EnvelopeSecret\n"),
            [Sealed]
        );
        assert_eq!(kinds("- a\n"), [Other]);
        assert_eq!(kinds("{apiVersion: v1, kind: Secret}"), [Secret]);
        assert_eq!(
            kinds("{\"apiVersion\": \"v1\", \"kind\": \"Secret\"} {\"kind\": \"X\"}"),
            [Secret, Other]
        );
    }

    #[test]
    fn lists_with_secrets_are_unpacked() {
        use Kind::{Other, Secret};
        let list =
            "apiVersion: v1\nkind: List\nitems:\n- {kind: ConfigMap}\n- {apiVersion: v1, kind: Secret}\n";
        assert_eq!(kinds(list), [Other, Secret]);
        assert_eq!(
            kinds("apiVersion: v1\nkind: SecretList\nitems:\n- {metadata: {name: a}}\n"),
            [Secret]
        );
        let others = "apiVersion: v1\nkind: List\nitems:\n- {kind: A}\n- {kind: B}\n";
        assert_eq!(kinds(others), [Other], "it stays whole");
        let nested = format!(
            "apiVersion: v1\nkind: List\nitems:\n- {}",
            list.trim().replace('\n', "\n  ")
        );
        assert_eq!(kinds(&nested), [Other, Secret]);
    }

    #[test]
    fn a_sealed_document_with_yaml_features_is_refused() {
        let head = "apiVersion: envelope-secrets.io/v1\nkind: EnvelopeSecret\n";
        let json = |more: &str| {
            let text = format!("{head}{more}");
            let Ok(parts) = read(text.as_bytes()) else {
                panic!("{text}")
            };
            parts[0].items()[0]
                .sealed_json(None)
                .map(|j| String::from_utf8(j).expect("UTF-8"))
        };
        assert_eq!(
            json("spec: {id: 12345678, b: [yes, null]}\n").as_deref(),
            Ok(
                "{\"apiVersion\":\"envelope-secrets.io/v1\",\"kind\":\"EnvelopeSecret\",\"spec\":{\"id\":12345678,\"b\":[\"yes\",null]}}"
            )
        );
        for (more, what) in [
            ("metadata: &m {name: db}\n", "an anchor"),
            ("metadata: {name: !!str db}\n", "a tag"),
            ("metadata: {1: x}\n", "a key that is not a string"),
            ("metadata: {<<: {a: b}}\n", "a merge key"),
        ] {
            assert_eq!(json(more), Err(ManifestError::Irregular { line: 3, what }));
        }
    }

    #[test]
    fn a_byte_order_mark_is_refused_in_json_and_accepted_in_yaml() {
        let sealed = |text: &str| {
            let Ok(parts) = read(text.as_bytes()) else {
                panic!("{text}")
            };
            parts[0].items()[0].sealed_json(None).map(|_| ())
        };
        let json = "{\"apiVersion\":\"envelope-secrets.io/v1\",\"kind\":\"EnvelopeSecret\"}";
        assert_eq!(sealed(json), Ok(()));
        assert_eq!(
            sealed(&format!("\u{feff}\r\n{json}")),
            Err(ManifestError::ByteOrderMark)
        );
        let yaml = "\u{feff}apiVersion: envelope-secrets.io/v1\nkind: EnvelopeSecret\n";
        assert_eq!(sealed(yaml), Ok(()));
        assert_eq!(
            kinds("\u{feff}{\"apiVersion\": \"v1\", \"kind\": \"Secret\"}"),
            [Kind::Secret]
        );
    }

    #[test]
    fn an_object_that_readers_disagree_on_is_not_rewritten() {
        let Ok(parts) = read(b"kind: ConfigMap\ndata:\n  a: yes\n") else {
            panic!("YAML")
        };
        let Err(error) = parts[0].items()[0].rewritable() else {
            panic!("ambiguous")
        };
        assert!(error.to_string().starts_with("line 3"), "{error}");
        assert!(matches!(read(b"a: \xff"), Err(ManifestError::NotUtf8)));
    }
}
