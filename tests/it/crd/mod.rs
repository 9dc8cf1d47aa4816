//! The CRD: what its schema contains, and how a real API server applies it.

mod fields;
mod refusals;
mod roundtrip;
mod schema;

/// The CRD in the repository.
pub(crate) const CRD_FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/crds/envelopesecrets.yaml");
