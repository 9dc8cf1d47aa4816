//! The status that an outcome leads to: pure.

use jiff::Timestamp;

use super::object::Object;
use super::plan::Standing;
use crate::api::{Applied, EnvelopeSecretStatus, Kept, Outcome, Sealed, Verdict, conditions};
use crate::envelope::{Rollback, SealMark, SealTime, Spec};

/// What the success of `applied` is called.
pub(super) fn synced(applied: &Applied, sealed: Option<&Sealed>) -> Outcome {
    let highest = sealed.filter(|sealed| sealed.highest_time > sealed.time);
    Outcome::Synced {
        entries: usize::try_from(applied.entries).unwrap_or_default(),
        generation: applied.generation,
        older_than: highest.and_then(|sealed| SealTime::parse(&sealed.highest_time)),
    }
}

/// What is shown of an outcome that may pass by itself, given how the Secret stands: an outage flips nothing where
/// the Secret stands, and a Secret that is known to be gone or edited is not Ready. `judged` says that the fields
/// of the Secret could be compared with this generation's document.
pub(super) fn shown(outcome: Outcome, object: &Object, standing: Standing, judged: bool) -> Outcome {
    let Some(applied) = object
        .status
        .applied
        .as_ref()
        .filter(|_| outcome.verdict() == Verdict::Waiting)
    else {
        return outcome;
    };
    let same_generation = applied.generation == object.generation;
    match standing {
        Standing::AsWritten | Standing::Whole if same_generation => {
            synced(applied, object.status.sealed.as_ref())
        }
        Standing::Missing => Outcome::SecretMissing {
            because: outcome.reason(),
        },
        Standing::Edited if same_generation && judged => Outcome::SecretDrifted {
            because: outcome.reason(),
        },
        _ => outcome,
    }
}

/// The whole status of `object` for `outcome`. `spec` is there if it can be read; `exists` says that a Secret of
/// ours is there.
pub(super) fn desired(
    object: &Object,
    spec: Option<&Spec>,
    outcome: &Outcome,
    exists: bool,
    now: Timestamp,
) -> EnvelopeSecretStatus {
    let facts = &object.status;
    let kept = match &facts.applied {
        Some(applied) if exists => Kept::Generation(applied.generation),
        _ => Kept::Nothing,
    };
    let mut status = EnvelopeSecretStatus {
        observed_generation: object.generation,
        last_handled_reconcile_at: facts.last_handled_reconcile_at.clone(),
        sealed: facts.sealed.clone(),
        applied: facts.applied.clone(),
        conditions: conditions::conditions(&facts.conditions, outcome, kept, object.generation, now),
        ..EnvelopeSecretStatus::default()
    };
    if let Some(spec) = spec {
        status.set_keys(spec);
    }
    status
}

/// Whether the document of this mark brings back something older than what was opened before.
pub(super) fn rollback(before: Option<&Sealed>, mark: &SealMark) -> Rollback {
    let Some(before) = before else {
        return Rollback::None;
    };
    if before.time == before.highest_time
        && let Some(highest) = SealMark::parse(&before.time, &before.mac)
    {
        return highest.judge(mark);
    }
    // The mac of the highest time is not kept: only an older time can be told.
    match SealTime::parse(&before.highest_time) {
        Some(highest) if mark.time < highest => Rollback::Older,
        _ => Rollback::None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::{Answer, Reason};
    use crate::controller::object::RawObject;
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
                                "message": "secret holds 1 entry of generation 3", "observedGeneration": 3,
                                "lastTransitionTime": "2026-11-24T00:47:55Z"}]
            }
        });
        let raw: RawObject = serde_json::from_str(&text.to_string()).expect("an object");
        Object::of(raw).expect("whole").1
    }

    fn now() -> Timestamp {
        "2026-11-25T00:00:00Z".parse().expect("a time")
    }

    fn outage() -> Outcome {
        Outcome::KmsUnavailable {
            key: "local://x".into(),
            answer: Answer::default(),
        }
    }

    #[test]
    fn an_unchanged_success_is_no_write() {
        let object = object(3);
        let applied = object.status.applied.clone().expect("applied");
        let outcome = synced(&applied, object.status.sealed.as_ref());
        let status = desired(&object, None, &outcome, true, now());
        assert!(object.status.is(&status), "{status:?}");
    }

    #[test]
    fn an_outage_flips_nothing_where_the_secret_stands() {
        let reason = |generation, standing| shown(outage(), &object(generation), standing, true).reason();
        assert_eq!(reason(3, Standing::AsWritten), Reason::Synced);
        assert_eq!(reason(3, Standing::Whole), Reason::Synced);
        assert_eq!(reason(3, Standing::Missing), Reason::SecretMissing);
        assert_eq!(reason(3, Standing::Edited), Reason::SecretDrifted);
        assert_eq!(
            reason(4, Standing::AsWritten),
            Reason::KmsUnavailable,
            "a new generation is not there"
        );
        assert_eq!(
            reason(4, Standing::Edited),
            Reason::KmsUnavailable,
            "the fields are those of another document"
        );
        assert_eq!(reason(4, Standing::Missing), Reason::SecretMissing);
        let unread = shown(outage(), &object(3), Standing::Edited, false);
        assert_eq!(unread.reason(), Reason::KmsUnavailable);
        let stalled = Outcome::IntegrityError { elsewhere: None };
        assert_eq!(
            shown(stalled.clone(), &object(3), Standing::Missing, true),
            stalled
        );
    }

    #[test]
    fn a_failure_sends_the_last_success_again() {
        let object = object(4);
        let status = desired(
            &object,
            None,
            &Outcome::IntegrityError { elsewhere: None },
            true,
            now(),
        );
        assert_eq!(
            (status.observed_generation, &status.applied, &status.sealed),
            (4, &object.status.applied, &object.status.sealed)
        );
        assert_eq!(status.last_handled_reconcile_at.as_deref(), Some("x"));
        assert!(
            status.conditions[0]
                .message
                .contains("the secret keeps generation 3")
        );
        let gone = desired(
            &object,
            None,
            &Outcome::IntegrityError { elsewhere: None },
            false,
            now(),
        );
        assert!(gone.conditions[0].message.contains("no secret exists yet"));
    }

    #[test]
    fn rollback_is_judged_by_the_highest_mark() {
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
    fn a_success_with_an_older_seal_says_so() {
        let applied = object(3).status.applied.clone().expect("applied");
        let sealed = Sealed {
            time: "2026-11-22T17:00:00Z".into(),
            mac: "m".into(),
            highest_time: "2026-11-23T17:00:00Z".into(),
        };
        let message = synced(&applied, Some(&sealed)).message(Kept::Nothing);
        assert_eq!(
            message,
            "secret holds 1 entry of generation 3; older seal than one seen before (2026-11-23T17:00:00Z)"
        );
    }
}
