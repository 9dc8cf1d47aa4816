//! Sealed Kubernetes Secrets for GitOps, whose keys live in a cloud KMS.
//!
//! Each module uses only those to its right (a test fails on a back edge):
//! `main → cli → controller, probes, lease → kms, api, manifest → envelope`.
//!
//! * [`envelope`]: the sealed format es1. Pure: no runtime, no Kubernetes, no I/O but the OS RNG.
//! * [`kms`]: the trait `Kms`, its error classes, key URIs and providers. Knows neither kube nor the CRD.
//! * [`api`]: the custom resource: schema, CEL rules, status, conditions. No I/O.
//! * [`manifest`]: YAML and JSON streams of manifests, Secret input. Pure.
//! * [`controller`]: watches, planning, reconciling. [`probes`], [`metrics`], [`config`], [`telemetry`] serve it.
//! * [`cli`]: the command line, one file a subcommand.
//! * [`files`]: atomic writes and guarded reads for [`kms`] and [`cli`]. A leaf: uses no other room.
//! * `backoff` (delays between retries), `paths` (`~/` in paths), `signals` (cleanup on signals) and `sync` (locks that
//!   survive a panic): leaves, private to the crate.

// On other systems the program only says so (main.rs).
#![cfg(unix)]

pub mod api;
mod backoff;
pub mod cli;
pub mod config;
pub mod controller;
pub mod envelope;
pub mod files;
pub mod kms;
pub mod manifest;
pub mod metrics;
mod paths;
pub mod probes;
mod signals;
mod sync;
pub mod telemetry;
