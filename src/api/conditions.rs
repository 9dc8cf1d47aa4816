//! Conditions as kstatus reads them: `Ready` is always present; `Reconciling` and `Stalled` only while True, never both.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};

use super::finding::{Finding, Kept};

/// The condition that says whether the Secret is as the controller wrote it.
pub const READY: &str = "Ready";
/// Present while the controller can still succeed without human action.
pub const RECONCILING: &str = "Reconciling";
/// Present while human action is required.
pub const STALLED: &str = "Stalled";

/// Returns the conditions of `finding` for `generation`, given the `previous` ones. A condition whose status does not
/// change keeps its transition time, so a repeated finding yields equal conditions. A message keeps the first KMS
/// request id since reason and code last changed: a new id alone changes nothing.
pub fn conditions(
    previous: &[Condition],
    finding: &Finding,
    kept: Kept,
    generation: i64,
    now: Timestamp,
) -> Vec<Condition> {
    let verdict = finding.verdict();
    let message = finding.message(kept);
    let reason = finding.reason().as_str();
    let repeated = find(previous, READY)
        .filter(|before| before.reason == reason && finding.repeats(&message, &before.message));
    let message = repeated.map_or(message, |before| before.message.clone());
    let condition = |type_: &str, status: &str| {
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
    let mut out = vec![condition(READY, verdict.ready())];
    out.extend(verdict.second_condition().map(|type_| condition(type_, "True")));
    out
}

/// Returns the condition of type `type_`.
pub fn find<'a>(conditions: &'a [Condition], type_: &str) -> Option<&'a Condition> {
    conditions.iter().find(|c| c.type_ == type_)
}

/// Truncates to whole seconds: the API server stores no more, and the stored value must equal the computed one.
fn to_second(time: Timestamp) -> Timestamp {
    Timestamp::from_second(time.as_second()).unwrap_or(time)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::finding::KmsResponse;

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
    fn conditions_and_times_follow_the_findings_of_one_object() {
        let (one, two, three) = (
            at("2026-11-24T01:00:00.5Z"),
            at("2026-11-24T02:00:00Z"),
            at("2026-11-24T03:00:00Z"),
        );
        let unavailable = Finding::KmsUnavailable {
            key: Box::default(),
            response: KmsResponse::default(),
        };
        let synced = Finding::Synced {
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
            "a repeated finding changes nothing"
        );

        let throttled = Finding::KmsThrottled {
            key: Box::default(),
            response: KmsResponse::default(),
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

        let integrity = Finding::IntegrityError { elsewhere: None };
        let fourth = conditions(&third, &integrity, Kept::Generation(2), 3, three);
        assert_eq!(
            short(&fourth).iter().map(|c| (c.0, c.1)).collect::<Vec<_>>(),
            [("Ready", "False"), ("Stalled", "True")]
        );
        assert!(
            fourth
                .iter()
                .all(|c| c.message.contains("secret still holds generation 2"))
        );
        assert!(find(&fourth, RECONCILING).is_none() && find(&fourth, STALLED).is_some());
    }

    #[test]
    fn new_request_id_alone_changes_nothing() {
        let denied = |code: &str, id: &str| Finding::KmsDenied {
            identity: "x".into(),
            key: Box::default(),
            response: KmsResponse {
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
        let repeated =
            |finding: &Finding, kept, generation| conditions(&first, finding, kept, generation, late);
        assert_eq!(repeated(&denied("A", "r-2"), Kept::Nothing, 1), first);
        let next_generation = repeated(&denied("A", "r-2"), Kept::Nothing, 2);
        assert_eq!(
            next_generation[0].message, first[0].message,
            "reason and code are the same"
        );
        for (finding, kept) in [
            (denied("B", "r-2"), Kept::Nothing),
            (denied("A", "r-2"), Kept::Generation(1)),
        ] {
            let changed = repeated(&finding, kept, 1);
            assert!(
                changed[0].message.contains("request r-2"),
                "{}",
                changed[0].message
            );
        }
    }

    #[test]
    fn times_equal_those_read_back() {
        let made = conditions(
            &[],
            &Finding::IntegrityError { elsewhere: None },
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
