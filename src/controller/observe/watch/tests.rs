use super::*;
use futures::stream;
use serde_json::json;
use std::cell::RefCell;

fn api_error(code: u16) -> watcher::Error {
    let status = serde_json::json!({"code": code, "message": "no"});
    watcher::Error::InitialListFailed(kube::Error::Api(
        serde_json::from_value(status).expect("a status"),
    ))
}

fn watch_stream(kind: Kind, namespace: Option<&str>) -> Arc<WatchStream> {
    WatchStream::new(
        kind,
        namespace,
        "/api/v1/secrets".into(),
        WatchActivity::default(),
    )
}

#[tokio::test(start_paused = true)]
async fn errors_are_retried_and_not_passed_on() {
    let items = vec![
        Ok(Event::Init),
        Err(api_error(403)),
        Ok(Event::Init),
        Err(api_error(404)),
        Ok(Event::Init),
        Ok(Event::InitApply(1)),
        Ok(Event::InitDone),
        Ok(Event::Apply(2)),
    ];
    let watch = watch_stream(Kind::Objects, None);
    let seen = RefCell::new(Vec::new());
    let retry = (Duration::from_secs(1), Duration::from_secs(30));
    let handle = |event: Event<i32>| {
        seen.borrow_mut().push((format!("{event:?}"), watch.condition()));
    };
    follow(watch.clone(), stream::iter(items), Metrics::new(), retry, handle).await;
    let expected = [
        ("Init", Condition::Starting),
        ("Init", Condition::Forbidden),
        ("Init", Condition::Missing),
        ("InitApply(1)", Condition::Missing),
        ("InitDone", Condition::Synced),
        ("Apply(2)", Condition::Synced),
    ];
    let expected: Vec<(String, Condition)> = expected
        .map(|(event, condition)| (event.to_owned(), condition))
        .into();
    assert_eq!(*seen.borrow(), expected);
}

/// Returns when lists began and changes were handled, in seconds.
async fn handled_at(items: Vec<watcher::Result<Event<i32>>>) -> Vec<u64> {
    let start = Instant::now();
    let seen = RefCell::new(Vec::new());
    let retry = (Duration::from_secs(8), Duration::from_mins(5));
    let handle = |event| {
        if matches!(event, Event::Apply(_) | Event::Init) {
            seen.borrow_mut().push(start.elapsed().as_secs());
        }
    };
    let watch = watch_stream(Kind::Objects, None);
    follow(watch, stream::iter(items), Metrics::new(), retry, handle).await;
    seen.into_inner()
}

#[tokio::test(start_paused = true)]
async fn items_of_an_incomplete_list_do_not_reset_the_backoff() {
    let mut items = Vec::new();
    for _ in 0..200 {
        items.extend([Ok(Event::Init), Ok(Event::InitApply(1)), Err(api_error(500))]);
    }
    let at = handled_at(items).await;
    let first_hour = at.iter().filter(|at| **at < 3600).count();
    assert!(first_hour < 60, "{first_hour} lists in an hour: {at:?}");
}

#[tokio::test(start_paused = true)]
async fn watches_that_expire_after_each_list_back_off() {
    let mut items = Vec::new();
    for _ in 0..200 {
        items.extend([
            Ok(Event::Init),
            Ok(Event::InitApply(1)),
            Ok(Event::InitDone),
            Err(api_error(410)),
        ]);
    }
    let at = handled_at(items).await;
    let first_hour = at.iter().filter(|at| **at < 3600).count();
    assert!(first_hour < 60, "{first_hour} lists in an hour: {at:?}");
}

#[tokio::test(start_paused = true)]
async fn requested_wait_is_honoured() {
    let status = json!({"code": 429, "message": "no", "details": {"retryAfterSeconds": 40}});
    let error = kube::Error::Api(serde_json::from_value(status).expect("a status"));
    let at = handled_at(vec![
        Err(watcher::Error::WatchStartFailed(error)),
        Ok(Event::Apply(1)),
    ])
    .await;
    assert!((40..=41).contains(&at[0]), "{at:?}");
}

#[test]
fn error_messages_contain_the_remedy() {
    let objects = watch_stream(Kind::Objects, None);
    let (condition, message) = objects.explain(&api_error(404));
    assert_eq!(condition, Condition::Missing);
    assert!(
        message.contains("envelope crd | kubectl apply --server-side -f -"),
        "{message}"
    );
    let (condition, message) = watch_stream(Kind::Secrets, Some("prod")).explain(&api_error(403));
    assert_eq!(condition, Condition::Forbidden);
    assert!(
        message.contains("kubectl auth can-i list secrets --namespace prod") && message.contains("(no)"),
        "{message}"
    );
    let (condition, message) = objects.explain(&api_error(500));
    assert_eq!(condition, Condition::Unreachable);
    assert!(message.contains("returned 500"), "{message}");
    let refused = watcher::Error::WatchStartFailed(kube::Error::Service("connection refused".into()));
    let (condition, message) = objects.explain(&refused);
    assert_eq!(condition, Condition::Unreachable);
    assert!(message.contains("connection refused"), "{message}");
}

#[test]
fn unreadable_response_is_not_quoted() {
    let unreadable = serde_json::from_str::<u8>("\"hunter2\"").expect_err("no number");
    assert!(
        unreadable.to_string().contains("hunter2"),
        "serde_json quotes its input"
    );
    let error = watcher::Error::WatchFailed(kube::Error::SerdeError(unreadable));
    let (_, message) = watch_stream(Kind::Secrets, None).explain(&error);
    assert!(!message.contains("hunter2"), "{message}");
}

#[tokio::test(start_paused = true)]
async fn idle_stream_is_alive_and_stuck_one_is_detected() {
    let watch = watch_stream(Kind::Secrets, None);
    let quiet = stream::pending::<watcher::Result<Event<i32>>>();
    let retry = (Duration::from_secs(1), Duration::from_secs(30));
    let task = follow(watch.clone(), quiet, Metrics::new(), retry, |_| {});
    assert!(
        tokio::time::timeout(Duration::from_mins(20), task).await.is_err(),
        "it never ends"
    );
    assert!(watch.unpolled() < Duration::from_mins(1));
    tokio::time::advance(Duration::from_mins(6)).await;
    assert!(watch.unpolled() > Duration::from_mins(5), "no longer polled");
}
