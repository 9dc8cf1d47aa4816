use super::*;
use std::time::Duration;

fn key() -> ObjectKey {
    ObjectKey::new("prod", "db")
}

fn version(resource_version: &str) -> Version {
    Version::new("s-1", resource_version)
}

#[tokio::test(start_paused = true)]
async fn write_overrides_the_store_until_delivered_or_overdue() {
    let now = Instant::now();
    let until = now + Duration::from_secs(30);
    let mut all = Expectations::default();
    assert_eq!(all.overlay(&key(), now), Overlay::None);
    all.request(&key(), None, None);
    assert_eq!(all.overlay(&key(), now), Overlay::None);
    all.confirm(&key(), version("5"), Some(&version("4")), "written", until);
    assert_eq!(all.overlay(&key(), now), Overlay::Value(&"written"));
    all.delivered(&key(), &version("4"));
    assert_eq!(
        all.overlay(&key(), now),
        Overlay::Value(&"written"),
        "an older event"
    );
    assert_eq!(all.overlay(&key(), until), Overlay::Overdue);
    all.delivered(&key(), &version("5"));
    assert_eq!(all.overlay(&key(), now), Overlay::None);
    assert!(all.entries.is_empty());
}

#[tokio::test(start_paused = true)]
async fn event_before_the_response_fulfils_the_expectation() {
    let now = Instant::now();
    let mut all = Expectations::default();
    all.request(&key(), None, None);
    all.delivered(&key(), &version("5"));
    all.delivered(&key(), &version("6"));
    all.confirm(
        &key(),
        version("5"),
        Some(&version("6")),
        "written",
        now + Duration::from_secs(30),
    );
    assert_eq!(all.overlay(&key(), now), Overlay::None, "the store is newer");
    all.request(&key(), None, None);
    all.confirm(
        &key(),
        version("6"),
        Some(&version("6")),
        "unchanged",
        now + Duration::from_secs(30),
    );
    assert_eq!(
        all.overlay(&key(), now),
        Overlay::None,
        "a write that changed nothing"
    );
    assert!(all.entries.is_empty());
}

#[tokio::test(start_paused = true)]
async fn response_older_than_the_store_is_ignored() {
    let now = Instant::now();
    let until = now + Duration::from_secs(30);
    let mut all = Expectations::default();
    // The read returned the stored version, and an edit was delivered before the response.
    all.request(&key(), Some(version("5")), None);
    all.delivered(&key(), &version("6"));
    all.confirm(&key(), version("5"), Some(&version("6")), "read", until);
    assert_eq!(all.overlay(&key(), now), Overlay::None);
    assert_eq!(all.until(&key()), None);

    all.request(&key(), Some(version("6")), None);
    all.confirm_absent(&key(), version("6"), "gone", until);
    assert_eq!(all.overlay(&key(), now), Overlay::Value(&"gone"));
    assert_eq!(all.until(&key()), Some(until));
    all.deleted(&key(), "s-1");
    all.request(&key(), None, None);
    all.delivered(&key(), &version("7"));
    all.confirm_absent(&key(), version("7"), "gone", until);
    assert_eq!(all.overlay(&key(), now), Overlay::None, "created after the read");

    all.request(&key(), Some(version("7")), None);
    assert!(!all.confirm_read(&key(), version("8"), Some(&version("7")), "read", until));
    assert_eq!(
        all.overlay(&key(), now),
        Overlay::Value(&"read"),
        "nothing was delivered"
    );
    for (delivered, news) in [("9", true), ("8", false)] {
        all.request(&key(), Some(version("7")), None);
        assert_eq!(all.delivered(&key(), &version(delivered)), Delivery::Undecided);
        let stored = version(delivered);
        assert_eq!(
            all.confirm_read(&key(), version("8"), Some(&stored), "read", until),
            news
        );
        assert_eq!(all.overlay(&key(), now), Overlay::None, "delivered {delivered}");
    }
    all.request(&key(), Some(version("8")), None);
    all.deleted(&key(), "s-1");
    all.confirm_read(&key(), version("8"), None, "read", until);
    assert!(all.entries.is_empty());
}

#[tokio::test(start_paused = true)]
async fn only_what_was_not_announced_is_news() {
    let until = Instant::now() + Duration::from_secs(30);
    let mut all = Expectations::default();
    assert_eq!(all.delivered(&key(), &version("1")), Delivery::News);
    // The event after the response.
    all.request(&key(), Some(version("1")), None);
    assert!(!all.confirm(&key(), version("2"), Some(&version("1")), "written", until));
    assert_eq!(all.delivered(&key(), &version("2")), Delivery::Announced);
    assert_eq!(all.delivered(&key(), &version("3")), Delivery::News);
    // The event before the response, alone, and followed by that of another client.
    for (events, news) in [
        (&["4"][..], false),
        (&["3", "4"], false),
        (&["4", "5"], true),
        (&[], false),
    ] {
        all.request(&key(), Some(version("3")), None);
        for event in events {
            assert_eq!(all.delivered(&key(), &version(event)), Delivery::Undecided);
        }
        let stored = events.last().map(|event| version(event));
        assert_eq!(
            all.confirm(&key(), version("4"), stored.as_ref(), "written", until),
            news,
            "{events:?}"
        );
    }
    // A request without a result.
    all.request(&key(), None, None);
    all.delivered(&key(), &version("6"));
    assert!(all.cancel(&key()));
    all.request(&key(), None, None);
    all.delivered(&key(), &version("7"));
    assert!(
        all.request(&key(), None, None),
        "the earlier one was never finished"
    );
    assert!(!all.cancel(&key()));
    all.request(&key(), None, None);
    all.delivered(&key(), &version("8"));
    assert!(all.confirm_nothing(&key()), "created after the read");
}

#[tokio::test(start_paused = true)]
async fn overdue_keys_are_returned_once() {
    let now = Instant::now();
    let until = now + Duration::from_secs(30);
    let mut all = Expectations::default();
    all.request(&key(), None, None);
    all.confirm(&key(), version("5"), None, "written", until);
    assert!(all.overdue(now).is_empty());
    assert_eq!(all.overdue(until), [key()]);
    assert!(all.overdue(until).is_empty());
    all.forget(&key());
    all.distrust(&key(), "stored", now);
    assert_eq!(all.overlay(&key(), now), Overlay::Overdue);
    assert!(all.overdue(now).is_empty(), "its caller queues it");
}

#[tokio::test(start_paused = true)]
async fn deletion_of_another_uid_leaves_the_expectation() {
    let now = Instant::now();
    let mut all = Expectations::default();
    all.request(&key(), None, None);
    all.confirm(
        &key(),
        version("5"),
        None,
        "written",
        now + Duration::from_secs(30),
    );
    all.deleted(&key(), "s-0");
    assert_eq!(
        all.overlay(&key(), now),
        Overlay::Value(&"written"),
        "deletion of its predecessor"
    );
    all.deleted(&key(), "s-1");
    assert_eq!(all.overlay(&key(), now), Overlay::None);

    all.request(&key(), None, None);
    all.deleted(&key(), "s-1");
    all.confirm(
        &key(),
        version("5"),
        None,
        "read before its deletion",
        now + Duration::from_secs(30),
    );
    assert_eq!(all.overlay(&key(), now), Overlay::None);
}

#[tokio::test(start_paused = true)]
async fn failed_write_leaves_the_previous_expectation() {
    let now = Instant::now();
    let mut all = Expectations::default();
    all.request(&key(), None, None);
    all.confirm(&key(), version("5"), None, "first", now + Duration::from_secs(30));
    all.request(&key(), None, None);
    all.cancel(&key());
    assert_eq!(all.overlay(&key(), now), Overlay::Value(&"first"));
    all.forget(&key());
    all.request(&key(), None, None);
    all.cancel(&key());
    assert!(all.entries.is_empty(), "no entry is left behind");
}
