//! Pieces of an `OpenAPI` schema, each with its bound.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    JSON, JSONSchemaProps, JSONSchemaPropsOrArray, JSONSchemaPropsOrBool, ValidationRule,
};

use crate::envelope::wire::{API_VERSION, KIND};

/// A property and its name.
pub(super) type Property = (&'static str, JSONSchemaProps);

/// The whole object.
pub(super) fn root(spec: JSONSchemaProps, status: JSONSchemaProps) -> JSONSchemaProps {
    let plain = |text: &str| JSONSchemaProps {
        type_: Some("string".to_owned()),
        description: Some(text.to_owned()),
        ..JSONSchemaProps::default()
    };
    object(
        "A Secret, sealed with a data key that only a KMS can unwrap: safe to commit. The controller opens it and \
         keeps a native Secret of the same namespace and name. Made by `envelope seal`; a change by hand breaks the \
         seal.",
        &["spec"],
        vec![
            ("apiVersion", plain(API_VERSION)),
            ("kind", plain(KIND)),
            (
                "metadata",
                JSONSchemaProps {
                    type_: Some("object".to_owned()),
                    ..JSONSchemaProps::default()
                },
            ),
            ("spec", spec),
            ("status", status),
        ],
    )
}

fn bound(max: usize) -> i64 {
    i64::try_from(max).unwrap_or(i64::MAX)
}

/// A string of at most `max` characters.
pub(super) fn string(description: &str, max: usize) -> JSONSchemaProps {
    JSONSchemaProps {
        type_: Some("string".to_owned()),
        description: Some(description.to_owned()),
        max_length: Some(bound(max)),
        ..JSONSchemaProps::default()
    }
}

/// A string of at most `max` characters of that form. RE2: `$` is the end of the text, no line feed before it.
pub(super) fn pattern(description: &str, max: usize, pattern: &str) -> JSONSchemaProps {
    JSONSchemaProps {
        pattern: Some(pattern.to_owned()),
        ..string(description, max)
    }
}

/// One of these words. Longer ones than any of them must still meet the enum, whose refusal says what is right.
pub(super) fn word(description: &str, words: &[&str]) -> JSONSchemaProps {
    JSONSchemaProps {
        enum_: Some(words.iter().map(|w| JSON((*w).into())).collect()),
        ..string(description, 64)
    }
}

/// RFC 3339.
pub(super) fn time(description: &str) -> JSONSchemaProps {
    JSONSchemaProps {
        format: Some("date-time".to_owned()),
        ..string(description, 64)
    }
}

/// A whole number. 64 bits: `int64` is a format that the API server knows, unsigned ones are not.
pub(super) fn integer(description: &str) -> JSONSchemaProps {
    JSONSchemaProps {
        type_: Some("integer".to_owned()),
        format: Some("int64".to_owned()),
        description: Some(description.to_owned()),
        ..JSONSchemaProps::default()
    }
}

/// true or false.
pub(super) fn boolean(description: &str) -> JSONSchemaProps {
    JSONSchemaProps {
        type_: Some("boolean".to_owned()),
        description: Some(description.to_owned()),
        ..JSONSchemaProps::default()
    }
}

/// An object of these fields.
pub(super) fn object(description: &str, required: &[&str], properties: Vec<Property>) -> JSONSchemaProps {
    JSONSchemaProps {
        type_: Some("object".to_owned()),
        description: Some(description.to_owned()),
        required: (!required.is_empty()).then(|| required.iter().map(|r| (*r).to_owned()).collect()),
        properties: Some(
            properties
                .into_iter()
                .map(|(name, schema)| (name.to_owned(), schema))
                .collect(),
        ),
        ..JSONSchemaProps::default()
    }
}

/// A map of at most `max` strings, replaced as a whole.
pub(super) fn map(description: &str, max: usize, values: JSONSchemaProps) -> JSONSchemaProps {
    JSONSchemaProps {
        type_: Some("object".to_owned()),
        description: Some(description.to_owned()),
        max_properties: Some(bound(max)),
        additional_properties: Some(JSONSchemaPropsOrBool::Schema(Box::new(values))),
        x_kubernetes_map_type: Some("atomic".to_owned()),
        ..JSONSchemaProps::default()
    }
}

/// A list of at most `max` items, replaced as a whole.
pub(super) fn list(description: &str, max: usize, items: JSONSchemaProps) -> JSONSchemaProps {
    JSONSchemaProps {
        type_: Some("array".to_owned()),
        description: Some(description.to_owned()),
        max_items: Some(bound(max)),
        items: Some(JSONSchemaPropsOrArray::Schema(Box::new(items))),
        x_kubernetes_list_type: Some("atomic".to_owned()),
        ..JSONSchemaProps::default()
    }
}

/// `schema`, replaced as a whole where field managers meet.
pub(super) fn atomic(schema: JSONSchemaProps) -> JSONSchemaProps {
    JSONSchemaProps {
        x_kubernetes_map_type: Some("atomic".to_owned()),
        ..schema
    }
}

/// `schema` whose unknown fields are kept.
pub(super) fn open(schema: JSONSchemaProps) -> JSONSchemaProps {
    JSONSchemaProps {
        x_kubernetes_preserve_unknown_fields: Some(true),
        ..schema
    }
}

/// `schema` with at least one item.
pub(super) fn not_empty(schema: JSONSchemaProps) -> JSONSchemaProps {
    JSONSchemaProps {
        min_items: Some(1),
        ..schema
    }
}

/// `schema` under CEL rules: expression, message, path of the field that the message is about.
pub(super) fn ruled(schema: JSONSchemaProps, rules: &[(&str, &str, &str)]) -> JSONSchemaProps {
    let rule = |(rule, message, path): &(&str, &str, &str)| ValidationRule {
        rule: (*rule).to_owned(),
        message: Some((*message).to_owned()),
        field_path: (!path.is_empty()).then(|| (*path).to_owned()),
        ..ValidationRule::default()
    };
    JSONSchemaProps {
        x_kubernetes_validations: Some(rules.iter().map(rule).collect()),
        ..schema
    }
}
