//! Typed access to the fields of a Secret.

use super::super::error::ManifestError;
use super::super::node::{Member, Node};

/// Returns the members of a map; null counts as empty, as in the API server.
pub(super) fn map<'n>(node: &'n Node, field: &str, line: usize) -> Result<&'n [Member], ManifestError> {
    match node {
        Node::Map(members) => Ok(members),
        Node::Null => Ok(&[]),
        other => Err(wrong(line, field, other, "a map")),
    }
}

pub(super) fn string<'n>(member: &'n Member, field: &str) -> Result<&'n str, ManifestError> {
    member
        .value
        .as_str()
        .ok_or_else(|| wrong(member.line, field, &member.value, "a string"))
}

/// Returns a string; null and the empty string count as absent.
pub(super) fn optional_string(member: &Member, field: &str) -> Result<Option<String>, ManifestError> {
    match &member.value {
        Node::Null => Ok(None),
        _ => Ok(Some(string(member, field)?)
            .filter(|text| !text.is_empty())
            .map(str::to_owned)),
    }
}

pub(super) fn optional_bool(member: &Member, field: &str) -> Result<bool, ManifestError> {
    match &member.value {
        Node::Null => Ok(false),
        Node::Bool(value) => Ok(*value),
        other => Err(wrong(member.line, field, other, "true or false")),
    }
}

pub(super) fn wrong(line: usize, field: &str, node: &Node, wanted: &'static str) -> ManifestError {
    ManifestError::WrongType {
        line,
        field: field.to_owned(),
        is: node.type_name(),
        wanted,
    }
}
