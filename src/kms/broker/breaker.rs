//! Circuit breakers: a KMS key that cannot be reached is not called by every waiting document.
//!
//! A breaker opens after consecutive failures to reach the KMS. Other failures (denied, disabled key, refused
//! ciphertext) are responses, so they close it: anyone who writes a document can cause them with a ciphertext of
//! another key. A document may also provoke a fault of the service itself, so an open breaker blocks only the namespaces whose
//! own calls have failed: no namespace can cut off another.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::backoff::ExponentialBackoff;
use crate::kms::{KeyUri, KmsError};

/// Consecutive failures after which a breaker opens.
const THRESHOLD: u32 = 5;
/// When a probe that never reported its result no longer blocks others.
const PROBE_LIMIT: Duration = Duration::from_mins(1);

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
    namespaces: BTreeSet<Arc<str>>,
    last: Box<KmsError>,
    /// `None` while it is closed.
    open: Option<Open>,
}

struct Open {
    /// Failed probes, and the failure that opened it.
    failures: u32,
    /// Until when it blocks: the next probe, or the limit of the current one.
    until: Instant,
    probing: bool,
}

impl Breaker {
    fn admits(&self, namespace: &str, now: Instant) -> bool {
        let blocks = |open: &Open| now < open.until && self.namespaces.contains(namespace);
        !self.open.as_ref().is_some_and(blocks)
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

    /// Admits a call, which must be reported with [`Breakers::answered`] or [`Breakers::failed`]. The first call after the
    /// open period is the probe: until it is reported, blocked namespaces stay blocked (half-open).
    pub(super) fn admit(&mut self, key: &KeyUri, namespace: &str, now: Instant) -> Admission {
        let Some(breaker) = self.by_key.get_mut(key) else {
            return Admission::Call;
        };
        if !breaker.admits(namespace, now) {
            return Admission::Open(breaker.last.clone());
        }
        if let Some(open) = breaker.open.as_mut().filter(|open| open.until <= now) {
            open.until = now + PROBE_LIMIT;
            open.probing = true;
        }
        Admission::Call
    }

    /// The KMS responded: its breaker closes.
    pub(super) fn answered(&mut self, key: &KeyUri) {
        self.by_key.remove(key);
    }

    /// The KMS could not be reached, or failed itself.
    pub(super) fn failed(&mut self, key: &KeyUri, namespace: &Arc<str>, error: &KmsError, now: Instant) {
        let last = Box::new(KmsError {
            request_id: None,
            ..error.clone()
        });
        let breaker = self.by_key.entry(key.clone()).or_insert_with(|| Breaker {
            failures: 0,
            namespaces: BTreeSet::new(),
            last: last.clone(),
            open: None,
        });
        breaker.last = last;
        breaker.failures = breaker.failures.saturating_add(1);
        breaker.namespaces.insert(namespace.clone());
        let failures = match &breaker.open {
            None if breaker.failures < THRESHOLD => return,
            None => 1,
            Some(open) if open.probing => open.failures.saturating_add(1),
            // A call that was in flight when it opened, or the first one of another namespace.
            Some(_) => return,
        };
        breaker.open = Some(Open {
            failures,
            until: now + self.period.delay(failures),
            probing: false,
        });
    }

    /// The number of open breakers.
    pub(super) fn open(&self) -> usize {
        self.by_key
            .values()
            .filter(|breaker| breaker.open.is_some())
            .count()
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
        assert_eq!(fixture.breakers.open(), 1);
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
        fixture.breakers.answered(&fixture.key);
        assert_eq!(fixture.breakers.open(), 0);
        assert!(fixture.fail("a"), "closed");
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
    fn keys_have_separate_breakers() {
        let mut fixture = Fixture::new();
        while fixture.fail("a") {}
        let other = KeyUri::parse("nokms://other").expect("a key URI");
        assert!(fixture.breakers.admits(&other, "a", fixture.now));
    }
}
