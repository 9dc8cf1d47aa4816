//! Builders for the parts of an `OpenAPI` schema, each with a maximum size.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    JSON, JSONSchemaProps, JSONSchemaPropsOrArray, JSONSchemaPropsOrBool, ValidationRule,
};

use crate::envelope::wire::{API_VERSION, KIND};

/// The name and schema of a property.
pub(super) type Property = (&'static str, JSONSchemaProps);

/// Returns the schema of the whole object.
pub(super) fn root(spec: JSONSchemaProps, status: JSONSchemaProps) -> JSONSchemaProps {
    let plain = |text: &str| JSONSchemaProps {
        type_: Some("string".to_owned()),
        description: Some(text.to_owned()),
        ..JSONSchemaProps::default()
    };
    object(
        "A Secret sealed with a data key that only a KMS can unwrap: safe to commit. The controller opens it and \
         maintains a native Secret of the same namespace and name. Create it with `envelope seal`; a manual change \
         breaks the seal.",
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

/// A string of at most `max` characters that matches `pattern`. In RE2, `$` matches only at the very end of the text.
pub(super) fn pattern(description: &str, max: usize, pattern: &str) -> JSONSchemaProps {
    JSONSchemaProps {
        pattern: Some(pattern.to_owned()),
        ..string(description, max)
    }
}

/// One of `words`. The maximum length exceeds theirs, so that the enum rejects longer values too: its message lists the
/// supported ones.
pub(super) fn enumeration(description: &str, words: &[&str]) -> JSONSchemaProps {
    JSONSchemaProps {
        enum_: Some(words.iter().map(|w| JSON((*w).into())).collect()),
        ..string(description, 64)
    }
}

/// An RFC 3339 time.
pub(super) fn time(description: &str) -> JSONSchemaProps {
    JSONSchemaProps {
        format: Some("date-time".to_owned()),
        ..string(description, 64)
    }
}

/// A 64-bit integer. The API server supports the format `int64`, but no unsigned formats.
pub(super) fn integer(description: &str) -> JSONSchemaProps {
    JSONSchemaProps {
        type_: Some("integer".to_owned()),
        format: Some("int64".to_owned()),
        description: Some(description.to_owned()),
        ..JSONSchemaProps::default()
    }
}

/// A boolean.
pub(super) fn boolean(description: &str) -> JSONSchemaProps {
    JSONSchemaProps {
        type_: Some("boolean".to_owned()),
        description: Some(description.to_owned()),
        ..JSONSchemaProps::default()
    }
}

/// An object with these properties.
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

/// An atomic map of at most `max` entries.
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

/// An atomic list of at most `max` items.
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

/// Makes an object atomic: a field manager replaces it as a whole.
pub(super) fn atomic(schema: JSONSchemaProps) -> JSONSchemaProps {
    JSONSchemaProps {
        x_kubernetes_map_type: Some("atomic".to_owned()),
        ..schema
    }
}

/// Makes an object preserve unknown fields.
pub(super) fn preserving(schema: JSONSchemaProps) -> JSONSchemaProps {
    JSONSchemaProps {
        x_kubernetes_preserve_unknown_fields: Some(true),
        ..schema
    }
}

/// Requires at least one item.
pub(super) fn not_empty(schema: JSONSchemaProps) -> JSONSchemaProps {
    JSONSchemaProps {
        min_items: Some(1),
        ..schema
    }
}

/// Adds CEL rules: expression, message, path of the field that the message is about.
pub(super) fn with_rules(schema: JSONSchemaProps, rules: &[(&str, &str, &str)]) -> JSONSchemaProps {
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
