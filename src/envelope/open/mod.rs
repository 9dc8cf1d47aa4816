//! Opening a document, in the order of docs/format-es1.md#9-opening, as types that cannot be used in any other order:
//!
//! ```text
//! Document ─accept(policy, usable)─► Accepted ─start─► PendingUnwrap ─resume─► ... ─► Opened
//! STRUCTURE passed                   POLICY passed     needs one KMS Decrypt          everything verified
//! ```
//!
//! This module never calls a KMS: a [`PendingUnwrap`] describes the next call and consumes its result. As a
//! consequence, a document that the policy refuses costs no call, a bad seal costs the calls of one data key, and no
//! value is decrypted before the seal is verified.

mod accepted;
mod opened;
mod policy;
mod unwrap;
mod verify;

pub use accepted::Accepted;
pub use opened::Opened;
pub use policy::{PolicyInputs, ReaderPolicy, Refusal, usable_wraps};
pub use unwrap::{PendingUnwrap, Progress, UnwrapFailure};
