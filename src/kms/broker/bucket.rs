//! Token buckets, as virtual scheduling (GCRA, ITU-T I.371): a bucket is one instant, and integer arithmetic on it is exact.
//!
//! `governor` implements the same algorithm with an injectable clock, but all keys of a limiter share one immutable quota
//! (its issue 193): a rate that adapts for one KMS key, tokens that are returned, and one call that draws on several
//! buckets or on none are not possible with it.

use std::time::{Duration, Instant};

/// A bucket that holds up to `burst` tokens and regains one per `interval`. New buckets are full.
#[derive(Clone, Debug)]
pub(super) struct TokenBucket {
    interval: Duration,
    burst: u32,
    /// Since when, or when, there is a token; the longer ago, the more. `None` if it has always been full.
    next: Option<Instant>,
}

impl TokenBucket {
    pub(super) fn new(interval: Duration, burst: u32) -> Self {
        TokenBucket {
            interval,
            burst: burst.max(1),
            next: None,
        }
    }

    /// Returns when the next token can be taken: `now` if there is one.
    pub(super) fn ready_at(&self, now: Instant) -> Instant {
        self.next.map_or(now, |next| next.max(now))
    }

    pub(super) fn is_ready(&self, now: Instant) -> bool {
        self.ready_at(now) <= now
    }

    pub(super) fn is_full(&self, now: Instant) -> bool {
        self.next.is_none_or(|next| next <= self.full_since(now))
    }

    /// Takes a token. Returns whether there was one.
    pub(super) fn take(&mut self, now: Instant) -> bool {
        let ready = self.is_ready(now);
        if ready {
            let full = self.full_since(now);
            self.next = Some(self.next.map_or(full, |next| next.max(full)) + self.interval);
        }
        ready
    }

    /// Returns a token that was not used.
    pub(super) fn refund(&mut self) {
        self.next = self.next.and_then(|next| next.checked_sub(self.interval));
    }

    /// Removes every token: the next one is there after an interval.
    fn drain(&mut self, now: Instant) {
        self.next = Some(now + self.interval);
    }

    /// The value of `next` in a full bucket.
    fn full_since(&self, now: Instant) -> Instant {
        let span = self.interval.saturating_mul(self.burst - 1);
        now.checked_sub(span).unwrap_or(now)
    }
}

/// The longest interval between two calls that throttling leads to.
const SLOWEST: Duration = Duration::from_secs(1);
/// Throttled responses of calls that were already in flight do not count as further ones.
const CUT_PAUSE: Duration = Duration::from_secs(1);

/// A token bucket whose rate follows throttling: additive increase, multiplicative decrease. Throttling halves the rate,
/// at most once a second; each second without adds a hundredth of the full rate.
#[derive(Clone, Debug)]
pub(super) struct AdaptiveBucket {
    bucket: TokenBucket,
    /// The configured rate in calls per second, which is never exceeded.
    full_rate: f64,
    rate: f64,
    /// Until when the rate is up to date; the last cut lies in the future of it by [`CUT_PAUSE`].
    adjusted: Option<Instant>,
    /// When a throttled response counts again.
    next_cut: Option<Instant>,
}

impl AdaptiveBucket {
    pub(super) fn new(per_second: u32, burst: u32) -> Self {
        let full_rate = f64::from(per_second.max(1));
        AdaptiveBucket {
            bucket: TokenBucket::new(interval_of(full_rate), burst),
            full_rate,
            rate: full_rate,
            adjusted: None,
            next_cut: None,
        }
    }

    /// Returns when the next call may be made.
    pub(super) fn ready_at(&mut self, now: Instant) -> Instant {
        self.recover(now);
        self.bucket.ready_at(now)
    }

    /// Takes the token of a call. Returns whether there was one.
    pub(super) fn take(&mut self, now: Instant) -> bool {
        self.recover(now);
        self.bucket.take(now)
    }

    pub(super) fn refund(&mut self) {
        self.bucket.refund();
    }

    /// Reacts to a throttled call.
    pub(super) fn throttled(&mut self, now: Instant) {
        self.recover(now);
        if self.next_cut.is_some_and(|next| now < next) {
            return;
        }
        self.next_cut = Some(now + CUT_PAUSE);
        self.adjusted = Some(now + CUT_PAUSE);
        self.set_rate(self.rate / 2.0);
        self.bucket.drain(now);
    }

    /// Whether it equals a new bucket, so that it can be forgotten.
    pub(super) fn is_idle(&mut self, now: Instant) -> bool {
        self.recover(now);
        self.adjusted.is_none() && self.bucket.is_full(now)
    }

    fn recover(&mut self, now: Instant) {
        let Some(adjusted) = self.adjusted.filter(|adjusted| *adjusted < now) else {
            return;
        };
        let gained = self.full_rate / 100.0 * (now - adjusted).as_secs_f64();
        self.adjusted = Some(now);
        self.set_rate(self.rate + gained);
        if self.rate >= self.full_rate {
            self.adjusted = None;
        }
    }

    fn set_rate(&mut self, rate: f64) {
        let slowest = (1.0 / SLOWEST.as_secs_f64()).min(self.full_rate);
        self.rate = rate.clamp(slowest, self.full_rate);
        self.bucket.interval = interval_of(self.rate);
    }
}

fn interval_of(per_second: f64) -> Duration {
    Duration::from_secs_f64(1.0 / per_second)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Takes every token as soon as there is one, for `seconds`. Returns the number taken.
    fn drain_for(bucket: &mut AdaptiveBucket, start: Instant, seconds: u64) -> u32 {
        let end = start + Duration::from_secs(seconds);
        let (mut now, mut taken) = (start, 0);
        while now < end {
            assert!(bucket.take(now));
            taken += 1;
            now = bucket.ready_at(now);
        }
        taken
    }

    #[test]
    fn bucket_grants_the_burst_then_one_token_per_interval() {
        let start = Instant::now();
        let mut bucket = TokenBucket::new(Duration::from_millis(100), 3);
        assert_eq!([(); 4].map(|()| bucket.take(start)), [true, true, true, false]);
        assert_eq!(bucket.ready_at(start), start + Duration::from_millis(100));
        assert!(!bucket.is_ready(start + Duration::from_millis(99)));
        assert!(bucket.take(start + Duration::from_millis(100)));
        bucket.refund();
        assert!(bucket.take(start + Duration::from_millis(100)), "returned");
        assert!(!bucket.is_full(start + Duration::from_millis(399)));
        assert!(bucket.is_full(start + Duration::from_millis(400)));
        let later = start + Duration::from_mins(1);
        assert_eq!(
            [(); 4].map(|()| bucket.take(later)),
            [true, true, true, false],
            "not more than the burst"
        );
    }

    #[test]
    fn calls_of_any_second_stay_below_rate_plus_burst() {
        let start = Instant::now();
        let mut bucket = AdaptiveBucket::new(290, 10);
        let taken = drain_for(&mut bucket, start, 1);
        assert!((298..=300).contains(&taken), "{taken}");
        let next = start + Duration::from_secs(1);
        let ready = bucket.ready_at(next);
        let taken = drain_for(&mut bucket, ready, 10);
        assert!((2895..=2905).contains(&taken), "{taken}");
    }

    #[test]
    fn throttling_halves_the_rate_once_a_second_and_quiet_seconds_restore_it() {
        let start = Instant::now();
        let mut bucket = AdaptiveBucket::new(200, 10);
        bucket.throttled(start);
        for _ in 0..20 {
            bucket.throttled(start + Duration::from_millis(500));
        }
        assert!(
            !bucket.take(start + Duration::from_millis(5)),
            "the burst is gone"
        );
        assert_eq!(bucket.ready_at(start), start + Duration::from_millis(10));
        bucket.throttled(start + Duration::from_secs(1));
        assert!((bucket.rate - 50.0).abs() < 0.1, "{}", bucket.rate);
        // One second of pause, then two calls per second more each second.
        let at = |seconds| start + Duration::from_secs(seconds);
        bucket.ready_at(at(12));
        assert!((bucket.rate - 70.0).abs() < 0.1, "{}", bucket.rate);
        assert!(!bucket.is_idle(at(76)));
        assert!(bucket.is_idle(at(78)) && (bucket.rate - 200.0).abs() < f64::EPSILON);
    }

    #[test]
    fn lasting_throttling_leaves_one_call_a_second() {
        let start = Instant::now();
        let mut bucket = AdaptiveBucket::new(300, 10);
        for second in 0..30 {
            bucket.throttled(start + Duration::from_secs(second));
        }
        let now = start + Duration::from_secs(29);
        assert_eq!(bucket.ready_at(now), now + Duration::from_secs(1));
    }

    #[test]
    fn rate_settles_below_an_unknown_quota_with_few_throttled_calls() {
        // The KMS allows 50 calls per second and window, the controller is configured for 290.
        let start = Instant::now();
        let mut bucket = AdaptiveBucket::new(290, 10);
        let (mut now, mut window, mut used) = (start, 0, 0);
        let (mut calls, mut throttled) = (0, 0);
        let settled = start + Duration::from_secs(30);
        while now < start + Duration::from_secs(330) {
            assert!(bucket.take(now));
            let second = (now - start).as_secs();
            if second != window {
                (window, used) = (second, 0);
            }
            used += 1;
            let refused = used > 50;
            if refused {
                bucket.throttled(now);
            }
            if now >= settled {
                calls += 1;
                throttled += u32::from(refused);
            }
            now = bucket.ready_at(now);
        }
        assert!(
            throttled * 100 < calls,
            "{throttled} of {calls} calls were throttled"
        );
        assert!(
            calls > 300 * 50 * 6 / 10,
            "{calls} calls in 300 s of a quota of 50 per second"
        );
    }
}
