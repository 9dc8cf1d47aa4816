use super::*;

fn event(name: &str, note: &str) -> Event {
    Event {
        key: ObjectKey::new("prod", name),
        uid: "o-1".into(),
        reason: Reason::SecretUpdated,
        warning: false,
        note: note.into(),
    }
}

#[tokio::test(start_paused = true)]
async fn burst_is_followed_by_one_event_per_interval() {
    let start = Instant::now();
    let mut bucket = Bucket::new(Duration::from_millis(200), 3, start);
    let waits: Vec<u128> = (0..6).map(|_| (bucket.take(start) - start).as_millis()).collect();
    assert_eq!(waits, [0, 0, 0, 200, 400, 600]);
    let later = start + Duration::from_secs(10);
    let waits: Vec<u128> = (0..5).map(|_| (bucket.take(later) - later).as_millis()).collect();
    assert_eq!(waits, [0, 0, 0, 200, 400], "refilled, but not beyond the burst");
}

#[tokio::test(start_paused = true)]
async fn repetition_extends_the_series_and_new_note_is_a_new_event() {
    let mut sent = Sent::default();
    let now = Instant::now();
    let Request::Create(name) = sent.request(&event("db", "a"), now, 0xff) else {
        panic!("the first")
    };
    assert_eq!(name, "db.ff");
    assert!(matches!(sent.request(&event("db", "a"), now, 1), Request::Repeat(n, 2) if n == name));
    assert!(matches!(
        sent.request(&event("db", "b"), now, 2),
        Request::Create(_)
    ));
    assert!(
        matches!(
            sent.request(&event("db", "a"), now + SERIES, 3),
            Request::Create(_)
        ),
        "the series has ended"
    );
    let long = "x".repeat(253);
    let Request::Create(name) = sent.request(&event(&long, "a\n"), now, i128::from(u64::MAX)) else {
        panic!("new")
    };
    assert!(name.len() <= 253);
}

#[tokio::test(start_paused = true)]
async fn one_object_uses_up_only_its_own_events() {
    let mut subjects = Subjects::default();
    let (noisy, quiet): (Arc<str>, Arc<str>) = ("o-1".into(), "o-2".into());
    let start = Instant::now();
    let admitted = |subjects: &mut Subjects, at| {
        let all = (0..100).filter(|_| subjects.admit(&noisy, at));
        all.count()
    };
    assert_eq!(admitted(&mut subjects, start), 25);
    assert!(subjects.admit(&quiet, start));
    assert_eq!(admitted(&mut subjects, start + OBJECT_INTERVAL), 1);
    for index in 0..3 * REMEMBERED {
        subjects.admit(&index.to_string().into(), start);
    }
    assert_eq!(
        (subjects.buckets.len(), subjects.order.len()),
        (REMEMBERED, REMEMBERED)
    );
}

#[tokio::test(start_paused = true)]
async fn remembered_events_are_bounded() {
    let mut sent = Sent::default();
    for index in 0..3 * REMEMBERED {
        sent.request(&event("db", &index.to_string()), Instant::now(), 0);
    }
    assert_eq!((sent.names.len(), sent.order.len()), (REMEMBERED, REMEMBERED));
}

fn of(namespace: &str, note: usize) -> Event {
    Event {
        key: ObjectKey::new(namespace, "db"),
        ..event("db", &note.to_string())
    }
}

#[tokio::test]
async fn full_queue_drops_and_counts_events_of_the_namespace_with_the_most() {
    let metrics = Metrics::new();
    let events = Events::new(metrics.clone());
    events.send(of("quiet", 0));
    for note in 0..=CAPACITY {
        events.send(of("noisy", note));
    }
    events.send(of("quiet", 1));
    let dropped = || {
        let text = metrics.encode();
        let line = text
            .lines()
            .find_map(|line| line.strip_prefix("envelope_secrets_events_dropped_total "))
            .expect("the metric");
        line.parse::<usize>().expect("a number")
    };
    assert_eq!(dropped(), 3);
    let mut first = Vec::new();
    for _ in 0..4 {
        let event = events.next().await.expect("an event");
        first.push(format!("{} {}", event.key.namespace, event.note));
    }
    assert_eq!(first, ["quiet 0", "noisy 0", "quiet 1", "noisy 1"]);
    assert_eq!((events.drop_rest(), dropped()), (CAPACITY - 4, CAPACITY - 1));
}

#[tokio::test]
async fn closed_queue_ends_when_it_is_empty() {
    let events = Events::new(Metrics::new());
    events.send(of("ns", 0));
    events.close();
    assert!(events.next().await.is_some());
    assert!(events.next().await.is_none());
}

#[test]
fn event_has_the_fields_of_the_events_api() {
    let event = Event {
        warning: true,
        reason: Reason::IntegrityError,
        ..event("db", "it cannot be opened")
    };
    let json = serde_json::to_value(created(&event, "db.1".into(), Timestamp::UNIX_EPOCH)).expect("JSON");
    assert_eq!(
        json["regarding"],
        json!({"apiVersion": "envelope-secrets.io/v1", "kind": "EnvelopeSecret",
        "name": "db", "namespace": "prod", "uid": "o-1"})
    );
    assert_eq!(
        (&json["type"], &json["reason"], &json["note"]),
        (
            &json!("Warning"),
            &json!("IntegrityError"),
            &json!("it cannot be opened")
        )
    );
    assert_eq!(json["eventTime"], "1970-01-01T00:00:00.000000Z");
}

/// Sends this many equal events to an API server that responds with these codes. Returns the methods of the requests.
async fn methods(count: usize, codes: &[u16]) -> Vec<String> {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let (requests, codes) = (seen.clone(), codes.to_vec());
    let service = tower::service_fn(move |request: http::Request<kube::client::Body>| {
        let mut requests = lock(&requests);
        requests.push(request.method().to_string());
        let code = codes.get(requests.len() - 1).copied().unwrap_or(200);
        let body = match code {
            200 => json!({"metadata": {}, "eventTime": null}),
            code => json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code}),
        };
        let body = kube::client::Body::from(body.to_string().into_bytes());
        let response = http::Response::builder()
            .status(code)
            .body(body)
            .expect("a response");
        std::future::ready(Ok::<_, std::convert::Infallible>(response))
    });
    let client = Client::new(service, "default");
    let mut sent = Sent::default();
    for _ in 0..count {
        let _ = deliver(&client, &mut sent, &event("db", "a")).await;
    }
    lock(&seen).clone()
}

#[tokio::test]
async fn event_that_does_not_exist_is_created_again() {
    // (events, responses, requests)
    for (count, codes, expected) in [
        (2, &[][..], &["POST", "PATCH"][..]),
        (2, &[429], &["POST", "POST"]),
        (3, &[403, 200], &["POST", "POST", "PATCH"]),
        (3, &[200, 404, 200], &["POST", "PATCH", "POST", "PATCH"]),
        (3, &[200, 404, 403], &["POST", "PATCH", "POST", "POST"]),
        (3, &[200, 429], &["POST", "PATCH", "PATCH"]),
    ] {
        assert_eq!(methods(count, codes).await, expected, "{codes:?}");
    }
}
