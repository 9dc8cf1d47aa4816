//! testkit

pub mod vectors;
