//! A document that passed the reader's policy.

use super::super::wire::Document;

/// A document that this reader may try to open; returned by [`Document::accept`].
pub struct Accepted {
    pub(super) document: Document,
    /// The indices of the usable wraps of each data key, in order; never empty.
    pub(super) usable_wraps: Vec<Vec<usize>>,
}

impl Accepted {
    /// Returns the document.
    pub fn document(&self) -> &Document {
        &self.document
    }
}
