//! Steps 4 and 6 to 8 of opening (docs/format-es1.md#9-opening): the seal, the template, the values, the rendered
//! texts.

use std::collections::BTreeMap;

use subtle::ConstantTimeEq as _;

use super::super::assemble::{AssembleError, assemble_entries};
use super::super::cipher;
use super::super::error::{OpenError, Stage};
use super::super::keys::{DataKey, KeySchedule};
use super::super::secret_bytes::SecretBytes;
use super::super::transcript;
use super::super::wire::Document;

/// Step 4: verifies `seal.mac` with the data key that the seal names.
pub(super) fn verify_seal(document: &Document, key: &DataKey) -> bool {
    let spec = document.spec();
    let schedule = KeySchedule::new(key, &spec.id, document.binding());
    let mac = transcript::seal_mac(&schedule, &document.transcript());
    mac.ct_eq(&spec.seal.mac).into()
}

/// Steps 6 to 8: returns the entries of a document whose seal is verified.
///
/// `keys` are in the order of `dataKeys`, each checked against its commitment. `refusals` are the permanent failures
/// so far, for the debug log.
pub(super) fn open_entries<E>(
    document: &Document,
    keys: &[DataKey],
    refusals: Vec<E>,
) -> Result<BTreeMap<String, SecretBytes>, OpenError<E>> {
    let integrity = |stage| OpenError::Integrity { stage, refusals };
    let values = match decrypt_values(document, keys) {
        Ok(values) => values,
        Err(stage) => return Err(integrity(stage)),
    };
    match assemble_entries(values, &document.spec().template, document.texts()) {
        Ok(entries) => Ok(entries),
        Err(AssembleError::TooLarge) => Err(integrity(Stage::Value)),
        Err(AssembleError::Render(error)) => Err(OpenError::Render(error)),
    }
}

/// Steps 6 and 7: verifies every `templateMac`, then decrypts every value.
fn decrypt_values(document: &Document, keys: &[DataKey]) -> Result<BTreeMap<String, SecretBytes>, Stage> {
    let spec = document.spec();
    let schedules: Vec<_> = keys
        .iter()
        .map(|key| KeySchedule::new(key, &spec.id, document.binding()))
        .collect();
    for (sealed, schedule) in spec.data_keys.iter().zip(&schedules) {
        let mac = transcript::template_mac(schedule, &spec.template);
        if !bool::from(mac.ct_eq(&sealed.template_mac)) {
            return Err(Stage::Template);
        }
    }
    let mut values = BTreeMap::new();
    for (name, value) in &spec.encrypted_data {
        let opened = (spec.data_keys.iter().position(|key| key.id == value.data_key))
            .and_then(|index| cipher::decrypt(&schedules[index], name, &value.payload))
            .ok_or(Stage::Value)?;
        values.insert(name.clone(), opened);
    }
    Ok(values)
}
