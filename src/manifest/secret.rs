use std::collections::{BTreeMap, HashSet};

use super::base64_std::from_base64;
use super::error::ManifestError;
use super::node::{Member, Node};
use super::secret_type;
use super::shown::{member_path, quoted, shown};
use crate::envelope::wire::MAX_ENTRIES;
use crate::envelope::{SecretBytes, names};

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
        match secret_type::fault(type_, &self.entries, &self.annotations) {
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
                    self.name = checked_name(member, "metadata.name", names::is_object_name, OBJECT_NAME)?
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

/// The rule for the name of an object.
pub const OBJECT_NAME: &str = "must have at most 253 lower-case letters, digits, `-` and `.`, with a letter or digit at both ends and around each `.`";
/// The rule for the name of a namespace.
pub const NAMESPACE: &str =
    "must have at most 63 lower-case letters, digits and `-`, with a letter or digit at both ends";
/// The rule for the name of an entry.
pub const ENTRY_NAME: &str =
    "must have 1 to 253 letters, digits, `-`, `_` and `.`, not be `.`, and not begin with `..`";
const METADATA_KEY: &str = "must be a name of at most 63 letters, digits, `-`, `_` and `.`, with a letter or digit at both ends, \
     optionally after a DNS name and `/`";
const LABEL_VALUE: &str =
    "must have a value of at most 63 letters, digits, `-`, `_` and `.`, with a letter or digit at both ends";

const FIELDS: [&str; 7] = [
    "apiVersion",
    "kind",
    "metadata",
    "type",
    "immutable",
    "data",
    "stringData",
];

/// Returns the field of a Secret that differs from `key` only in letter case or in one or two characters.
fn secret_field(key: &str) -> Option<&'static str> {
    let simple = |text: &str| text.to_ascii_lowercase().replace(['-', '_', ' '], "");
    let key = simple(key);
    FIELDS
        .into_iter()
        .find(|field| edit_distance(&simple(field), &key) <= if field.len() > 4 { 2 } else { 1 })
}

/// Levenshtein's distance, for short words.
fn edit_distance(a: &str, b: &str) -> usize {
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

fn checked_name(
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
fn entry_path(map: &str, member: &Member) -> Result<String, ManifestError> {
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

fn check_metadata(member: &Member, path: &str, label: bool, value: &str) -> Result<(), ManifestError> {
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

/// Returns the members of a map; null counts as empty, as in the API server.
fn map<'n>(node: &'n Node, field: &str, line: usize) -> Result<&'n [Member], ManifestError> {
    match node {
        Node::Map(members) => Ok(members),
        Node::Null => Ok(&[]),
        other => Err(wrong(line, field, other, "a map")),
    }
}

fn string<'n>(member: &'n Member, field: &str) -> Result<&'n str, ManifestError> {
    member
        .value
        .as_str()
        .ok_or_else(|| wrong(member.line, field, &member.value, "a string"))
}

/// Returns a string; null and the empty string count as absent.
fn optional_string(member: &Member, field: &str) -> Result<Option<String>, ManifestError> {
    match &member.value {
        Node::Null => Ok(None),
        _ => Ok(Some(string(member, field)?)
            .filter(|text| !text.is_empty())
            .map(str::to_owned)),
    }
}

fn optional_bool(member: &Member, field: &str) -> Result<bool, ManifestError> {
    match &member.value {
        Node::Null => Ok(false),
        Node::Bool(value) => Ok(*value),
        other => Err(wrong(member.line, field, other, "true or false")),
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

fn wrong(line: usize, field: &str, node: &Node, wanted: &'static str) -> ManifestError {
    ManifestError::WrongType {
        line,
        field: field.to_owned(),
        is: node.type_name(),
        wanted,
    }
}

#[cfg(test)]
mod tests {
    use super::super::stream;
    use super::super::yaml_read::{AliasBudget, Aliases};
    use super::*;

    fn secret(text: &str) -> Result<SecretInput, ManifestError> {
        let mut budget = AliasBudget::default();
        let parts = stream::read(text.as_bytes(), Aliases::Expand(&mut budget))?;
        parts[0].items()[0].secret()
    }

    fn entries(secret: &SecretInput) -> Vec<(&str, &[u8])> {
        secret
            .entries
            .iter()
            .map(|(k, v)| (k.as_str(), v.expose()))
            .collect()
    }

    #[test]
    fn output_of_kubectl_get_is_reduced_to_what_is_sealed() {
        let text = r#"apiVersion: v1
data:
  password: aHVudGVyMg==
  tls.key: |
    aHVu
    dGVyMg==
immutable: true
kind: Secret
metadata:
  annotations:
    kubectl.kubernetes.io/last-applied-configuration: |
      {"apiVersion":"v1","stringData":{"password":"hunter2"}}
    kubecfg.ksonnet.io/last-applied-configuration: hunter2
    kapp.k14s.io/original: hunter2
    objectset.rio.cattle.io/applied: hunter2
    argocd.argoproj.io/tracking-id: x
    argocd.argoproj.io/sync-wave: "1"
    meta.helm.sh/release-name: x
    envelope-secrets.io/sealed-for: prod/db
    app.kubernetes.io/managed-by: Helm
    team: a
  creationTimestamp: "2026-11-25T09:00:00Z"
  deletionTimestamp: null
  labels: {app: db, app.kubernetes.io/managed-by: Helm}
  managedFields: [{manager: kubectl}]
  name: db
  namespace: prod
  resourceVersion: "1"
  uid: 0-0
stringData:
  user: app
type: Opaque
"#;
        let Ok(secret) = secret(text) else {
            panic!("a Secret")
        };
        assert_eq!(
            entries(&secret),
            [
                ("password", &b"hunter2"[..]),
                ("tls.key", b"hunter2"),
                ("user", b"app")
            ]
        );
        assert_eq!(
            (secret.name.as_deref(), secret.namespace.as_deref()),
            (Some("db"), Some("prod"))
        );
        assert_eq!(
            (secret.type_.as_deref(), secret.immutable),
            (Some("Opaque"), true)
        );
        assert_eq!(secret.labels.keys().collect::<Vec<_>>(), ["app"]);
        assert_eq!(
            secret.annotations.keys().collect::<Vec<_>>(),
            ["argocd.argoproj.io/sync-wave", "team"]
        );
        let dropped: Vec<String> = secret.dropped.iter().map(ToString::to_string).collect();
        assert_eq!(
            dropped.join(", "),
            "annotation kubectl.kubernetes.io/last-applied-configuration, \
             annotation kubecfg.ksonnet.io/last-applied-configuration, annotation kapp.k14s.io/original, \
             annotation objectset.rio.cattle.io/applied, annotation argocd.argoproj.io/tracking-id, \
             annotation meta.helm.sh/release-name, annotation envelope-secrets.io/sealed-for, \
             annotation app.kubernetes.io/managed-by, metadata.creationTimestamp, \
             label app.kubernetes.io/managed-by, metadata.managedFields, metadata.resourceVersion, metadata.uid"
        );
    }

    #[test]
    fn string_data_wins_in_either_order() {
        for text in [
            "kind: Secret\napiVersion: v1\nstringData: {a: x}\ndata: {a: eQ==, b: eQ==}\n",
            "kind: Secret\napiVersion: v1\ndata: {a: eQ==, b: eQ==}\nstringData: {a: x}\n",
        ] {
            let Ok(secret) = secret(text) else {
                panic!("{text}")
            };
            assert_eq!(entries(&secret), [("a", &b"x"[..]), ("b", b"y")]);
        }
    }

    #[test]
    fn empty_and_null_fields_count_as_absent() {
        let text = "kind: Secret\napiVersion: v1\ntype: ''\nimmutable: false\ndata:\nmetadata: {namespace: '', labels: null}\n";
        let Ok(secret) = secret(text) else {
            panic!("a Secret")
        };
        assert!(secret.entries.is_empty() && secret.labels.is_empty() && secret.dropped.is_empty());
        assert_eq!(
            (secret.type_, secret.namespace, secret.immutable),
            (None, None, false)
        );
    }

    #[test]
    fn errors_name_line_and_field_and_no_value() {
        for (more, message) in [
            (
                "stringData:\n  port: 5432\n",
                "line 4: stringData.port is a number, not a string",
            ),
            (
                "stringData:\n  a: hunter2\n  b: true\n",
                "line 5: stringData.b is a boolean, not a string",
            ),
            (
                "stringData:\n  a:\n",
                "line 4: stringData.a is null, not a string",
            ),
            (
                "data:\n  a: hunter2 !\n",
                "line 4: data entry \"a\" is not base64",
            ),
            ("data: {a: [hunter2]}\n", "line 3: data.a is a list, not a string"),
            ("data: hunter2\n", "line 3: data is a string, not a map"),
            ("stringData: {a: !!binary aGk=}\n", "line 3: a tag in a Secret"),
            (
                "metadata: {labels: {v: 1}}\n",
                "line 3: metadata.labels.v is a number, not a string",
            ),
            (
                "immutable: yes\n",
                "line 3: immutable is a string, not true or false",
            ),
        ] {
            let Err(error) = secret(&format!("apiVersion: v1\nkind: Secret\n{more}")) else {
                panic!("{more}")
            };
            assert_eq!(error.to_string(), message);
        }
        let Err(error) = secret("apiVersion: v2\nkind: Secret\n") else {
            panic!("v2")
        };
        assert_eq!(error, ManifestError::NotV1 { line: 1 });
        let Err(error) = secret("{\"apiVersion\":\"v1\",\"kind\":\"Secret\",\"data\":{\"a\":1}}") else {
            panic!("1")
        };
        assert_eq!(error.to_string(), "line 1: data.a is a number, not a string");
    }

    #[test]
    fn crlf_in_block_scalars_becomes_lf() {
        let text = "apiVersion: v1\r\nkind: Secret\r\nstringData:\r\n  a: one\r\n  b: |\r\n    two\r\n    three\r\ndata:\r\n  c: eQ==\r\n";
        let Ok(secret) = secret(text) else {
            panic!("a Secret")
        };
        assert_eq!(
            entries(&secret),
            [("a", &b"one"[..]), ("b", b"two\nthree\n"), ("c", b"y")]
        );
    }
}
