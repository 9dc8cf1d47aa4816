//! Documents and Secrets that are refused: the condition, the unchanged Secret, and the recovery.

use std::time::Duration;

use envelope_secrets::envelope::SealTime;
use k8s_openapi::api::core::v1::Secret;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams};
use serde_json::{Value, json};

use crate::support::canary::logged;
use crate::support::controller::{TestNamespace, assert_stalled, condition, message};
use crate::support::crd::plane_with_crd;
use crate::support::sealing::{Sealer, draft, object};
use crate::support::until;

const PASSWORD: &str = "planted-refusal-4Wb";

/// Replaces the first character of a base64url text.
fn tamper(text: &mut Value) {
    let old = text.as_str().unwrap();
    let first = if old.starts_with('A') { "B" } else { "A" };
    *text = json!(format!("{first}{}", &old[1..]));
}

/// A Secret of another owner.
fn foreign(name: &str, metadata: &Value) -> Secret {
    let mut secret = json!({"metadata": {"name": name}, "data": {"theirs": "eA=="}});
    let meta = secret["metadata"].as_object_mut().unwrap();
    meta.extend(metadata.as_object().unwrap().clone());
    serde_json::from_value(secret).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn all_tampering_yields_the_same_condition() {
    let place = TestNamespace::new("tamper").await;
    let running = place.controller();
    let good = place.sealed("db", &[("password", PASSWORD)]);
    place.apply(&good).await;
    place.wait_for_secret("db", &[("password", PASSWORD)]).await;
    place.wait_for_reason("db", "Synced").await;

    let mut messages = Vec::new();
    for path in [
        "/spec/seal/mac",
        "/spec/dataKeys/0/templateMac",
        "/spec/id",
        "/spec/dataKeys/0/wraps/0/ciphertext",
    ] {
        let mut bad = good.clone();
        match bad.pointer_mut(path) {
            // The prefix "esl1." is not part of the ciphertext bytes.
            Some(text) if path.ends_with("ciphertext") => {
                *text = json!(text.as_str().unwrap().replacen("esl1.", "esl1.AA", 1));
            }
            Some(text) => tamper(text),
            None => panic!("{path}"),
        }
        place.apply(&bad).await;
        let refused = place.wait_for_reason("db", "IntegrityError").await;
        assert_stalled(&refused);
        messages.push(message(&refused).to_owned());
        assert_eq!(
            refused.data["status"]["applied"]["generation"], 1,
            "the last success is still reported"
        );
    }
    messages.dedup();
    assert_eq!(
        messages,
        [
            "the document cannot be opened: it was changed after sealing, or sealed for another namespace, name or KMS \
             key; secret still holds generation 1; run envelope open on the file and re-seal it; retrying with backoff"
        ]
    );
    place.wait_for_secret("db", &[("password", PASSWORD)]).await;
    assert!(running.metric("envelope_secrets_opens_total", "integrity") >= 4);
    // Only the debug log contains the cause and the stage.
    assert!(!logged(&[&place.namespace, "\"stage\":\"SEAL\"", "\"DEBUG\""]).is_empty());

    place.apply(&good).await;
    place.wait_for_reason("db", "Synced").await;
    place.finish(running).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn copied_document_is_refused_and_names_its_annotated_place() {
    let place = TestNamespace::new("copy").await;
    let elsewhere = plane_with_crd().namespace("elsewhere").unwrap();
    let running = place.controller();
    let mut copied = object(&place.sealer.seal(draft(
        &elsewhere,
        "db",
        &[("password", PASSWORD.as_bytes())],
    )));
    place.canary.plant(PASSWORD);
    copied["metadata"] = json!({"name": "db", "namespace": place.namespace,
        "annotations": {"envelope-secrets.io/sealed-for": format!("{elsewhere}/db")}});
    place.apply(&copied).await;
    let refused = place.wait_for_reason("db", "IntegrityError").await;
    assert_stalled(&refused);
    let said = message(&refused);
    assert!(
        said.ends_with(&format!("(its annotation says it was sealed for {elsewhere}/db)")),
        "{said}"
    );
    assert!(said.contains("no secret exists yet"), "{said}");
    assert!(place.secrets().get_opt("db").await.unwrap().is_none());
    place.finish(running).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn foreign_secret_is_reported_and_not_touched() {
    let place = TestNamespace::new("foreign").await;
    let owner = json!({"ownerReferences": [{"apiVersion": "bitnami.com/v1alpha1", "kind": "SealedSecret", "name": "db",
                       "uid": "11111111-2222-3333-4444-555555555555", "controller": true}]});
    // The owner does not exist, but the garbage collector does not know its kind and leaves the Secret alone.
    let cases = [
        ("plain", json!({}), "is not managed by this controller"),
        ("owned", owner, "SealedSecret db"),
        (
            "consent",
            json!({"labels": {"envelope-secrets.io/managed": "adopt"}}),
            "is not managed by this controller",
        ),
    ];
    let mut before = Vec::new();
    for (name, metadata, _) in &cases {
        before.push(place.create_secret(&foreign(name, metadata)).await);
    }
    let running = place.controller();
    for (name, _, whose) in &cases {
        place.apply(&place.sealed(name, &[("password", PASSWORD)])).await;
        let refused = place.wait_for_reason(name, "Conflict").await;
        assert_stalled(&refused);
        assert!(message(&refused).contains(whose), "{name}: {}", message(&refused));
    }
    for (secret, (name, ..)) in before.iter().zip(&cases) {
        let now = place.secrets().get(name).await.unwrap();
        assert_eq!(
            now.metadata.resource_version, secret.metadata.resource_version,
            "{name} was not touched"
        );
    }

    // A restart opens nothing: the status already reports the conflict.
    running.stop().await;
    let running = place.controller();
    for (name, ..) in &cases {
        place.wait_for_reason(name, "Conflict").await;
    }
    place.apply_synced("last", &[("password", PASSWORD)]).await;
    assert_eq!(
        running.metric("envelope_secrets_opens_total", ""),
        1,
        "only the new one"
    );

    // After its deletion the controller creates its own, although no watch reports the deletion.
    place
        .secrets()
        .delete("plain", &DeleteParams::default())
        .await
        .unwrap();
    place.wait_for_secret("plain", &[("password", PASSWORD)]).await;
    place.wait_for_reason("plain", "Synced").await;
    place.finish(running).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn foreign_secret_held_by_a_finalizer_is_waited_for() {
    let place = TestNamespace::new("ending").await;
    let held = json!({"finalizers": ["example.com/hold"]});
    place.create_secret(&foreign("db", &held)).await;
    let running = place.controller();
    place.apply(&place.sealed("db", &[("password", PASSWORD)])).await;
    place.wait_for_reason("db", "Conflict").await;
    place
        .secrets()
        .delete("db", &DeleteParams::default())
        .await
        .unwrap();
    until(
        std::time::Duration::from_mins(1),
        "its deletion is observed",
        async || running.metric("envelope_secrets_reconcile_total", "outcome=\"left\"") > 0,
    )
    .await;
    let released = json!({"metadata": {"finalizers": null}});
    place
        .secrets()
        .patch("db", &PatchParams::default(), &Patch::Merge(released))
        .await
        .unwrap();
    place.wait_for_secret("db", &[("password", PASSWORD)]).await;
    place.wait_for_reason("db", "Synced").await;
    place.finish(running).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn invalid_objects_do_not_affect_others() {
    let place = TestNamespace::new("bad").await;
    let running = place.controller();
    let good = |name: &str| place.sealed(name, &[("password", PASSWORD)]);
    // Errors that the CRD schema cannot detect.
    let mut syntax = good("syntax");
    syntax["spec"]["template"] = json!({"render": {"x": "<% nonsense %>"}});
    let mut newer = good("newer");
    newer["spec"]["later"] = json!({"a": null});
    let mut audience = draft(&place.namespace, "audience", &[("password", PASSWORD.as_bytes())]);
    audience.audience = Some("other".into());
    let mut type_ = draft(&place.namespace, "type", &[("password", PASSWORD.as_bytes())]);
    type_.template.type_ = Some("kubernetes.io/service-account-token".into());
    let stranger = Sealer::new(1).seal(draft(
        &place.namespace,
        "stranger",
        &[("password", PASSWORD.as_bytes())],
    ));
    let day_after_tomorrow = SealTime::now().unwrap().plus_one_day().plus_one_day();
    let future = draft(&place.namespace, "future", &[("password", PASSWORD.as_bytes())]);

    place.apply(&good("first")).await;
    for (bad, reason, expected) in [
        (syntax, "InvalidDocument", "spec.template.render.x: "),
        (
            newer,
            "UnsupportedDocument",
            "field spec.later requires a controller newer than",
        ),
        (object(&place.sealer.seal(audience)), "PolicyDenied", "audience"),
        (
            object(&place.sealer.seal(type_)),
            "PolicyDenied",
            "kubernetes.io/service-account-token",
        ),
        (object(&stranger), "NoUsableKey", "none of local://"),
        (
            object(&place.sealer.seal_at(future, day_after_tomorrow)),
            "SealTimeInFuture",
            "check the clocks",
        ),
    ] {
        let name = bad["metadata"]["name"].as_str().unwrap();
        place.apply(&bad).await;
        let refused = place.wait_for_reason(name, reason).await;
        assert!(
            message(&refused).contains(expected),
            "{name}: {}",
            message(&refused)
        );
        let waits = reason == "SealTimeInFuture";
        assert_eq!(condition(&refused, "Reconciling").is_some(), waits, "{name}");
        assert_eq!(condition(&refused, "Stalled").is_some(), !waits, "{name}");
    }
    place.apply(&good("last")).await;
    for name in ["first", "last"] {
        place.wait_for_reason(name, "Synced").await;
    }
    let made = place.secrets().list(&ListParams::default()).await.unwrap().items;
    let made: Vec<_> = made
        .iter()
        .filter_map(|secret| secret.metadata.name.as_deref())
        .collect();
    assert_eq!(made, ["first", "last"]);
    place.finish(running).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn key_added_to_the_keyring_is_used_immediately() {
    let place = TestNamespace::new("keyring").await;
    let running = place.controller();
    let other = Sealer::new(1);
    place.canary.plant(PASSWORD);
    place
        .apply(&object(&other.seal(draft(
            &place.namespace,
            "db",
            &[("password", PASSWORD.as_bytes())],
        ))))
        .await;
    assert_stalled(&place.wait_for_reason("db", "NoUsableKey").await);
    let both = [
        std::fs::read(place.sealer.keyring()).unwrap(),
        std::fs::read(other.keyring()).unwrap(),
    ]
    .concat();
    std::fs::write(place.sealer.keyring(), both).unwrap();
    place.wait_for_secret("db", &[("password", PASSWORD)]).await;
    place.wait_for_reason("db", "Synced").await;
    place.finish(running).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn older_seal_is_applied_with_a_warning() {
    let place = TestNamespace::new("rollback").await;
    let running = place.controller();
    let seal = |time: &str, value: &str| {
        place.canary.plant(value);
        let draft = draft(&place.namespace, "db", &[("password", value.as_bytes())]);
        object(&place.sealer.seal_at(draft, SealTime::parse(time).unwrap()))
    };
    place
        .apply(&seal("2026-11-20T10:00:00Z", "planted-newer-1"))
        .await;
    place
        .wait_for_secret("db", &[("password", "planted-newer-1")])
        .await;
    place.wait_for_reason("db", "Synced").await;
    place
        .apply(&seal("2026-11-19T10:00:00Z", "planted-older-2"))
        .await;
    place
        .wait_for_secret("db", &[("password", "planted-older-2")])
        .await;
    let ready = place.wait_for_reason("db", "Synced").await;
    assert_eq!(
        message(&ready),
        "secret holds 1 entry from generation 2; this seal is older than one already seen (2026-11-20T10:00:00Z)"
    );
    assert_eq!(
        ready.data["status"]["sealed"]["highestTime"],
        "2026-11-20T10:00:00Z"
    );
    let namespace = place.namespace.clone();
    let warnings = || logged(&[&namespace, "sealed at 2026-11-19T10:00:00Z", "WARN"]).len();
    assert_eq!(warnings(), 1);

    // Healing the Secret reports nothing new.
    place
        .secrets()
        .delete("db", &DeleteParams::default())
        .await
        .unwrap();
    place
        .wait_for_secret("db", &[("password", "planted-older-2")])
        .await;
    until(Duration::from_mins(1), "the heal is logged", async || {
        !logged(&[&place.namespace, "DriftHealed"]).is_empty()
    })
    .await;
    place.finish(running).await;
    assert_eq!(warnings(), 1);
}
