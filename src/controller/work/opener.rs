//! Requests to open documents, and their results: no reconcile waits for a KMS
//! (docs/design/controller.md#scheduling-and-the-opening-queue). The broker holds the request; the document is taken from the
//! store when its turn comes; the answer requeues the object.

use std::sync::Arc;

use crate::api::Finding;
use crate::controller::decide::plan::Cause;
use crate::controller::key::ObjectKey;
use crate::controller::observe::object::Object;
use crate::controller::observe::summary::Facts;
use crate::envelope::Opened;
use crate::kms::KeyUri;
use crate::kms::broker::{Class, ObjectName, Request, Slot};

/// Result of opening a document. No Debug: it holds plaintext.
pub(in crate::controller) struct Opening {
    /// The uid and generation of the object whose document was opened.
    pub(in crate::controller) uid: Arc<str>,
    pub(in crate::controller) generation: i64,
    pub(in crate::controller) result: Result<Box<Opened>, Finding>,
    /// Limits the number of open documents; released on drop.
    pub(in crate::controller) _slot: Option<Slot>,
}

/// The broker's name of an object.
pub(in crate::controller) fn name_of(key: &ObjectKey) -> ObjectName {
    ObjectName {
        namespace: key.namespace.clone(),
        name: key.name.clone(),
    }
}

/// Returns the request to open the document of `object`. `usable` says which keys may be used.
pub(in crate::controller) fn request(
    key: &ObjectKey,
    object: &Object,
    cause: Cause,
    usable: impl Fn(&str) -> bool,
) -> Request {
    // A document without facts is refused before it is to be opened.
    let facts = object.summary.facts.as_ref().ok();
    let data_keys = facts.into_iter().flat_map(Facts::sealing_key_first);
    let mut keys: Vec<KeyUri> = Vec::new();
    for uri in data_keys.flat_map(|data_key| &data_key.keys) {
        if let Ok(key) = KeyUri::parse(uri)
            && usable(uri)
            && !keys.contains(&key)
        {
            keys.push(key);
        }
    }
    let applied = object.status.applied();
    let class = class_of(cause);
    let is_new = |key: &&KeyUri| class == Class::Verify && !object.status.had_key(&key.to_string());
    let new_keys = keys.iter().filter(is_new).cloned().collect();
    Request {
        object: name_of(key),
        uid: object.uid.clone(),
        generation: object.generation,
        class,
        cause: cause.as_str(),
        new_keys,
        keys: keys.into(),
        calls: u8::try_from(facts.map_or(0, |facts| facts.data_keys.len())).unwrap_or(u8::MAX),
        // Only this controller writes the status, and each change of the spec is another generation.
        opened_before: applied.is_some_and(|applied| applied.generation == object.generation),
    }
}

fn class_of(cause: Cause) -> Class {
    match cause {
        Cause::New => Class::NeverSynced,
        Cause::Missing | Cause::Edited => Class::Drift,
        Cause::Changed => Class::Changed,
        Cause::Verify => Class::Verify,
    }
}
