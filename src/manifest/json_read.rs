//! Reads a stream of JSON values into the same tree as YAML. Numbers keep their spelling, members their lines.

use std::collections::HashSet;
use std::fmt;
use std::ops::Range;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::error::Category;
use serde_json::value::RawValue;
use zeroize::Zeroizing;

use super::error::ManifestError;
use super::node::{Member, Node};
use super::shown::quoted;

/// Levels of nesting, as in serde_json.
const MAX_DEPTH: usize = 128;

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
    let mut source = Source::new(text);
    let mut stream = serde_json::Deserializer::from_str(text).into_iter::<&RawValue>();
    let mut start = 0;
    while let Some(next) = stream.next() {
        match next {
            Ok(raw) => {
                let end = stream.byte_offset();
                check_depth(raw.get(), &mut source)?;
                documents.push(JsonDocument {
                    range: start..end,
                    root: source.node(raw)?,
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
    let raw: &RawValue = serde_json::from_str(text).map_err(|error| ManifestError::from_json(&error))?;
    let mut source = Source::new(text);
    check_depth(raw.get(), &mut source)?;
    source.node(raw)
}

/// Refuses deep nesting in one pass over valid JSON: each level is read again for its parent.
fn check_depth(value: &str, source: &mut Source<'_>) -> Result<(), ManifestError> {
    let (mut depth, mut in_string, mut escaped) = (0_usize, false, false);
    for (at, byte) in value.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = in_string,
            b'"' => in_string = !in_string,
            b'{' | b'[' if !in_string => depth += 1,
            b'}' | b']' if !in_string => depth -= 1,
            _ => {}
        }
        if depth > MAX_DEPTH {
            let line = source.line_of(&value[at..]);
            let what = "too many levels of nesting".to_owned();
            return Err(ManifestError::Yaml { line, what });
        }
    }
    Ok(())
}

/// Recognizes `{"` and `{}`: the author meant JSON and needs the JSON error.
fn looks_like_json(text: &str) -> bool {
    let rest = text.trim_start().strip_prefix('{').map(str::trim_start);
    rest.is_some_and(|rest| rest.starts_with(['"', '}']))
}

/// The text that values are part of, and how far its lines have been counted.
struct Source<'t> {
    text: &'t str,
    offset: usize,
    line: usize,
}

impl<'t> Source<'t> {
    fn new(text: &'t str) -> Self {
        Source {
            text,
            offset: 0,
            line: 1,
        }
    }

    /// The line of a part of the text, from 1. Values are visited in the order of the text.
    fn line_of(&mut self, part: &str) -> usize {
        let offset = part.as_ptr().addr().saturating_sub(self.text.as_ptr().addr());
        if let Some(between) = self.text.as_bytes().get(self.offset..offset) {
            self.line += memchr::memchr_iter(b'\n', between).count();
            self.offset = offset;
        }
        self.line
    }

    fn node(&mut self, raw: &'t RawValue) -> Result<Node, ManifestError> {
        let text = raw.get();
        let line = self.line_of(text);
        let refused = |what: String| ManifestError::Yaml { line, what };
        let invalid = |error: serde_json::Error| match ManifestError::from_json(&error) {
            ManifestError::Json { what, .. } => refused(what),
            other => other,
        };
        match text.as_bytes().first() {
            Some(b'{') => {
                let Members(members) = serde_json::from_str(text).map_err(invalid)?;
                let mut seen = HashSet::new();
                let mut out = Vec::with_capacity(members.len());
                for (key, value) in members {
                    let line = self.line_of(value.get());
                    if !seen.insert(key.clone()) {
                        let what = format!("duplicate key {}", quoted(&key));
                        return Err(ManifestError::Yaml { line, what });
                    }
                    let value = self.node(value)?;
                    out.push(Member { key, line, value });
                }
                Ok(Node::Map(out))
            }
            Some(b'[') => {
                let items: Vec<&'t RawValue> = serde_json::from_str(text).map_err(invalid)?;
                let nodes = items.into_iter().map(|item| self.node(item));
                nodes.collect::<Result<_, _>>().map(Node::List)
            }
            Some(b'"') => {
                let string: String = serde_json::from_str(text).map_err(invalid)?;
                Ok(Node::String(Zeroizing::new(string)))
            }
            Some(b't') => Ok(Node::Bool(true)),
            Some(b'f') => Ok(Node::Bool(false)),
            Some(b'n') => Ok(Node::Null),
            _ => Ok(Node::Number(text.to_owned())),
        }
    }
}

/// The members of one object, their values unread. Duplicate keys are still present.
struct Members<'t>(Vec<(String, &'t RawValue)>);

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Collect;

        impl<'de> Visitor<'de> for Collect {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members<'de>, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }

        deserializer.deserialize_map(Collect)
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
    fn numbers_keep_their_spelling_and_members_their_lines() {
        let Ok(Node::Map(members)) = from_json("{\"a\": 1e3,\n\"b\": -0.50,\n \"c\":\n1E400}") else {
            panic!("an object")
        };
        let found: Vec<_> = members
            .iter()
            .map(|member| match &member.value {
                Node::Number(text) => (member.line, text.as_str()),
                _ => panic!("a number"),
            })
            .collect();
        assert_eq!(found, [(1, "1e3"), (2, "-0.50"), (4, "1E400")]);
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
        assert!(read(&format!("{}1{}", "{\"a\":".repeat(200), "}".repeat(200))).is_err());
        assert!(read(&"{\"a\":".repeat(100_000)).is_err());
        let strings = format!("{{\"{}\": \"\\\"{}\"}}", "[{".repeat(300), "[{".repeat(300));
        assert!(matches!(read(&strings), Ok(Some(_))), "brackets in strings");
    }
}
