//! The controller: watches `EnvelopeSecret`s, opens them with the KMS and keeps their Secrets.
//!
//! ```text
//! watch streams ─► stores (+ expectations of own writes) ─► queue ─► reconcile ─► plan (pure)
//!                                                              ▲                    │
//!                                                   answers ── opener ◄── Open ─────┤
//!                                                                                   └─► Secret, then status
//! ```

mod backoff;
mod client;
mod cluster;
mod events;
mod expect;
mod fields;
mod health;
mod key;
mod look;
mod object;
mod opener;
mod plan;
mod providers;
mod queue;
mod reader;
mod reconcile;
mod refusal;
mod run;
mod schema;
mod secret;
mod secret_facts;
mod state;
mod status;
mod store;
mod timings;
mod watch;
mod write;

pub use client::ConnectError;
pub use health::Health;
use key::ObjectKey;
pub use run::{Setup, StartError, run};
pub use timings::Timings;
