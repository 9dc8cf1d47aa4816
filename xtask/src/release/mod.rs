//! Releases: what is linked into the binaries, and the files that are published.

pub(crate) mod archive;
pub(crate) mod binary;
pub(crate) mod dependencies;
pub(crate) mod krew;
pub(crate) mod licenses;
pub(crate) mod reproducible;
pub(crate) mod sbom;
