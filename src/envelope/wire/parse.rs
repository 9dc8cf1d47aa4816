//! Parsing of JSON into [`Spec`]: field names, types and encodings.

use std::collections::BTreeMap;

use super::super::binding::Scope;
use super::super::encoding::{from_base64url, from_base64url_32};
use super::super::error::{StructureError, StructureKind};
use super::super::json::Json;
use super::super::keys::Commitment;
use super::super::names::{Place, is_data_key_id};
use super::super::time::SealTime;
use super::path::Path;
use super::spec::{
    API_VERSION, FORMAT, KIND, MAX_ENTRIES, MAX_KEYS, Seal, SealedDataKey, SealedValue, Spec, Template, Wrap,
};

type Parsed<T> = Result<T, StructureError>;

/// The members of one map that have not been parsed yet.
struct Map<'p> {
    path: &'p Path<'p>,
    members: BTreeMap<String, Json>,
}

impl<'p> Map<'p> {
    fn new(json: Json, path: &'p Path<'p>) -> Parsed<Self> {
        match json {
            Json::Object(members) => Ok(Map { path, members }),
            other => Err(wrong_type(path, "a map", &other)),
        }
    }

    /// Creates a map that refuses unknown fields.
    fn strict(json: Json, path: &'p Path<'p>, known: &[&str]) -> Parsed<Self> {
        let map = Map::new(json, path)?;
        map.refuse_unknown(known)?;
        Ok(map)
    }

    fn refuse_unknown(&self, known: &[&str]) -> Parsed<()> {
        match self.members.keys().find(|name| !known.contains(&name.as_str())) {
            None => Ok(()),
            Some(name) => Err(self.path.field(name).error(
                format!("is not a known field; expected one of {}", known.join(", ")),
                StructureKind::UnknownField,
            )),
        }
    }

    /// Parses a required field.
    fn required<T>(&mut self, name: &str, parse: impl FnOnce(Json, &Path<'_>) -> Parsed<T>) -> Parsed<T> {
        let path = self.path.field(name);
        match self.members.remove(name) {
            Some(json) => parse(json, &path),
            None => Err(path.invalid("is missing")),
        }
    }

    /// Parses a field that may be absent.
    fn optional<T>(
        &mut self,
        name: &str,
        parse: impl FnOnce(Json, &Path<'_>) -> Parsed<T>,
    ) -> Parsed<Option<T>> {
        let path = self.path.field(name);
        self.members
            .remove(name)
            .map(|json| parse(json, &path))
            .transpose()
    }
}

fn wrong_type(path: &Path<'_>, expected: &str, actual: &Json) -> StructureError {
    path.invalid(format!("must be {expected}, not {}", actual.type_name()))
}

fn string(json: Json, path: &Path<'_>) -> Parsed<String> {
    match json {
        Json::String(text) => Ok(text),
        // YAML parses an unquoted 12345678 or true as a number or a boolean.
        Json::Number | Json::Bool(_) => {
            Err(path.invalid(format!("must be a string, not {}; quote it", json.type_name())))
        }
        other => Err(wrong_type(path, "a string", &other)),
    }
}

fn boolean(json: Json, path: &Path<'_>) -> Parsed<bool> {
    match json {
        Json::Bool(value) => Ok(value),
        other => Err(wrong_type(path, "true or false", &other)),
    }
}

fn list<T>(
    json: Json,
    path: &Path<'_>,
    max: usize,
    parse: impl Fn(Json, &Path<'_>) -> Parsed<T>,
) -> Parsed<Vec<T>> {
    match json {
        Json::Array(items) if (1..=max).contains(&items.len()) => items
            .into_iter()
            .enumerate()
            .map(|(index, item)| parse(item, &path.item(index)))
            .collect(),
        Json::Array(_) => Err(path.invalid(format!("must have 1 to {max} items"))),
        other => Err(wrong_type(path, "a list", &other)),
    }
}

fn map_of<T>(
    json: Json,
    path: &Path<'_>,
    parse: impl Fn(Json, &Path<'_>) -> Parsed<T>,
) -> Parsed<BTreeMap<String, T>> {
    Map::new(json, path)?
        .members
        .into_iter()
        .map(|(name, json)| parse(json, &path.field(&name)).map(|value| (name, value)))
        .collect()
}

fn strings(json: Json, path: &Path<'_>) -> Parsed<BTreeMap<String, String>> {
    map_of(json, path, string)
}

fn bytes_32(json: Json, path: &Path<'_>) -> Parsed<[u8; 32]> {
    from_base64url_32(&string(json, path)?)
        .ok_or_else(|| path.invalid("must be 32 bytes in base64url: 43 characters without padding"))
}

/// Parses a whole object: `apiVersion`, `kind`, the place and `spec`. Everything else is ignored.
pub(super) fn object(json: Json, fallback_namespace: Option<&str>) -> Parsed<(Spec, Place)> {
    const DOCUMENT: Path<'static> = Path::Root("document");
    let exactly = |expected: &'static str| {
        move |json: Json, path: &Path<'_>| match string(json, path)? {
            text if text == expected => Ok(()),
            _ => Err(path.invalid(format!("must be {expected}"))),
        }
    };
    let Json::Object(mut members) = json else {
        return Err(wrong_type(&DOCUMENT, "a map", &json));
    };
    let mut top = |name: &'static str| {
        let json = members.remove(name);
        json.ok_or_else(|| Path::Root(name).invalid("is missing"))
    };
    exactly(API_VERSION)(top("apiVersion")?, &Path::Root("apiVersion"))?;
    exactly(KIND)(top("kind")?, &Path::Root("kind"))?;
    let metadata = Path::Root("metadata");
    let mut map = Map::new(top("metadata")?, &metadata)?;
    let name = map.required("name", string)?;
    let namespace = map.optional("namespace", string)?;
    let namespace = namespace
        .as_deref()
        .filter(|n| !n.is_empty())
        .or(fallback_namespace);
    let place = Place::new(namespace, &name)?;
    Ok((spec(top("spec")?)?, place))
}

/// Parses `spec` alone.
pub(super) fn spec(json: Json) -> Parsed<Spec> {
    let root = Path::Root("spec");
    let mut map = Map::new(json, &root)?;
    // The format first: a later one may have other fields, and then the error must name the format, not a field.
    map.required("format", format)?;
    map.refuse_unknown(&[
        "format",
        "scope",
        "audience",
        "id",
        "dataKeys",
        "encryptedData",
        "template",
        "seal",
    ])?;
    Ok(Spec {
        scope: map.required("scope", scope)?,
        audience: map.optional("audience", string)?,
        id: map.required("id", bytes_32)?,
        data_keys: map.required("dataKeys", |json, path| list(json, path, MAX_KEYS, data_key))?,
        encrypted_data: map.required("encryptedData", encrypted_data)?,
        template: map.optional("template", template)?.unwrap_or_default(),
        seal: map.required("seal", seal)?,
    })
}

fn format(json: Json, path: &Path<'_>) -> Parsed<()> {
    let word = string(json, path)?;
    if word == FORMAT {
        return Ok(());
    }
    let shown: String = word.chars().take(32).collect();
    Err(path.error(
        format!("this version reads {FORMAT} only, not {shown:?}"),
        StructureKind::UnknownFormat(shown),
    ))
}

fn scope(json: Json, path: &Path<'_>) -> Parsed<Scope> {
    Scope::parse(&string(json, path)?)
        .ok_or_else(|| path.invalid("must be strict, namespace-wide or cluster-wide"))
}

fn data_key(json: Json, path: &Path<'_>) -> Parsed<SealedDataKey> {
    let mut map = Map::strict(json, path, &["id", "commitment", "templateMac", "wraps"])?;
    Ok(SealedDataKey {
        id: map.required("id", string)?,
        commitment: Commitment(map.required("commitment", bytes_32)?),
        template_mac: map.required("templateMac", bytes_32)?,
        wraps: map.required("wraps", |json, path| list(json, path, MAX_KEYS, wrap))?,
    })
}

fn wrap(json: Json, path: &Path<'_>) -> Parsed<Wrap> {
    let mut map = Map::strict(json, path, &["key", "ciphertext"])?;
    Ok(Wrap {
        key: map.required("key", string)?,
        ciphertext: map.required("ciphertext", string)?,
    })
}

fn encrypted_data(json: Json, path: &Path<'_>) -> Parsed<BTreeMap<String, SealedValue>> {
    if let Json::Object(members) = &json
        && members.len() > MAX_ENTRIES
    {
        return Err(path.invalid(format!("has more than {MAX_ENTRIES} entries")));
    }
    map_of(json, path, |json, path| {
        let text = string(json, path)?;
        let value = text.split_once('.').and_then(|(data_key, payload)| {
            Some(SealedValue {
                data_key: Some(data_key).filter(|id| is_data_key_id(id))?.to_owned(),
                payload: from_base64url(payload)?,
            })
        });
        // The text is not shown: it may be a plaintext value, written here by mistake.
        value.ok_or_else(|| {
            path.invalid("must be a data key id, a dot and base64url without padding; seal the value")
        })
    })
}

fn template(json: Json, path: &Path<'_>) -> Parsed<Template> {
    let mut map = Map::strict(json, path, &["type", "immutable", "metadata", "data", "render"])?;
    let (labels, annotations) = map
        .optional("metadata", |json, path| {
            let mut map = Map::strict(json, path, &["labels", "annotations"])?;
            Ok((
                map.optional("labels", strings)?,
                map.optional("annotations", strings)?,
            ))
        })?
        .unwrap_or_default();
    Ok(Template {
        type_: map.optional("type", string)?,
        immutable: map.optional("immutable", boolean)?,
        labels: labels.unwrap_or_default(),
        annotations: annotations.unwrap_or_default(),
        data: map.optional("data", strings)?.unwrap_or_default(),
        render: map.optional("render", strings)?.unwrap_or_default(),
    })
}

fn seal(json: Json, path: &Path<'_>) -> Parsed<Seal> {
    let mut map = Map::strict(json, path, &["key", "time", "mac"])?;
    Ok(Seal {
        key: map.required("key", string)?,
        time: map.required("time", |json, path| {
            SealTime::parse(&string(json, path)?)
                .ok_or_else(|| path.invalid("must be a valid UTC time like 2026-11-23T17:00:00Z"))
        })?,
        mac: map.required("mac", bytes_32)?,
    })
}
