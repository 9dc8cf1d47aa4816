//! All integration tests in one binary: linked once, one control plane a run.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "helpers of tests fail as tests do"
)]

mod cli;
mod controller;
mod controller_api;
mod controller_preconditions;
mod controller_refusals;
mod controller_scale;
mod controller_start;
mod controller_tencent;
mod controller_vectors;
mod controlplane;
mod crd;
mod crd_fields;
mod crd_refusals;
mod crd_roundtrip;
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
