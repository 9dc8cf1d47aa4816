//! Conditions as kstatus reads them: `Ready` always; `Reconciling` or `Stalled` only while it is True, never both.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};

use super::{Kept, Outcome};

/// The condition that says whether the Secret stands.
pub const READY: &str = "Ready";
/// There while the controller works on it by itself.
pub const RECONCILING: &str = "Reconciling";
/// There while a person is needed.
pub const STALLED: &str = "Stalled";

/// The conditions that `outcome` gives for `generation`, after those of `previous`. A condition whose status
/// stays as it was keeps its time, so an outcome that is only repeated gives equal conditions. A KMS's request id is
/// the first one since reason and code changed: a new one alone is no news.
pub fn conditions(
    previous: &[Condition],
    outcome: &Outcome,
    kept: Kept,
    generation: i64,
    now: Timestamp,
) -> Vec<Condition> {
    let verdict = outcome.verdict();
    let message = outcome.message(kept);
    let reason = outcome.reason().as_str();
    let repeated = find(previous, READY)
        .filter(|before| before.reason == reason && outcome.repeats(&message, &before.message));
    let message = repeated.map_or(message, |before| before.message.clone());
    let one = |type_: &str, status: &str| {
        let before = find(previous, type_).filter(|c| c.status == status);
        Condition {
            type_: type_.to_owned(),
            status: status.to_owned(),
            reason: reason.to_owned(),
            message: message.clone(),
            observed_generation: Some(generation),
            last_transition_time: before
                .map_or_else(|| Time(to_second(now)), |c| c.last_transition_time.clone()),
        }
    };
    let mut out = vec![one(READY, verdict.ready())];
    out.extend(verdict.second().map(|type_| one(type_, "True")));
    out
}

/// The condition of that type.
pub fn find<'a>(conditions: &'a [Condition], type_: &str) -> Option<&'a Condition> {
    conditions.iter().find(|c| c.type_ == type_)
}

/// What the API server keeps of a time; finer ones would differ from what is read back.
fn to_second(time: Timestamp) -> Timestamp {
    Timestamp::from_second(time.as_second()).unwrap_or(time)
}

#[cfg(test)]
mod tests {
    use super::super::Answer;
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().expect("a time")
    }

    fn short(conditions: &[Condition]) -> Vec<(&str, &str, &str, String)> {
        conditions
            .iter()
            .map(|c| {
                (
                    c.type_.as_str(),
                    c.status.as_str(),
                    c.reason.as_str(),
                    c.last_transition_time.0.to_string(),
                )
            })
            .collect()
    }

    #[test]
    fn a_life() {
        let (one, two, three) = (
            at("2026-11-24T01:00:00.5Z"),
            at("2026-11-24T02:00:00Z"),
            at("2026-11-24T03:00:00Z"),
        );
        let unavailable = Outcome::KmsUnavailable {
            key: "tencent-kms://ap-guangzhou/23e8".into(),
            answer: Answer::default(),
        };
        let synced = Outcome::Synced {
            entries: 2,
            generation: 2,
            older_than: None,
        };
        let first = conditions(&[], &unavailable, Kept::Nothing, 1, one);
        assert_eq!(
            short(&first),
            [
                (
                    "Ready",
                    "Unknown",
                    "KmsUnavailable",
                    "2026-11-24T01:00:00Z".to_owned()
                ),
                (
                    "Reconciling",
                    "True",
                    "KmsUnavailable",
                    "2026-11-24T01:00:00Z".to_owned()
                ),
            ]
        );
        assert_eq!(
            conditions(&first, &unavailable, Kept::Nothing, 1, two),
            first,
            "a repetition writes nothing"
        );

        let throttled = Outcome::KmsThrottled {
            key: "local://x".into(),
            answer: Answer::default(),
        };
        let second = conditions(&first, &throttled, Kept::Nothing, 2, two);
        assert_eq!(
            short(&second)[0],
            (
                "Ready",
                "Unknown",
                "KmsThrottled",
                "2026-11-24T01:00:00Z".to_owned()
            )
        );
        assert_eq!(second[1].observed_generation, Some(2));

        let third = conditions(&second, &synced, Kept::Nothing, 2, three);
        assert_eq!(
            short(&third),
            [("Ready", "True", "Synced", "2026-11-24T03:00:00Z".to_owned())]
        );

        let integrity = Outcome::IntegrityError { elsewhere: None };
        let fourth = conditions(&third, &integrity, Kept::Generation(2), 3, three);
        assert_eq!(
            short(&fourth).iter().map(|c| (c.0, c.1)).collect::<Vec<_>>(),
            [("Ready", "False"), ("Stalled", "True")]
        );
        assert!(
            fourth
                .iter()
                .all(|c| c.message.contains("the secret keeps generation 2"))
        );
        assert!(find(&fourth, RECONCILING).is_none() && find(&fourth, STALLED).is_some());
    }

    #[test]
    fn a_new_request_id_alone_is_no_news() {
        let denied = |code: &str, id: &str| Outcome::KmsDenied {
            identity: "x".into(),
            key: "tencent-kms://ap-guangzhou/k".into(),
            answer: Answer {
                code: Some(code.into()),
                message: Some(format!("no, {id}")),
                request_id: Some(id.into()),
            },
        };
        let (early, late) = (at("2026-11-24T01:00:00Z"), at("2026-11-24T02:00:00Z"));
        let first = conditions(&[], &denied("A", "r-1"), Kept::Nothing, 1, early);
        assert!(
            first[0].message.contains("(A, request r-1)"),
            "{}",
            first[0].message
        );
        let again = |outcome: &Outcome, kept, generation| conditions(&first, outcome, kept, generation, late);
        assert_eq!(again(&denied("A", "r-2"), Kept::Nothing, 1), first);
        let of_another = again(&denied("A", "r-2"), Kept::Nothing, 2);
        assert_eq!(
            of_another[0].message, first[0].message,
            "reason and code are the same"
        );
        for (outcome, kept) in [
            (denied("B", "r-2"), Kept::Nothing),
            (denied("A", "r-2"), Kept::Generation(1)),
        ] {
            let changed = again(&outcome, kept, 1);
            assert!(
                changed[0].message.contains("request r-2"),
                "{}",
                changed[0].message
            );
        }
    }

    #[test]
    fn times_are_those_that_are_read_back() {
        let made = conditions(
            &[],
            &Outcome::IntegrityError { elsewhere: None },
            Kept::Nothing,
            1,
            at("2026-11-24T01:00:00.9Z"),
        );
        let text = serde_json::to_string(&made).expect("JSON");
        assert_eq!(
            serde_json::from_str::<Vec<Condition>>(&text).expect("conditions"),
            made
        );
    }
}
