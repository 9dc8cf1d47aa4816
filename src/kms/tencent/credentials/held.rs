//! The credentials that are held.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::source::{CredentialStatus, Fetched, Source};
use crate::kms::tencent::transport::credentials_provider::Credentials;

/// How long credentials are used that had expired when they arrived.
const EXPIRED_ON_ARRIVAL_USE: Duration = Duration::from_secs(5);

/// The credentials that are held. No Debug: they are secrets.
pub(super) struct Held {
    pub(super) credentials: Arc<Credentials>,
    pub(super) status: CredentialStatus,
    /// The position of the source in the chain.
    pub(super) position: usize,
    /// When to renew them, in Unix seconds.
    pub(super) renew_at: Option<i64>,
    /// When they arrived, if they had expired by then.
    arrived_expired: Option<Instant>,
}

impl Held {
    /// `source` is at `position` in the chain; `now` is in Unix seconds.
    pub(super) fn new(
        fetched: Fetched,
        source: Source,
        assumed_role: bool,
        position: usize,
        now: i64,
    ) -> Self {
        let Fetched {
            credentials,
            role,
            expires,
        } = fetched;
        Held {
            credentials: Arc::new(credentials),
            status: CredentialStatus {
                source,
                assumed_role,
                role,
                expires,
            },
            position,
            renew_at: expires.map(|expires| renewal_time(now, expires)),
            arrived_expired: expires.filter(|expires| *expires <= now).map(|_| Instant::now()),
        }
    }

    /// Whether they can no longer be used. Credentials that had expired on arrival are used for a moment: the source has
    /// no better ones, the local clock may be wrong, and the API decides.
    pub(super) fn is_expired(&self, now: i64) -> bool {
        let has_expired = self.status.expires.is_some_and(|expires| expires <= now);
        let may_try = self
            .arrived_expired
            .is_some_and(|arrived| arrived.elapsed() < EXPIRED_ON_ARRIVAL_USE);
        has_expired && !may_try
    }
}

/// Returns when to renew credentials, in Unix seconds: 5 minutes or a tenth of their lifetime before they expire,
/// whichever is longer, but not in the first half of their lifetime.
fn renewal_time(now: i64, expires: i64) -> i64 {
    let lifetime = (expires - now).max(0);
    expires - 300.max(lifetime / 10).min(lifetime / 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn renewal_is_five_minutes_or_a_tenth_early_but_not_in_the_first_half() {
        for (lifetime, early) in [
            (7200, 720),
            (3600, 360),
            (3000, 300),
            (1000, 300),
            (600, 300),
            (400, 200),
            (10, 5),
            (1, 0),
            (0, 0),
        ] {
            assert_eq!(
                renewal_time(1000, 1000 + lifetime),
                1000 + lifetime - early,
                "{lifetime}"
            );
        }
        assert_eq!(renewal_time(1000, 900), 900, "already expired");
    }
}
