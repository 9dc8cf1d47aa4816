//! The controller: watches `EnvelopeSecret`s, opens them with the KMS and maintains their Secrets.
//!
//! ```text
//! observe: watch streams ─► stores (+ expectations of own writes)
//!                              │
//! work:                      queue ─► reconcile ─► decide: plan ─┬─► act: Secret, then status
//!                              ▲                                 │
//!                           openings ◄──── opener ◄───── Open ───┘
//! ```

mod access_review;
mod act;
mod backoff;
mod client;
mod decide;
mod health;
mod key;
mod keyring_secret;
mod observe;
mod run;
mod schema;
mod schema_check;
mod slots;
mod timings;
mod work;

pub use access_review::AccessReviews;
pub use client::ConnectError;
pub use decide::damping::DampingTimes;
pub use health::Health;
pub use keyring_secret::{CreateError, Creation, KeyringSecret};
#[doc(hidden)]
pub use observe::check::check_decoder;
pub use run::{Setup, StartError, run};
pub use timings::Timings;
