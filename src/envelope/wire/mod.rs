//! The only definition of the fields under `spec` and of their strict rules (sections 1 and 2 of docs/format-es1.md).
//!
//! `parse` turns JSON into the types of `spec` and refuses any other shape. `rules` checks what the shape alone
//! cannot express; documents that are read and documents about to be written pass the same checks.

mod document;
mod parse;
pub(super) mod path;
pub(super) mod rules;
mod serialize;
mod spec;

#[cfg(test)]
mod tests;

pub use document::Document;
pub use rules::MAX_CIPHERTEXT;
pub use spec::{
    API_VERSION, FORMAT, KIND, MAX_ENTRIES, MAX_KEYS, Seal, SealedDataKey, SealedValue, Spec, Template, Wrap,
};
