//! The part of a plain Secret that is sealed.

mod fields;
mod rules;
mod types;

pub use rules::{ENTRY_NAME, NAMESPACE, OBJECT_NAME};

use std::collections::{BTreeMap, HashSet};

use super::base64_std::from_base64;
use super::error::ManifestError;
use super::node::{Member, Node};
use super::shown::{member_path, quoted, shown};
use crate::envelope::wire::MAX_ENTRIES;
use crate::envelope::{SecretBytes, names};
use fields::{map, optional_bool, optional_string, string};
use rules::{check_metadata, checked_name, entry_path, secret_field};

/// The part of a plain Secret that is sealed. Holds plaintext: no Debug.
#[derive(Default)]
pub struct SecretInput {
    /// `metadata.name`; empty counts as absent.
    pub name: Option<String>,
    /// `metadata.namespace`; empty counts as absent.
    pub namespace: Option<String>,
    /// `type`; empty counts as absent, as in the API server.
    pub type_: Option<String>,
    /// `immutable: true`.
    pub immutable: bool,
    /// Labels, without those that are dropped.
    pub labels: BTreeMap<String, String>,
    /// Annotations, without those that are dropped.
    pub annotations: BTreeMap<String, String>,
    /// `data`, decoded, and `stringData`, which wins.
    pub entries: BTreeMap<String, SecretBytes>,
    /// Everything that is not sealed.
    pub dropped: Vec<Dropped>,
    /// The line of `type`, or else of the Secret; 0 if unknown.
    pub line: usize,
}

/// A part of a Secret that is not sealed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Dropped {
    /// A field's path.
    Field(String),
    /// A label's key.
    Label(String),
    /// An annotation's key.
    Annotation(String),
}

impl std::fmt::Display for Dropped {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Dropped::Field(path) => f.write_str(path),
            Dropped::Label(key) => write!(f, "label {}", shown(key)),
            Dropped::Annotation(key) => write!(f, "annotation {}", shown(key)),
        }
    }
}

/// Annotations of tools; some hold every value of the Secret. Prefixes end with `/`.
const TOOL_ANNOTATIONS: [&str; 5] = [
    "kubecfg.ksonnet.io/last-applied-configuration",
    "kapp.k14s.io/original",
    "objectset.rio.cattle.io/applied",
    "argocd.argoproj.io/tracking-id",
    "meta.helm.sh/",
];

fn is_dropped(key: &str) -> bool {
    // Reserved names include kubectl's last-applied-configuration.
    names::is_reserved(key)
        || TOOL_ANNOTATIONS.iter().any(|tool| {
            if tool.ends_with('/') {
                key.starts_with(tool)
            } else {
                key == *tool
            }
        })
}

impl SecretInput {
    /// Reads a `v1` Secret. Everything that the API server would refuse is an error, except an incomplete typed Secret
    /// (see [`SecretInput::check_type`]).
    pub(super) fn from_node(node: &Node) -> Result<Self, ManifestError> {
        let mut secret = SecretInput::default();
        for member in map(node, "the document", 0)? {
            if secret.line == 0 {
                secret.line = member.line;
            }
            match member.key.as_str() {
                "metadata" => secret.read_metadata(member)?,
                "type" => secret.read_type(member)?,
                "immutable" => secret.immutable = optional_bool(member, "immutable")?,
                // Data is read below: stringData wins, whatever the order.
                "apiVersion" | "kind" | "data" | "stringData" => {}
                _ if member.value == Node::Null => {}
                other => {
                    return Err(ManifestError::UnknownField {
                        line: member.line,
                        field: shown(other),
                        meant: secret_field(other),
                    });
                }
            }
        }
        secret.check_count(node)?;
        secret.read_data(node)?;
        secret.read_string_data(node)?;
        Ok(secret)
    }

    /// Fails if the type requires an entry that is missing or has the wrong form, as the API server does. `type_` is
    /// used if the Secret has none.
    pub fn check_type(&self, type_: Option<&str>) -> Result<(), ManifestError> {
        let type_ = self.type_.as_deref().or(type_).unwrap_or_default();
        match types::fault(type_, &self.entries, &self.annotations) {
            None => Ok(()),
            Some((type_, fault)) => Err(ManifestError::Typed {
                line: self.line,
                type_,
                fault,
            }),
        }
    }

    fn read_type(&mut self, member: &Member) -> Result<(), ManifestError> {
        self.line = member.line;
        self.type_ = optional_string(member, "type")?;
        match &self.type_ {
            Some(text) if !names::is_graphic(text, 253) => Err(ManifestError::Invalid {
                line: member.line,
                field: format!("type {}", quoted(text)),
                rule: "must have 1 to 253 printable ASCII characters and no blanks".to_owned(),
            }),
            _ => Ok(()),
        }
    }

    /// Before any value is decoded or copied.
    fn check_count(&self, node: &Node) -> Result<(), ManifestError> {
        let members = ["data", "stringData"].map(|key| match node.get(key) {
            Some(Node::Map(members)) => members.as_slice(),
            _ => &[],
        });
        let entries: HashSet<&str> = members
            .iter()
            .copied()
            .flatten()
            .map(|m| m.key.as_str())
            .collect();
        if entries.len() > MAX_ENTRIES {
            return Err(ManifestError::Invalid {
                line: self.line,
                field: format!("a Secret with {} entries", entries.len()),
                rule: format!("must be split: a sealed document has at most {MAX_ENTRIES}"),
            });
        }
        Ok(())
    }

    fn read_metadata(&mut self, metadata: &Member) -> Result<(), ManifestError> {
        for member in map(&metadata.value, "metadata", metadata.line)? {
            match member.key.as_str() {
                "name" => {
                    self.name = checked_name(member, "metadata.name", names::is_object_name, OBJECT_NAME)?;
                }
                "namespace" => {
                    self.namespace =
                        checked_name(member, "metadata.namespace", names::is_namespace, NAMESPACE)?;
                }
                "labels" => {
                    let (kept, dropped) = kept_and_dropped(member, "metadata.labels")?;
                    self.labels = kept;
                    self.dropped.extend(dropped.into_iter().map(Dropped::Label));
                }
                "annotations" => {
                    let (kept, dropped) = kept_and_dropped(member, "metadata.annotations")?;
                    self.annotations = kept;
                    self.dropped.extend(dropped.into_iter().map(Dropped::Annotation));
                }
                other => self.drop_field(member_path("metadata", other), &member.value),
            }
        }
        Ok(())
    }

    /// Ignores null values such as the `creationTimestamp: null` that kubectl writes.
    fn drop_field(&mut self, path: String, value: &Node) {
        if *value != Node::Null {
            self.dropped.push(Dropped::Field(path));
        }
    }

    fn read_data(&mut self, node: &Node) -> Result<(), ManifestError> {
        let Some(data) = node.member("data") else {
            return Ok(());
        };
        for member in map(&data.value, "data", data.line)? {
            let text = string(member, &entry_path("data", member)?)?;
            let value = from_base64(text).ok_or_else(|| ManifestError::NotBase64 {
                line: member.line,
                entry: member.key.clone(),
            })?;
            self.entries.insert(member.key.clone(), value);
        }
        Ok(())
    }

    fn read_string_data(&mut self, node: &Node) -> Result<(), ManifestError> {
        let Some(data) = node.member("stringData") else {
            return Ok(());
        };
        for member in map(&data.value, "stringData", data.line)? {
            let text = string(member, &entry_path("stringData", member)?)?;
            self.entries
                .insert(member.key.clone(), SecretBytes::new(text.as_bytes().to_vec()));
        }
        Ok(())
    }
}

/// Splits labels or annotations into those kept and the keys of those dropped.
fn kept_and_dropped(
    member: &Member,
    field: &str,
) -> Result<(BTreeMap<String, String>, Vec<String>), ManifestError> {
    let mut kept = BTreeMap::new();
    let mut dropped = Vec::new();
    for member in map(&member.value, field, member.line)? {
        if is_dropped(&member.key) {
            dropped.push(member.key.clone());
        } else {
            let path = member_path(field, &member.key);
            let text = string(member, &path)?;
            check_metadata(member, &path, field == "metadata.labels", text)?;
            kept.insert(member.key.clone(), text.to_owned());
        }
    }
    Ok((kept, dropped))
}

#[cfg(test)]
mod tests;
