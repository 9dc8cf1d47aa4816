//! The entries of the resulting Secret: values, plain data and rendered texts (docs/format-es1.md#9-opening, steps 7
//! and 8).

use std::collections::BTreeMap;

use super::render::{MAX_SECRET, RenderError, Text, render_all};
use super::secret_bytes::SecretBytes;
use super::wire::Template;

/// Why the entries could not be assembled.
pub(super) enum AssembleError {
    /// Values and `template.data` together exceed 1 MiB.
    TooLarge,
    /// A render text failed, or the rendered texts push the Secret over 1 MiB.
    Render(RenderError),
}

/// Adds plain data and rendered texts to the decrypted values. The structure check ensures that all names differ.
pub(super) fn assemble_entries(
    mut entries: BTreeMap<String, SecretBytes>,
    template: &Template,
    texts: &BTreeMap<String, Text>,
) -> Result<BTreeMap<String, SecretBytes>, AssembleError> {
    for (name, text) in &template.data {
        entries.insert(name.clone(), SecretBytes::new(text.clone().into_bytes()));
    }
    if entries.values().map(SecretBytes::len).sum::<usize>() > MAX_SECRET {
        return Err(AssembleError::TooLarge);
    }
    let values = entries
        .iter()
        .map(|(name, value)| (name.as_str(), value.expose()))
        .collect();
    let rendered = render_all(texts, &values).map_err(AssembleError::Render)?;
    entries.extend(rendered);
    Ok(entries)
}
