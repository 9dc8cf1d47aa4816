//! The sealed format es1 (docs/format-es1.md). Pure: no runtime, no Kubernetes, no I/O but the OS RNG.

pub mod binding;
pub mod encoding;
pub mod keys;
pub mod render;

pub use binding::{Binding, EncryptionContext, Scope};
pub use keys::{Commitment, DataKey};
