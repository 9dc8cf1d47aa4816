//! Damping of corrections: when another client keeps changing what the controller wrote, each further correction waits
//! longer. Otherwise one tenant with a loop could spend the KMS quota and keep the API server busy
//! (docs/design/controller.md#damping).

use std::time::{Duration, Instant};

/// Corrections within [`DampingTimes::window`] that are not delayed.
const FREE: usize = 5;

/// The times of damping.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DampingTimes {
    /// The sixth correction within this time waits, and each further one.
    pub window: Duration,
    /// The delay of the first correction that waits; it doubles each time.
    pub first: Duration,
    /// The maximum delay.
    pub max: Duration,
    /// After this time without a correction, the next one is not delayed.
    pub quiet: Duration,
}

impl Default for DampingTimes {
    fn default() -> Self {
        DampingTimes {
            window: Duration::from_mins(1),
            first: Duration::from_secs(1),
            max: Duration::from_mins(1),
            quiet: Duration::from_mins(10),
        }
    }
}

/// Whether a correction may be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::controller) enum Admission {
    /// Now. It counts as made.
    Granted,
    /// Not before this time.
    Delayed {
        until: Instant,
        /// Whether the delay begins now.
        begins: bool,
    },
}

/// The heals of one Secret: corrections that open the document.
#[derive(Debug, Default)]
pub(in crate::controller) struct Heals {
    damping: Damping,
    /// A heal was granted and has not succeeded yet: its retries are not delayed again.
    in_progress: bool,
    /// The Secret needs a heal, which was granted or is delayed.
    pending: bool,
    manager: Option<Box<str>>,
}

impl Heals {
    /// Requests a heal. `manager` is the field manager that changed the Secret, if known.
    pub(in crate::controller) fn request(
        &mut self,
        manager: Option<&str>,
        now: Instant,
        times: &DampingTimes,
    ) -> Admission {
        self.pending = true;
        if self.in_progress {
            return Admission::Granted;
        }
        let admission = self.damping.request(now, times);
        self.in_progress = admission == Admission::Granted;
        // During a delay, the name is that of its beginning: names that change must not change the status each time.
        if !matches!(admission, Admission::Delayed { begins: false, .. }) {
            self.manager = manager.map(Into::into);
        }
        admission
    }

    /// Ends a delay, because a user requests the heal.
    pub(in crate::controller) fn expedite(&mut self) {
        self.in_progress |= self.damping.end_delay();
    }

    /// Records that a heal was attempted without success: the next attempt is a heal of its own.
    pub(in crate::controller) fn abandon(&mut self) {
        self.in_progress = false;
    }

    /// Records that the Secret is as written.
    pub(in crate::controller) fn finish(&mut self) {
        self.in_progress = false;
        self.pending = false;
    }

    /// Whether the Secret was found changed and has not been restored since.
    pub(in crate::controller) fn is_pending(&self) -> bool {
        self.pending
    }

    /// Returns the field manager that caused the current or last heal, if known.
    pub(in crate::controller) fn manager(&self) -> Option<&str> {
        self.manager.as_deref()
    }
}

/// The recent corrections of one thing: the Secret of an object, or its status.
#[derive(Debug, Default)]
pub(in crate::controller) struct Damping(Option<Box<History>>);

/// Most objects have none.
#[derive(Debug, Default)]
struct History {
    /// The times of the last corrections, oldest first; at most [`FREE`].
    recent: Vec<Instant>,
    /// How many corrections have been delayed.
    delayed: u32,
    until: Option<Instant>,
}

impl Damping {
    /// Requests a correction.
    pub(in crate::controller) fn request(&mut self, now: Instant, times: &DampingTimes) -> Admission {
        self.0.get_or_insert_default().request(now, times)
    }

    /// Ends the current delay. Returns whether there was one.
    fn end_delay(&mut self) -> bool {
        self.0
            .as_mut()
            .is_some_and(|history| history.until.take().is_some())
    }
}

impl History {
    fn request(&mut self, now: Instant, times: &DampingTimes) -> Admission {
        match self.until {
            Some(until) if now < until => {
                return Admission::Delayed { until, begins: false };
            }
            Some(_) => {
                self.until = None;
                self.record(now);
                return Admission::Granted;
            }
            None => {}
        }
        let since = |at: &Instant| now.saturating_duration_since(*at);
        if self.recent.last().is_some_and(|last| since(last) >= times.quiet) {
            self.recent.clear();
            self.delayed = 0;
        }
        let in_window = self.recent.iter().filter(|at| since(at) < times.window).count();
        if self.delayed == 0 && in_window < FREE {
            self.record(now);
            return Admission::Granted;
        }
        let doublings = self.delayed.min(31);
        let delay = times.first.saturating_mul(1 << doublings).min(times.max);
        self.delayed = self.delayed.saturating_add(1);
        let until = now + delay;
        self.until = Some(until);
        Admission::Delayed { until, begins: true }
    }

    fn record(&mut self, now: Instant) {
        if self.recent.len() == FREE {
            self.recent.remove(0);
        }
        self.recent.push(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// Requests a correction every `interval` for `total`; returns the times of the granted ones in milliseconds, and how
    /// often a delay began.
    fn corrections(
        damping: &mut Damping,
        start: Instant,
        interval: Duration,
        total: Duration,
    ) -> (Vec<u128>, u32) {
        let (mut granted, mut delays) = (Vec::new(), 0);
        let mut at = Duration::ZERO;
        while at < total {
            match damping.request(start + at, &DampingTimes::default()) {
                Admission::Granted => granted.push(at.as_millis()),
                Admission::Delayed { begins, .. } => delays += u32::from(begins),
            }
            at += interval;
        }
        (granted, delays)
    }

    #[test]
    fn retries_of_a_heal_are_not_delayed_and_a_delay_keeps_its_manager() {
        let now = Instant::now();
        let times = DampingTimes::default();
        let mut heals = Heals::default();
        for _ in 0..9 {
            assert_eq!(
                heals.request(Some("a"), now, &times),
                Admission::Granted,
                "one heal"
            );
        }
        for _ in 0..4 {
            heals.finish();
            assert_eq!(heals.request(Some("a"), now, &times), Admission::Granted);
        }
        assert!(heals.is_pending());
        heals.finish();
        assert!(!heals.is_pending());
        let until = now + SECOND;
        assert_eq!(
            heals.request(Some("b"), now, &times),
            Admission::Delayed { until, begins: true }
        );
        assert!(heals.is_pending(), "delayed");
        assert_eq!(
            heals.request(Some("c"), now, &times),
            Admission::Delayed { until, begins: false }
        );
        assert_eq!(heals.manager(), Some("b"));
        assert_eq!(heals.request(None, until, &times), Admission::Granted);
        assert_eq!(heals.manager(), None, "deleted");
    }

    #[test]
    fn abandoned_heal_counts_and_stays_pending() {
        let (now, times) = (Instant::now(), DampingTimes::default());
        let mut heals = Heals::default();
        for _ in 0..FREE {
            assert_eq!(heals.request(None, now, &times), Admission::Granted);
            heals.abandon();
            assert!(heals.is_pending());
        }
        let until = now + SECOND;
        assert_eq!(
            heals.request(None, now, &times),
            Admission::Delayed { until, begins: true }
        );
    }

    #[test]
    fn delays_by_rate_of_changes() {
        let ms = Duration::from_millis;
        let minutes = Duration::from_mins;
        // (name, interval of the changes, duration, times of corrections in seconds)
        let cases: [(&str, Duration, Duration, &[u128]); 4] = [
            // Each change after a correction begins the next, doubled delay.
            ("fast", ms(100), 20 * SECOND, &[0, 0, 0, 0, 0, 1, 3, 7, 15]),
            (
                "slow enough",
                13 * SECOND,
                minutes(2),
                &[0, 13, 26, 39, 52, 65, 78, 91, 104, 117],
            ),
            // The sixth within a minute.
            (
                "every 10 s",
                10 * SECOND,
                Duration::from_secs(95),
                &[0, 10, 20, 30, 40, 60, 80],
            ),
            ("once", minutes(30), minutes(31), &[0, 1800]),
        ];
        for (name, interval, total, expected) in cases {
            let (granted, _) = corrections(&mut Damping::default(), Instant::now(), interval, total);
            let seconds: Vec<u128> = granted.iter().map(|at| at / 1000).collect();
            assert_eq!(seconds, expected, "{name}");
        }
    }

    #[test]
    fn delay_doubles_to_its_maximum_and_ends_after_a_quiet_time() {
        let start = Instant::now();
        let mut damping = Damping::default();
        let hour = Duration::from_hours(1);
        let (granted, delays) = corrections(&mut damping, start, SECOND, hour);
        let gaps: Vec<u128> = granted
            .windows(2)
            .map(|pair| (pair[1] - pair[0]) / 1000)
            .collect();
        // The next change comes one second after a correction, and then the delay begins.
        assert_eq!(gaps[..11], [1, 1, 1, 1, 2, 3, 5, 9, 17, 33, 61]);
        assert!(gaps[10..].iter().all(|gap| *gap == 61), "{gaps:?}");
        assert!(delays >= 60, "{delays}");

        let last =
            start + Duration::from_millis(u64::try_from(*granted.last().expect("some")).expect("small"));
        let nearly = last + Duration::from_secs(599);
        let request = |damping: &mut Damping, at| damping.request(at, &DampingTimes::default());
        // The delay that began in the loop has passed.
        assert_eq!(request(&mut damping, nearly), Admission::Granted);
        assert!(matches!(
            request(&mut damping, nearly + Duration::from_secs(599)),
            Admission::Delayed { begins: true, .. }
        ));
        let mut damping = Damping::default();
        corrections(&mut damping, start, SECOND, Duration::from_secs(5));
        let later = start + Duration::from_secs(700);
        let (granted, delays) = corrections(
            &mut damping,
            later,
            Duration::from_millis(1),
            Duration::from_millis(5),
        );
        assert_eq!((granted.len(), delays), (5, 0), "forgotten");
    }
}
