//! Detects that the API server's storage went back in time: a restored etcd. A watch that resumes at a version in the
//! future is answered with 200 and stays silent, so versions are compared before each watch, after each list and after
//! each of our writes (docs/design/controller.md#stores-and-streams). Elsewhere they are compared only for equality.

use std::sync::{Arc, Mutex};

use tokio::sync::watch;

use super::kind::Kind;
use crate::sync::lock;

/// The highest versions seen of each kind, and how often they went back.
#[derive(Clone)]
pub(in crate::controller) struct History(Arc<Shared>);

struct Shared {
    highest: Mutex<Highest>,
    restores: watch::Sender<u64>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Highest {
    objects: u64,
    secrets: u64,
    /// The number of restores before.
    epoch: u64,
}

/// What was seen of one kind before a request was sent. Its response must not be older.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::controller) struct Mark {
    version: u64,
    epoch: u64,
}

impl History {
    pub(in crate::controller) fn new() -> Self {
        History(Arc::new(Shared {
            highest: Mutex::default(),
            restores: watch::Sender::new(0),
        }))
    }

    /// Returns the number of restores, and waits for further ones.
    pub(in crate::controller) fn restores(&self) -> watch::Receiver<u64> {
        self.0.restores.subscribe()
    }

    /// Returns what was seen of `kind`. Called before a request is sent: what other requests return meanwhile may be newer.
    pub(in crate::controller) fn mark(&self, kind: Kind) -> Mark {
        let highest = *lock(&self.0.highest);
        Mark {
            version: highest.of(kind),
            epoch: highest.epoch,
        }
    }

    /// Whether nothing was restored since `mark`.
    pub(in crate::controller) fn is_current(&self, mark: Mark) -> bool {
        lock(&self.0.highest).epoch == mark.epoch
    }

    /// Records a version that a watch delivered, in the epoch of `mark`.
    pub(in crate::controller) fn delivered(&self, kind: Kind, version: &str, mark: Mark) {
        let mut highest = lock(&self.0.highest);
        if let Ok(version) = version.parse()
            && highest.epoch == mark.epoch
        {
            highest.raise(kind, version);
        }
    }

    /// Records the version of a list that was requested after `mark`. Returns whether the storage went back.
    pub(in crate::controller) fn listed(&self, kind: Kind, version: &str, mark: Mark) -> bool {
        let mut highest = lock(&self.0.highest);
        if highest.epoch != mark.epoch {
            // Already known.
            return true;
        }
        if went_back(mark.version, version) {
            self.restored(&mut highest, kind);
            return true;
        }
        highest.raise(kind, version.parse().unwrap_or_default());
        false
    }

    /// Compares the version after one of our writes, which was sent after `mark` and replaced the version `replaced`.
    pub(in crate::controller) fn written(&self, kind: Kind, version: &str, replaced: &str, mark: Mark) {
        let mut highest = lock(&self.0.highest);
        // A write that changes nothing returns the version of an earlier one.
        if version != replaced && highest.epoch == mark.epoch && went_back(mark.version, version) {
            self.restored(&mut highest, kind);
        }
    }

    fn restored(&self, highest: &mut Highest, kind: Kind) {
        tracing::warn!(
            resource = kind.as_str(),
            "resourceVersions went back: the API server's storage was restored; listing everything again"
        );
        *highest = Highest {
            epoch: highest.epoch + 1,
            ..Highest::default()
        };
        self.0.restores.send_replace(highest.epoch);
    }
}

impl Highest {
    fn of(self, kind: Kind) -> u64 {
        match kind {
            Kind::Objects => self.objects,
            Kind::Secrets => self.secrets,
        }
    }

    fn raise(&mut self, kind: Kind, version: u64) {
        let highest = match kind {
            Kind::Objects => &mut self.objects,
            Kind::Secrets => &mut self.secrets,
        };
        *highest = version.max(*highest);
    }
}

/// Whether `now` is older than `before`, which is 0 if nothing was seen. A version that is not a number counts as older.
fn went_back(before: u64, now: &str) -> bool {
    before > 0 && now.parse::<u64>().map_or(true, |now| now < before)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn older_and_unparsable_versions_count_as_restored() {
        for (before, now, expected) in [
            (0, "5", false),
            (0, "x", false),
            (5, "5", false),
            (5, "6", false),
            (99, "100", false),
            (5, "4", true),
            (5, "x", true),
            (5, "", true),
        ] {
            assert_eq!(went_back(before, now), expected, "{before} {now}");
        }
    }

    #[test]
    fn responses_are_compared_with_what_was_seen_before_the_request() {
        let history = History::new();
        let mut restores = history.restores();
        let first = history.mark(Kind::Objects);
        assert!(!history.listed(Kind::Objects, "10", first));
        let early = history.mark(Kind::Objects);
        history.delivered(Kind::Objects, "20", early);
        assert!(
            !history.listed(Kind::Objects, "15", early),
            "requested before 20 was delivered"
        );
        assert!(
            !history.listed(Kind::Secrets, "3", history.mark(Kind::Secrets)),
            "another kind"
        );

        let mark = history.mark(Kind::Objects);
        history.written(Kind::Objects, "12", "12", mark);
        assert!(
            !restores.has_changed().expect("open"),
            "a write that changed nothing"
        );
        history.written(Kind::Objects, "21", "12", mark);
        assert!(!restores.has_changed().expect("open"));
        history.written(Kind::Objects, "13", "12", mark);
        assert!(restores.has_changed().expect("open"), "older than delivered");
        restores.mark_unchanged();

        history.written(Kind::Objects, "13", "12", mark);
        assert!(!restores.has_changed().expect("open"), "known");
        history.delivered(Kind::Objects, "20", mark);
        assert!(history.listed(Kind::Objects, "13", mark), "of the old storage");
        assert!(!history.listed(Kind::Objects, "13", history.mark(Kind::Objects)));
        assert!(!restores.has_changed().expect("open"));
    }
}
