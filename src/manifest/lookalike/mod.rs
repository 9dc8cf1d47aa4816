//! Plaintext in documents that are not sealed: whatever looks like a Secret but is not exactly one.
//!
//! Errs on the side of refusing. A reference to a Secret (`kind: Secret` with a name, but without data) is not one, nor is
//! the template of an operator's resource (`template: {type: Opaque, data: ...}`).

mod kind;
mod search;
mod stated;
mod text;

pub use search::PlaintextFinding;
pub(super) use search::{commented, nested, object};

#[cfg(test)]
mod tests;
