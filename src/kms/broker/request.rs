//! Requests to open a document.

use std::fmt;
use std::sync::Arc;

use crate::kms::KeyUri;

/// Namespace and name of the object whose document is to be opened. Cheap to clone.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ObjectName {
    /// The namespace.
    pub namespace: Arc<str>,
    /// The name.
    pub name: Arc<str>,
}

impl ObjectName {
    /// Copies both parts.
    pub fn new(namespace: &str, name: &str) -> Self {
        ObjectName {
            namespace: namespace.into(),
            name: name.into(),
        }
    }
}

impl fmt::Debug for ObjectName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

/// The priority of a request: a lower one is served only while no namespace within its share has a higher one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Class {
    /// No Secret of the object has been written yet.
    NeverSynced,
    /// The Secret was deleted or edited.
    Drift,
    /// The document or the rules changed.
    Changed,
    /// The same document under new wraps, which opening verifies.
    Verify,
}

impl Class {
    /// All of them, the first served first.
    pub const ALL: [Class; 4] = [Class::NeverSynced, Class::Drift, Class::Changed, Class::Verify];
}

/// A request to open the document of one generation of an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// Whose document.
    pub object: ObjectName,
    /// The object's uid: another object of the same name is another request.
    pub uid: Arc<str>,
    /// The generation of the document.
    pub generation: i64,
    /// The priority.
    pub class: Class,
    /// Why the document is opened, for the log: `Missing`.
    pub cause: &'static str,
    /// The keys of its usable wraps, in the order of the document.
    pub keys: Arc<[KeyUri]>,
    /// Those of `keys` that the document did not have at the last success, for class [`Class::Verify`]: their wraps are tried
    /// first.
    pub new_keys: Arc<[KeyUri]>,
    /// The KMS calls that opening takes at least: one for each data key.
    pub calls: u8,
    /// Whether this generation has opened before: its ciphertexts are never charged to the integrity budget.
    pub opened_before: bool,
}

impl Request {
    /// Whether `other` is a request for the same document.
    pub(super) fn is_same(&self, uid: &str, generation: i64) -> bool {
        *self.uid == *uid && self.generation == generation
    }
}
