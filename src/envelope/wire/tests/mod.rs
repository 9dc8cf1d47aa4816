//! Documents that break a rule, and the field that each error names.
//!
//! The vectors have many more invalid documents, but do not state the field.

mod fields;
mod objects;
mod specs;
mod support;
