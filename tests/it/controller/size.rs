//! Large objects: what is kept of them in memory is bounded, and they are opened all the same.

use std::time::Duration;

use envelope_secrets::config::{ByteSize, ControllerConfig};
use kube::api::DeleteParams;

use crate::support::controller::{Running, TestNamespace, timings};
use crate::support::crd::plane_with_crd;
use crate::support::sealing::{draft, object};
use crate::support::until;

const COUNT: usize = 12;
/// About 0.9 MB as a document.
const VALUE: usize = 660_000;
const BUDGET: usize = 2 << 20;

fn start(place: &TestNamespace) -> Running {
    let namespaces = [place.namespace.clone()];
    let mut config = ControllerConfig::new(&namespaces, &[], Some(plane_with_crd().kubeconfig())).unwrap();
    config.document_cache = ByteSize(BUDGET);
    Running::start_configured(place.sealer.keyring(), config, timings())
}

fn kept(running: &Running) -> u64 {
    running.metric("envelope_secrets_document_cache_bytes", "")
}

#[tokio::test(flavor = "multi_thread")]
async fn documents_beyond_the_budget_are_read_when_they_are_opened() {
    let place = TestNamespace::new("size").await;
    let control = plane_with_crd();
    let value = vec![b'x'; VALUE];
    place
        .apply(&place.sealed("small", &[("password", "planted-size-1")]))
        .await;
    for index in 0..COUNT {
        let document = place
            .sealer
            .seal(draft(&place.namespace, &format!("l{index}"), &[("blob", &value)]));
        place.apply(&object(&document)).await;
    }
    let running = start(&place);
    for index in 0..COUNT {
        place.wait_for_reason(&format!("l{index}"), "Synced").await;
    }
    place.wait_for_reason("small", "Synced").await;
    let bytes = kept(&running);
    assert!(
        bytes > 0 && bytes <= BUDGET as u64,
        "{bytes} bytes of {COUNT} documents are kept"
    );
    running.stop().await;

    // After a restart a Secret is restored, whether or not its document is kept.
    let mark = control.audit_mark().unwrap();
    let running = start(&place);
    until(Duration::from_mins(1), "every object is skipped", async || {
        running.metric("envelope_secrets_reconcile_total", "outcome=\"skipped\"") > COUNT as u64
    })
    .await;
    assert_eq!(running.metric("envelope_secrets_opens_total", ""), 0);
    assert!(kept(&running) <= BUDGET as u64);
    for index in 0..COUNT {
        let name = format!("l{index}");
        let secret = place.secrets().get(&name).await.unwrap();
        place
            .secrets()
            .delete(&name, &DeleteParams::default())
            .await
            .unwrap();
        until(Duration::from_mins(1), "the Secret is restored", async || {
            let restored = place.secrets().get_opt(&name).await.unwrap();
            restored.is_some_and(|restored| restored.metadata.uid != secret.metadata.uid)
        })
        .await;
    }
    assert_eq!(
        running.metric("envelope_secrets_opens_total", "opened"),
        COUNT as u64
    );
    let events = control.audit_since(mark).unwrap();
    let reads = events.iter().filter(|event| {
        event.namespace == place.namespace
            && event.verb == "get"
            && event.resource == "envelopesecrets"
            && event.user_agent.ends_with(" controller")
    });
    // One read checks that the object still exists, the other one is that of its document.
    let most = 2 * COUNT - BUDGET / VALUE;
    assert!(reads.count() >= most, "documents that are not kept are read");
    assert!(kept(&running) <= BUDGET as u64);
    place.finish(running).await;
}
