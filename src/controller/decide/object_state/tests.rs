use super::*;
use crate::api::KmsResponse;
use crate::controller::decide::cures::Cure;
use crate::controller::observe::decode;
use serde_json::json;

const RETRY: (Duration, Duration) = (Duration::from_secs(1), Duration::from_mins(5));

fn object(uid: &str, generation: i64) -> Object {
    let text = json!({"metadata": {"name": "db", "namespace": "prod", "uid": uid, "resourceVersion": "7",
                      "generation": generation}, "spec": {}});
    decode::item::<Object>(&text.to_string()).expect("an object").1
}

const KEY: &str = "local://fa1975b2";

fn fail(state: &mut ObjectState, finding: Finding, now: Instant) -> Instant {
    let blocked = Blocked::new(finding.reason(), [KEY].into_iter());
    state.failed(finding, blocked, 0, now, RETRY)
}

fn throttled(code: &str, request: &str) -> Finding {
    let response = KmsResponse {
        code: Some(code.into()),
        message: None,
        request_id: Some(request.into()),
    };
    Finding::KmsThrottled {
        key: Box::default(),
        response,
    }
}

#[test]
fn failure_is_retried_later_but_new_generation_immediately() {
    let now = Instant::now();
    let mut state = ObjectState::default();
    state.observe(&object("o-1", 1), now);
    let due = fail(&mut state, throttled("Limit", "r-1"), now);
    assert_eq!(
        state.pending_retry(&CureLog::default(), now),
        Some((throttled("Limit", "r-1"), due))
    );
    assert_eq!(state.pending_retry(&CureLog::default(), due), None, "due");
    let mut cures = CureLog::default();
    cures.record(&Cure::Keys(vec!["local://00000000".into()]));
    assert!(
        !state.is_cured(&cures) && state.pending_retry(&cures, now).is_some(),
        "another key"
    );
    cures.record(&Cure::Keys(vec![KEY.into()]));
    assert!(
        state.is_cured(&cures) && state.pending_retry(&cures, now).is_none(),
        "a key of its document"
    );
    state.observe(&object("o-1", 1), now);
    assert!(
        state.pending_retry(&CureLog::default(), now).is_some(),
        "same object"
    );
    state.observe(&object("o-1", 2), now);
    assert_eq!(
        state.pending_retry(&CureLog::default(), now),
        None,
        "new generation"
    );
    assert_eq!(state.first_seen, Some(now));
    state.succeeded();
    state.observe(&object("o-1", 2), now);
    assert_eq!(state.first_seen, None, "its Secret is already written");
    fail(&mut state, throttled("Limit", "r-1"), now);
    state.observe(&object("o-2", 2), now);
    assert_eq!(
        state.pending_retry(&CureLog::default(), now),
        None,
        "new object of the same name"
    );
}

#[test]
fn requested_wait_delays_the_retry() {
    let now = Instant::now();
    let mut state = ObjectState::default();
    assert_eq!(state.not_before(now), None);
    state.observe(&object("o-1", 1), now);
    let due = fail(&mut state, throttled("Limit", "r-1"), now);
    assert_eq!(state.not_before(now), Some(due), "it is due later");
    let later = now + Duration::from_secs(30);
    assert_eq!(state.not_before(later), Some(later));
    let pending = state.pending_retry(&CureLog::default(), now + Duration::from_secs(29));
    assert_eq!(pending.map(|(_, due)| due), Some(later));
}

#[test]
fn change_during_an_attempt_cures_its_failure() {
    let now = Instant::now();
    let mut state = ObjectState::default();
    state.observe(&object("o-1", 1), now);
    let mut cures = CureLog::default();
    state.attempt(cures.last());
    cures.record(&Cure::Keys(vec![KEY.into()]));
    state.attempt(cures.last());
    let failed = |state: &mut ObjectState, cures: &CureLog| {
        let blocked = Blocked::new(Reason::KmsKeyUnusable, [KEY].into_iter());
        state.failed(throttled("Limit", "r-1"), blocked, cures.last(), now, RETRY);
    };
    failed(&mut state, &cures);
    assert!(state.is_cured(&cures), "the attempt began before the change");
    state.attempt(cures.last());
    failed(&mut state, &cures);
    assert!(!state.is_cured(&cures));
    state.refused(Blocked::new(Reason::NoUsableKey, [KEY].into_iter()), cures.last());
    cures.record(&Cure::Keys(vec![KEY.into()]));
    assert!(state.is_cured(&cures));
    state.succeeded();
    assert!(!state.is_cured(&cures));
}

#[test]
fn request_resets_the_backoff_once_per_value() {
    let times = DampingTimes::default();
    let now = Instant::now();
    let mut state = ObjectState::default();
    let requested = |value: &str, handled: &str| {
        let text = json!({"metadata": {"name": "db", "namespace": "prod", "uid": "o-1", "resourceVersion": "7",
                          "generation": 1, "annotations": {"envelope-secrets.io/reconcile-at": value}},
                          "status": {"lastHandledReconcileAt": handled}});
        decode::item::<Object>(&text.to_string()).expect("an object").1
    };
    assert_eq!(
        state.handle_request(&object("o-1", 1), now, &times),
        Request::None
    );
    fail(&mut state, throttled("Limit", "r-1"), now);
    assert_eq!(
        state.handle_request(&requested("1", "1"), now, &times),
        Request::None,
        "handled before"
    );
    assert!(state.pending_retry(&CureLog::default(), now).is_some());
    assert_eq!(
        state.handle_request(&requested("2", "1"), now, &times),
        Request::Granted
    );
    assert!(state.pending_retry(&CureLog::default(), now).is_none());
    fail(&mut state, throttled("Limit", "r-1"), now);
    assert_eq!(
        state.handle_request(&requested("2", "1"), now, &times),
        Request::None,
        "not in the status yet"
    );
    assert!(state.pending_retry(&CureLog::default(), now).is_some());
    for value in ["3", "4", "5", "6"] {
        assert_eq!(
            state.handle_request(&requested(value, "1"), now, &times),
            Request::Granted
        );
    }
    let until = now + Duration::from_secs(1);
    assert_eq!(
        state.handle_request(&requested("7", "1"), now, &times),
        Request::Delayed(until)
    );
    assert_eq!(state.handled_request.as_deref(), Some("6"));
    assert_eq!(
        state.handle_request(&requested("8", "1"), until, &times),
        Request::Granted
    );
}

#[test]
fn suspension_is_a_change_only_after_the_first_reconcile() {
    let mut state = ObjectState::default();
    let changes: Vec<bool> = [true, true, false, false, true]
        .map(|now| state.suspend(now))
        .to_vec();
    assert_eq!(changes, [false, false, true, false, true]);
}

#[test]
fn changes_all_the_time_are_logged_a_bounded_number_of_times() {
    let (start, times) = (Instant::now(), DampingTimes::default());
    let mut state = ObjectState::default();
    let hour = (0..36_000).map(|tenth| start + Duration::from_millis(100) * tenth);
    let logged = hour.filter(|now| state.admits_log(*now, &times)).count();
    assert!((60..80).contains(&logged), "{logged}");
}

#[test]
fn each_overdue_read_doubles_the_wait_for_the_watch() {
    for (reads, seconds) in [(0, 30), (1, 60), (2, 120), (4, 480), (5, 600), (40, 600)] {
        let state = ObjectState {
            overdue_reads: reads,
            ..ObjectState::default()
        };
        let wait = state.expectation(Duration::from_secs(30));
        assert_eq!(wait.as_secs(), seconds, "{reads} reads");
    }
}

#[test]
fn deleted_secret_ends_the_wait_for_its_deletion() {
    let now = Instant::now();
    let mut state = ObjectState::default();
    let immutable = Finding::ImmutableSecret {
        name: "db".into(),
        holds: Some(1),
        generation: 2,
    };
    let secret = |uid: &str, version: &str| {
        let text =
            json!({"metadata": {"name": "db", "namespace": "prod", "uid": uid, "resourceVersion": version}});
        decode::item::<SecretFacts>(&text.to_string())
            .expect("a Secret")
            .1
    };
    let (first, edited, second) = (secret("s-1", "1"), secret("s-1", "2"), secret("s-2", "3"));
    state.failed_secret = Some(Arc::new(first.clone()));
    fail(&mut state, immutable.clone(), now);
    assert!(state.was_refused());
    assert_eq!(state.still_refused(Some(&first)), Some(immutable.clone()));
    assert_eq!(
        state.still_refused(Some(&edited)),
        Some(immutable),
        "another label changes nothing"
    );
    assert_eq!(state.still_refused(Some(&second)), None, "replaced");
    assert_eq!(state.still_refused(None), None, "deleted");
    let type_change = Finding::SecretRejected {
        rejection: Rejection::TypeChange("db".into()),
    };
    fail(&mut state, type_change.clone(), now);
    assert_eq!(state.still_refused(Some(&first)), Some(type_change));
    assert_eq!(
        state.still_refused(Some(&edited)),
        None,
        "it may have no other owner any more"
    );
    state.secret_deleted();
    assert!(!state.was_refused());
    assert_eq!(state.pending_retry(&CureLog::default(), now), None);
    fail(&mut state, throttled("Limit", "r-1"), now);
    state.secret_deleted();
    assert!(
        state.pending_retry(&CureLog::default(), now).is_some(),
        "other failures stay"
    );
}

#[test]
fn success_overlays_the_object_until_it_is_in_the_status() {
    let mut state = ObjectState::default();
    let applied = Applied {
        generation: 1,
        ..Applied::default()
    };
    state.unreported = Some(Box::new(Unreported {
        applied: applied.clone(),
        sealed: Sealed::default(),
    }));
    let mut seen = object("o-1", 1);
    let status = crate::api::EnvelopeSecretStatus::default();
    assert!(seen.status.equals(&status));
    state.overlay(&mut seen);
    assert_eq!(seen.status.applied(), Some(applied));
    assert!(
        seen.status.equals(&status),
        "the fingerprint is still that of the stored status"
    );
    state.status_written();
    let mut seen = object("o-1", 1);
    state.overlay(&mut seen);
    assert_eq!(seen.status.applied(), None);
}

#[test]
fn dry_run_is_tried_only_for_refusals_that_it_can_show() {
    let rejected = |rejection| Finding::SecretRejected { rejection };
    let forbidden = Finding::ApiForbidden {
        verb: "patch".into(),
        resource: "secrets",
        namespace: "prod".into(),
    };
    let unavailable = Finding::ApiUnavailable {
        request: "writing the secret",
        code: "503".into(),
    };
    // (failure, probed, slow backoff, slow backoff after a dry run that was not refused)
    for (finding, probed, slow, slow_after) in [
        (rejected(Rejection::Quota), true, false, true),
        (rejected(Rejection::Admission), true, false, true),
        (rejected(Rejection::Invalid(vec![])), false, true, true),
        (rejected(Rejection::TooLarge), false, true, true),
        (forbidden, true, false, true),
        (unavailable, true, false, false),
        (throttled("Limit", "r-1"), false, false, false),
    ] {
        let mut state = ObjectState::default();
        assert!(!state.may_be_probed());
        assert_eq!(state.is_rejected_for_values(&finding), slow, "{finding:?}");
        state.probed = true;
        assert_eq!(state.is_rejected_for_values(&finding), slow_after, "{finding:?}");
        fail(&mut state, finding.clone(), Instant::now());
        assert!(!state.probed, "each attempt has its own dry run");
        assert_eq!(state.may_be_probed(), probed, "{finding:?}");
    }
}

#[test]
fn state_of_an_object_without_failures_is_small() {
    let bytes = size_of::<ObjectState>();
    assert!(bytes <= 256, "{bytes} bytes for each object");
}
