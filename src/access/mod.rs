//! Who may read the metrics: bearer tokens, the API server's decisions about them, and a bounded cache of these decisions.
//! The requests are the controller's, which implements [`Reviewer`]; the responses to clients are those of
//! [`probes`](crate::probes).

mod cache;
mod gate;
mod review;
mod token;

pub use gate::{Gate, GateTimes};
pub use review::{Decision, ReviewError, Reviewer};
pub use token::BearerToken;
