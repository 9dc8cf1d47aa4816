//! Where credentials come from, and how long they are held.

pub(super) mod assumed_role;
pub(super) mod chain;
mod cooldown;
mod cvm_role;
pub(super) mod environment;
mod file;
mod held;
pub(super) mod source;
mod state;
mod sts;
mod text_file;
mod web_identity;
