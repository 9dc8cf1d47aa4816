//! Many objects: the cost of each new object in requests and work, and that a restart is free. This is the short form of
//! the benchmarks (docs/benchmarks.md); it never fails on time.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use futures::StreamExt as _;
use kube::runtime::{WatchStreamExt as _, watcher};
use testkit::AuditEvent;

use crate::support::controller::{Running, TestNamespace, has_reason};
use crate::support::crd::plane_with_crd;
use crate::support::until;

const COUNT: usize = 300;

/// Lists, watches and reads, at the start and however many objects there are.
const MAX_READS: usize = 30;

/// Waits until all objects are Synced.
async fn all_synced(place: &TestNamespace) {
    let stream = watcher(place.objects(), watcher::Config::default())
        .default_backoff()
        .applied_objects();
    let mut stream = std::pin::pin!(stream);
    let mut synced = std::collections::BTreeSet::new();
    let limit = tokio::time::timeout(Duration::from_mins(3), async {
        while synced.len() < COUNT {
            let Some(Ok(object)) = stream.next().await else {
                continue;
            };
            if has_reason(&object, "Synced") {
                synced.insert(object.metadata.name.unwrap_or_default());
            }
        }
    });
    let ended = limit.await;
    assert!(ended.is_ok(), "{} of {COUNT} are Synced", synced.len());
}

/// Counts the controller's writes to the namespace per object: Secrets, statuses, everything else except events.
fn writes(events: &[AuditEvent], namespace: &str) -> [BTreeMap<String, usize>; 3] {
    let mut counts = [BTreeMap::new(), BTreeMap::new(), BTreeMap::new()];
    let writes = events.iter().filter(|event| {
        let reads = ["get", "list", "watch"].contains(&event.verb.as_str());
        let by_controller =
            event.uri.contains("fieldManager=envelope-secrets") || !event.uri.contains("fieldManager=test");
        event.namespace == namespace && !reads && by_controller && event.group != "events.k8s.io"
    });
    for event in writes {
        let is = |resource: &str, subresource: &str| {
            event.verb == "patch" && event.resource == resource && event.subresource == subresource
        };
        let kind = if is("secrets", "") {
            0
        } else if is("envelopesecrets", "status") {
            1
        } else {
            2
        };
        *counts[kind].entry(event.name.clone()).or_default() += 1;
    }
    counts
}

#[tokio::test(flavor = "multi_thread")]
async fn new_objects_cost_one_open_one_apply_one_status_write_and_restart_is_free() {
    let place = TestNamespace::new("scale").await;
    let value = |index: usize| format!("planted-scale-{index}");
    let sealed: Vec<_> = (0..COUNT)
        .map(|i| place.sealed(&format!("s{i}"), &[("password", &value(i))]))
        .collect();
    let control = plane_with_crd();
    let mark = control.audit_mark().unwrap();
    let running = place.controller();
    let started = Instant::now();
    let applies = futures::stream::iter(&sealed)
        .map(|object| place.apply(object))
        .buffer_unordered(16);
    applies.for_each(|_| std::future::ready(())).await;
    all_synced(&place).await;
    let seconds = started.elapsed().as_secs_f64();
    testkit::say(&format!(
        "{COUNT} new objects applied and Synced in {seconds:.1} s"
    ));

    let events = control.audit_since(mark).unwrap();
    let [secrets, statuses, others] = writes(&events, &place.namespace);
    let expected: BTreeMap<String, usize> = (0..COUNT).map(|i| (format!("s{i}"), 1)).collect();
    assert!(secrets == expected, "applies of Secrets: {:?}", odd(&secrets));
    assert!(statuses == expected, "status writes: {:?}", odd(&statuses));
    assert!(others.is_empty(), "{others:?}");
    assert_eq!(
        running.metric("envelope_secrets_opens_total", "opened"),
        COUNT as u64
    );
    assert_eq!(running.metric("envelope_secrets_opens_total", ""), COUNT as u64);
    assert_eq!(
        running.metric("envelope_secrets_kms_requests_total", ""),
        COUNT as u64
    );
    // Once one more object is Synced, nothing is left of the others.
    place
        .apply_synced("last", &[("password", "planted-scale-last")])
        .await;
    let count = COUNT as u64 + 1;
    let parses = |purpose: &str| running.metric("envelope_secrets_document_parses_total", purpose);
    let reconciles = || running.metric("envelope_secrets_reconcile_total", "");
    until(
        Duration::from_mins(1),
        "the last reconcile is counted",
        async || reconciles() >= 2 * count,
    )
    .await;
    // The first requests the opening, the second writes; no event of an own write causes another one.
    assert_eq!(
        reconciles(),
        2 * count,
        "reconciles:\n{}",
        running.metrics.encode()
    );
    assert_eq!((parses("summary"), parses("opening")), (count, count), "parses");
    let read = reads(&events, &place.namespace);
    assert!(read <= MAX_READS, "{read} reads");
    running.stop().await;

    // A restart reconciles every object and does nothing.
    let mark = control.audit_mark().unwrap();
    let started = Instant::now();
    let running = place.controller();
    skipped(&running).await;
    testkit::say(&format!(
        "{COUNT} objects skipped in {:.1} s after a restart",
        started.elapsed().as_secs_f64()
    ));
    let events = control.audit_since(mark).unwrap();
    let [secrets, statuses, others] = writes(&events, &place.namespace);
    assert!(
        secrets.is_empty() && statuses.is_empty() && others.is_empty(),
        "{secrets:?} {statuses:?} {others:?}"
    );
    let read = reads(&events, &place.namespace);
    assert!(read <= MAX_READS, "{read} reads");
    assert_eq!(running.metric("envelope_secrets_opens_total", ""), 0);
    assert_eq!(running.metric("envelope_secrets_objects", "Synced"), count);
    assert_eq!(
        running.metric("envelope_secrets_reconcile_total", ""),
        count,
        "one each"
    );
    let parses = |purpose: &str| running.metric("envelope_secrets_document_parses_total", purpose);
    assert_eq!((parses("summary"), parses("opening")), (count, 0), "parses");
    place.finish(running).await;
}

/// Counts the controller's lists, watches and reads in the namespace. Only its requests have this start of a User-Agent.
fn reads(events: &[AuditEvent], namespace: &str) -> usize {
    let reads = events.iter().filter(|event| {
        ["get", "list", "watch"].contains(&event.verb.as_str())
            && event.namespace == namespace
            && event.user_agent.starts_with("envelope-secrets/")
    });
    reads.count()
}

/// Returns the names that were not written exactly once.
fn odd(counts: &BTreeMap<String, usize>) -> Vec<(&String, &usize)> {
    let mut odd: Vec<_> = counts.iter().filter(|(_, count)| **count != 1).collect();
    odd.truncate(20);
    odd
}

/// Waits until every object was reconciled and skipped.
async fn skipped(running: &Running) {
    let count = || running.metric("envelope_secrets_reconcile_total", "outcome=\"skipped\"");
    until(Duration::from_mins(1), "every object is skipped", async || {
        count() > COUNT as u64
    })
    .await;
}
