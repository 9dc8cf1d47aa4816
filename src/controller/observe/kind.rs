//! The two kinds of objects that are observed.

use crate::api::{GROUP, PLURAL, VERSION};

/// What a stream watches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::controller) enum Kind {
    Objects,
    Secrets,
}

impl Kind {
    pub(in crate::controller) const ALL: [Kind; 2] = [Kind::Objects, Kind::Secrets];

    /// Returns the metric label.
    pub(in crate::controller) fn as_str(self) -> &'static str {
        match self {
            Kind::Objects => "envelopesecrets",
            Kind::Secrets => "secrets",
        }
    }

    /// Returns the URL path of the collection; `None` stands for all namespaces.
    pub(in crate::controller) fn path(self, namespace: Option<&str>) -> String {
        let (group, plural) = match self {
            Kind::Objects => (format!("/apis/{GROUP}/{VERSION}"), PLURAL),
            Kind::Secrets => ("/api/v1".to_owned(), "secrets"),
        };
        match namespace {
            Some(namespace) => format!("{group}/namespaces/{namespace}/{plural}"),
            None => format!("{group}/{plural}"),
        }
    }

    /// The resource name that kubectl and Roles use.
    pub(in crate::controller) fn resource(self) -> String {
        match self {
            Kind::Objects => format!("{PLURAL}.{GROUP}"),
            Kind::Secrets => "secrets".to_owned(),
        }
    }
}
