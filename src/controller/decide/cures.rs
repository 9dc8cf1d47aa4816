//! What a change of keys or credentials, or the end of an outage, may cure. Only those failures are retried: releasing every failure at once would be
//! a burst of KMS calls, most of them in vain (docs/design/controller.md#retries).

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::time::Duration;

use crate::api::Reason;

/// The longest interval between two retries that one change causes.
const MAX_INTERVAL: Duration = Duration::from_millis(100);

/// The number of keys whose outages are remembered. One that is forgotten ends for each failure with its own backoff.
const MAX_REACHED: usize = 1024;

/// A change of keys or credentials, or the end of an outage.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::controller) enum Cure {
    /// Calls of the provider with this scheme may succeed now.
    Calls(&'static str),
    /// These KMS keys can be used now: their URIs.
    Keys(Vec<String>),
    /// These KMS keys can be reached again: their URIs.
    Reached(Vec<String>),
}

/// A failure to open a document, as far as a change of keys or credentials may cure it. Names are kept as hashes: a
/// document may have many wraps with long URIs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::controller) struct Blocked {
    reason: Reason,
    schemes: Vec<u64>,
    keys: Vec<u64>,
}

impl Blocked {
    /// A failure for `reason` of a document with wraps under `keys`.
    pub(in crate::controller) fn new<'a>(reason: Reason, keys: impl Iterator<Item = &'a str>) -> Self {
        let (mut schemes, mut uris) = (Vec::new(), Vec::new());
        for key in keys {
            uris.push(hash(key));
            schemes.extend(key.split_once("://").map(|(scheme, _)| hash(scheme)));
        }
        for hashes in [&mut schemes, &mut uris] {
            hashes.sort_unstable();
            hashes.dedup();
        }
        Blocked {
            reason,
            schemes,
            keys: uris,
        }
    }
}

/// The changes so far. Each has a number: a failure is cured by later ones only.
#[derive(Debug, Default)]
pub(in crate::controller) struct CureLog {
    last: u64,
    calls: HashMap<u64, u64>,
    keys: HashMap<u64, u64>,
    /// Bounded, because documents can name any number of keys.
    reached: HashMap<u64, u64>,
}

impl CureLog {
    /// Records a change.
    pub(in crate::controller) fn record(&mut self, cure: &Cure) {
        self.last += 1;
        match cure {
            Cure::Calls(scheme) => drop(self.calls.insert(hash(scheme), self.last)),
            Cure::Keys(keys) => self.keys.extend(keys.iter().map(|key| (hash(key), self.last))),
            Cure::Reached(keys) => {
                self.reached.extend(keys.iter().map(|key| (hash(key), self.last)));
                if self.reached.len() > MAX_REACHED {
                    // Older ones have had their effect: what they cure is queued when they are recorded.
                    self.reached.retain(|_, change| *change == self.last);
                }
            }
        }
    }

    /// Returns the number of the last change.
    pub(in crate::controller) fn last(&self) -> u64 {
        self.last
    }

    /// Whether a change after number `since` may cure the failure.
    pub(in crate::controller) fn may_cure(&self, blocked: &Blocked, since: u64) -> bool {
        let later = |changes: &HashMap<u64, u64>, names: &[u64]| {
            names
                .iter()
                .any(|name| changes.get(name).is_some_and(|change| *change > since))
        };
        let (by_calls, by_keys) = curable(blocked.reason);
        let by_reached = blocked.reason == Reason::KmsUnavailable;
        (by_reached && later(&self.reached, &blocked.keys))
            || (by_calls && later(&self.calls, &blocked.schemes))
            || (by_keys && later(&self.keys, &blocked.keys))
    }
}

/// Whether working calls of a provider, or more usable keys, may cure a failure for `reason`.
fn curable(reason: Reason) -> (bool, bool) {
    match reason {
        Reason::KmsUnavailable
        | Reason::CredentialsUnavailable
        | Reason::KmsDenied
        | Reason::KmsMisconfigured
        | Reason::KmsKeyUnusable => (true, true),
        // The same calls succeed no sooner with other credentials.
        Reason::KmsThrottled | Reason::NoUsableKey | Reason::IntegrityError => (false, true),
        _ => (false, false),
    }
}

/// Returns the interval between the retries of `count` cured failures, spread over at most `total`.
pub(in crate::controller) fn interval(count: usize, total: Duration) -> Duration {
    let count = u32::try_from(count).unwrap_or(u32::MAX).max(1);
    (total / count).min(MAX_INTERVAL)
}

/// Names are compared by hash: an extra retry does no harm.
fn hash(name: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    name.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOCAL: &str = "local://fa1975b2";
    const OTHER: &str = "local://41f313f6";
    const CLOUD: &str = "demo-kms://region/one";

    #[test]
    fn change_cures_only_failures_of_its_provider_or_key() {
        use Reason::*;
        let calls = |scheme| Cure::Calls(scheme);
        let keys = |key: &str| Cure::Keys(vec![key.to_owned()]);
        let reached = |key: &str| Cure::Reached(vec![key.to_owned()]);
        // (reason, keys of the document, change, cured)
        let cases = [
            (KmsDenied, &[CLOUD][..], calls("demo-kms"), true),
            (KmsDenied, &[CLOUD], calls("local"), false),
            (KmsDenied, &[CLOUD], keys(LOCAL), false),
            (KmsDenied, &[CLOUD, LOCAL], keys(LOCAL), true),
            (KmsDenied, &[LOCAL, CLOUD], calls("demo-kms"), true),
            (CredentialsUnavailable, &[CLOUD], calls("demo-kms"), true),
            (KmsUnavailable, &[CLOUD], calls("demo-kms"), true),
            (KmsMisconfigured, &[CLOUD], calls("demo-kms"), true),
            (KmsKeyUnusable, &[CLOUD], calls("demo-kms"), true),
            (KmsKeyUnusable, &[LOCAL], keys(LOCAL), true),
            (KmsKeyUnusable, &[LOCAL], keys(OTHER), false),
            (KmsThrottled, &[CLOUD], calls("demo-kms"), false),
            (KmsThrottled, &[CLOUD, LOCAL], keys(LOCAL), true),
            (NoUsableKey, &[LOCAL], keys(LOCAL), true),
            (NoUsableKey, &[LOCAL], keys(OTHER), false),
            (NoUsableKey, &[CLOUD], calls("demo-kms"), false),
            (IntegrityError, &[CLOUD], calls("demo-kms"), false),
            (IntegrityError, &[CLOUD, LOCAL], keys(LOCAL), true),
            (KmsUnavailable, &[CLOUD], reached(CLOUD), true),
            (KmsUnavailable, &[LOCAL, CLOUD], reached(CLOUD), true),
            (KmsUnavailable, &[CLOUD], reached("demo-kms://region/two"), false),
            (KmsThrottled, &[CLOUD], reached(CLOUD), false),
            (KmsDenied, &[CLOUD], reached(CLOUD), false),
            (CredentialsUnavailable, &[CLOUD], reached(CLOUD), false),
            (IntegrityError, &[CLOUD], reached(CLOUD), false),
            (UnsupportedDocument, &[CLOUD], reached(CLOUD), false),
            (NoUsableKey, &[CLOUD], reached(CLOUD), false),
            (ApiForbidden, &[CLOUD], calls("demo-kms"), false),
            (SecretRejected, &[LOCAL], keys(LOCAL), false),
            (ImmutableSecret, &[LOCAL], keys(LOCAL), false),
            (RenderError, &[LOCAL], keys(LOCAL), false),
            (SealTimeInFuture, &[LOCAL], keys(LOCAL), false),
        ];
        for (reason, document, change, cured) in cases {
            let mut cures = CureLog::default();
            let blocked = Blocked::new(reason, document.iter().copied());
            let before = cures.last();
            assert!(!cures.may_cure(&blocked, before), "no change yet");
            cures.record(&change);
            assert_eq!(
                cures.may_cure(&blocked, before),
                cured,
                "{reason} {document:?} {change:?}"
            );
            assert!(!cures.may_cure(&blocked, cures.last()), "failed after the change");
        }
    }

    #[test]
    fn outages_of_any_number_of_keys_are_remembered_within_bounds() {
        let mut cures = CureLog::default();
        let reached = |number: u32| Cure::Reached(vec![format!("demo-kms://region/{number}")]);
        for number in 0..100_000 {
            cures.record(&reached(number));
            assert!(cures.reached.len() <= MAX_REACHED);
        }
        let last = Blocked::new(Reason::KmsUnavailable, ["demo-kms://region/99999"].into_iter());
        assert!(cures.may_cure(&last, 99_999) && !cures.may_cure(&last, 100_000));
    }

    #[test]
    fn cured_failures_are_spread() {
        let spread = |count| interval(count, Duration::from_secs(10)).as_micros();
        assert_eq!(spread(0), 100_000);
        assert_eq!(spread(1), 100_000);
        assert_eq!(spread(100), 100_000);
        assert_eq!(spread(1000), 10_000);
        assert_eq!(spread(10_000), 1000);
    }
}
