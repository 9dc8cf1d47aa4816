//! A document that passed every stage.

use std::collections::BTreeMap;

use super::super::secret_bytes::SecretBytes;
use super::super::wire::Document;

/// A document that was verified, decrypted and rendered. No `Debug`: it holds the values.
pub struct Opened {
    pub(super) document: Document,
    pub(super) entries: BTreeMap<String, SecretBytes>,
}

impl Opened {
    /// Returns every entry of the Secret: values, plain data and rendered texts.
    pub fn entries(&self) -> &BTreeMap<String, SecretBytes> {
        &self.entries
    }

    /// Returns the document that was opened.
    pub fn document(&self) -> &Document {
        &self.document
    }
}
