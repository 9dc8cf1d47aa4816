//! Opening, in the order of format-es1 section 9, as types that cannot be used in another order:
//!
//! ```text
//! Document ─accept(policy, usable)─► Accepted ─start─► PendingUnwrap ─answer─► ... ─► Opened
//! STRUCTURE held                     POLICY held       one KMS Decrypt wanted          everything held
//! ```
//!
//! Nothing here calls a KMS: a [`PendingUnwrap`] says which one call is wanted next, and takes its answer. So
//! policy costs no call, a bad seal the calls of one data key, and nothing is decrypted before the seal held.

mod policy;
mod unwrap;
mod verify;

pub use policy::{Accepted, ReaderPolicy, Refusal};
pub use unwrap::{PendingUnwrap, Progress, UnwrapFailure};
pub use verify::Opened;
