//! Sealing a new document (docs/format-es1.md#7-writing): a draft is checked before any KMS call, then sealed under
//! one data key that was generated for it alone.

mod check;
mod checked_draft;
mod draft;

#[cfg(test)]
mod tests;

pub use checked_draft::{CheckedDraft, SealError};
pub use draft::Draft;
