//! A draft that passed its checks, and sealing it.

use std::collections::BTreeMap;

use super::super::binding::Binding;
use super::super::cipher;
use super::super::error::StructureError;
use super::super::keys::{Commitment, DataKey, KeySchedule};
use super::super::names::Place;
use super::super::time::SealTime;
use super::super::transcript;
use super::super::wire::{Document, Seal, SealedDataKey, SealedValue, Spec, Wrap};
use super::draft::Draft;

/// A draft that seals to a document which opens, whatever data key and wraps it gets. No `Debug`: it holds the
/// values.
pub struct CheckedDraft {
    pub(super) draft: Draft,
    pub(super) binding: Binding,
}

/// Why sealing failed.
#[derive(Debug, thiserror::Error)]
pub enum SealError {
    /// The wraps break a rule of the format, for example because a KMS returned an unusual ciphertext.
    #[error(transparent)]
    Structure(#[from] StructureError),
    /// The operating system returned no random bytes.
    #[error("the operating system returned no random bytes: {0}")]
    Random(#[from] getrandom::Error),
}

impl CheckedDraft {
    /// Returns the binding, whose context belongs into the KMS calls that create the wraps.
    pub fn binding(&self) -> &Binding {
        &self.binding
    }

    /// Returns the namespace and name of the future object.
    pub fn place(&self) -> &Place {
        &self.draft.place
    }

    /// Seals the draft.
    ///
    /// `key` must have been generated for this document alone, and `wraps` must hold `key`, wrapped under the context
    /// of the [binding](Self::binding).
    pub fn seal(self, key: &DataKey, wraps: Vec<Wrap>, time: SealTime) -> Result<Document, SealError> {
        let (id, commitment) = random_document_id(key, &self.binding)?;
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
                template_mac: transcript::template_mac(&schedule, &draft.template),
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
        spec.seal.mac = transcript::seal_mac(&schedule, &transcript::transcript(&spec, &self.binding));
        Ok(Document::new(spec, draft.place)?)
    }
}

/// Generates a document id under which no YAML reader takes the data key id for a number.
///
/// The data key id gets at least one of the digits a, b, c, d, f, because `12345678` and `12e45678` are numbers in
/// YAML. About 5 of 100 draws are discarded.
pub(super) fn random_document_id(
    key: &DataKey,
    binding: &Binding,
) -> Result<([u8; 32], Commitment), getrandom::Error> {
    loop {
        let mut id = [0; 32];
        getrandom::fill(&mut id)?;
        let commitment = KeySchedule::new(key, &id, binding).commitment();
        if commitment.key_id().bytes().any(|b| b"abcdf".contains(&b)) {
            return Ok((id, commitment));
        }
    }
}
