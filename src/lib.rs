//! Sealed Kubernetes Secrets for GitOps, whose keys live in a cloud KMS.
//!
//! The modules. Each may use only modules to its right; a test enforces this.
//! `main → cli → controller, probes → kms, api, manifest → envelope`.
//!
//! * [`envelope`]: the sealed format es1. Pure: no runtime, no Kubernetes, no I/O except the OS RNG.
//! * [`kms`]: the trait `Kms`, its error classes, key URIs and providers. Knows neither kube nor the CRD.
//! * [`api`]: the custom resource: schema, CEL rules, status, conditions. No I/O.
//! * [`manifest`]: YAML and JSON streams of manifests, Secret input. Pure.
//! * [`controller`]: watches, planning, reconciling. [`probes`] is its HTTP server (probes and metrics); [`metrics`],
//!   [`config`] and [`telemetry`] support it.
//! * [`access`]: who may read the metrics: tokens, decisions, and their cache, for [`controller`], which has the API server decide,
//!   and [`probes`], which responds.
//! * [`cli`]: the command line, one file per subcommand.
//! * [`files`]: atomic writes, and reads that reject pipes, large files and files that change, for [`kms`] and [`cli`].
//!   Depends on no other module.
//! * `backoff` (delays between retries), `lanes` (fair order and shares among namespaces), `paths` (`~/` in paths), `signals` (cleanup on signals) and `sync` (locks that
//!   survive a panic): private; depend on no module but `sync`.

// On other systems the program only prints that it needs Unix (main.rs).
#![cfg(unix)]

pub mod access;
pub mod api;
mod backoff;
pub mod cli;
pub mod config;
pub mod controller;
pub mod envelope;
pub mod files;
pub mod kms;
mod lanes;
pub mod manifest;
pub mod metrics;
mod paths;
pub mod probes;
mod signals;
mod sync;
pub mod telemetry;
