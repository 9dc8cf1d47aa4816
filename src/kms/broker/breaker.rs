//! Circuit breakers: a KMS key that cannot be reached is not called by every waiting document.
//!
//! A breaker opens after consecutive failures to reach the KMS. Other failures (denied, disabled key, refused
//! ciphertext) are responses, so they close it: anyone who writes a document can cause them with a ciphertext of
//! another key. A document may also provoke a fault of the service itself, so no namespace can cut off another: an open
//! breaker blocks only namespaces whose own calls have failed, and each of these has its own probe, which shows whether
//! *its* calls succeed.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::backoff::ExponentialBackoff;
use crate::kms::{KeyUri, KmsError};

/// Consecutive failures after which a breaker opens.
const THRESHOLD: u32 = 5;
/// When a probe that never reported its result no longer blocks others.
const PROBE_LIMIT: Duration = Duration::from_mins(1);
/// The number of keys with a breaker. Documents can name any number of keys that cannot be reached.
const MAX_KEYS: usize = 1024;
/// When a breaker without further failures is dropped: no document that still waits for its key retries less often than
/// every 5 min.
const FORGOTTEN_AFTER: Duration = Duration::from_mins(15);

/// Whether a call may be made.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Admission {
    /// It may.
    Call,
    /// The breaker is open. The failure that opened it, without its request id.
    Open(Box<KmsError>),
}

/// The breakers of all keys. Keys that work have none.
pub(super) struct Breakers {
    by_key: HashMap<KeyUri, Breaker>,
    /// How long a breaker stays open before a probe, by the number of failed probes.
    period: ExponentialBackoff,
}

/// Consecutive failures of one key.
struct Breaker {
    failures: u32,
    is_open: bool,
    /// The namespaces whose calls have failed.
    namespaces: HashMap<Arc<str>, Blocked>,
    last: Box<KmsError>,
    /// When the last call failed.
    failed: Instant,
}

/// A namespace whose call has failed. Blocked while the breaker is open.
#[derive(Default)]
struct Blocked {
    /// Failed probes, and the failure that opened the breaker.
    failures: u32,
    /// Until when it is blocked: its next probe, or the limit of the current one. `None` while the breaker is closed.
    until: Option<Instant>,
    probing: bool,
}

impl Blocked {
    fn fail(&mut self, period: ExponentialBackoff, now: Instant) {
        self.failures = self.failures.saturating_add(1);
        self.until = Some(now + period.delay(self.failures));
        self.probing = false;
    }
}

impl Breaker {
    fn admits(&self, namespace: &str, now: Instant) -> bool {
        let until = self.namespaces.get(namespace).and_then(|blocked| blocked.until);
        !self.is_open || until.is_none_or(|until| until <= now)
    }
}

impl Breakers {
    pub(super) fn new((first, cap): (Duration, Duration)) -> Self {
        Breakers {
            by_key: HashMap::new(),
            period: ExponentialBackoff { first, cap },
        }
    }

    /// Whether [`Breakers::admit`] would admit a call of this namespace.
    pub(super) fn admits(&self, key: &KeyUri, namespace: &str, now: Instant) -> bool {
        let breaker = self.by_key.get(key);
        breaker.is_none_or(|breaker| breaker.admits(namespace, now))
    }

    /// Admits a call, which must be reported with [`Breakers::answered`] or [`Breakers::failed`]. The first call of a
    /// blocked namespace after its open period is its probe: until that is reported, it stays blocked (half-open).
    pub(super) fn admit(&mut self, key: &KeyUri, namespace: &str, now: Instant) -> Admission {
        let Some(breaker) = self.by_key.get_mut(key) else {
            return Admission::Call;
        };
        if !breaker.admits(namespace, now) {
            return Admission::Open(breaker.last.clone());
        }
        if let Some(blocked) = breaker.namespaces.get_mut(namespace).filter(|_| breaker.is_open) {
            blocked.until = Some(now + PROBE_LIMIT);
            blocked.probing = true;
        }
        Admission::Call
    }

    /// The KMS responded: its breaker closes. Returns whether it was open.
    pub(super) fn answered(&mut self, key: &KeyUri) -> bool {
        self.by_key.remove(key).is_some_and(|breaker| breaker.is_open)
    }

    /// The KMS could not be reached, or failed itself.
    pub(super) fn failed(&mut self, key: &KeyUri, namespace: &Arc<str>, error: &KmsError, now: Instant) {
        self.evict_for(key, now);
        let last = Box::new(KmsError {
            request_id: None,
            ..error.clone()
        });
        let breaker = self.by_key.entry(key.clone()).or_insert_with(|| Breaker {
            failures: 0,
            is_open: false,
            namespaces: HashMap::new(),
            last: last.clone(),
            failed: now,
        });
        (breaker.last, breaker.failed) = (last, now);
        breaker.failures = breaker.failures.saturating_add(1);
        let blocked = breaker.namespaces.entry(namespace.clone()).or_default();
        if !breaker.is_open {
            if breaker.failures >= THRESHOLD {
                breaker.is_open = true;
                let all = breaker.namespaces.values_mut();
                all.for_each(|blocked| blocked.fail(self.period, now));
            }
        } else if blocked.probing || blocked.until.is_none() {
            // Its probe, or its first failure. Otherwise the call was in flight when the breaker opened.
            blocked.fail(self.period, now);
        }
    }

    /// Drops the breaker that is needed least, if there are too many for one more: closed ones first, then those of the
    /// fewest namespaces, so that one namespace with thousands of keys displaces its own.
    fn evict_for(&mut self, key: &KeyUri, now: Instant) {
        if self.by_key.len() < MAX_KEYS || self.by_key.contains_key(key) {
            return;
        }
        self.forget_old(now);
        if self.by_key.len() < MAX_KEYS {
            return;
        }
        let need = |breaker: &Breaker| (breaker.is_open, breaker.namespaces.len(), breaker.failed);
        let least = self.by_key.iter().min_by_key(|(_, breaker)| need(breaker));
        if let Some(least) = least.map(|(key, _)| key.clone()) {
            self.by_key.remove(&least);
        }
    }

    fn forget_old(&mut self, now: Instant) {
        let is_recent = |breaker: &Breaker| now.saturating_duration_since(breaker.failed) < FORGOTTEN_AFTER;
        self.by_key.retain(|_, breaker| is_recent(breaker));
    }

    /// The number of keys with state.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.by_key.len()
    }

    /// The number of open breakers of keys that documents still wait for.
    pub(super) fn open(&mut self, now: Instant) -> usize {
        self.forget_old(now);
        self.by_key.values().filter(|breaker| breaker.is_open).count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kms::Class;

    struct Fixture {
        breakers: Breakers,
        key: KeyUri,
        now: Instant,
    }

    impl Fixture {
        fn new() -> Self {
            Fixture {
                breakers: Breakers::new((Duration::from_secs(2), Duration::from_mins(1))),
                key: KeyUri::parse("nokms://k").expect("a key URI"),
                now: Instant::now(),
            }
        }

        /// Makes a call that fails, if it is admitted.
        fn fail(&mut self, namespace: &str) -> bool {
            let admitted = self.breakers.admit(&self.key, namespace, self.now) == Admission::Call;
            if admitted {
                let mut error = KmsError::new(Class::Transient, &self.key, "Decrypt", "no route to host");
                error.request_id = Some("r-1".into());
                self.breakers
                    .failed(&self.key, &namespace.into(), &error, self.now);
            }
            admitted
        }

        fn pass(&mut self, seconds: u64) {
            self.now += Duration::from_secs(seconds);
        }
    }

    #[test]
    fn breaker_opens_after_five_failures_and_half_opens_for_one_probe() {
        let mut fixture = Fixture::new();
        assert_eq!(
            [(); 6].map(|()| fixture.fail("a")),
            [true, true, true, true, true, false]
        );
        assert_eq!(fixture.breakers.open(fixture.now), 1);
        let Admission::Open(error) = fixture.breakers.admit(&fixture.key, "a", fixture.now) else {
            panic!("open");
        };
        assert_eq!((&*error.message, error.request_id), ("no route to host", None));
        // Probes after 2 s, 4 s, ... up to 60 s.
        for seconds in [2, 4, 8, 16, 32, 60, 60] {
            fixture.pass(seconds - 1);
            assert!(!fixture.fail("a"), "{seconds} s are not over");
            fixture.pass(1);
            assert!(fixture.breakers.admits(&fixture.key, "a", fixture.now));
            assert!(fixture.fail("a"), "the probe after {seconds} s");
        }
        fixture.pass(60);
        assert_eq!(
            fixture.breakers.admit(&fixture.key, "a", fixture.now),
            Admission::Call
        );
        assert!(!fixture.fail("a"), "only one probe at a time");
        assert!(fixture.breakers.answered(&fixture.key), "it closes");
        assert!(!fixture.breakers.answered(&fixture.key), "it was closed");
        assert_eq!(fixture.breakers.open(fixture.now), 0);
        assert!(fixture.fail("a"), "closed");
        assert!(!fixture.breakers.answered(&fixture.key), "it had not opened");
    }

    #[test]
    fn response_restarts_the_count() {
        let mut fixture = Fixture::new();
        for _ in 0..4 {
            assert!(fixture.fail("a"));
        }
        fixture.breakers.answered(&fixture.key);
        assert_eq!(
            [(); 6].map(|()| fixture.fail("a")),
            [true, true, true, true, true, false]
        );
    }

    #[test]
    fn failures_of_one_namespace_block_no_other() {
        let mut fixture = Fixture::new();
        while fixture.fail("a") {}
        assert!(fixture.breakers.admits(&fixture.key, "b", fixture.now));
        assert!(fixture.fail("b"), "its first failure blocks it");
        assert!(!fixture.fail("b") && !fixture.fail("a"));
        assert!(fixture.breakers.admits(&fixture.key, "c", fixture.now));
        // A response to any namespace closes the breaker for all.
        assert_eq!(
            fixture.breakers.admit(&fixture.key, "c", fixture.now),
            Admission::Call
        );
        fixture.breakers.answered(&fixture.key);
        assert!(fixture.breakers.admits(&fixture.key, "a", fixture.now));
    }

    #[test]
    fn failed_probes_of_one_namespace_keep_no_other_from_probing() {
        // An attack: after one failure of "b", "a" provokes a fault at each probe.
        let mut fixture = Fixture::new();
        assert!(fixture.fail("b"));
        while fixture.fail("a") {}
        let mut admitted = 0;
        for _ in 0..120 {
            fixture.pass(1);
            fixture.fail("a");
            admitted += usize::from(fixture.breakers.admits(&fixture.key, "b", fixture.now));
        }
        assert!(
            admitted > 0,
            "\"b\" can never find out that its own calls succeed"
        );
    }

    #[test]
    fn probe_without_a_result_blocks_for_a_minute() {
        let mut fixture = Fixture::new();
        while fixture.fail("a") {}
        fixture.pass(2);
        assert_eq!(
            fixture.breakers.admit(&fixture.key, "a", fixture.now),
            Admission::Call
        );
        fixture.pass(59);
        assert!(!fixture.breakers.admits(&fixture.key, "a", fixture.now));
        fixture.pass(1);
        assert!(fixture.breakers.admits(&fixture.key, "a", fixture.now));
    }

    #[test]
    fn keys_of_one_namespace_displace_no_breaker_that_others_share() {
        let mut fixture = Fixture::new();
        while fixture.fail("a") {}
        fixture.fail("b");
        let shared = fixture.key.clone();
        for number in 0..3 * MAX_KEYS {
            fixture.key = KeyUri::parse(&format!("nokms://made-up-{number}")).expect("a key URI");
            while fixture.fail("c") {}
        }
        assert_eq!(fixture.breakers.len(), MAX_KEYS);
        assert!(!fixture.breakers.admits(&shared, "a", fixture.now));
        fixture.pass(FORGOTTEN_AFTER.as_secs());
        assert_eq!(
            (fixture.breakers.open(fixture.now), fixture.breakers.len()),
            (0, 0),
            "nobody waits for these keys"
        );
    }

    #[test]
    fn keys_have_separate_breakers() {
        let mut fixture = Fixture::new();
        while fixture.fail("a") {}
        let other = KeyUri::parse("nokms://other").expect("a key URI");
        assert!(fixture.breakers.admits(&other, "a", fixture.now));
    }
}
