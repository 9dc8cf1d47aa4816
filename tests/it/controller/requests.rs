//! The requests that the controller sends to the API server.

use crate::support::controller::Place;
use crate::support::crd::plane_with_crd;

#[tokio::test(flavor = "multi_thread")]
async fn every_request_identifies_the_controller() {
    let place = Place::new("agent").await;
    let control = plane_with_crd();
    let mark = control.audit_mark().unwrap();
    let running = place.controller();
    place
        .apply(&place.sealed("db", &[("password", "planted-agent-1")]))
        .await;
    place.reason("db", "Synced").await;
    let namespace = place.namespace.clone();
    place.finish(running).await;

    let expected = format!(
        "envelope-secrets/{} ({}/{}) controller",
        env!("CARGO_PKG_VERSION"),
        std::env::consts::OS,
        std::env::consts::ARCH
    );
    let events = control.audit_since(mark).unwrap();
    // This test's own client has a different User-Agent, and it alone applies and watches single objects.
    let by_controller = events.iter().filter(|event| {
        event.namespace == namespace
            && (event.uri.contains("fieldManager=envelope-secrets")
                || event.uri.contains("labelSelector=envelope-secrets.io")
                || event.verb == "create" && event.resource == "events")
    });
    let mut seen = std::collections::BTreeSet::new();
    for event in by_controller {
        assert_eq!(event.user_agent, expected, "{} {}", event.verb, event.uri);
        seen.insert(event.verb.clone());
    }
    let seen: Vec<&str> = seen.iter().map(String::as_str).collect();
    assert_eq!(seen, ["create", "list", "patch", "watch"]);
}
