//! All integration tests in one binary: linked once, one control plane a run.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "helpers of tests fail as tests do"
)]

mod controlplane;
mod crd;
mod rooms;
mod support;
mod tamper;
mod vectors;
