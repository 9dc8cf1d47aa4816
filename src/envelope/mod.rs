//! The sealed format es1: the only reader and writer of `EnvelopeSecret` documents in this crate.
//!
//! The normative description is `docs/format-es1.md`; section numbers in this module refer to that page. The module
//! is pure: no async runtime, no Kubernetes, no I/O except the random number generator of the operating system. In
//! particular it never calls a KMS. Sealing takes a data key that the caller has already wrapped, and opening returns
//! one [`PendingUnwrap`] after the other for the caller to resolve.
//!
//! # Example
//!
//! Seal a Secret, write it as JSON, read it back and open it. The closure takes the place of a KMS:
//!
//! ```
//! use std::collections::BTreeMap;
//!
//! use envelope_secrets::envelope::{
//!     DataKey, Document, Draft, EncryptionContext, Place, Progress, ReaderPolicy, Scope, SealTime, SecretBytes,
//!     Template, UnwrapFailure, Wrap,
//! };
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let place = Place::new(Some("prod"), "db")?;
//! let now = SealTime::parse("2026-11-23T17:00:00Z").expect("a valid time");
//!
//! // Validate the draft before the first KMS call.
//! let draft = Draft {
//!     place: place.clone(),
//!     scope: Scope::Strict,
//!     audience: None,
//!     values: BTreeMap::from([("password".to_owned(), SecretBytes::new(b"hunter2".to_vec()))]),
//!     template: Template::default(),
//! };
//! let checked = draft.check()?;
//!
//! // A KMS encrypts the data key under this context and refuses to decrypt it under any other.
//! let data_key = DataKey::random()?;
//! let sealed_context = checked.binding().context();
//! let decrypt = |ciphertext: &str, context: &EncryptionContext| {
//!     if ciphertext == "wrapped-data-key" && *context == sealed_context {
//!         Ok(SecretBytes::new(data_key.expose().to_vec()))
//!     } else {
//!         Err(UnwrapFailure::Rejected("the KMS refused the ciphertext"))
//!     }
//! };
//! let wrap = Wrap {
//!     key: "local://fa1975b2".to_owned(),
//!     ciphertext: "wrapped-data-key".to_owned(),
//! };
//! let document = checked.seal(&data_key, vec![wrap], now.clone())?;
//! let spec = serde_json::to_vec(document.spec())?; // safe to commit
//!
//! // Open: structure first, then policy, then one KMS call after the other.
//! let document = Document::from_spec_json(&spec, place)?;
//! let policy = ReaderPolicy::controller([], now);
//! let mut pending = document.accept(&policy, &|key| key == "local://fa1975b2")?.start();
//! let opened = loop {
//!     let response = decrypt(pending.ciphertext(), pending.context());
//!     match pending.resume(response)? {
//!         Progress::Unwrap(next) => pending = next,
//!         Progress::Opened(opened) => break opened,
//!     }
//! };
//! assert_eq!(opened.entries()["password"].expose(), b"hunter2");
//! # Ok(())
//! # }
//! ```

mod assemble;
pub mod binding;
mod cipher;
pub mod encoding;
mod error;
pub mod json;
pub mod keys;
pub mod names;
pub mod open;
pub mod render;
pub mod rollback;
pub mod seal;
mod secret_bytes;
pub mod time;
mod transcript;
pub mod wire;

#[cfg(test)]
mod tests;

pub use binding::{Binding, EncryptionContext, Scope};
pub use error::{NoUsableWrap, OpenError, PolicyError, Stage, StructureError, StructureKind};
pub use keys::{Commitment, DataKey};
pub use names::Place;
pub use open::{
    Accepted, Opened, PendingUnwrap, PolicyInputs, Progress, ReaderPolicy, Refusal, UnwrapFailure,
    usable_wraps,
};
pub use rollback::{Rollback, SealMark};
pub use seal::{CheckedDraft, Draft, SealError};
pub use secret_bytes::SecretBytes;
pub use time::SealTime;
pub use wire::{API_VERSION, Document, FORMAT, KIND, Seal, SealedDataKey, SealedValue, Spec, Template, Wrap};
