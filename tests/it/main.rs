//! All integration tests in one binary, which is linked once and shares one control plane.
#![allow(clippy::unwrap_used, clippy::panic, reason = "test helpers fail like tests")]

mod chart;
mod cli;
mod controller;
mod controlplane;
mod crd;
mod demo;
mod doc_links;
mod docs;
mod fuzz;
mod language;
mod modules;
mod provider_seam;
mod reasons;
mod support;
mod tamper;
mod tencent_credentials;
mod vectors;
