//! Plaintext in documents that are not sealed: whatever looks like a Secret but is not exactly one.
//!
//! Errs on the side of refusing. A reference to a Secret (`kind: Secret` with a name, but without data) is not one.

use super::base64_std::from_base64;
use super::json_read;
use super::node::{Member, Node};
use super::shown::shown;
use super::unpack::{Treatment, TypeMeta, group};
use super::yaml_read::{self, Aliases};
use crate::envelope::wire;

/// Our own group has no kind `Secret` either.
const GROUP: &str = "envelope-secrets.io";
/// How often a manifest inside a string of a manifest is followed.
const MAX_EMBEDDED: usize = 3;

/// Something in a document that would pass through and is, or looks like, the plaintext of a Secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlaintextFinding {
    /// The line, from 1.
    pub line: usize,
    /// What it looks like: `a Secret inside Template t`. Never a value.
    pub what: String,
}

/// Checks an object that kubectl would send to the API server.
pub(super) fn object(node: &Node, meta: &TypeMeta<'_>, line: usize) -> Option<PlaintextFinding> {
    let found = |what: String| Some(PlaintextFinding { line, what });
    if !matches!(node, Node::Map(_)) {
        return found(format!("{} instead of an object", node.type_name()));
    }
    let stated = Stated::of(node, meta.api_version, meta.kind);
    if stated.is_kind("Secret") && !stated.of_another_group() {
        return found(format!(
            "a Secret that is not written as `kind: Secret` of `apiVersion: v1` ({})",
            stated.shown()
        ));
    }
    if stated.is_kind("SecretList") {
        return found("a SecretList".to_owned());
    }
    if meta.treatment() == Treatment::Sealed && stated.has_data {
        return found(format!("data or stringData beside kind: {}", wire::KIND));
    }
    if stated.string_data.is_some() {
        return found("stringData outside a Secret".to_owned());
    }
    nested(node, line)
}

/// Checks a value and everything in it, as part of another object.
pub(super) fn nested(node: &Node, line: usize) -> Option<PlaintextFinding> {
    Search { embedded: 0 }.value(node, line, None)
}

/// What a map states about itself, under keys in any letter case.
struct Stated<'n> {
    api_version: Option<&'n str>,
    kind: Option<&'n str>,
    has_data: bool,
    string_data: Option<&'n Node>,
}

impl<'n> Stated<'n> {
    fn of(node: &'n Node, api_version: Option<&'n str>, kind: Option<&'n str>) -> Self {
        let members = match node {
            Node::Map(members) => members.as_slice(),
            _ => &[],
        };
        let named = |name: &'static str| {
            members
                .iter()
                .filter(move |member| member.key.trim().eq_ignore_ascii_case(name))
        };
        let word = |name| {
            named(name)
                .find_map(|member| member.value.as_str())
                .map(str::trim)
        };
        let filled = |member: &&'n Member| !is_empty(&member.value);
        Stated {
            api_version: api_version.or_else(|| word("apiVersion")),
            kind: kind.map(str::trim).or_else(|| word("kind")),
            has_data: named("data").chain(named("stringData")).any(|m| filled(&m)),
            string_data: named("stringData").find(filled).map(|member| &member.value),
        }
    }

    fn is_kind(&self, kind: &str) -> bool {
        self.kind.is_some_and(|own| own.eq_ignore_ascii_case(kind))
    }

    /// Custom resources may have the kind `Secret`. Their groups are domains, and neither those of Kubernetes nor ours.
    fn of_another_group(&self) -> bool {
        self.api_version.and_then(group).is_some_and(|group| {
            let group = group.trim().to_ascii_lowercase();
            let known = ["k8s.io", "kubernetes.io", GROUP];
            group.contains('.') && !known.iter().any(|known| group.ends_with(known))
        })
    }

    fn shown(&self) -> String {
        let field = |name: &str, value: Option<&str>| match value {
            Some(value) => format!("{name}: {}", shown(value)),
            None => format!("no {name}"),
        };
        format!(
            "{}, {}",
            field("kind", self.kind),
            field("apiVersion", self.api_version)
        )
    }
}

fn is_empty(node: &Node) -> bool {
    match node {
        Node::Null => true,
        Node::Map(members) => members.is_empty(),
        Node::List(items) => items.is_empty(),
        Node::String(text) => text.is_empty(),
        Node::Bool(_) | Node::Number(_) => false,
    }
}

/// `stringData` in the schema of a CRD: `{type: object, description: ...}`.
fn is_schema(node: &Node) -> bool {
    const WORDS: [&str; 9] = [
        "type",
        "description",
        "properties",
        "additionalProperties",
        "nullable",
        "maxProperties",
        "minProperties",
        "title",
        "default",
    ];
    match node {
        Node::Map(members) => {
            node.get("type").and_then(Node::as_str) == Some("object")
                && members
                    .iter()
                    .all(|m| WORDS.contains(&m.key.as_str()) || m.key.starts_with("x-kubernetes-"))
        }
        _ => false,
    }
}

/// A walk through a document.
struct Search {
    /// How many manifests inside strings surround the current value.
    embedded: usize,
}

impl Search {
    /// `kind`: the kind that the items of a list inherit.
    fn value(&self, node: &Node, line: usize, kind: Option<&str>) -> Option<PlaintextFinding> {
        match node {
            Node::Map(members) => self.map(node, members, line, kind),
            Node::List(items) => items.iter().find_map(|item| self.value(item, line, kind)),
            Node::String(text) => self.text(text, line),
            Node::Null | Node::Bool(_) | Node::Number(_) => None,
        }
    }

    fn map(
        &self,
        node: &Node,
        members: &[Member],
        line: usize,
        kind: Option<&str>,
    ) -> Option<PlaintextFinding> {
        let line = members.first().map(|m| m.line).filter(|l| *l > 0).unwrap_or(line);
        let found = |what: &str| {
            let what = what.to_owned();
            Some(PlaintextFinding { line, what })
        };
        let mut stated = Stated::of(node, None, None);
        stated.kind = stated.kind.filter(|kind| !kind.is_empty()).or(kind);
        if stated.has_data && stated.is_kind("Secret") && !stated.of_another_group() {
            return found("a Secret inside another object");
        }
        if stated.has_data && stated.is_kind(wire::KIND) {
            return found("data or stringData beside kind: EnvelopeSecret");
        }
        if let Some(data) = stated.string_data
            && (stated.kind.is_some() || holds_scalars(data))
            && !is_schema(data)
        {
            return found("stringData outside a Secret");
        }
        members.iter().find_map(|member| {
            let line = if member.line > 0 { member.line } else { line };
            let key = member.key.as_str();
            let items_kind =
                (stated.is_kind("SecretList") && key.eq_ignore_ascii_case("items")).then_some("Secret");
            if key.eq_ignore_ascii_case("binaryData")
                && let Some(found) = self.binary_data(&member.value, line)
            {
                return Some(found);
            }
            self.value(&member.value, line, items_kind)
        })
    }

    /// A manifest in a string, such as a file in a `ConfigMap`.
    fn text(&self, text: &str, line: usize) -> Option<PlaintextFinding> {
        if self.embedded >= MAX_EMBEDDED || !mentions_data(text) {
            return None;
        }
        let inner = Search {
            embedded: self.embedded + 1,
        };
        let found = match parsed(text) {
            Some(roots) => roots.iter().any(|root| inner.value(root, 1, None).is_some()),
            None => reads_like_secret(text),
        };
        found.then(|| PlaintextFinding {
            line,
            what: "the manifest of a Secret inside a string".to_owned(),
        })
    }

    fn binary_data(&self, node: &Node, line: usize) -> Option<PlaintextFinding> {
        let Node::Map(members) = node else { return None };
        members.iter().find_map(|member| {
            let bytes = from_base64(member.value.as_str()?)?;
            self.text(std::str::from_utf8(bytes.expose()).ok()?, member.line.max(line))
        })
    }
}

fn holds_scalars(node: &Node) -> bool {
    match node {
        Node::Map(members) => members
            .iter()
            .any(|m| matches!(m.value, Node::String(_) | Node::Number(_) | Node::Bool(_))),
        Node::String(_) => true,
        _ => false,
    }
}

/// A cheap test before a string is parsed.
fn mentions_data(text: &str) -> bool {
    let text = text.as_bytes();
    let has = |word: &[u8]| text.windows(word.len()).any(|w| w.eq_ignore_ascii_case(word));
    has(b"data") && (has(b"secret") || has(b"stringdata"))
}

fn parsed(text: &str) -> Option<Vec<Node>> {
    if text.trim_start().starts_with(['{', '['])
        && let Ok(Some(documents)) = json_read::read(text)
    {
        return Some(documents.into_iter().map(|d| d.root).collect());
    }
    let documents = yaml_read::read(text, Aliases::Ignore).ok()?;
    Some(documents.into_iter().map(|d| d.root).collect())
}

/// For text that cannot be parsed, such as a template: a line `kind: Secret` and a line `data:`.
fn reads_like_secret(text: &str) -> bool {
    let unquoted = |line: &str| {
        line.trim()
            .trim_start_matches("- ")
            .replace(['"', '\'', ','], "")
            .to_ascii_lowercase()
    };
    let lines: Vec<String> = text.lines().map(unquoted).collect();
    let secret = lines.iter().any(|line| {
        line.strip_prefix("kind:")
            .is_some_and(|kind| kind.split('#').next().unwrap_or_default().trim() == "secret")
    });
    let data = |word: &str| lines.iter().any(|line| line.starts_with(word));
    data("stringdata:") || (secret && data("data:"))
}
