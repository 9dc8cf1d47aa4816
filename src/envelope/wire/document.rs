//! A document that passed the structure check (section 2 of docs/format-es1.md), together with its place.

use std::collections::BTreeMap;

use super::super::binding::Binding;
use super::super::error::StructureError;
use super::super::json::Json;
use super::super::names::Place;
use super::super::render::Text;
use super::super::rollback::SealMark;
use super::super::transcript;
use super::spec::Spec;
use super::{parse, rules};

/// A structurally valid document. Nothing in it is verified yet: open it, starting with [`Document::accept`].
///
/// ```
/// use envelope_secrets::envelope::Document;
///
/// let object = br#"{
///   "apiVersion": "envelope-secrets.io/v1",
///   "kind": "EnvelopeSecret",
///   "metadata": {"name": "db", "namespace": "prod"},
///   "spec": {
///     "format": "es1",
///     "scope": "strict",
///     "id": "fYtyKnkFW6EA2XpSQc8SMSdZClJdgYxv0-E_w8Z-7U0",
///     "dataKeys": [{
///       "id": "69e86d38",
///       "commitment": "aehtOGkywAsriEgd0FDVu0eoIUue_CDF242mCQ5H9ac",
///       "templateMac": "3O6HOZyH0h0sCvRn7wl5txI-K9u8H8sawmrWs7qKvK0",
///       "wraps": [{"key": "local://fa1975b2", "ciphertext": "esl1.LwU6dwcNOyTh"}]
///     }],
///     "encryptedData": {},
///     "seal": {
///       "key": "69e86d38",
///       "time": "2026-11-23T17:00:00Z",
///       "mac": "sPArSThKRpiMzO8_bqUfDV4M_K00LwelWnPvMHBmQOA"
///     }
///   }
/// }"#;
/// let document = Document::from_object_json(object, None)?;
/// assert_eq!(document.place().name, "db");
/// assert_eq!(document.spec().data_keys[0].wraps[0].key, "local://fa1975b2");
/// assert_eq!(document.seal_mark().time.as_str(), "2026-11-23T17:00:00Z");
///
/// // One encoding for each meaning: an unknown field is an error, which names the field.
/// let text = String::from_utf8_lossy(object).replace("\"scope\"", "\"Scope\"");
/// let error = Document::from_object_json(text.as_bytes(), None).expect_err("an unknown field");
/// assert_eq!(error.field, "spec.Scope");
/// # Ok::<(), envelope_secrets::envelope::StructureError>(())
/// ```
pub struct Document {
    spec: Spec,
    place: Place,
    binding: Binding,
    texts: BTreeMap<String, Text>,
}

impl Document {
    /// Parses a whole object: one JSON text of at most 4 MiB.
    ///
    /// `fallback_namespace` completes an object without a namespace.
    pub fn from_object_json(text: &[u8], fallback_namespace: Option<&str>) -> Result<Self, StructureError> {
        let (spec, place) = parse::object(Json::parse(text, 1)?, fallback_namespace)?;
        Document::new(spec, place)
    }

    /// Parses the bytes of `spec` alone; `place` comes from the object's own metadata.
    pub fn from_spec_json(spec: &[u8], place: Place) -> Result<Self, StructureError> {
        Document::new(parse::spec(Json::parse(spec, 2)?)?, place)
    }

    /// Checks every rule of section 2. Documents that are read and documents that are written are created only here.
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

    /// Returns the decoded fields.
    pub fn spec(&self) -> &Spec {
        &self.spec
    }

    /// Returns the namespace and name of the object.
    pub fn place(&self) -> &Place {
        &self.place
    }

    /// Returns what the keys of the document are bound to.
    pub fn binding(&self) -> &Binding {
        &self.binding
    }

    /// Returns the byte string that `seal.mac` authenticates (`manifest` in section 6).
    pub fn transcript(&self) -> Vec<u8> {
        transcript::transcript(&self.spec, &self.binding)
    }

    /// Returns SHA-256 of transcript and mac. Documents with equal digests differ at most in `wraps`, in
    /// `templateMac` and in the order of data keys.
    pub fn digest(&self) -> [u8; 32] {
        transcript::digest(&self.transcript(), &self.spec.seal.mac)
    }

    /// Returns the mark that rollback detection compares.
    pub fn seal_mark(&self) -> SealMark {
        SealMark {
            time: self.spec.seal.time.clone(),
            mac: self.spec.seal.mac,
        }
    }

    /// Returns the parsed render texts by entry name.
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
