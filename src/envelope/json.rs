//! Strict JSON: refuses what `serde_json` accepts and the format does not (duplicate keys, deep nesting).

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};

use super::error::StructureError;

/// Largest text that is read, in bytes.
pub const MAX_BYTES: usize = 4 * 1024 * 1024;
/// Deepest nesting; the outermost value is level 1.
pub const MAX_LEVEL: usize = 64;

/// Number of list items that are kept; the longest list of the format has 8.
///
/// Further items are validated and dropped, so that a text of 4 MiB does not take many times that in memory.
const MAX_ITEMS: usize = 16;

/// A JSON value whose objects have unique keys. Numbers are not stored: the format has none.
#[derive(Clone, PartialEq)]
pub(crate) enum Json {
    Null,
    Bool(bool),
    Number,
    String(String),
    /// The first [`MAX_ITEMS`] items.
    Array(Vec<Json>),
    Object(BTreeMap<String, Json>),
}

impl Json {
    /// Parses one value at nesting level `level` of the whole object (1 for the object itself).
    pub(crate) fn parse(bytes: &[u8], level: usize) -> Result<Json, StructureError> {
        let refuse = |what: String| Err(StructureError::invalid("document", what));
        if bytes.len() > MAX_BYTES {
            return refuse(format!("is larger than {MAX_BYTES} bytes"));
        }
        let mut deserializer = serde_json::Deserializer::from_slice(bytes);
        let parsed = ValueAtLevel(level)
            .deserialize(&mut deserializer)
            .and_then(|value| deserializer.end().map(|()| value));
        // The messages of serde_json hold positions and the words of this file, never text of the document.
        parsed.or_else(|error| refuse(format!("is not valid JSON for this format: {error}")))
    }

    pub(crate) fn type_name(&self) -> &'static str {
        match self {
            Json::Null => "null",
            Json::Bool(_) => "a boolean",
            Json::Number => "a number",
            Json::String(_) => "a string",
            Json::Array(_) => "a list",
            Json::Object(_) => "a map",
        }
    }
}

/// Deserializes one value and counts its nesting level.
struct ValueAtLevel(usize);

impl<'de> DeserializeSeed<'de> for ValueAtLevel {
    type Value = Json;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Json, D::Error> {
        if self.0 > MAX_LEVEL {
            return Err(serde::de::Error::custom(format_args!(
                "nested deeper than {MAX_LEVEL}"
            )));
        }
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for ValueAtLevel {
    type Value = Json;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Json, E> {
        Ok(Json::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Json, E> {
        Ok(Json::Bool(value))
    }

    fn visit_i64<E>(self, _: i64) -> Result<Json, E> {
        Ok(Json::Number)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Json, E> {
        Ok(Json::Number)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Json, E> {
        Ok(Json::Number)
    }

    fn visit_str<E>(self, value: &str) -> Result<Json, E> {
        Ok(Json::String(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Json, E> {
        Ok(Json::String(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Json, A::Error> {
        let mut out = Vec::new();
        while let Some(item) = items.next_element_seed(ValueAtLevel(self.0 + 1))? {
            if out.len() < MAX_ITEMS {
                out.push(item);
            }
        }
        Ok(Json::Array(out))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Json, A::Error> {
        let mut out = BTreeMap::new();
        while let Some(key) = members.next_key::<String>()? {
            match out.entry(key) {
                Entry::Vacant(free) => drop(free.insert(members.next_value_seed(ValueAtLevel(self.0 + 1))?)),
                Entry::Occupied(_) => return Err(serde::de::Error::custom("duplicate key in a map")),
            }
        }
        Ok(Json::Object(out))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn malformed_json_is_refused() {
        let nested = |n: usize| format!("{}{}", "[".repeat(n), "]".repeat(n));
        assert!(Json::parse(nested(64).as_bytes(), 1).is_ok());
        for bad in [
            nested(65),
            nested(1_000_000),
            r#"{"a":1,"a":2}"#.into(),
            r#"{"a":1,"\u0061":2}"#.into(),
            r#"{"x":{"b":1,"b":1}}"#.into(),
            r#""\ud800""#.into(),
            r#""\udc00\ud800""#.into(),
            "\u{feff}{}".into(),
            "{} x".into(),
            "{}{}".into(),
            String::new(),
            "{'a':1}".into(),
            "[1,]".into(),
            "[01]".into(),
            "[NaN]".into(),
            format!("\"{}\"", "x".repeat(MAX_BYTES)),
        ] {
            assert!(
                Json::parse(bad.as_bytes(), 1).is_err(),
                "{}",
                &bad[..bad.len().min(40)]
            );
        }
        assert!(Json::parse(b"\"\xff\"", 1).is_err(), "invalid UTF-8");
    }

    #[test]
    fn long_list_is_validated_whole_and_truncated() {
        let list = |last: &str| Json::parse(format!("[{}{last}]", "1,".repeat(1000)).as_bytes(), 1);
        assert!(matches!(list("1"), Ok(Json::Array(items)) if items.len() == MAX_ITEMS));
        assert!(list("{\"a\":1,\"a\":1}").is_err());
        assert!(list("").is_err());
    }
}
