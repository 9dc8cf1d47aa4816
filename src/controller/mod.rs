//! The controller: watches `EnvelopeSecret`s, opens them with the KMS and maintains their Secrets.
//!
//! ```text
//! watch streams ─► stores (+ expectations of own writes) ─► queue ─► reconcile ─► plan (pure)
//!                                                              ▲                    │
//!                                                  openings ── opener ◄── Open ─────┤
//!                                                                                   └─► Secret, then status
//! ```

mod api_error;
mod apply;
mod backoff;
mod client;
mod cluster;
mod context;
mod events;
mod expectations;
mod fields;
mod health;
mod key;
mod live_read;
mod object;
mod object_state;
mod observe;
mod opener;
mod opening;
mod plan;
mod providers;
mod queue;
mod reader;
mod reconcile;
mod reconciler;
mod report;
mod run;
mod schema;
mod schema_check;
mod secret;
mod secret_facts;
mod status;
mod store;
mod timings;
mod watch;

pub use client::ConnectError;
pub use health::Health;
pub use run::{Setup, StartError, run};
pub use timings::Timings;
