//! Recent decisions, by the SHA-256 of the token.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use super::review::Decision;
use super::token::TokenDigest;

/// Maximum number of decisions of each kind. A monitoring system has a few tokens; a client that makes tokens up must not
/// use memory.
const MAX_DECISIONS: usize = 256;

/// Decisions that have not expired. Allowed and denied tokens are kept apart, so that a flood of invalid tokens evicts no
/// valid one.
#[derive(Default)]
pub(super) struct Decisions {
    allowed: Bounded,
    denied: Bounded,
}

#[derive(Default)]
struct Bounded(HashMap<TokenDigest, (Decision, Instant)>);

impl Decisions {
    /// Returns the decision about this token, unless it has expired.
    pub(super) fn get(&self, token: &TokenDigest, now: Instant) -> Option<Decision> {
        let found = self.denied.0.get(token).or_else(|| self.allowed.0.get(token));
        found
            .filter(|(_, until)| now < *until)
            .map(|(decision, _)| *decision)
    }

    /// Keeps a decision until `until`, instead of an earlier one about this token.
    pub(super) fn insert(&mut self, token: TokenDigest, decision: Decision, until: Instant, now: Instant) {
        self.allowed.0.remove(&token);
        self.denied.0.remove(&token);
        let kept = match decision {
            Decision::Allowed => &mut self.allowed,
            Decision::Unauthenticated | Decision::Forbidden => &mut self.denied,
        };
        kept.make_space(now);
        kept.0.insert(token, (decision, until));
    }
}

impl Bounded {
    /// Drops what has expired if the limit is reached, and otherwise what expires first.
    fn make_space(&mut self, now: Instant) {
        if self.0.len() < MAX_DECISIONS {
            return;
        }
        self.0.retain(|_, (_, until)| now < *until);
        if self.0.len() < MAX_DECISIONS {
            return;
        }
        let first = self.0.iter().min_by_key(|(_, (_, until))| *until);
        if let Some(token) = first.map(|(token, _)| *token) {
            self.0.remove(&token);
        }
    }
}

/// How long decisions are kept.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lifetimes {
    pub(super) allowed: Duration,
    pub(super) denied: Duration,
}

impl Lifetimes {
    pub(super) fn of(&self, decision: Decision) -> Duration {
        match decision {
            Decision::Allowed => self.allowed,
            Decision::Unauthenticated | Decision::Forbidden => self.denied,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(number: usize) -> TokenDigest {
        let mut token = [0; 32];
        token[..8].copy_from_slice(&number.to_le_bytes());
        token
    }

    #[test]
    fn a_decision_expires_and_is_replaced() {
        let (mut decisions, start) = (Decisions::default(), Instant::now());
        let later = |seconds| start + Duration::from_secs(seconds);
        assert_eq!(decisions.get(&token(1), start), None);
        decisions.insert(token(1), Decision::Allowed, later(60), start);
        assert_eq!(decisions.get(&token(1), later(59)), Some(Decision::Allowed));
        assert_eq!(decisions.get(&token(1), later(60)), None);
        assert_eq!(decisions.get(&token(2), start), None);
        decisions.insert(token(1), Decision::Forbidden, later(70), later(60));
        assert_eq!(decisions.get(&token(1), later(61)), Some(Decision::Forbidden));
        decisions.insert(token(1), Decision::Allowed, later(80), later(61));
        assert_eq!(decisions.get(&token(1), later(61)), Some(Decision::Allowed));
    }

    #[test]
    fn a_flood_of_invalid_tokens_is_bounded_and_evicts_no_valid_one() {
        let (mut decisions, start) = (Decisions::default(), Instant::now());
        let until = |number: usize| start + Duration::from_millis(1000 + number as u64);
        decisions.insert(token(0), Decision::Allowed, until(0), start);
        for number in 1..=2 * MAX_DECISIONS {
            decisions.insert(token(number), Decision::Unauthenticated, until(number), start);
        }
        assert_eq!(decisions.denied.0.len(), MAX_DECISIONS);
        assert_eq!(decisions.get(&token(0), start), Some(Decision::Allowed));
        assert_eq!(
            decisions.get(&token(1), start),
            None,
            "the one that expires first"
        );
        let last = 2 * MAX_DECISIONS;
        assert_eq!(
            decisions.get(&token(last), start),
            Some(Decision::Unauthenticated)
        );

        // Expired ones make space first.
        let now = until(last - 1);
        decisions.insert(token(last + 1), Decision::Forbidden, until(last + 1000), now);
        assert_eq!(decisions.denied.0.len(), 2);
    }
}
