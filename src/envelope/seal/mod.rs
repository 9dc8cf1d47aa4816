//! Sealing anew (format-es1 section 7, first row): a draft, checked before any KMS call, then sealed under one
//! data key that was drawn for it.

use std::collections::BTreeMap;

use super::assemble::{AssembleError, assemble};
use super::binding::{Binding, Scope};
use super::cipher;
use super::error::StructureError;
use super::json::MAX_BYTES;
use super::keys::{Commitment, DataKey, KeySchedule, SecretBytes};
use super::manifest;
use super::names::{Place, is_reserved};
use super::render::MAX_SECRET;
use super::time::SealTime;
use super::wire::{Document, Path, Seal, SealedDataKey, SealedValue, Spec, Template, Wrap, rules};

/// What is to be sealed. No Debug: it holds the values.
pub struct Draft {
    /// The namespace and name that the object will have.
    pub place: Place,
    /// How far it may travel.
    pub scope: Scope,
    /// Which readers it is meant for.
    pub audience: Option<String>,
    /// Name → value.
    pub values: BTreeMap<String, SecretBytes>,
    /// The rest of the Secret. `immutable: false` says nothing and is dropped.
    pub template: Template,
}

/// A draft that makes a document which opens, whatever data key and wraps it gets. No Debug.
pub struct CheckedDraft {
    draft: Draft,
    binding: Binding,
}

/// Why there is no document.
#[derive(Debug, thiserror::Error)]
pub enum SealError {
    /// The wraps are none of this format: a KMS that answers oddly.
    #[error(transparent)]
    Structure(#[from] StructureError),
    /// The operating system gave no random bytes.
    #[error("no random bytes from the operating system: {0}")]
    Random(#[from] getrandom::Error),
}

impl Draft {
    /// Everything that a reader could refuse later, found before a KMS call: the rules of section 2, the reserved
    /// names, the limits, and that the render texts render over these values.
    pub fn check(mut self) -> Result<CheckedDraft, StructureError> {
        if self.template.immutable == Some(false) {
            self.template.immutable = None;
        }
        rules::check_place(self.scope, &self.place)?;
        rules::check_audience(self.audience.as_deref())?;
        rules::check_entries(&self.values, &self.template)?;
        let texts = rules::check_template(&self.template)?;
        self.check_reserved()?;
        self.check_size()?;
        // The whole Secret is made once and dropped: a document that fails at RENDER would never open.
        match assemble(self.values.clone(), &self.template, &texts) {
            Ok(_) => {}
            Err(AssembleError::TooLarge) => {
                return Err(StructureError::invalid(
                    "spec",
                    format!("values and template.data hold more than {MAX_SECRET} bytes"),
                ));
            }
            Err(AssembleError::Render(error)) => {
                let spec = Path::Root("spec");
                let template = spec.field("template");
                return Err(template
                    .field("render")
                    .field(&error.entry)
                    .invalid(format!("line {}: {}", error.line, error.kind)));
            }
        }
        let namespace = self.place.namespace.as_deref().unwrap_or("");
        let binding = Binding::new(self.scope, self.audience.as_deref(), namespace, &self.place.name);
        Ok(CheckedDraft { draft: self, binding })
    }

    fn check_reserved(&self) -> Result<(), StructureError> {
        for (map, word) in [
            (&self.template.labels, "labels"),
            (&self.template.annotations, "annotations"),
        ] {
            if let Some(key) = map.keys().find(|key| is_reserved(key)) {
                let spec = Path::Root("spec");
                let template = spec.field("template");
                let metadata = template.field("metadata");
                return Err(metadata
                    .field(word)
                    .field(key)
                    .invalid("is reserved for the controller and kubectl, readers refuse it; leave it out"));
            }
        }
        Ok(())
    }

    /// The object must be read again: 4 MiB of JSON. Wraps, ids and the object's own fields are allowed their most.
    fn check_size(&self) -> Result<(), StructureError> {
        const REST: usize = 64 * 1024;
        const QUOTES: usize = 8; // quotes, colon, comma, dot
        const DATA_KEY_ID: usize = 8;
        // A template is at most a few MiB of strings: it has a text.
        let template = serde_json::to_vec(&self.template).map_or(usize::MAX, |text| text.len());
        let values = self.values.iter().map(|(name, value)| {
            let payload = value.len() + 96;
            name.len() + QUOTES + DATA_KEY_ID + payload.div_ceil(3) * 4
        });
        let size = values
            .sum::<usize>()
            .saturating_add(template)
            .saturating_add(REST);
        if size > MAX_BYTES {
            return Err(StructureError::invalid(
                "document",
                format!("would be larger than {MAX_BYTES} bytes"),
            ));
        }
        Ok(())
    }
}

impl CheckedDraft {
    /// What it will be bound to: its context goes into the KMS calls that make `wraps`.
    pub fn binding(&self) -> &Binding {
        &self.binding
    }

    /// The place that it is for.
    pub fn place(&self) -> &Place {
        &self.draft.place
    }

    /// Seals. `key` was drawn for this document alone, and `wraps` are its wraps under the binding's context.
    pub fn seal(self, key: &DataKey, wraps: Vec<Wrap>, time: SealTime) -> Result<Document, SealError> {
        let (id, commitment) = draw_id(key, &self.binding)?;
        let schedule = KeySchedule::new(key, &id, &self.binding);
        let draft = self.draft;
        let mut encrypted_data = BTreeMap::new();
        for (name, value) in &draft.values {
            let sealed = SealedValue {
                data_key: commitment.key_id(),
                payload: cipher::encrypt(&schedule, name, value)?,
            };
            encrypted_data.insert(name.clone(), sealed);
        }
        let mut spec = Spec {
            scope: draft.scope,
            audience: draft.audience,
            id,
            data_keys: vec![SealedDataKey {
                id: commitment.key_id(),
                commitment,
                template_mac: manifest::template_mac(&schedule, &draft.template),
                wraps,
            }],
            encrypted_data,
            template: draft.template,
            seal: Seal {
                key: commitment.key_id(),
                time,
                mac: [0; 32],
            },
        };
        spec.seal.mac = manifest::seal_mac(&schedule, &manifest::manifest(&spec, &self.binding));
        Ok(Document::new(spec, draft.place)?)
    }
}

/// A document id under which the data key's id is no number to any YAML reader: it has one of a, b, c, d, f
/// (`12345678` and `12e45678` are numbers). Some 5 of 100 draws are thrown away.
fn draw_id(key: &DataKey, binding: &Binding) -> Result<([u8; 32], Commitment), getrandom::Error> {
    loop {
        let mut id = [0; 32];
        getrandom::fill(&mut id)?;
        let commitment = KeySchedule::new(key, &id, binding).commitment();
        if commitment.key_id().bytes().any(|b| b"abcdf".contains(&b)) {
            return Ok((id, commitment));
        }
    }
}

#[cfg(test)]
mod tests;
