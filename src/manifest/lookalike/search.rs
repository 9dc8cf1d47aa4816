//! The search for lookalikes in one object, and in everything inside it.

use super::super::base64_std::from_base64;
use super::super::comments;
use super::super::node::{Member, Node};
use super::super::unpack::{Treatment, TypeMeta};
use super::stated::{Stated, holds_scalars, is_schema};
use super::text::{decoded, mentions_data, parsed, reads_like_secret};
use crate::envelope::wire;

/// How often a manifest inside a string of a manifest is parsed; strings in it are only searched.
const MAX_EMBEDDED: usize = 3;

/// Something in a document that would pass through and is, or looks like, the plaintext of a Secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlaintextFinding {
    /// The line, from 1.
    pub line: usize,
    /// What it looks like: `a Secret inside another object`. Never a value.
    pub what: String,
}

/// Checks an object that kubectl would send to the API server.
pub(in super::super) fn object(node: &Node, meta: &TypeMeta<'_>, line: usize) -> Option<PlaintextFinding> {
    let found = |what: String| Some(PlaintextFinding { line, what });
    if !matches!(node, Node::Map(_)) {
        return found(format!("{} instead of an object", node.type_name()));
    }
    let stated = Stated::of(node, meta.api_version, meta.kind);
    if stated.resembles_secret() || (stated.is_kind("Secret") && !stated.of_another_group()) {
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
    if stated.has_impossible_kind() {
        return found(format!(
            "data beside a kind that Kubernetes does not allow ({})",
            stated.shown()
        ));
    }
    if stated.lacks_kind() {
        return found("data in an object without a kind".to_owned());
    }
    nested(node, line)
}

/// Checks a value and everything in it, as part of another object.
pub(in super::super) fn nested(node: &Node, line: usize) -> Option<PlaintextFinding> {
    Search { embedded: 0 }.value(node, line, Parent::default())
}

/// Checks the text of a comment.
pub(in super::super) fn commented(text: &str, line: usize) -> Option<PlaintextFinding> {
    if !mentions_data(text) {
        return None;
    }
    Search { embedded: 1 }
        .is_manifest(text)
        .then(|| PlaintextFinding {
            line,
            what: "a Secret that is commented out".to_owned(),
        })
}

/// What a value inherits from the map around it.
#[derive(Clone, Copy, Default)]
struct Parent<'n> {
    /// The key under which the value is, also for the items of a list.
    key: &'n str,
    /// The kind that the items of a list inherit.
    items_kind: Option<&'n str>,
}

/// A walk through a document.
struct Search {
    /// How many manifests inside strings surround the current value.
    embedded: usize,
}

impl Search {
    fn value(&self, node: &Node, line: usize, parent: Parent<'_>) -> Option<PlaintextFinding> {
        match node {
            Node::Map(members) => self.map(node, members, line, parent),
            Node::List(items) => items.iter().find_map(|item| self.value(item, line, parent)),
            Node::String(text) => self.text(text, line),
            Node::Null | Node::Bool(_) | Node::Number(_) => None,
        }
    }

    fn map(
        &self,
        node: &Node,
        members: &[Member],
        line: usize,
        parent: Parent<'_>,
    ) -> Option<PlaintextFinding> {
        let line = members.first().map(|m| m.line).filter(|l| *l > 0).unwrap_or(line);
        if let Some(what) = plaintext_of(node, parent) {
            let what = what.to_owned();
            return Some(PlaintextFinding { line, what });
        }
        let is_secrets = Stated::of(node, None, None).is_kind("SecretList");
        members.iter().find_map(|member| {
            let line = if member.line > 0 { member.line } else { line };
            let key = member.key.as_str();
            if key.eq_ignore_ascii_case("binaryData")
                && let Some(found) = self.binary_data(&member.value, line)
            {
                return Some(found);
            }
            let items_kind = (is_secrets && key.eq_ignore_ascii_case("items")).then_some("Secret");
            self.value(&member.value, line, Parent { key, items_kind })
        })
    }

    /// A manifest in a string, such as a file in a `ConfigMap`, as it is or in base64.
    fn text(&self, text: &str, line: usize) -> Option<PlaintextFinding> {
        let inner = Search {
            embedded: self.embedded + 1,
        };
        let found = if self.embedded >= MAX_EMBEDDED {
            reads_like_secret(text)
        } else if mentions_data(text) {
            inner.is_manifest(text)
        } else {
            decoded(text).is_some_and(|bytes| {
                std::str::from_utf8(bytes.expose()).is_ok_and(|text| inner.text(text, line).is_some())
            })
        };
        found.then(|| PlaintextFinding {
            line,
            what: "the manifest of a Secret inside a string".to_owned(),
        })
    }

    /// Whether a text has the manifest of a Secret.
    fn is_manifest(&self, text: &str) -> bool {
        let commented = || {
            let inner = Search {
                embedded: self.embedded + 1,
            };
            self.embedded < MAX_EMBEDDED
                && comments::of(text)
                    .iter()
                    .any(|comment| mentions_data(comment.text()) && inner.is_manifest(comment.text()))
        };
        self.has_secret(text) || commented()
    }

    fn has_secret(&self, text: &str) -> bool {
        match parsed(text) {
            // A scalar is the text itself, or its readable part.
            Some(roots) => roots.iter().any(|root| match root {
                Node::String(text) => reads_like_secret(text),
                root => self.value(root, 1, Parent::default()).is_some(),
            }),
            None => reads_like_secret(text),
        }
    }

    fn binary_data(&self, node: &Node, line: usize) -> Option<PlaintextFinding> {
        let Node::Map(members) = node else { return None };
        members.iter().find_map(|member| {
            let bytes = from_base64(member.value.as_str()?)?;
            self.text(std::str::from_utf8(bytes.expose()).ok()?, member.line.max(line))
        })
    }
}

/// What a map inside another object reveals, without its members' own content.
fn plaintext_of(node: &Node, parent: Parent<'_>) -> Option<&'static str> {
    let mut stated = Stated::of(node, None, None);
    stated.kind = stated.kind.or(parent.items_kind);
    if stated.resembles_secret() {
        return Some("a Secret inside another object");
    }
    if stated.has_data && stated.is_kind(wire::KIND) {
        return Some("data or stringData beside kind: EnvelopeSecret");
    }
    if let Some(data) = stated.string_data
        && (stated.kind.is_some() || holds_scalars(data))
        && !is_schema(data)
    {
        return Some("stringData outside a Secret");
    }
    // Operators build Secrets from templates of this form.
    if stated.has_secret_type() && !parent.key.eq_ignore_ascii_case("template") {
        return Some("data beside the type of a Secret");
    }
    let generates = if stated.is_kind("SecretGenerator") {
        has_literals(node)
    } else {
        matches!(node.get("secretGenerator"), Some(Node::List(all)) if all.iter().any(has_literals))
    };
    generates.then_some("the literals of a secretGenerator")
}

/// Kustomize makes a Secret of `secretGenerator: [{name: db, literals: [password=...]}]`.
fn has_literals(generator: &Node) -> bool {
    matches!(generator.get("literals"), Some(Node::List(literals)) if !literals.is_empty())
}
