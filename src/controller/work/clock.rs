//! The time of a reconcile. Decisions take it as an argument, so they do not depend on tokio.

use std::time::Instant;

/// Returns the current time of the runtime's clock, which tests can pause.
pub(in crate::controller) fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}
