//! The YAML documents of a text, and the objects in them.

mod part;
mod read;

pub use part::{Content, Item, Part, Syntax};
pub use read::{read, read_each};

#[cfg(test)]
mod tests;
