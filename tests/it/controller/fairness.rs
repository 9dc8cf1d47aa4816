//! One namespace must not delay the objects of another.

use std::time::{Duration, Instant};

use envelope_secrets::controller::Timings;
use futures::StreamExt as _;
use k8s_openapi::api::events::v1::Event;
use kube::Api;
use kube::api::ListParams;
use testkit::Webhook;

use crate::support::controller::{Running, TestNamespace, timings};
use crate::support::crd::plane_with_crd;
use crate::support::sealing::{draft, object};
use crate::support::until;

/// How long the admission webhook takes: less than the timeouts of the API server and of the controller.
const WEBHOOK: Duration = Duration::from_secs(9);
const SLOW_OBJECTS: usize = 200;

/// The events about objects of a namespace.
async fn events(place: &TestNamespace) -> usize {
    let events: Api<Event> = Api::namespaced(place.client.clone(), &place.namespace);
    events.list(&ListParams::default()).await.unwrap().items.len()
}

#[tokio::test(flavor = "multi_thread")]
async fn events_of_one_namespace_do_not_delay_those_of_another() {
    const NOISY_OBJECTS: usize = 60;
    let noisy = TestNamespace::new("noisy").await;
    let quiet = TestNamespace::new("quiet").await;
    noisy.canary.plant("planted-quiet-1");
    let timings = Timings {
        event_interval: Duration::from_secs(1),
        event_burst: 1,
        ..timings()
    };
    let running = Running::start_with(
        noisy.sealer.keyring(),
        &[&noisy.namespace, &quiet.namespace],
        &[],
        plane_with_crd().kubeconfig(),
        timings,
    );
    for index in 0..NOISY_OBJECTS {
        noisy
            .apply(&noisy.sealed(&format!("s{index}"), &[("password", "planted-noisy-1")]))
            .await;
    }
    noisy
        .wait_for_reason(&format!("s{}", NOISY_OBJECTS - 1), "Synced")
        .await;
    // Sealed with the key of the controller's keyring.
    let draft = draft(&quiet.namespace, "db", &[("password", b"planted-quiet-1")]);
    quiet.apply(&object(&noisy.sealer.seal(draft))).await;
    until(
        Duration::from_mins(2),
        "the quiet namespace has its event",
        async || events(&quiet).await > 0,
    )
    .await;
    let sent = events(&noisy).await;
    assert!(
        sent < NOISY_OBJECTS,
        "it waited for all {sent} of the other namespace"
    );
    noisy.finish(running).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn slow_webhook_in_one_namespace_does_not_delay_another() {
    let slow = TestNamespace::new("slow").await;
    let fast = TestNamespace::new("fast").await;
    let control = plane_with_crd();
    let webhook = Webhook::start(WEBHOOK).unwrap();
    let configuration = webhook.configuration(&slow.namespace, &slow.namespace);
    control
        .kubectl_with_input(["apply", "-f", "-"], &configuration.to_string())
        .unwrap();
    slow.canary.plant("planted-fast-1");
    let running = Running::start_with(
        slow.sealer.keyring(),
        &[&slow.namespace, &fast.namespace],
        &[],
        control.kubeconfig(),
        timings(),
    );
    let objects: Vec<_> = (0..SLOW_OBJECTS)
        .map(|index| slow.sealed(&format!("s{index}"), &[("password", "planted-slow-1")]))
        .collect();
    futures::stream::iter(&objects)
        .map(|sealed| slow.apply(sealed))
        .buffer_unordered(16)
        .for_each(|_| std::future::ready(()))
        .await;
    // Every namespace with waiting writes has at least 8 of them in flight.
    until(
        Duration::from_mins(1),
        "writes are behind the webhook",
        async || webhook.calls() >= 8,
    )
    .await;

    let mut slowest = Duration::ZERO;
    for index in 0..3 {
        let name = format!("f{index}");
        // Sealed with the key of the controller's keyring.
        let draft = draft(&fast.namespace, &name, &[("password", b"planted-fast-1")]);
        let sealed = object(&slow.sealer.seal(draft));
        let started = Instant::now();
        fast.apply(&sealed).await;
        fast.wait_for_secret(&name, &[("password", "planted-fast-1")])
            .await;
        fast.wait_for_reason(&name, "Synced").await;
        slowest = slowest.max(started.elapsed());
    }
    testkit::say(&format!(
        "with {SLOW_OBJECTS} objects of another namespace behind a webhook of {} s, the slowest of 3 objects was Ready after {:.2} s",
        WEBHOOK.as_secs(),
        slowest.as_secs_f64()
    ));
    assert!(slowest < WEBHOOK / 2, "delayed by {slowest:?}");
    assert!(
        webhook.calls() < SLOW_OBJECTS,
        "the webhook no longer delays anything"
    );

    control
        .kubectl(["delete", "validatingwebhookconfiguration", &slow.namespace])
        .unwrap();
    drop(webhook);
    slow.finish(running).await;
}
