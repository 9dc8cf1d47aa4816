//! What the chain remembers between two calls.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::task::AbortHandle;

use super::FIRST_PAUSE;
use crate::kms::tencent::credentials::{CredentialStatus, Credentials, Fetched, Source, Trouble};

/// The longest time for which no call asks a source that gave none.
const LONGEST_REST: Duration = Duration::from_secs(30);

#[derive(Default)]
pub(super) struct State {
    pub(super) held: Option<Arc<Held>>,
    /// Why the last request gave none, and how long no call asks again.
    pub(super) trouble: Option<(Trouble, Rest)>,
    /// How many requests have ended.
    pub(super) asked: u64,
    /// The source has changed since what is held came from it.
    pub(super) outdated: bool,
    /// See [`super::Chain::revived`].
    pub(super) revived: bool,
    /// When one that a refusal had made ended the last time.
    pub(super) refused: Option<Instant>,
    pub(super) renewal: Option<AbortHandle>,
}

impl State {
    /// Why there are none, while it is too early to ask again.
    pub(super) fn resting(&self) -> Option<Trouble> {
        let (trouble, rest) = self.trouble.as_ref()?;
        (Instant::now() < rest.until).then(|| trouble.clone())
    }

    /// A request gave these.
    pub(super) fn got(&mut self, held: Held) -> Arc<Credentials> {
        let before = self.held.as_ref().map(|held| held.status.source);
        let after_trouble = self.trouble.take().is_some();
        if before != Some(held.status.source) || after_trouble {
            let source = held.status.source.as_str();
            let assumed_role = held.status.assumed_role;
            tracing::info!(source, assumed_role, "Tencent Cloud credentials");
        }
        let credentials = Arc::clone(&held.credentials);
        self.held = Some(Arc::new(held));
        self.revived |= after_trouble || self.outdated;
        self.outdated = false;
        credentials
    }

    /// A request gave none. The first time no call asks again for `first`, then for up to [`LONGEST_REST`].
    pub(super) fn failed(&mut self, trouble: Trouble, first: Duration) {
        let before = self.trouble.take();
        if !before.as_ref().is_some_and(|(before, _)| trouble.repeats(before)) {
            let (code, request_id) = (trouble.code.as_deref(), trouble.request_id.as_deref());
            tracing::warn!(
                code,
                request_id,
                "no fresh Tencent Cloud credentials: {}",
                trouble.why
            );
        }
        let rest = before.map_or(first, |(_, rest)| (rest.pause * 2).min(LONGEST_REST));
        self.trouble = Some((trouble, Rest::of(rest)));
    }
}

/// Many calls that need credentials must not become as many requests to a source that gives none.
pub(super) struct Rest {
    pub(super) pause: Duration,
    until: Instant,
}

impl Rest {
    fn of(pause: Duration) -> Self {
        Rest {
            pause,
            until: Instant::now() + pause,
        }
    }
}

pub(super) struct Held {
    pub(super) credentials: Arc<Credentials>,
    pub(super) status: CredentialStatus,
    /// The place of the source in the chain.
    pub(super) source: usize,
    /// When to renew, in Unix seconds.
    pub(super) renew: Option<i64>,
    /// When they came, if they had ended by then.
    came_ended: Option<Instant>,
}

impl Held {
    /// What `source`, at its place in the chain, gave at `now`; with a role on top, if `assumed_role`.
    pub(super) fn new(fetched: Fetched, source: Source, assumed_role: bool, place: usize, now: i64) -> Self {
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
            source: place,
            renew: expires.map(|end| renewal(now, end)),
            came_ended: expires.filter(|end| *end <= now).map(|_| Instant::now()),
        }
    }

    /// What came so is used for a moment all the same: nothing better would come, the clock may be wrong, and the API
    /// decides.
    pub(super) fn is_over(&self, now: i64) -> bool {
        let ended = self.status.expires.is_some_and(|end| end <= now);
        ended && self.came_ended.is_none_or(|when| when.elapsed() >= FIRST_PAUSE)
    }
}

/// 5 minutes or a tenth of their life before they end, but never before half of it.
pub(super) fn renewal(now: i64, end: i64) -> i64 {
    let life = (end - now).max(0);
    end - 300.max(life / 10).min(life / 2)
}
