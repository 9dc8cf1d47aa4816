//! The entries of the Secret: values, plain data and rendered texts (format-es1 section 9, steps 7 and 8).

use std::collections::BTreeMap;

use super::keys::SecretBytes;
use super::render::{MAX_SECRET, RenderError, Text, render_all};
use super::wire::Template;

/// Why there is no Secret.
pub(super) enum AssembleError {
    /// Values and `template.data` together hold more than 1 MiB.
    TooLarge,
    /// A render text failed, or the rendered texts make it larger than 1 MiB.
    Render(RenderError),
}

/// Adds plain data and rendered texts to the values. The names are disjoint: section 2 said so.
pub(super) fn assemble(
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
