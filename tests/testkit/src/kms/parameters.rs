//! Checks the parameters of a request against the table of its action.

use serde_json::{Map, Value};

use super::api_error::{ApiError, Result};

/// The type of a parameter and its permitted values.
#[derive(Clone, Copy)]
pub(super) enum Kind {
    /// A string of at most this many bytes.
    Text(usize),
    /// One of these strings.
    Word(&'static [&'static str]),
    /// An integer between these bounds, inclusive.
    Integer(i64, i64),
    /// At most this many strings.
    Texts(usize),
    /// A list of objects with members of these types.
    Objects(&'static [(&'static str, Kind)]),
    Object,
}

/// A parameter: name, type, whether it is required.
pub(super) type Parameter = (&'static str, Kind, bool);

/// The valid parameters of a request.
#[derive(Debug)]
pub(super) struct Parameters(Map<String, Value>);

impl Parameters {
    /// Parses a body. Rejects unknown parameters, missing required ones and values of another type. `null` is the same as absent.
    pub(super) fn read(body: &[u8], table: &[Parameter]) -> Result<Self> {
        let value: Value = serde_json::from_slice(body)
            .map_err(|_| ApiError::new("InvalidRequest", "The body is not a JSON object."))?;
        let Value::Object(mut given) = value else {
            return Err(ApiError::new("InvalidRequest", "The body is not a JSON object."));
        };
        if let Some(name) = given
            .keys()
            .find(|name| !table.iter().any(|(known, ..)| known == name))
        {
            let message = format!("The parameter `{name}` is not recognized.");
            return Err(ApiError::new("UnknownParameter", message));
        }
        given.retain(|_, value| !value.is_null());
        for (name, kind, required) in table {
            match given.get(*name) {
                Some(value) => check(name, *kind, value)?,
                None if *required => return Err(missing(name)),
                None => {}
            }
        }
        Ok(Parameters(given))
    }

    /// Returns a string; empty if the parameter is absent.
    pub(super) fn text(&self, name: &str) -> &str {
        self.0.get(name).and_then(Value::as_str).unwrap_or_default()
    }

    pub(super) fn integer(&self, name: &str) -> Option<i64> {
        self.0.get(name).and_then(Value::as_i64)
    }

    pub(super) fn texts(&self, name: &str) -> Vec<&str> {
        let list = self.0.get(name).and_then(Value::as_array);
        list.into_iter().flatten().filter_map(Value::as_str).collect()
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }
}

pub(super) fn missing(name: &str) -> ApiError {
    let message = format!("The request is missing a required parameter `{name}`.");
    ApiError::new("MissingParameter", message)
}

fn check(name: &str, kind: Kind, value: &Value) -> Result<()> {
    let of_type = |what: &str| {
        let message = format!("The value type of parameter `{name}` is not valid: expected {what}.");
        Err(ApiError::new("InvalidParameter", message))
    };
    let of_value = |what: String| {
        let message = format!("The value of parameter `{name}` is not valid: {what}.");
        Err(ApiError::new("InvalidParameterValue", message))
    };
    match kind {
        Kind::Text(limit) => match value.as_str() {
            None => of_type("a string"),
            Some(text) if text.len() > limit => of_value(format!("it has more than {limit} bytes")),
            Some(_) => Ok(()),
        },
        Kind::Word(words) => match value.as_str() {
            None => of_type("a string"),
            Some(text) if text.is_empty() || words.contains(&text) => Ok(()),
            Some(_) => of_value(format!("it must be one of {}", words.join(", "))),
        },
        Kind::Integer(low, high) => match value.as_i64() {
            None => of_type("an integer"),
            Some(number) if (low..=high).contains(&number) => Ok(()),
            Some(_) => of_value(format!("it must be between {low} and {high}")),
        },
        Kind::Texts(limit) => match value.as_array() {
            Some(list) if list.len() > limit => of_value(format!("it has more than {limit} members")),
            Some(list) if list.iter().all(Value::is_string) => Ok(()),
            _ => of_type("a list of strings"),
        },
        Kind::Objects(members) => {
            let Some(list) = value.as_array() else {
                return of_type("a list of objects");
            };
            for (at, object) in list.iter().enumerate() {
                let Some(object) = object.as_object() else {
                    return of_type("a list of objects");
                };
                for (member, value) in object {
                    let path = format!("{name}.{at}.{member}");
                    let Some((_, kind)) = members.iter().find(|(known, _)| known == member) else {
                        let message = format!("The parameter `{path}` is not recognized.");
                        return Err(ApiError::new("UnknownParameter", message));
                    };
                    check(&path, *kind, value)?;
                }
            }
            Ok(())
        }
        Kind::Object if value.is_object() => Ok(()),
        Kind::Object => of_type("an object"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &[Parameter] = &[
        ("KeyId", Kind::Text(8), true),
        ("KeySpec", Kind::Word(&["AES_128", "AES_256"]), false),
        ("NumberOfBytes", Kind::Integer(1, 1024), false),
        ("KeyIds", Kind::Texts(2), false),
        ("Tags", Kind::Objects(&[("TagKey", Kind::Text(4))]), false),
    ];

    #[test]
    fn parameters_that_do_not_match_the_table_are_rejected() {
        let good = br#"{"KeyId":"k","KeySpec":"AES_256","NumberOfBytes":16,"KeyIds":["a","b"],"Tags":[{"TagKey":"t"}]}"#;
        let read = Parameters::read(good, TABLE).expect("it fits");
        assert_eq!(
            (
                read.text("KeyId"),
                read.integer("NumberOfBytes"),
                read.texts("KeyIds")
            ),
            ("k", Some(16), vec!["a", "b"])
        );
        let null = Parameters::read(br#"{"KeyId":"k","KeySpec":null}"#, TABLE).expect("null is absent");
        assert!(!null.has("KeySpec") && null.text("KeySpec").is_empty());
        for (code, body) in [
            ("InvalidRequest", ""),
            ("InvalidRequest", "[]"),
            ("InvalidRequest", r#"{"KeyId":"k""#),
            ("MissingParameter", "{}"),
            ("MissingParameter", r#"{"KeyId":null}"#),
            ("UnknownParameter", r#"{"KeyId":"k","keySpec":"AES_256"}"#),
            ("UnknownParameter", r#"{"KeyId":"k","Other":null}"#),
            ("UnknownParameter", r#"{"KeyId":"k","Tags":[{"Key":"t"}]}"#),
            ("InvalidParameter", r#"{"KeyId":7}"#),
            ("InvalidParameter", r#"{"KeyId":"k","NumberOfBytes":"16"}"#),
            ("InvalidParameter", r#"{"KeyId":"k","NumberOfBytes":1.5}"#),
            ("InvalidParameter", r#"{"KeyId":"k","KeyIds":"a"}"#),
            ("InvalidParameter", r#"{"KeyId":"k","KeyIds":[1]}"#),
            ("InvalidParameter", r#"{"KeyId":"k","Tags":{}}"#),
            ("InvalidParameter", r#"{"KeyId":"k","Tags":["t"]}"#),
            ("InvalidParameterValue", r#"{"KeyId":"longer than 8"}"#),
            ("InvalidParameterValue", r#"{"KeyId":"k","KeySpec":"AES_512"}"#),
            ("InvalidParameterValue", r#"{"KeyId":"k","NumberOfBytes":0}"#),
            ("InvalidParameterValue", r#"{"KeyId":"k","NumberOfBytes":1025}"#),
            ("InvalidParameterValue", r#"{"KeyId":"k","KeyIds":["a","b","c"]}"#),
            (
                "InvalidParameterValue",
                r#"{"KeyId":"k","Tags":[{"TagKey":"longer"}]}"#,
            ),
        ] {
            let error = Parameters::read(body.as_bytes(), TABLE).expect_err(body);
            assert_eq!(error.code, code, "{body}");
        }
    }
}
