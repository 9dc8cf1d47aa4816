//! Exponential backoff: how long to wait before the next retry. Pure: callers supply the clock and the random numbers.

use std::time::Duration;

/// Delays that double from `first` with each consecutive failure, up to `cap`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ExponentialBackoff {
    pub(crate) first: Duration,
    pub(crate) cap: Duration,
}

impl ExponentialBackoff {
    /// Returns the delay after `failures` consecutive failures, without jitter. The delay after the first failure is
    /// `first` (0 counts as 1).
    pub(crate) fn delay(self, failures: u32) -> Duration {
        let doublings = failures.saturating_sub(1);
        self.first
            .saturating_mul(2_u32.saturating_pow(doublings))
            .min(self.cap)
    }

    /// Returns [`Self::delay`] with full jitter: uniformly distributed from zero to that delay, in microseconds.
    /// `draw` is any random number.
    pub(crate) fn delay_with_jitter(self, failures: u32, draw: u64) -> Duration {
        let longest = u64::try_from(self.delay(failures).as_micros()).unwrap_or(u64::MAX);
        Duration::from_micros(draw % longest.saturating_add(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BACKOFF: ExponentialBackoff = ExponentialBackoff {
        first: Duration::from_secs(1),
        cap: Duration::from_mins(5),
    };

    #[test]
    fn delay_doubles_from_first_to_cap() {
        for (failures, seconds) in [
            (0, 1),
            (1, 1),
            (2, 2),
            (3, 4),
            (4, 8),
            (8, 128),
            (9, 256),
            (10, 300),
            (11, 300),
            (u32::MAX, 300),
        ] {
            assert_eq!(
                BACKOFF.delay(failures),
                Duration::from_secs(seconds),
                "after {failures} failures"
            );
        }
    }

    #[test]
    fn cap_below_first_applies_from_the_first_failure() {
        let backoff = ExponentialBackoff {
            cap: Duration::from_millis(300),
            ..BACKOFF
        };
        assert_eq!(backoff.delay(1), Duration::from_millis(300));
    }

    #[test]
    fn jitter_spreads_draws_from_zero_to_the_delay() {
        for (failures, draw, micros) in [
            (1, 0, 0),
            (1, 999_999, 999_999),
            (1, 1_000_000, 1_000_000), // the delay itself is included
            (1, 1_000_001, 0),
            (3, 2_500_000, 2_500_000),
            (u32::MAX, 300_000_000, 300_000_000),
            (u32::MAX, 300_000_001, 0),
        ] {
            let delay = BACKOFF.delay_with_jitter(failures, draw);
            assert_eq!(
                delay,
                Duration::from_micros(micros),
                "{failures} failures, draw {draw}"
            );
        }
    }

    #[test]
    fn zero_and_huge_delays_do_not_overflow() {
        let none = ExponentialBackoff {
            first: Duration::ZERO,
            cap: Duration::ZERO,
        };
        assert_eq!(none.delay_with_jitter(3, 12345), Duration::ZERO);
        let endless = ExponentialBackoff {
            first: Duration::MAX,
            cap: Duration::MAX,
        };
        assert_eq!(endless.delay(9), Duration::MAX);
        assert!(endless.delay_with_jitter(9, u64::MAX) < Duration::MAX);
    }
}
