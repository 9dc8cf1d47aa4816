//! Atomic writes, and reads of small files that hold secrets. A leaf: uses no other module of this crate.

mod read;
mod signals;
mod write;

pub use read::{FileVersion, ReadError, open, open_to_write, read};
pub use write::{Overwrite, Public, Staging, WriteError, Written, write_private, write_public};

#[cfg(test)]
pub(crate) use read::tests::pipe;
