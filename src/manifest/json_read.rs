//! Reads a stream of JSON values into the same tree as YAML.

use std::collections::HashSet;
use std::fmt;
use std::ops::Range;

use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::error::Category;
use zeroize::Zeroizing;

use super::error::ManifestError;
use super::node::{Member, Node};

/// One value and its byte range in the text.
pub(super) struct JsonDocument {
    pub(super) range: Range<usize>,
    pub(super) root: Node,
}

/// Reads all values of a text, separated by white space. Returns `Ok(None)` if the text is not JSON but may be YAML in
/// flow style. JSON that breaks a rule of this reader (a duplicate key) is an error, so that no text has two
/// readings.
pub(super) fn read(text: &str) -> Result<Option<Vec<JsonDocument>>, ManifestError> {
    let mut documents = Vec::new();
    let mut stream = serde_json::Deserializer::from_str(text).into_iter::<Tree>();
    let mut start = 0;
    while let Some(next) = stream.next() {
        match next {
            Ok(Tree(root)) => {
                let end = stream.byte_offset();
                documents.push(JsonDocument {
                    range: start..end,
                    root,
                });
                start = end;
            }
            Err(error)
                if error.classify() == Category::Syntax && documents.is_empty() && !looks_like_json(text) =>
            {
                return Ok(None);
            }
            Err(error) => return Err(ManifestError::from_json(&error)),
        }
    }
    Ok(Some(documents))
}

/// Reads exactly one JSON value.
pub fn from_json(text: &str) -> Result<Node, ManifestError> {
    serde_json::from_str(text)
        .map(|Tree(node)| node)
        .map_err(|error| ManifestError::from_json(&error))
}

/// Recognizes `{"` and `{}`: the author meant JSON and needs the JSON error.
fn looks_like_json(text: &str) -> bool {
    let rest = text.trim_start().strip_prefix('{').map(str::trim_start);
    rest.is_some_and(|rest| rest.starts_with(['"', '}']))
}

struct Tree(Node);

impl<'de> serde::Deserialize<'de> for Tree {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Build).map(Tree)
    }
}

struct Build;

impl<'de> DeserializeSeed<'de> for Build {
    type Value = Node;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Node, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Build {
    type Value = Node;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Node, E> {
        Ok(Node::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Node, E> {
        Ok(Node::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Node, E> {
        Ok(Node::Number(value.to_string()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Node, E> {
        Ok(Node::Number(value.to_string()))
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Node, E> {
        // The shortest text that reads as the same number.
        serde_json::to_string(&value).map(Node::Number).map_err(E::custom)
    }

    fn visit_str<E>(self, value: &str) -> Result<Node, E> {
        Ok(Node::String(Zeroizing::new(value.to_owned())))
    }

    fn visit_string<E>(self, value: String) -> Result<Node, E> {
        Ok(Node::String(Zeroizing::new(value)))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Node, A::Error> {
        let mut out = Vec::new();
        while let Some(item) = items.next_element_seed(Build)? {
            out.push(item);
        }
        Ok(Node::List(out))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Node, A::Error> {
        let mut out = Vec::new();
        let mut seen = HashSet::new();
        while let Some(key) = members.next_key::<String>()? {
            if !seen.insert(key.clone()) {
                return Err(serde::de::Error::custom(format_args!("duplicate key {key:?}")));
            }
            out.push(Member::new(key, members.next_value_seed(Build)?));
        }
        Ok(Node::Map(out))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_of_values_is_split_into_documents() {
        let text = "{\"a\": 1.50}\n{\"b\": [true, null, \"x\"]}\n";
        let Ok(Some(documents)) = read(text) else {
            panic!("two documents")
        };
        let parts: Vec<&str> = documents.iter().map(|d| text[d.range.clone()].trim()).collect();
        assert_eq!(parts, ["{\"a\": 1.50}", "{\"b\": [true, null, \"x\"]}"]);
    }

    #[test]
    fn flow_yaml_is_not_json_and_bad_json_is_an_error() {
        assert!(matches!(read("{a: b}"), Ok(None)));
        assert!(matches!(
            read("{\"a\": b}"),
            Err(ManifestError::Json { line: 1, .. })
        ));
        for twice in [
            "{\"a\":1,\"a\":2}",
            "{\"x\":{\"a\":1,\"\\u0061\":\"hunter2\"}}",
            "{\"a\": 1} {\"b\":1, \"b\":2}",
        ] {
            let Err(error) = read(twice) else {
                panic!("{twice}")
            };
            assert!(error.to_string().contains("duplicate key"), "{error}");
            assert!(!error.to_string().contains("hunter2"), "{error}");
        }
        assert!(read(&"{\"a\":".repeat(100_000)).is_err());
    }
}
