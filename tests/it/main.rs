//! All integration tests in one binary: linked once, with one control plane per run.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "helpers of tests fail as tests do"
)]

mod cli;
mod controller;
mod controlplane;
mod crd;
mod demo;
mod doc_links;
mod docs;
mod fuzz;
mod provider_seam;
mod reasons;
mod rooms;
mod support;
mod tamper;
mod tencent_credentials;
mod vectors;
