//! Steps 4 and 6 to 8: the seal, the template, the values, the rendered texts.

use std::collections::BTreeMap;

use subtle::ConstantTimeEq as _;

use super::super::assemble::{AssembleError, assemble};
use super::super::cipher;
use super::super::error::{OpenError, Stage};
use super::super::keys::{DataKey, KeySchedule, SecretBytes};
use super::super::manifest;
use super::super::wire::Document;

/// Step 4, with the data key of the seal.
pub(super) fn seal_holds(document: &Document, key: &DataKey) -> bool {
    let spec = document.spec();
    let schedule = KeySchedule::new(key, &spec.id, document.binding());
    let mac = manifest::seal_mac(&schedule, &document.manifest());
    mac.ct_eq(&spec.seal.mac).into()
}

/// A document of which everything held: verified, decrypted, rendered. No Debug: it holds the values.
pub struct Opened {
    document: Document,
    entries: BTreeMap<String, SecretBytes>,
}

impl Opened {
    /// `keys` are those of `dataKeys`, in its order, each matched to its commitment; the seal holds.
    pub(super) fn finish<E>(
        document: Document,
        keys: &[DataKey],
        refusals: Vec<E>,
    ) -> Result<Self, OpenError<E>> {
        match entries(&document, keys) {
            Ok(entries) => Ok(Opened { document, entries }),
            Err(Failure::Integrity(stage)) => Err(OpenError::Integrity { stage, refusals }),
            Err(Failure::Assemble(AssembleError::TooLarge)) => Err(OpenError::Integrity {
                stage: Stage::Value,
                refusals,
            }),
            Err(Failure::Assemble(AssembleError::Render(error))) => Err(OpenError::Render(error)),
        }
    }

    /// Every entry of the Secret: values, plain data, rendered texts.
    pub fn entries(&self) -> &BTreeMap<String, SecretBytes> {
        &self.entries
    }

    /// What it was opened from.
    pub fn document(&self) -> &Document {
        &self.document
    }
}

enum Failure {
    Integrity(Stage),
    Assemble(AssembleError),
}

fn entries(document: &Document, keys: &[DataKey]) -> Result<BTreeMap<String, SecretBytes>, Failure> {
    let spec = document.spec();
    let schedules: Vec<_> = keys
        .iter()
        .map(|key| KeySchedule::new(key, &spec.id, document.binding()))
        .collect();
    for (sealed, schedule) in spec.data_keys.iter().zip(&schedules) {
        let mac = manifest::template_mac(schedule, &spec.template);
        if !bool::from(mac.ct_eq(&sealed.template_mac)) {
            return Err(Failure::Integrity(Stage::Template));
        }
    }
    let mut values = BTreeMap::new();
    for (name, value) in &spec.encrypted_data {
        let opened = (spec.data_keys.iter().position(|key| key.id == value.data_key))
            .and_then(|index| cipher::decrypt(&schedules[index], name, &value.payload))
            .ok_or(Failure::Integrity(Stage::Value))?;
        values.insert(name.clone(), opened);
    }
    assemble(values, &spec.template, document.texts()).map_err(Failure::Assemble)
}
