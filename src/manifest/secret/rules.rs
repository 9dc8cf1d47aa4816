//! The API server's rules for names, labels and annotations, in words.

use super::super::error::ManifestError;
use super::super::node::Member;
use super::super::shown::{member_path, quoted};
use super::fields::optional_string;
use crate::envelope::names;

/// The rule for the name of an object.
pub const OBJECT_NAME: &str = "must have at most 253 lower-case letters, digits, `-` and `.`, with a letter or digit at both ends and around each `.`";
/// The rule for the name of a namespace.
pub const NAMESPACE: &str =
    "must have at most 63 lower-case letters, digits and `-`, with a letter or digit at both ends";
/// The rule for the name of an entry.
pub const ENTRY_NAME: &str =
    "must have 1 to 253 letters, digits, `-`, `_` and `.`, not be `.`, and not begin with `..`";
pub(super) const METADATA_KEY: &str = "must be a name of at most 63 letters, digits, `-`, `_` and `.`, with a letter or digit at both ends, \
     optionally after a DNS name and `/`";
pub(super) const LABEL_VALUE: &str =
    "must have a value of at most 63 letters, digits, `-`, `_` and `.`, with a letter or digit at both ends";

pub(super) const FIELDS: [&str; 7] = [
    "apiVersion",
    "kind",
    "metadata",
    "type",
    "immutable",
    "data",
    "stringData",
];

/// Returns the field of a Secret that differs from `key` only in letter case or in one or two characters.
pub(super) fn secret_field(key: &str) -> Option<&'static str> {
    let simple = |text: &str| text.to_ascii_lowercase().replace(['-', '_', ' '], "");
    let key = simple(key);
    FIELDS
        .into_iter()
        .find(|field| edit_distance(&simple(field), &key) <= if field.len() > 4 { 2 } else { 1 })
}

/// Levenshtein's distance, for short words.
pub(super) fn edit_distance(a: &str, b: &str) -> usize {
    if b.len() > 2 * a.len() + 2 {
        return usize::MAX;
    }
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.bytes().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.bytes().enumerate() {
            let substituted = diagonal + usize::from(x != y);
            diagonal = row[j + 1];
            row[j + 1] = substituted.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

pub(super) fn checked_name(
    member: &Member,
    field: &str,
    valid: fn(&str) -> bool,
    rule: &str,
) -> Result<Option<String>, ManifestError> {
    let name = optional_string(member, field)?;
    match &name {
        Some(text) if !valid(text) => Err(ManifestError::Invalid {
            line: member.line,
            field: format!("{field} {}", quoted(text)),
            rule: rule.to_owned(),
        }),
        _ => Ok(name),
    }
}

/// The path of an entry whose name is valid.
pub(super) fn entry_path(map: &str, member: &Member) -> Result<String, ManifestError> {
    let path = member_path(map, &member.key);
    if names::is_entry_name(&member.key) {
        return Ok(path);
    }
    Err(ManifestError::Invalid {
        line: member.line,
        field: path,
        rule: ENTRY_NAME.to_owned(),
    })
}

pub(super) fn check_metadata(
    member: &Member,
    path: &str,
    label: bool,
    value: &str,
) -> Result<(), ManifestError> {
    let rule = if !names::is_qualified_name(&member.key) {
        METADATA_KEY
    } else if label && !names::is_label_value(value) {
        LABEL_VALUE
    } else {
        return Ok(());
    };
    Err(ManifestError::Invalid {
        line: member.line,
        field: path.to_owned(),
        rule: rule.to_owned(),
    })
}
