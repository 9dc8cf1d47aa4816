//! The actions of KMS.

mod cryptographic;
mod key_management;
pub(super) mod metadata;
mod response_check;
