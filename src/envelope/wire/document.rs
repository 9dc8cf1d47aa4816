//! A document that passed section 2, bound to its place.

use std::collections::BTreeMap;

use super::super::binding::Binding;
use super::super::error::StructureError;
use super::super::json::Json;
use super::super::manifest;
use super::super::names::Place;
use super::super::render::Text;
use super::super::rollback::SealMark;
use super::{Spec, read, rules};

/// Structurally valid, nothing verified yet. Opened by [`Document::accept`](crate::envelope::open).
pub struct Document {
    spec: Spec,
    place: Place,
    binding: Binding,
    texts: BTreeMap<String, Text>,
}

impl Document {
    /// Reads a whole object: one JSON text of at most 4 MiB. A file without a namespace takes
    /// `fallback_namespace`.
    pub fn from_object_json(text: &[u8], fallback_namespace: Option<&str>) -> Result<Self, StructureError> {
        let (spec, place) = read::object(Json::parse(text, 1)?, fallback_namespace)?;
        Document::new(spec, place)
    }

    /// Reads the bytes of `spec` alone; the place comes from the object's own metadata.
    pub fn from_spec_json(spec: &[u8], place: Place) -> Result<Self, StructureError> {
        Document::new(read::spec(Json::parse(spec, 2)?)?, place)
    }

    /// The one way to a document: every rule of section 2 holds, whether it was read or is about to be written.
    pub(in super::super) fn new(spec: Spec, place: Place) -> Result<Self, StructureError> {
        let texts = rules::check(&spec, &place)?;
        let namespace = place.namespace.as_deref().unwrap_or("");
        let binding = Binding::new(spec.scope, spec.audience.as_deref(), namespace, &place.name);
        Ok(Document {
            spec,
            place,
            binding,
            texts,
        })
    }

    /// The fields, decoded.
    pub fn spec(&self) -> &Spec {
        &self.spec
    }

    /// The object's own namespace and name.
    pub fn place(&self) -> &Place {
        &self.place
    }

    /// What the keys are bound to.
    pub fn binding(&self) -> &Binding {
        &self.binding
    }

    /// The bytes under `seal.mac` (format-es1 section 6).
    pub fn manifest(&self) -> Vec<u8> {
        manifest::manifest(&self.spec, &self.binding)
    }

    /// SHA-256 of manifest and mac: equal exactly for documents that say the same, however they are wrapped.
    pub fn digest(&self) -> [u8; 32] {
        manifest::digest(&self.manifest(), &self.spec.seal.mac)
    }

    /// What rollback is judged by.
    pub fn seal_mark(&self) -> SealMark {
        SealMark {
            time: self.spec.seal.time.clone(),
            mac: self.spec.seal.mac,
        }
    }

    pub(in super::super) fn texts(&self) -> &BTreeMap<String, Text> {
        &self.texts
    }
}

impl std::fmt::Debug for Document {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Document")
            .field("place", &self.place)
            .field("spec", &self.spec)
            .finish_non_exhaustive()
    }
}
