//! Tests of the format as a whole, without a KMS: [`support::FakeKms`] unwraps data keys.

mod hygiene;
mod policy;
mod primitives;
mod properties;
mod salamander;
pub(in crate::envelope) mod support;
mod unwrap;
mod vectors;
