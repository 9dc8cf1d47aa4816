//! The one decoder for what the API server sends: list pages, watch events, single objects, responses to writes.
//!
//! Each item is cut out as raw JSON and decoded separately into a slim form with only the fields that the controller uses.
//! Tenants can store values that typed metadata cannot represent, such as a `managedFields[].time` in the year 9999, and
//! one such item must not make a list or a watch unreadable for everyone (docs/design/controller.md#stores-and-streams).

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::core::Status;
use serde::de::{Deserialize, DeserializeOwned, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::api::GROUP;
use crate::controller::key::ObjectKey;
use crate::metrics::Metrics;

/// The slim form of `metadata`. Fields that are absent here are skipped unread, whatever they contain.
#[derive(Clone, Debug, Default, serde::Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(in crate::controller) struct Meta {
    pub(in crate::controller) name: Option<String>,
    pub(in crate::controller) namespace: Option<String>,
    pub(in crate::controller) uid: Option<String>,
    pub(in crate::controller) resource_version: Option<String>,
    pub(in crate::controller) generation: Option<i64>,
    /// Whether a deletionTimestamp is present.
    #[serde(rename = "deletionTimestamp", deserialize_with = "is_present")]
    pub(in crate::controller) deleting: bool,
    pub(in crate::controller) labels: OurEntries,
    pub(in crate::controller) annotations: OurEntries,
    #[serde(deserialize_with = "null_as_default")]
    pub(in crate::controller) owner_references: Vec<OwnerReference>,
    #[serde(deserialize_with = "null_as_default")]
    pub(in crate::controller) managed_fields: Vec<ManagedEntry>,
}

/// An entry of `managedFields`, without its time.
#[derive(Clone, Debug, Default, serde::Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(in crate::controller) struct ManagedEntry {
    pub(in crate::controller) manager: Option<String>,
    pub(in crate::controller) operation: Option<String>,
    pub(in crate::controller) subresource: Option<String>,
    /// Raw: only the entries of Secrets are read, and each separately.
    #[serde(rename = "fieldsV1")]
    pub(in crate::controller) fields: Option<Box<RawValue>>,
}

/// The labels or annotations with our prefix; all others are skipped.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::controller) struct OurEntries(BTreeMap<String, String>);

impl OurEntries {
    /// Returns the value of the label or annotation `key`, which has our prefix.
    pub(in crate::controller) fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key).map(String::as_str)
    }
}

impl<'de> Deserialize<'de> for OurEntries {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Entries;
        impl<'de> Visitor<'de> for Entries {
            type Value = OurEntries;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a map of strings")
            }

            fn visit_unit<E>(self) -> Result<OurEntries, E> {
                Ok(OurEntries::default())
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<OurEntries, A::Error> {
                let mut ours = OurEntries::default();
                while let Some(key) = map.next_key::<Cow<'de, str>>()? {
                    if key.strip_prefix(GROUP).is_some_and(|rest| rest.starts_with('/')) {
                        ours.0.insert(key.into_owned(), map.next_value()?);
                    } else {
                        map.next_value::<IgnoredAny>()?;
                    }
                }
                Ok(ours)
            }
        }
        deserializer.deserialize_any(Entries)
    }
}

fn is_present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    Option::<IgnoredAny>::deserialize(deserializer).map(|value| value.is_some())
}

fn null_as_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Default + Deserialize<'de>,
{
    Option::<T>::deserialize(deserializer).map(Option::unwrap_or_default)
}

/// A slim form of one kind of object.
pub(in crate::controller) trait Slim: Sized {
    /// What the API server sends.
    type Wire: DeserializeOwned;

    /// Returns `None` for an object without identity, which no API server sends.
    fn of(wire: Self::Wire) -> Option<(ObjectKey, Self)>;

    fn resource_version(&self) -> &str;
}

/// An object that cannot be decoded, with as much of its identity as is readable.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::controller) struct Undecodable {
    pub(in crate::controller) namespace: String,
    pub(in crate::controller) name: String,
    resource_version: String,
    /// The kind of the error and its position. The decoder's own message may quote the object.
    pub(in crate::controller) cause: String,
}

impl Undecodable {
    /// Counts and logs it.
    pub(in crate::controller) fn report(&self, resource: &'static str, metrics: &Metrics) {
        metrics.undecodable(resource);
        let (namespace, name) = (&*self.namespace, &*self.name);
        tracing::warn!(
            namespace,
            name,
            resource,
            "the object cannot be decoded and is ignored: {}; remove what the API reference does not know from its metadata",
            self.cause
        );
    }
}

/// One item: its slim form, or why there is none.
pub(in crate::controller) type Item<T> = Result<(ObjectKey, T), Undecodable>;

/// Decodes one object.
pub(in crate::controller) fn item<T: Slim>(raw: &str) -> Item<T> {
    // A panic concerns this object only. It must not end the stream that delivers all the others.
    let decoded = catch_unwind(AssertUnwindSafe(|| {
        serde_json::from_str::<T::Wire>(raw).map(T::of)
    }));
    match decoded {
        Ok(Ok(decoded)) => decoded.ok_or_else(|| undecodable(raw, "it has no identity".to_owned())),
        Ok(Err(error)) => Err(undecodable(raw, cause(&error))),
        Err(_) => Err(undecodable(raw, "decoding it panicked".to_owned())),
    }
}

fn cause(error: &serde_json::Error) -> String {
    format!(
        "{:?} error at line {} column {}",
        error.classify(),
        error.line(),
        error.column()
    )
}

fn undecodable(raw: &str, cause: String) -> Undecodable {
    Undecodable {
        namespace: identity(raw, "namespace"),
        name: identity(raw, "name"),
        resource_version: identity(raw, "resourceVersion"),
        cause,
    }
}

/// Returns a string of an object's metadata; empty if it is not readable.
fn identity(raw: &str, field: &str) -> String {
    let object: Option<Identity<'_>> = serde_json::from_str(raw).ok();
    let metadata: Option<BTreeMap<Cow<'_, str>, &RawValue>> =
        object.and_then(|object| serde_json::from_str(object.metadata.get()).ok());
    let value = metadata.and_then(|metadata| serde_json::from_str(metadata.get(field)?.get()).ok());
    value.unwrap_or_default()
}

#[derive(serde::Deserialize)]
struct Identity<'a> {
    #[serde(borrow)]
    metadata: &'a RawValue,
}

/// A page of a list. Its items are decoded one by one, so that only one of them is in memory twice.
pub(in crate::controller) struct Page {
    text: String,
    items: Vec<Range<usize>>,
    pub(in crate::controller) resource_version: String,
    /// The token of the next page; `None` on the last page.
    pub(in crate::controller) next: Option<String>,
}

impl Page {
    /// Returns the number of items.
    pub(in crate::controller) fn len(&self) -> usize {
        self.items.len()
    }

    /// Decodes the item at this index; `None` beyond the last one.
    pub(in crate::controller) fn item<T: Slim>(&self, index: usize) -> Option<Item<T>> {
        let range = self.items.get(index)?.clone();
        Some(item(self.text.get(range)?))
    }
}

#[derive(serde::Deserialize)]
struct List<'a> {
    #[serde(default)]
    metadata: ListMeta,
    #[serde(borrow, default)]
    items: Option<Vec<&'a RawValue>>,
}

#[derive(Default, serde::Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct ListMeta {
    resource_version: String,
    #[serde(rename = "continue")]
    next: String,
}

/// Splits a page of a list into its items. Fails only if the bytes are not the JSON of a list.
pub(in crate::controller) fn page(bytes: Vec<u8>) -> Result<Page, serde_json::Error> {
    // The API server copies raw managedFields: it does not guarantee valid UTF-8.
    let text = String::from_utf8(bytes)
        .unwrap_or_else(|invalid| String::from_utf8_lossy(invalid.as_bytes()).into_owned());
    let list: List<'_> = serde_json::from_str(&text)?;
    let start = text.as_ptr().addr();
    let range = |raw: &&RawValue| {
        let from = raw.get().as_ptr().addr() - start;
        from..from + raw.get().len()
    };
    let items = list.items.iter().flatten().map(range).collect();
    let (resource_version, next) = (list.metadata.resource_version, list.metadata.next);
    Ok(Page {
        text,
        items,
        resource_version,
        next: Some(next).filter(|token| !token.is_empty()),
    })
}

/// An event of a watch.
pub(in crate::controller) enum Change<T> {
    /// The object was added or modified.
    Applied(Item<T>),
    Deleted(Item<T>),
    Bookmark,
    /// The watch failed, for example because its resourceVersion is too old.
    Failed(Box<Status>),
}

/// A decoded line of a watch.
pub(in crate::controller) struct Line<T> {
    pub(in crate::controller) change: Change<T>,
    /// The resourceVersion from which to resume after this event.
    pub(in crate::controller) resource_version: Option<String>,
}

#[derive(serde::Deserialize)]
struct RawLine<'a> {
    #[serde(rename = "type", borrow)]
    kind: Cow<'a, str>,
    #[serde(borrow)]
    object: &'a RawValue,
}

/// Decodes a line of a watch. Fails only if it is not the JSON of a watch event.
pub(in crate::controller) fn line<T: Slim>(bytes: &[u8]) -> Result<Line<T>, serde_json::Error> {
    let text = String::from_utf8_lossy(bytes);
    let raw: RawLine<'_> = serde_json::from_str(&text)?;
    let object = raw.object.get();
    let change = match &*raw.kind {
        "ADDED" | "MODIFIED" => Change::Applied(item::<T>(object)),
        "DELETED" => Change::Deleted(item::<T>(object)),
        "ERROR" => Change::Failed(serde_json::from_str(object).unwrap_or_default()),
        // Bookmarks, and event types of a later version.
        _ => Change::Bookmark,
    };
    let resource_version = match &change {
        Change::Applied(Ok((_, value))) | Change::Deleted(Ok((_, value))) => {
            value.resource_version().to_owned()
        }
        Change::Applied(Err(item)) | Change::Deleted(Err(item)) => item.resource_version.clone(),
        Change::Bookmark => identity(object, "resourceVersion"),
        Change::Failed(_) => String::new(),
    };
    Ok(Line {
        change,
        resource_version: Some(resource_version).filter(|version| !version.is_empty()),
    })
}

#[cfg(test)]
mod tests;
