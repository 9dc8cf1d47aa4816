//! What a map states about itself.

use super::super::base64_std::from_base64;
use super::super::node::{Member, Node};
use super::super::shown::shown;
use super::super::unpack::group;
use super::kind;

/// Our own group has no kind `Secret` either.
const GROUP: &str = "envelope-secrets.io";

/// What a map states about itself, under keys in any letter case.
#[expect(clippy::struct_excessive_bools, reason = "each is one observation")]
pub(super) struct Stated<'n> {
    pub(super) api_version: Option<&'n str>,
    pub(super) kind: Option<&'n str>,
    /// `data`, `stringData` or `binaryData` with content.
    pub(super) has_data: bool,
    pub(super) string_data: Option<&'n Node>,
    /// Some member `kind`, in any letter case, that a reader could take for `Secret`.
    has_secret_kind: bool,
    /// `data` or `binaryData` is a map that contains text.
    has_entries: bool,
    /// Every value of `data` or `binaryData` is base64.
    has_encoded_entries: bool,
    has_metadata: bool,
    type_: Option<&'n str>,
}

impl<'n> Stated<'n> {
    /// `api_version` and `kind` replace those of the map.
    pub(super) fn of(node: &'n Node, api_version: Option<&'n str>, kind: Option<&'n str>) -> Self {
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
        let string_data = members
            .iter()
            .filter(|member| kind::resembles(&member.key, "stringData"))
            .find(filled);
        let is_secret = |own: &str| kind::resembles(own, "Secret");
        let data = || named("data").chain(named("binaryData"));
        Stated {
            api_version: api_version.or_else(|| word("apiVersion")),
            kind: kind
                .map(str::trim)
                .or_else(|| word("kind"))
                .filter(|kind| !kind.is_empty()),
            has_data: string_data.is_some() || data().any(|m| filled(&m)),
            string_data: string_data.map(|member| &member.value),
            has_secret_kind: kind.is_some_and(is_secret)
                || named("kind").any(|member| member.value.as_str().is_some_and(is_secret)),
            has_encoded_entries: data().any(|member| is_encoded(&member.value)),
            has_entries: data().any(|member| has_text(&member.value)),
            has_metadata: named("metadata").any(|m| filled(&m)),
            type_: word("type"),
        }
    }

    pub(super) fn is_kind(&self, kind: &str) -> bool {
        self.kind.is_some_and(|own| own.eq_ignore_ascii_case(kind))
    }

    /// Whether a reader could take it for a Secret with data. Custom resources may have this kind.
    pub(super) fn resembles_secret(&self) -> bool {
        self.has_data && self.has_secret_kind && !self.of_another_group()
    }

    /// Whether it has data and a kind that no object can have.
    pub(super) fn has_impossible_kind(&self) -> bool {
        self.has_entries && self.kind.is_some_and(|own| !kind::is_valid(own))
    }

    /// Whether it is an object with data that says no kind.
    pub(super) fn lacks_kind(&self) -> bool {
        let is_object = self.api_version.is_some() || self.has_metadata;
        self.kind.is_none() && (self.has_encoded_entries || (self.has_entries && is_object))
    }

    /// Whether it has data and the type of a Secret.
    pub(super) fn has_secret_type(&self) -> bool {
        let typed = self.type_.is_some_and(|own| {
            own.contains("kubernetes.io/") || own.starts_with("helm.sh/") || kind::resembles(own, "Opaque")
        });
        typed && self.has_entries && !self.of_another_group()
    }

    /// Custom resources may have the kind `Secret`. Their groups are domains, and neither those of Kubernetes nor ours.
    pub(super) fn of_another_group(&self) -> bool {
        self.api_version.and_then(group).is_some_and(|group| {
            let group = group.trim().to_ascii_lowercase();
            let known = ["k8s.io", "kubernetes.io", GROUP];
            is_domain(&group) && !known.iter().any(|known| group.ends_with(known))
        })
    }

    pub(super) fn shown(&self) -> String {
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

/// Recognizes a domain name of at least two labels.
fn is_domain(text: &str) -> bool {
    let is_label =
        |label: &str| !label.is_empty() && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    text.contains('.') && text.split('.').all(is_label)
}

/// Recognizes a map whose values are all base64, and long enough not to be so by chance.
fn is_encoded(node: &Node) -> bool {
    const MIN: usize = 12;
    let encoded = |node: &Node| {
        node.as_str()
            .is_some_and(|text| text.len() >= MIN && from_base64(text).is_some())
    };
    match node {
        Node::Map(members) => !members.is_empty() && members.iter().all(|member| encoded(&member.value)),
        _ => false,
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

fn has_text(node: &Node) -> bool {
    match node {
        Node::Map(members) => members
            .iter()
            .any(|member| member.value.as_str().is_some_and(|text| !text.is_empty())),
        _ => false,
    }
}

/// Whether the value of `stringData` has values, rather than being part of something else of this name.
pub(super) fn holds_scalars(node: &Node) -> bool {
    match node {
        Node::Map(members) => members
            .iter()
            .any(|m| matches!(m.value, Node::String(_) | Node::Number(_) | Node::Bool(_))),
        Node::String(_) => true,
        _ => false,
    }
}

/// `stringData` in the schema of a CRD: `{type: object, description: ...}`.
pub(super) fn is_schema(node: &Node) -> bool {
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
