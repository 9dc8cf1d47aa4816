//! When to retry something that keeps failing.

use std::time::{Duration, Instant};

use crate::backoff::ExponentialBackoff;

/// The shortest delay, so that full jitter never becomes a busy loop.
const SHORTEST: Duration = Duration::from_millis(20);

/// The consecutive failures of one operation and the time of its next retry.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Backoff {
    failures: u32,
    due: Option<Instant>,
}

impl Backoff {
    /// Returns the time of the next retry, `None` after a success.
    pub(super) fn due(&self) -> Option<Instant> {
        self.due
    }

    /// Whether the next retry is not due yet.
    pub(super) fn is_waiting(&self, now: Instant) -> bool {
        self.due.is_some_and(|due| now < due)
    }

    /// Counts a failure and returns the time of the next retry. A failure during the current delay does not extend it
    /// (kubernetes/kubernetes#132805: unrelated triggers would inflate it).
    pub(super) fn failed(&mut self, now: Instant, (first, cap): (Duration, Duration)) -> Instant {
        if let Some(due) = self.due
            && now < due
        {
            return due;
        }
        self.failures = self.failures.saturating_add(1);
        let delay = ExponentialBackoff { first, cap }.delay_with_jitter(self.failures, random_draw());
        let due = now + delay.max(SHORTEST);
        self.due = Some(due);
        due
    }

    /// Delays the next retry to `at`, unless it is due later. Returns its time.
    pub(super) fn not_before(&mut self, at: Instant) -> Instant {
        let due = self.due.map_or(at, |due| due.max(at));
        self.due = Some(due);
        due
    }
}

/// A random number from the OS RNG; a constant if the RNG fails (jitter is not secret).
fn random_draw() -> u64 {
    getrandom::u64().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIN: Duration = Duration::from_secs(1);
    const MAX: Duration = Duration::from_mins(5);

    #[test]
    fn delay_is_jittered_between_the_shortest_and_the_cap() {
        let mut backoff = Backoff::default();
        let mut now = Instant::now();
        let mut delays = Vec::new();
        for _ in 0..40 {
            let due = backoff.failed(now, (MIN, MAX));
            delays.push(due - now);
            now = due;
        }
        assert!(
            delays.iter().all(|delay| (SHORTEST..=MAX).contains(delay)),
            "{delays:?}"
        );
        assert!(
            delays[20..].windows(2).any(|pair| pair[0] != pair[1]),
            "{delays:?}"
        );
        assert_eq!(backoff.failures, 40);
    }

    #[test]
    fn shortest_delay_applies_when_the_cap_is_zero() {
        let now = Instant::now();
        let due = Backoff::default().failed(now, (Duration::ZERO, Duration::ZERO));
        assert_eq!(due, now + SHORTEST);
    }

    #[test]
    fn failure_during_the_delay_does_not_extend_it() {
        let mut backoff = Backoff::default();
        let now = Instant::now();
        let due = backoff.failed(now, (MIN, MAX));
        assert!(due > now && due <= now + MIN);
        assert!(backoff.is_waiting(now) && !backoff.is_waiting(due));
        assert_eq!(backoff.failed(now, (MIN, MAX)), due, "the delay is still running");
        assert_eq!(backoff.failures, 1);
        assert!(backoff.failed(due, (MIN, MAX)) > due);
        assert_eq!(backoff.failures, 2);
    }
}
