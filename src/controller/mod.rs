//! The controller: watches `EnvelopeSecret`s, opens them with the KMS and keeps their Secrets.

mod backoff;
mod client;
mod cluster;
mod expect;
mod fields;
mod key;
mod object;
mod plan;
mod queue;
mod refusal;
mod secret;
mod secret_facts;
mod store;
mod timings;

pub use client::ConnectError;
use key::ObjectKey;
pub use timings::Timings;
