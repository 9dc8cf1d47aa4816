//! Growing, jittered pauses between retries.

use std::time::Duration;

use tokio::time::Instant;

/// The least pause, so that full jitter never becomes a busy loop.
const LEAST: Duration = Duration::from_millis(20);

/// How often something failed in a row, and when it may be tried again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Backoff {
    failures: u32,
    due: Option<Instant>,
}

impl Backoff {
    /// When the next try is due; `None` after a success.
    pub(super) fn due(&self) -> Option<Instant> {
        self.due
    }

    /// Whether the next try has to wait.
    pub(super) fn is_waiting(&self, now: Instant) -> bool {
        self.due.is_some_and(|due| now < due)
    }

    /// Counts a failure and gives the time of the next try. A failure that comes while the last pause still
    /// runs does not lengthen it (kubernetes/kubernetes#132805: triggers from elsewhere would inflate it).
    pub(super) fn failed(&mut self, now: Instant, (min, max): (Duration, Duration)) -> Instant {
        if let Some(due) = self.due
            && now < due
        {
            return due;
        }
        let due = now + pause(self.failures, min, max, random_unit());
        self.failures = self.failures.saturating_add(1);
        self.due = Some(due);
        due
    }
}

/// Full jitter: somewhere between nothing and a ceiling that doubles from `min` to `max`. `unit` is in `0..1`.
fn pause(failures: u32, min: Duration, max: Duration, unit: f64) -> Duration {
    let ceiling = min.saturating_mul(2_u32.saturating_pow(failures)).min(max);
    ceiling.mul_f64(unit).max(LEAST)
}

/// A number of `0..1` from the OS RNG; the middle if it has none (jitter is no secret).
fn random_unit() -> f64 {
    getrandom::u32().map_or(0.5, |bits| f64::from(bits) / (f64::from(u32::MAX) + 1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIN: Duration = Duration::from_secs(1);
    const MAX: Duration = Duration::from_mins(5);

    #[test]
    fn the_ceiling_doubles_up_to_the_last_one() {
        let ceilings: Vec<u64> = (0..12).map(|n| pause(n, MIN, MAX, 1.0).as_secs()).collect();
        assert_eq!(ceilings, [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300, 300]);
        assert_eq!(pause(u32::MAX, MIN, MAX, 1.0), MAX);
        assert_eq!(pause(5, MIN, MAX, 0.5), Duration::from_secs(16));
        assert_eq!(pause(5, MIN, MAX, 0.0), LEAST);
    }

    #[test]
    fn jitter_is_not_constant() {
        let draws: Vec<f64> = (0..16).map(|_| random_unit()).collect();
        assert!(draws.iter().all(|u| (0.0..1.0).contains(u)));
        assert!(
            draws
                .windows(2)
                .any(|pair| (pair[0] - pair[1]).abs() > f64::EPSILON)
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_trigger_from_elsewhere_does_not_lengthen_the_pause() {
        let mut backoff = Backoff::default();
        let now = Instant::now();
        let due = backoff.failed(now, (MIN, MAX));
        assert!(due > now && due <= now + MIN);
        assert!(backoff.is_waiting(now) && !backoff.is_waiting(due));
        assert_eq!(backoff.failed(now, (MIN, MAX)), due, "the pause still runs");
        assert_eq!(backoff.failures, 1);
        assert!(backoff.failed(due, (MIN, MAX)) > due);
        assert_eq!(backoff.failures, 2);
    }
}
