//! All integration tests in one binary: linked once, one control plane a run.

mod crd;
mod rooms;
