//! The status for a finding. Pure.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use jiff::Timestamp;

use super::plan::SecretState;
use crate::api::{Applied, EnvelopeSecretStatus, Finding, Kept, NotRestored, Sealed, Verdict, conditions};
use crate::controller::observe::object::Object;
use crate::envelope::{Rollback, SealMark, SealTime};

/// Returns the finding for the success that `applied` records.
pub(in crate::controller) fn synced(applied: &Applied, sealed: Option<&Sealed>) -> Finding {
    let highest = sealed.filter(|sealed| sealed.highest_time > sealed.time);
    Finding::Synced {
        entries: usize::try_from(applied.entries).unwrap_or_default(),
        generation: applied.generation,
        older_than: highest.and_then(|sealed| SealTime::parse(&sealed.highest_time)),
    }
}

/// Returns the finding to report for a failure, given the state of the Secret. A retryable failure changes nothing where
/// the Secret is as written, and a missing or edited Secret is not Ready. `readable` says that this generation's document
/// was readable, so the Secret's fields could be compared with it.
pub(in crate::controller) fn reported_finding(
    finding: Finding,
    object: &Object,
    secret: SecretState,
    readable: bool,
) -> Finding {
    let Some(applied) = object
        .status
        .applied()
        .filter(|_| finding.verdict() == Verdict::Retrying)
    else {
        return finding;
    };
    let same_generation = applied.generation == object.generation;
    match secret {
        SecretState::AsWritten | SecretState::Intact if same_generation => {
            synced(&applied, object.status.sealed().as_ref())
        }
        SecretState::Missing => Finding::SecretMissing {
            cause: NotRestored::Failed(finding.reason()),
        },
        SecretState::Drifted if same_generation && readable => Finding::SecretDrifted {
            cause: NotRestored::Failed(finding.reason()),
        },
        _ => finding,
    }
}

/// Returns the whole status of `object` for `finding`, which lists the keys of the document if `accepted` says that it may
/// be opened. `ours_exists` says that a Secret of ours exists.
pub(in crate::controller) fn desired_status(
    object: &Object,
    accepted: bool,
    finding: &Finding,
    ours_exists: bool,
    now: Timestamp,
) -> EnvelopeSecretStatus {
    let facts = &object.status;
    let applied = facts.applied();
    let kept = match &applied {
        Some(applied) if ours_exists => Kept::Generation(applied.generation),
        _ => Kept::Nothing,
    };
    let mut status = EnvelopeSecretStatus {
        observed_generation: object.generation,
        last_handled_reconcile_at: facts.last_handled_reconcile_at.clone().map(Into::into),
        sealed: facts.sealed(),
        applied,
        conditions: conditions::conditions(&facts.conditions(), finding, kept, object.generation, now),
        ..EnvelopeSecretStatus::default()
    };
    if let Ok(facts) = &object.summary.facts
        && accepted
    {
        let kms_keys = facts.sealing_key_first().flat_map(|data_key| &data_key.keys);
        status.set_keys(
            facts.data_keys.iter().map(|data_key| &*data_key.id),
            kms_keys.map(|key| &**key),
        );
    }
    status
}

/// Returns a fingerprint of what a status says, whenever its conditions changed. Comparable only within one process.
pub(in crate::controller) fn content(status: &EnvelopeSecretStatus) -> u64 {
    // Serialization is deterministic and cannot fail: a status contains no unordered maps.
    let mut status = serde_json::to_value(status).unwrap_or_default();
    let conditions = status["conditions"].as_array_mut().into_iter().flatten();
    for condition in conditions.filter_map(serde_json::Value::as_object_mut) {
        condition.remove("lastTransitionTime");
    }
    let mut hasher = DefaultHasher::new();
    status.hash(&mut hasher);
    hasher.finish()
}

/// Returns whether the document of this mark rolls back a newer one that was opened before.
pub(in crate::controller) fn rollback(before: Option<&Sealed>, mark: &SealMark) -> Rollback {
    let Some(before) = before else {
        return Rollback::None;
    };
    if before.time == before.highest_time
        && let Some(highest) = SealMark::parse(&before.time, &before.mac)
    {
        return highest.judge(mark);
    }
    // The mac for the highest time was not kept: only an older time can be detected.
    match SealTime::parse(&before.highest_time) {
        Some(highest) if mark.time < highest => Rollback::Older,
        _ => Rollback::None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::{KmsResponse, Reason};
    use crate::controller::observe::decode;
    use serde_json::json;

    fn object(generation: i64) -> Object {
        let text = json!({
            "metadata": {"name": "db", "namespace": "prod", "uid": "o-1", "resourceVersion": "7", "generation": generation},
            "status": {
                "observedGeneration": 3, "lastHandledReconcileAt": "x",
                "sealed": {"time": "2026-11-23T17:00:00Z", "mac": "m", "highestTime": "2026-11-23T17:00:00Z"},
                "applied": {"generation": 3, "digest": "d1", "mode": "Owned", "renderer": 1, "secretUID": "s-1",
                            "secretResourceVersion": "9", "entries": 1, "time": "2026-11-24T00:47:55Z"},
                "conditions": [{"type": "Ready", "status": "True", "reason": "Synced",
                                "message": "secret holds 1 entry from generation 3", "observedGeneration": 3,
                                "lastTransitionTime": "2026-11-24T00:47:55Z"}]
            }
        });
        decode::item::<Object>(&text.to_string()).expect("an object").1
    }

    fn now() -> Timestamp {
        "2026-11-25T00:00:00Z".parse().expect("a time")
    }

    fn outage() -> Finding {
        Finding::KmsUnavailable {
            key: Box::default(),
            response: KmsResponse::default(),
        }
    }

    #[test]
    fn unchanged_success_yields_an_equal_status() {
        let object = object(3);
        let applied = object.status.applied().expect("applied");
        let finding = synced(&applied, object.status.sealed().as_ref());
        let status = desired_status(&object, false, &finding, true, now());
        assert!(object.status.equals(&status), "{status:?}");
    }

    #[test]
    fn content_ignores_when_conditions_changed() {
        let object = object(3);
        let applied = object.status.applied().expect("applied");
        let status = desired_status(&object, false, &synced(&applied, None), true, now());
        let mut later = status.clone();
        later.conditions[0].last_transition_time.0 = Timestamp::UNIX_EPOCH;
        assert_ne!(later, status);
        assert_eq!(content(&later), content(&status));
        later.conditions[0].message = "other".into();
        assert_ne!(content(&later), content(&status));
    }

    #[test]
    fn outage_changes_no_condition_while_the_secret_is_as_written() {
        let reason =
            |generation, secret| reported_finding(outage(), &object(generation), secret, true).reason();
        assert_eq!(reason(3, SecretState::AsWritten), Reason::Synced);
        assert_eq!(reason(3, SecretState::Intact), Reason::Synced);
        assert_eq!(reason(3, SecretState::Missing), Reason::SecretMissing);
        assert_eq!(reason(3, SecretState::Drifted), Reason::SecretDrifted);
        assert_eq!(
            reason(4, SecretState::AsWritten),
            Reason::KmsUnavailable,
            "the new generation is not applied"
        );
        assert_eq!(
            reason(4, SecretState::Drifted),
            Reason::KmsUnavailable,
            "the fields are those of the previous document"
        );
        assert_eq!(reason(4, SecretState::Missing), Reason::SecretMissing);
        let unread = reported_finding(outage(), &object(3), SecretState::Drifted, false);
        assert_eq!(unread.reason(), Reason::KmsUnavailable);
        let stalled = Finding::IntegrityError { elsewhere: None };
        assert_eq!(
            reported_finding(stalled.clone(), &object(3), SecretState::Missing, true),
            stalled
        );
    }

    #[test]
    fn failure_repeats_the_last_success() {
        let object = object(4);
        let status = desired_status(
            &object,
            false,
            &Finding::IntegrityError { elsewhere: None },
            true,
            now(),
        );
        assert_eq!(
            (status.observed_generation, status.applied, status.sealed),
            (4, object.status.applied(), object.status.sealed())
        );
        assert_eq!(status.last_handled_reconcile_at.as_deref(), Some("x"));
        assert!(
            status.conditions[0]
                .message
                .contains("secret still holds generation 3")
        );
        let gone = desired_status(
            &object,
            false,
            &Finding::IntegrityError { elsewhere: None },
            false,
            now(),
        );
        assert!(gone.conditions[0].message.contains("no secret exists yet"));
    }

    #[test]
    fn rollback_is_detected_against_the_highest_mark() {
        let mark = |time: &str, mac: u8| SealMark {
            time: SealTime::parse(time).expect("a time"),
            mac: [mac; 32],
        };
        let sealed = |time: &str, mac: u8, highest: &str| Sealed {
            time: time.into(),
            mac: mark("2026-11-23T17:00:00Z", mac).mac_text(),
            highest_time: highest.into(),
        };
        let newest = sealed("2026-11-23T17:00:00Z", 1, "2026-11-23T17:00:00Z");
        assert_eq!(rollback(None, &mark("2026-11-23T17:00:00Z", 1)), Rollback::None);
        assert_eq!(
            rollback(Some(&newest), &mark("2026-11-23T17:00:00Z", 1)),
            Rollback::None
        );
        assert_eq!(
            rollback(Some(&newest), &mark("2026-11-23T17:00:00Z", 2)),
            Rollback::SameTime
        );
        assert_eq!(
            rollback(Some(&newest), &mark("2026-11-23T16:00:00Z", 2)),
            Rollback::Older
        );
        let rolled_back = sealed("2026-11-23T16:00:00Z", 2, "2026-11-23T17:00:00Z");
        assert_eq!(
            rollback(Some(&rolled_back), &mark("2026-11-23T16:00:00Z", 2)),
            Rollback::Older
        );
        assert_eq!(
            rollback(Some(&rolled_back), &mark("2026-11-23T17:00:00Z", 1)),
            Rollback::None
        );
    }

    #[test]
    fn success_with_an_older_seal_mentions_it() {
        let applied = object(3).status.applied().expect("applied");
        let sealed = Sealed {
            time: "2026-11-22T17:00:00Z".into(),
            mac: "m".into(),
            highest_time: "2026-11-23T17:00:00Z".into(),
        };
        let message = synced(&applied, Some(&sealed)).message(Kept::Nothing);
        assert_eq!(
            message,
            "secret holds 1 entry from generation 3; this seal is older than one already seen (2026-11-23T17:00:00Z)"
        );
    }
}
