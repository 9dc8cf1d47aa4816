//! The Secret that an opened document yields. The controller and `open` render it here and nowhere else.

use serde::ser::{Serialize, SerializeMap as _, Serializer};

use super::base64_std::to_base64;
use super::buffer::SecretBuffer;
use super::error::ManifestError;
use super::json_read::from_json;
use super::node::Node;
use crate::envelope::{Opened, SecretBytes};

/// How the values of a Secret are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Values {
    /// All under `data`, in base64.
    Data,
    /// Those that are text under `stringData`, the others under `data`.
    Text,
}

/// A `v1` Secret with the entries of an opened document. The caller supplies metadata, type and `immutable`.
/// Holds plaintext: no Debug.
pub struct SecretManifest<'a, M> {
    /// The opened document.
    pub opened: &'a Opened,
    /// `metadata`.
    pub metadata: M,
    /// `type`; `None` leaves the field out.
    pub type_: Option<&'a str>,
    /// Whether to set `immutable`.
    pub immutable: bool,
    /// Where values go.
    pub values: Values,
}

impl<M: Serialize> Serialize for SecretManifest<'_, M> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("apiVersion", "v1")?;
        map.serialize_entry("kind", "Secret")?;
        map.serialize_entry("metadata", &self.metadata)?;
        if let Some(type_) = self.type_ {
            map.serialize_entry("type", type_)?;
        }
        if self.immutable {
            map.serialize_entry("immutable", &true)?;
        }
        let as_text = |value: &SecretBytes| self.values == Values::Text && is_text(value.expose());
        let (text, data): (Vec<_>, Vec<_>) = self
            .opened
            .entries()
            .iter()
            .partition(|(_, value)| as_text(value));
        if !data.is_empty() || text.is_empty() {
            map.serialize_entry("data", &Data(data))?;
        }
        if !text.is_empty() {
            map.serialize_entry("stringData", &StringData(text))?;
        }
        map.end()
    }
}

impl<M: Serialize> SecretManifest<'_, M> {
    /// The manifest as a tree, for output as YAML or JSON.
    pub fn to_node(&self) -> Result<Node, ManifestError> {
        let mut json = SecretBuffer::default();
        serde_json::to_writer(&mut json, self).map_err(|error| ManifestError::from_json(&error))?;
        let text = std::str::from_utf8(json.expose()).map_err(|_| ManifestError::NotUtf8)?;
        from_json(text)
    }
}

type Entries<'a> = Vec<(&'a String, &'a SecretBytes)>;

/// Each value is encoded when it is written and wiped afterwards.
struct Data<'a>(Entries<'a>);

impl Serialize for Data<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (name, value) in &self.0 {
            map.serialize_entry(name, to_base64(value.expose()).as_str())?;
        }
        map.end()
    }
}

struct StringData<'a>(Entries<'a>);

impl Serialize for StringData<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (name, value) in &self.0 {
            let text = std::str::from_utf8(value.expose()).map_err(serde::ser::Error::custom)?;
            map.serialize_entry(name, text)?;
        }
        map.end()
    }
}

/// Reports whether a value is UTF-8 without control characters other than tab and line endings: harmless on a
/// terminal, and exact in YAML.
pub fn is_text(bytes: &[u8]) -> bool {
    std::str::from_utf8(bytes).is_ok_and(|text| {
        text.chars()
            .all(|c| !c.is_control() || matches!(c, '\n' | '\t' | '\r'))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_has_no_characters_that_control_a_terminal() {
        for text in ["", "correct horse", "two\nlines\r\n\tand a tab", "ünïcode 😀"] {
            assert!(is_text(text.as_bytes()), "{text:?}");
        }
        for binary in [&b"\xff"[..], b"a\0", b"\x1b[2J", b"\x7f", "\u{85}".as_bytes()] {
            assert!(!is_text(binary), "{binary:?}");
        }
    }
}
