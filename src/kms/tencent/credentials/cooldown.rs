//! The pause after a source failed, so that many calls do not cause as many requests to it.

use std::time::{Duration, Instant};

use crate::backoff::ExponentialBackoff;

/// The longest cooldown.
const MAX_COOLDOWN: Duration = Duration::from_secs(30);

/// How many consecutive requests for credentials failed, and how long calls do not make another.
#[derive(Clone, Copy)]
pub(super) struct Cooldown {
    failures: u32,
    pub(super) length: Duration,
    until: Instant,
}

impl Cooldown {
    /// Starts the cooldown after one more failure. The first lasts `first`, each further one twice as long, up to 30 s.
    pub(super) fn after(previous: Option<Cooldown>, first: Duration) -> Self {
        let failures = previous.map_or(0, |cooldown| cooldown.failures).saturating_add(1);
        let backoff = ExponentialBackoff {
            first,
            cap: MAX_COOLDOWN,
        };
        let length = backoff.delay(failures);
        Cooldown {
            failures,
            length,
            until: Instant::now() + length,
        }
    }

    pub(super) fn is_over(&self) -> bool {
        Instant::now() >= self.until
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cooldown_doubles_up_to_half_a_minute() {
        let mut cooldown = None;
        for seconds in [1, 2, 4, 8, 16, 30, 30] {
            let next = Cooldown::after(cooldown, Duration::from_secs(1));
            assert_eq!(next.length, Duration::from_secs(seconds));
            assert!(!next.is_over());
            cooldown = Some(next);
        }
    }
}
