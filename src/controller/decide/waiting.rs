//! When a document that waits to be opened is reported as `Progressing`.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::time::{Duration, Instant};

/// How many reports one namespace writes per second, about. Each is a status write, which competes with the writes that the
/// objects wait for.
const REPORTS_PER_SECOND: u32 = 10;

/// Returns when to report that an object has waited since `since`: after `patience`, or later if many of its namespace
/// wait. Then the times are spread evenly, so that most of the objects are ready before they are reported.
pub(in crate::controller) fn report_at(
    since: Instant,
    patience: Duration,
    uid: &str,
    waiting: usize,
) -> Instant {
    let spread = Duration::from_secs(1) * u32::try_from(waiting).unwrap_or(u32::MAX) / REPORTS_PER_SECOND;
    let mut hasher = DefaultHasher::new();
    uid.hash(&mut hasher);
    let share = u32::try_from(hasher.finish() >> 48).unwrap_or_default(); // of 2^16
    let spread = spread.min(Duration::from_hours(1));
    since + patience + spread * share / (1 << 16)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_waiting_objects_are_reported_promptly_and_many_at_a_steady_rate() {
        let since = Instant::now();
        let patience = Duration::from_secs(30);
        let at = |uid: usize, waiting| report_at(since, patience, &format!("uid-{uid}"), waiting) - since;
        for uid in 0..100 {
            assert!((patience..patience + Duration::from_millis(100)).contains(&at(uid, 1)));
        }
        for waiting in [1_000_usize, 30_000] {
            let mut reported: Vec<Duration> = (0..waiting).map(|uid| at(uid, waiting)).collect();
            reported.sort();
            assert!(reported[0] >= patience);
            let soon = reported.partition_point(|at| *at < patience + Duration::from_secs(20));
            assert!(
                (100..300).contains(&soon),
                "{soon} of {waiting} in 20 s, at 10 a second"
            );
        }
        assert!(at(1, usize::MAX) <= patience + Duration::from_hours(1));
    }
}
