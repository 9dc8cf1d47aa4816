//! The checks that precede the first KMS call of sealing.

use super::super::assemble::{AssembleError, assemble_entries};
use super::super::binding::Binding;
use super::super::error::StructureError;
use super::super::json::MAX_BYTES;
use super::super::names::is_reserved;
use super::super::render::MAX_SECRET;
use super::super::wire::path::Path;
use super::super::wire::rules;
use super::checked_draft::CheckedDraft;
use super::draft::Draft;

impl Draft {
    /// Checks, before any KMS call, everything that could make a reader refuse the document.
    ///
    /// These are the rules of section 2, the reserved names, the size limits, and that every text renders over these
    /// values.
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
        // Assemble the Secret once and discard it: a document that fails at RENDER would never open.
        match assemble_entries(self.values.clone(), &self.template, &texts) {
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
        for (map, field) in [
            (&self.template.labels, "labels"),
            (&self.template.annotations, "annotations"),
        ] {
            if let Some(key) = map.keys().find(|key| is_reserved(key)) {
                let spec = Path::Root("spec");
                let template = spec.field("template");
                let metadata = template.field("metadata");
                return Err(metadata.field(field).field(key).invalid(
                    "is reserved for the controller and kubectl, and readers refuse it; remove it",
                ));
            }
        }
        Ok(())
    }

    /// Checks that the object can be read again: at most 4 MiB of JSON. Reserves the maximum for wraps, ids and
    /// metadata.
    fn check_size(&self) -> Result<(), StructureError> {
        const RESERVED: usize = 64 * 1024;
        const PUNCTUATION: usize = 8; // quotes, colon, comma, dot
        const DATA_KEY_ID: usize = 8;
        const PAYLOAD_OVERHEAD: usize = 96; // as in the rules of section 2
        let template = serde_json::to_vec(&self.template).map_or(usize::MAX, |text| text.len());
        let values = self.values.iter().map(|(name, value)| {
            let payload = value.len() + PAYLOAD_OVERHEAD;
            name.len() + PUNCTUATION + DATA_KEY_ID + payload.div_ceil(3) * 4
        });
        let size = values
            .sum::<usize>()
            .saturating_add(template)
            .saturating_add(RESERVED);
        if size > MAX_BYTES {
            return Err(StructureError::invalid(
                "document",
                format!("would be larger than {MAX_BYTES} bytes"),
            ));
        }
        Ok(())
    }
}
