//! JSON → [`Spec`]: names of fields, types, encodings.

use std::collections::BTreeMap;

use super::super::binding::Scope;
use super::super::encoding::{from_base64url, from_base64url_32};
use super::super::error::{StructureError, StructureKind};
use super::super::json::Json;
use super::super::keys::Commitment;
use super::super::names::{Place, is_data_key_id};
use super::super::time::SealTime;
use super::{
    API_VERSION, FORMAT, KIND, MAX_ENTRIES, MAX_KEYS, Path, Seal, SealedDataKey, SealedValue, Spec, Template,
    Wrap,
};

type Read<T> = Result<T, StructureError>;

/// The members of one map, taken one by one.
struct Map<'p> {
    path: &'p Path<'p>,
    members: BTreeMap<String, Json>,
}

impl<'p> Map<'p> {
    fn new(json: Json, path: &'p Path<'p>) -> Read<Self> {
        match json {
            Json::Object(members) => Ok(Map { path, members }),
            other => Err(wrong_type(path, "a map", &other)),
        }
    }

    /// A map of which every field is known.
    fn strict(json: Json, path: &'p Path<'p>, known: &[&str]) -> Read<Self> {
        let map = Map::new(json, path)?;
        map.only(known)?;
        Ok(map)
    }

    fn only(&self, known: &[&str]) -> Read<()> {
        match self.members.keys().find(|name| !known.contains(&name.as_str())) {
            None => Ok(()),
            Some(name) => Err(self.path.field(name).error(
                format!("is not known here; known are {}", known.join(", ")),
                StructureKind::UnknownField,
            )),
        }
    }

    /// A field that must be there, read by `read`.
    fn need<T>(&mut self, name: &str, read: impl FnOnce(Json, &Path<'_>) -> Read<T>) -> Read<T> {
        let path = self.path.field(name);
        match self.members.remove(name) {
            Some(json) => read(json, &path),
            None => Err(path.invalid("is missing")),
        }
    }

    /// A field that may be absent.
    fn may<T>(&mut self, name: &str, read: impl FnOnce(Json, &Path<'_>) -> Read<T>) -> Read<Option<T>> {
        let path = self.path.field(name);
        self.members
            .remove(name)
            .map(|json| read(json, &path))
            .transpose()
    }
}

fn wrong_type(path: &Path<'_>, wanted: &str, got: &Json) -> StructureError {
    path.invalid(format!("must be {wanted}, not {}", got.type_name()))
}

fn string(json: Json, path: &Path<'_>) -> Read<String> {
    match json {
        Json::String(text) => Ok(text),
        // What YAML made of a bare 12345678, on or yes.
        Json::Number | Json::Bool(_) => Err(path.invalid(format!(
            "must be a string, not {}; put it in quotes",
            json.type_name()
        ))),
        other => Err(wrong_type(path, "a string", &other)),
    }
}

fn boolean(json: Json, path: &Path<'_>) -> Read<bool> {
    match json {
        Json::Bool(value) => Ok(value),
        other => Err(wrong_type(path, "true or false", &other)),
    }
}

fn list<T>(
    json: Json,
    path: &Path<'_>,
    max: usize,
    read: impl Fn(Json, &Path<'_>) -> Read<T>,
) -> Read<Vec<T>> {
    match json {
        Json::Array(items) if (1..=max).contains(&items.len()) => items
            .into_iter()
            .enumerate()
            .map(|(index, item)| read(item, &path.item(index)))
            .collect(),
        Json::Array(_) => Err(path.invalid(format!("must have 1 to {max} members"))),
        other => Err(wrong_type(path, "a list", &other)),
    }
}

fn map_of<T>(
    json: Json,
    path: &Path<'_>,
    read: impl Fn(Json, &Path<'_>) -> Read<T>,
) -> Read<BTreeMap<String, T>> {
    Map::new(json, path)?
        .members
        .into_iter()
        .map(|(name, json)| read(json, &path.field(&name)).map(|value| (name, value)))
        .collect()
}

fn strings(json: Json, path: &Path<'_>) -> Read<BTreeMap<String, String>> {
    map_of(json, path, string)
}

fn bytes_32(json: Json, path: &Path<'_>) -> Read<[u8; 32]> {
    from_base64url_32(&string(json, path)?)
        .ok_or_else(|| path.invalid("must be 32 bytes as 43 characters of base64url without padding"))
}

/// The whole object: `apiVersion`, `kind` and place. Everything else but `spec` is ignored.
pub(super) fn object(json: Json, fallback_namespace: Option<&str>) -> Read<(Spec, Place)> {
    const DOCUMENT: Path<'static> = Path::Root("document");
    let exact = |wanted: &'static str| {
        move |json: Json, path: &Path<'_>| match string(json, path)? {
            text if text == wanted => Ok(()),
            _ => Err(path.invalid(format!("must be {wanted}"))),
        }
    };
    let Json::Object(mut members) = json else {
        return Err(wrong_type(&DOCUMENT, "a map", &json));
    };
    let mut top = |name: &'static str| {
        let json = members.remove(name);
        json.ok_or_else(|| Path::Root(name).invalid("is missing"))
    };
    exact(API_VERSION)(top("apiVersion")?, &Path::Root("apiVersion"))?;
    exact(KIND)(top("kind")?, &Path::Root("kind"))?;
    let metadata = Path::Root("metadata");
    let mut map = Map::new(top("metadata")?, &metadata)?;
    let name = map.need("name", string)?;
    let namespace = map.may("namespace", string)?;
    let namespace = namespace
        .as_deref()
        .filter(|n| !n.is_empty())
        .or(fallback_namespace);
    let place = Place::new(namespace, &name)?;
    Ok((spec(top("spec")?)?, place))
}

/// `spec` by itself.
pub(super) fn spec(json: Json) -> Read<Spec> {
    let root = Path::Root("spec");
    let mut map = Map::new(json, &root)?;
    // First of all: a later format may have other fields, and its reader should be told what to do.
    map.need("format", format)?;
    map.only(&[
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
        scope: map.need("scope", scope)?,
        audience: map.may("audience", string)?,
        id: map.need("id", bytes_32)?,
        data_keys: map.need("dataKeys", |json, path| list(json, path, MAX_KEYS, data_key))?,
        encrypted_data: map.need("encryptedData", encrypted_data)?,
        template: map.may("template", template)?.unwrap_or_default(),
        seal: map.need("seal", seal)?,
    })
}

fn format(json: Json, path: &Path<'_>) -> Read<()> {
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

fn scope(json: Json, path: &Path<'_>) -> Read<Scope> {
    Scope::parse(&string(json, path)?)
        .ok_or_else(|| path.invalid("must be strict, namespace-wide or cluster-wide"))
}

fn data_key(json: Json, path: &Path<'_>) -> Read<SealedDataKey> {
    let mut map = Map::strict(json, path, &["id", "commitment", "templateMac", "wraps"])?;
    Ok(SealedDataKey {
        id: map.need("id", string)?,
        commitment: Commitment(map.need("commitment", bytes_32)?),
        template_mac: map.need("templateMac", bytes_32)?,
        wraps: map.need("wraps", |json, path| list(json, path, MAX_KEYS, wrap))?,
    })
}

fn wrap(json: Json, path: &Path<'_>) -> Read<Wrap> {
    let mut map = Map::strict(json, path, &["key", "ciphertext"])?;
    Ok(Wrap {
        key: map.need("key", string)?,
        ciphertext: map.need("ciphertext", string)?,
    })
}

fn encrypted_data(json: Json, path: &Path<'_>) -> Read<BTreeMap<String, SealedValue>> {
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
        // The text is not shown: somebody may have written a value in clear here.
        value.ok_or_else(|| {
            path.invalid("must be a data key's id, a dot and base64url without padding; seal the value")
        })
    })
}

fn template(json: Json, path: &Path<'_>) -> Read<Template> {
    let mut map = Map::strict(json, path, &["type", "immutable", "metadata", "data", "render"])?;
    let (labels, annotations) = map
        .may("metadata", |json, path| {
            let mut map = Map::strict(json, path, &["labels", "annotations"])?;
            Ok((map.may("labels", strings)?, map.may("annotations", strings)?))
        })?
        .unwrap_or_default();
    Ok(Template {
        type_: map.may("type", string)?,
        immutable: map.may("immutable", boolean)?,
        labels: labels.unwrap_or_default(),
        annotations: annotations.unwrap_or_default(),
        data: map.may("data", strings)?.unwrap_or_default(),
        render: map.may("render", strings)?.unwrap_or_default(),
    })
}

fn seal(json: Json, path: &Path<'_>) -> Read<Seal> {
    let mut map = Map::strict(json, path, &["key", "time", "mac"])?;
    Ok(Seal {
        key: map.need("key", string)?,
        time: map.need("time", |json, path| {
            SealTime::parse(&string(json, path)?)
                .ok_or_else(|| path.invalid("must be a time like 2026-11-23T17:00:00Z"))
        })?,
        mac: map.need("mac", bytes_32)?,
    })
}
