//! Requests for tests.

use super::super::request::{Class, ObjectName, Request};
use crate::kms::KeyUri;

/// A request for a new object with one key.
pub(in crate::kms::broker) fn request(namespace: &str, name: &str, uid: &str, generation: i64) -> Request {
    Request {
        object: ObjectName::new(namespace, name),
        uid: uid.into(),
        generation,
        class: Class::NeverSynced,
        cause: "New",
        keys: [key("k")].into(),
        new_keys: [].into(),
        calls: 1,
        opened_before: false,
    }
}

/// A key of a provider that does not exist.
pub(in crate::kms::broker) fn key(rest: &str) -> KeyUri {
    KeyUri::parse(&format!("nokms://{rest}")).expect("a key URI")
}
