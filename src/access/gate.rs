//! Decisions with a cache, a deadline and a bound.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::time::Instant;

use super::cache::{Decisions, Lifetimes};
use super::review::{Decision, ReviewError, Reviewer};
use super::token::{BearerToken, TokenDigest};
use crate::sync::lock;

/// Maximum number of concurrent reviews: clients without a valid token must not flood the API server.
const MAX_REVIEWS: usize = 4;

/// The times of a [`Gate`].
#[derive(Clone, Copy, Debug)]
pub struct GateTimes {
    /// How long a token counts as allowed. A revoked permission or token stays in effect this long.
    pub allowed: Duration,
    /// How long a token counts as denied.
    pub denied: Duration,
    /// The deadline of a review, with the wait for its turn.
    pub review: Duration,
}

/// Decides who may read the metrics. Denies access when the API server gives no decision.
pub struct Gate {
    reviewer: Arc<dyn Reviewer>,
    lifetimes: Lifetimes,
    deadline: Duration,
    decisions: Mutex<Decisions>,
    reviews: Semaphore,
    /// The failure that was logged last, until a review succeeds.
    failure: Mutex<Option<ReviewError>>,
}

impl Gate {
    /// Returns a gate that calls `reviewer`.
    pub fn new(reviewer: Arc<dyn Reviewer>, times: GateTimes) -> Self {
        Gate {
            reviewer,
            lifetimes: Lifetimes {
                allowed: times.allowed,
                denied: times.denied,
            },
            deadline: times.review,
            decisions: Mutex::default(),
            reviews: Semaphore::new(MAX_REVIEWS),
            failure: Mutex::default(),
        }
    }

    /// Returns whether the owner of `token` may read the metrics.
    ///
    /// # Errors
    /// If there is no decision. It is logged when the cause changes.
    pub async fn check(&self, token: &BearerToken) -> Result<Decision, ReviewError> {
        let digest = token.digest();
        if let Some(decision) = self.recent(&digest) {
            return Ok(decision);
        }
        let reviewed = tokio::time::timeout(self.deadline, self.review(token, digest)).await;
        let reviewed = reviewed.unwrap_or(Err(ReviewError::TimedOut(self.deadline)));
        self.log(reviewed.as_ref().err());
        reviewed
    }

    async fn review(&self, token: &BearerToken, digest: TokenDigest) -> Result<Decision, ReviewError> {
        // Never closed.
        let _turn = self.reviews.acquire().await;
        // Another request with this token may have been decided meanwhile.
        if let Some(decision) = self.recent(&digest) {
            return Ok(decision);
        }
        // From the start of the review: what the API server decides on may be that old.
        let start = Instant::now();
        let decision = self.reviewer.review(token).await?;
        let until = start + self.lifetimes.of(decision);
        let now = Instant::now().into_std();
        lock(&self.decisions).insert(digest, decision, until.into_std(), now);
        Ok(decision)
    }

    fn recent(&self, digest: &TokenDigest) -> Option<Decision> {
        lock(&self.decisions).get(digest, Instant::now().into_std())
    }

    fn log(&self, failed: Option<&ReviewError>) {
        let mut logged = lock(&self.failure);
        if logged.as_ref() == failed {
            return;
        }
        if let Some(error) = failed {
            tracing::error!(
                "cannot decide who may read the metrics: {error}; {}",
                error.advice()
            );
        } else {
            tracing::info!("the API server decides again who may read the metrics");
        }
        *logged = failed.cloned();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::future::BoxFuture;
    use std::sync::atomic::{AtomicUsize, Ordering};

    const TIMES: GateTimes = GateTimes {
        allowed: Duration::from_mins(1),
        denied: Duration::from_secs(10),
        review: Duration::from_secs(5),
    };

    /// Allows the token `good`, fails on `fail`, does not return on `hang`, and counts its calls.
    #[derive(Default)]
    struct Fake {
        calls: AtomicUsize,
        concurrent: AtomicUsize,
        most: AtomicUsize,
    }

    impl Reviewer for Fake {
        fn review<'a>(&'a self, token: &'a BearerToken) -> BoxFuture<'a, Result<Decision, ReviewError>> {
            Box::pin(async move {
                self.calls.fetch_add(1, Ordering::Relaxed);
                let concurrent = self.concurrent.fetch_add(1, Ordering::Relaxed) + 1;
                self.most.fetch_max(concurrent, Ordering::Relaxed);
                tokio::time::sleep(Duration::from_millis(1)).await;
                self.concurrent.fetch_sub(1, Ordering::Relaxed);
                match token.reveal() {
                    "good" => Ok(Decision::Allowed),
                    "fail" => Err(ReviewError::Unreachable),
                    "hang" => std::future::pending().await,
                    _ => Ok(Decision::Unauthenticated),
                }
            })
        }
    }

    fn gate() -> (Arc<Fake>, Arc<Gate>) {
        let fake = Arc::new(Fake::default());
        (fake.clone(), Arc::new(Gate::new(fake, TIMES)))
    }

    fn token(text: &str) -> BearerToken {
        BearerToken::from_header(format!("Bearer {text}").as_bytes()).expect("a token")
    }

    #[tokio::test(start_paused = true)]
    async fn decisions_are_reviewed_again_when_they_expire_and_denials_sooner() {
        let (fake, gate) = gate();
        let calls = || fake.calls.swap(0, Ordering::Relaxed);
        for (text, decision, lifetime) in [
            ("good", Decision::Allowed, TIMES.allowed),
            ("bad", Decision::Unauthenticated, TIMES.denied),
        ] {
            for _ in 0..3 {
                assert_eq!(gate.check(&token(text)).await, Ok(decision));
            }
            assert_eq!(calls(), 1, "{text}");
            tokio::time::advance(lifetime.saturating_sub(Duration::from_millis(10))).await;
            assert_eq!(gate.check(&token(text)).await, Ok(decision));
            assert_eq!(calls(), 0, "{text}");
            tokio::time::advance(Duration::from_millis(10)).await;
            assert_eq!(gate.check(&token(text)).await, Ok(decision));
            assert_eq!(calls(), 1, "{text}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn without_a_decision_nobody_is_allowed_and_nothing_is_kept() {
        let (fake, gate) = gate();
        for _ in 0..2 {
            assert_eq!(gate.check(&token("fail")).await, Err(ReviewError::Unreachable));
        }
        let before = Instant::now();
        let timed_out = Err(ReviewError::TimedOut(TIMES.review));
        assert_eq!(gate.check(&token("hang")).await, timed_out);
        assert_eq!(before.elapsed(), TIMES.review);
        assert_eq!(fake.calls.load(Ordering::Relaxed), 3);
        assert_eq!(gate.check(&token("good")).await, Ok(Decision::Allowed));
    }

    #[tokio::test(start_paused = true)]
    async fn reviews_are_bounded_and_one_token_is_reviewed_once() {
        let (fake, gate) = gate();
        let tokens = (0..20).map(|number| token(&format!("bad{number}")));
        futures::future::join_all(tokens.map(|token| {
            let gate = gate.clone();
            async move { gate.check(&token).await }
        }))
        .await;
        assert_eq!(fake.most.load(Ordering::Relaxed), MAX_REVIEWS);
        assert_eq!(fake.calls.swap(0, Ordering::Relaxed), 20);
        let same = (0..20).map(|_| {
            let gate = gate.clone();
            async move { gate.check(&token("good")).await }
        });
        let decisions = futures::future::join_all(same).await;
        assert!(
            decisions
                .iter()
                .all(|decision| *decision == Ok(Decision::Allowed))
        );
        assert!(fake.calls.load(Ordering::Relaxed) <= MAX_REVIEWS);
    }
}
