//! Lists, unpacked as kubectl does: every object whose `items` is a list of objects, whatever its kind
//! (k8s.io/apimachinery, `unstructuredJSONScheme.decodeToList`; k8s.io/cli-runtime, `FlattenListVisitor`).

use super::node::{Member, Node};
use crate::envelope::wire;

/// How this program treats an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Treatment {
    /// A plain Secret.
    Secret,
    /// An `EnvelopeSecret`.
    Sealed,
    /// Anything else.
    Other,
}

/// `apiVersion` and `kind` of an object; empty and null count as absent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct TypeMeta<'n> {
    pub(super) api_version: Option<&'n str>,
    pub(super) kind: Option<&'n str>,
}

impl<'n> TypeMeta<'n> {
    /// Returns the type that the object itself states.
    pub(super) fn of(node: &'n Node) -> Self {
        let field = |key| text(node, key).filter(|text| !text.is_empty());
        TypeMeta {
            api_version: field("apiVersion"),
            kind: field("kind"),
        }
    }

    /// Returns how this program treats an object of this type.
    pub(super) fn treatment(&self) -> Treatment {
        match (self.api_version, self.kind) {
            // Any version: the strict reader refuses unknown ones.
            (Some(version), Some(wire::KIND)) if group(version) == group(wire::API_VERSION) => {
                Treatment::Sealed
            }
            // Other groups may define this kind; without a group it is the core one.
            (version, Some("Secret")) if version.is_none_or(|v| !v.contains('/')) => Treatment::Secret,
            _ => Treatment::Other,
        }
    }

    /// The type of an item, which takes what it does not state from its list.
    fn of_item(node: &'n Node, list: TypeMeta<'n>) -> Self {
        let own = TypeMeta::of(node);
        if own.kind.is_some() {
            return own;
        }
        TypeMeta {
            api_version: own.api_version.or(list.api_version),
            kind: list.kind.map(item_kind).filter(|kind| !kind.is_empty()),
        }
    }
}

/// `SecretList` → `Secret`, in any letter case.
fn item_kind(list: &str) -> &str {
    match list.len().checked_sub(4).and_then(|at| list.split_at_checked(at)) {
        Some((kind, suffix)) if suffix.eq_ignore_ascii_case("list") => kind,
        _ => list,
    }
}

/// The part of an `apiVersion` before the slash.
pub(super) fn group(api_version: &str) -> Option<&str> {
    api_version.split_once('/').map(|(group, _)| group)
}

/// The items of a list, with their types.
pub(super) fn items_of<'n>(node: &'n Node, list: TypeMeta<'n>) -> Option<Vec<(&'n Node, TypeMeta<'n>)>> {
    match node.get("items")? {
        Node::List(items) if items.iter().all(|item| matches!(item, Node::Map(_))) => {
            let typed = items.iter().map(|item| (item, TypeMeta::of_item(item, list)));
            Some(typed.collect())
        }
        _ => None,
    }
}

/// The members of lists that are neither items nor written by the API server.
pub(super) fn beside_items(node: &Node) -> Vec<&Member> {
    let (Node::Map(members), Some(items)) = (node, items_of(node, TypeMeta::of(node))) else {
        return Vec::new();
    };
    let own = members.iter().filter(|member| match member.key.as_str() {
        "apiVersion" | "kind" | "items" => false,
        "metadata" => !is_list_meta(&member.value),
        _ => member.value != Node::Null,
    });
    own.chain(items.into_iter().flat_map(|(item, _)| beside_items(item)))
        .collect()
}

/// `ListMeta` of k8s.io/apimachinery: what `kubectl get` prints.
fn is_list_meta(node: &Node) -> bool {
    const FIELDS: [&str; 4] = ["resourceVersion", "selfLink", "continue", "remainingItemCount"];
    match node {
        Node::Map(members) => members.iter().all(|member| FIELDS.contains(&member.key.as_str())),
        other => *other == Node::Null,
    }
}

/// Calls `visit` for every object, with lists unpacked.
pub(super) fn each<'n>(node: &'n Node, visit: &mut impl FnMut(&'n Node, TypeMeta<'n>)) {
    each_typed(node, TypeMeta::of(node), visit);
}

fn each_typed<'n>(node: &'n Node, meta: TypeMeta<'n>, visit: &mut impl FnMut(&'n Node, TypeMeta<'n>)) {
    match items_of(node, meta) {
        Some(items) => items
            .into_iter()
            .for_each(|(item, meta)| each_typed(item, meta, visit)),
        None => visit(node, meta),
    }
}

/// The text of a member that is a string.
pub(super) fn text<'n>(node: &'n Node, key: &str) -> Option<&'n str> {
    node.get(key).and_then(Node::as_str)
}
