//! The sealed format es1 (docs/format-es1.md). Pure: no runtime, no Kubernetes, no I/O but the OS RNG.

mod assemble;
pub mod binding;
mod cipher;
pub mod encoding;
mod error;
pub mod json;
pub mod keys;
mod manifest;
pub mod names;
pub mod open;
pub mod render;
pub mod rollback;
pub mod seal;
pub mod time;
pub mod wire;

#[cfg(test)]
mod tests;

pub use binding::{Binding, EncryptionContext, Scope};
pub use error::{NoUsableWrap, OpenError, PolicyError, Stage, StructureError, StructureKind};
pub use keys::{Commitment, DataKey, SecretBytes};
pub use names::Place;
pub use open::{Accepted, Opened, PendingUnwrap, Progress, ReaderPolicy, Refusal, UnwrapFailure};
pub use rollback::{Rollback, SealMark};
pub use seal::{CheckedDraft, Draft, SealError};
pub use time::SealTime;
pub use wire::{API_VERSION, Document, FORMAT, KIND, Seal, SealedDataKey, SealedValue, Spec, Template, Wrap};
