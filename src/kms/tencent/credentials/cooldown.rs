//! The pause after a source failed, so that many calls do not cause as many requests to it.

use std::time::{Duration, Instant};

use crate::backoff::ExponentialBackoff;

/// The longest cooldown.
const MAX_COOLDOWN: Duration = Duration::from_secs(30);

/// How many consecutive requests for credentials failed, and how long calls do not make another.
#[derive(Clone, Copy)]
pub(super) struct Cooldown {
    failures: u32,
    until: Instant,
}

impl Cooldown {
    /// Starts the cooldown after one more failure. The first lasts `first`, each further one twice as long, up to 30 s.
    pub(super) fn after(previous: Option<Cooldown>, first: Duration) -> Self {
        let failures = previous.map_or(0, |cooldown| cooldown.failures).saturating_add(1);
        Cooldown {
            failures,
            until: Instant::now() + length(failures, first),
        }
    }

    pub(super) fn is_over(&self) -> bool {
        Instant::now() >= self.until
    }
}

/// Returns the length of the cooldown after `failures` consecutive failures.
fn length(failures: u32, first: Duration) -> Duration {
    let cap = MAX_COOLDOWN;
    ExponentialBackoff { first, cap }.delay(failures)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cooldown_doubles_up_to_half_a_minute() {
        for (failures, seconds) in (1..).zip([1, 2, 4, 8, 16, 30, 30]) {
            let expected = Duration::from_secs(seconds);
            assert_eq!(length(failures, Duration::from_secs(1)), expected);
        }
    }

    #[test]
    fn consecutive_failures_are_counted() {
        let mut cooldown = None;
        for failures in 1..=3 {
            let next = Cooldown::after(cooldown, Duration::from_secs(1));
            assert_eq!(next.failures, failures);
            assert!(!next.is_over());
            cooldown = Some(next);
        }
    }
}
