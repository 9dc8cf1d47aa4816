//! The sealed format es1 (docs/format-es1.md). Pure: no runtime, no Kubernetes, no I/O but the OS RNG.

pub mod binding;
pub mod encoding;
mod error;
pub mod json;
pub mod keys;
pub mod names;
pub mod render;
pub mod time;

pub use binding::{Binding, EncryptionContext, Scope};
pub use error::{NoUsableWrap, OpenError, PolicyError, Stage, StructureError, StructureKind};
pub use keys::{Commitment, DataKey, SecretBytes};
pub use names::Place;
pub use time::SealTime;
