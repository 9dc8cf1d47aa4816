//! What is refused: the condition that tells a person, the Secret that stays as it is, and what cures it.

use envelope_secrets::envelope::SealTime;
use k8s_openapi::api::core::v1::Secret;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams};
use serde_json::{Value, json};

use crate::support::canary::logged;
use crate::support::controller::{Place, condition, message, stalled};
use crate::support::crd::plane_with_crd;
use crate::support::sealing::{Sealer, draft, object};
use crate::support::until;

const PASSWORD: &str = "planted-refusal-4Wb";

/// Another first character of a base64url text.
fn tamper(text: &mut Value) {
    let old = text.as_str().unwrap();
    let first = if old.starts_with('A') { "B" } else { "A" };
    *text = json!(format!("{first}{}", &old[1..]));
}

/// A Secret as somebody else makes one.
fn foreign(name: &str, metadata: &Value) -> Secret {
    let mut secret = json!({"metadata": {"name": name}, "data": {"theirs": "eA=="}});
    let meta = secret["metadata"].as_object_mut().unwrap();
    meta.extend(metadata.as_object().unwrap().clone());
    serde_json::from_value(secret).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tampered_document_has_one_condition_whatever_was_changed() {
    let place = Place::new("tamper").await;
    let running = place.controller();
    let good = place.sealed("db", &[("password", PASSWORD)]);
    place.apply(&good).await;
    place.secret("db", &[("password", PASSWORD)]).await;
    place.reason("db", "Synced").await;

    let mut messages = Vec::new();
    for path in [
        "/spec/seal/mac",
        "/spec/dataKeys/0/templateMac",
        "/spec/id",
        "/spec/dataKeys/0/wraps/0/ciphertext",
    ] {
        let mut bad = good.clone();
        match bad.pointer_mut(path) {
            // "esl1." is no part of the sealed bytes.
            Some(text) if path.ends_with("ciphertext") => {
                *text = json!(text.as_str().unwrap().replacen("esl1.", "esl1.AA", 1));
            }
            Some(text) => tamper(text),
            None => panic!("{path}"),
        }
        place.apply(&bad).await;
        let refused = place.reason("db", "IntegrityError").await;
        stalled(&refused);
        messages.push(message(&refused).to_owned());
        assert_eq!(
            refused.data["status"]["applied"]["generation"], 1,
            "the last success is told again"
        );
    }
    messages.dedup();
    assert_eq!(
        messages,
        [
            "the document does not open: it was changed after sealing, or sealed for another place or key; the secret \
          keeps generation 1; run envelope open on the file and seal it again; retried ever more rarely"
        ]
    );
    place.secret("db", &[("password", PASSWORD)]).await;
    assert!(running.metric("envelope_secrets_opens_total", "integrity") >= 4);
    // Why, and at which stage, stands in the debug log alone.
    assert!(!logged(&[&place.namespace, "\"stage\":\"SEAL\"", "\"DEBUG\""]).is_empty());

    place.apply(&good).await;
    place.reason("db", "Synced").await;
    place.finish(running).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copied_document_names_the_place_of_its_annotation() {
    let place = Place::new("copy").await;
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
    let refused = place.reason("db", "IntegrityError").await;
    stalled(&refused);
    let said = message(&refused);
    assert!(
        said.ends_with(&format!(
            "(its annotation says that it was sealed for {elsewhere}/db)"
        )),
        "{said}"
    );
    assert!(said.contains("no secret exists yet"), "{said}");
    assert!(place.secrets().get_opt("db").await.unwrap().is_none());
    place.finish(running).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_foreign_secret_is_refused_and_not_touched() {
    let place = Place::new("foreign").await;
    let owner = json!({"ownerReferences": [{"apiVersion": "bitnami.com/v1alpha1", "kind": "SealedSecret", "name": "db",
                       "uid": "11111111-2222-3333-4444-555555555555", "controller": true}]});
    // The garbage collector takes what an owner of an unknown kind seems to own only where it can look that owner up.
    let cases = [
        ("plain", json!({}), "nobody we know"),
        ("owned", owner, "SealedSecret db"),
        (
            "consent",
            json!({"labels": {"envelope-secrets.io/managed": "adopt"}}),
            "nobody we know",
        ),
    ];
    let mut before = Vec::new();
    for (name, metadata, _) in &cases {
        before.push(place.create_secret(&foreign(name, metadata)).await);
    }
    let running = place.controller();
    for (name, _, whose) in &cases {
        place.apply(&place.sealed(name, &[("password", PASSWORD)])).await;
        let refused = place.reason(name, "Conflict").await;
        stalled(&refused);
        assert!(message(&refused).contains(whose), "{name}: {}", message(&refused));
    }
    for (secret, (name, ..)) in before.iter().zip(&cases) {
        let now = place.secrets().get(name).await.unwrap();
        assert_eq!(
            now.metadata.resource_version, secret.metadata.resource_version,
            "{name} was not touched"
        );
    }

    // A restart opens nothing: the status says what stands there.
    running.stop().await;
    let running = place.controller();
    for (name, ..) in &cases {
        place.reason(name, "Conflict").await;
    }
    place
        .apply(&place.sealed("last", &[("password", PASSWORD)]))
        .await;
    place.reason("last", "Synced").await;
    assert_eq!(
        running.metric("envelope_secrets_opens_total", ""),
        1,
        "only the new one"
    );

    // When it goes, ours comes, though no watch shows it.
    place
        .secrets()
        .delete("plain", &DeleteParams::default())
        .await
        .unwrap();
    place.secret("plain", &[("password", PASSWORD)]).await;
    place.reason("plain", "Synced").await;
    place.finish(running).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_foreign_secret_that_takes_long_to_end_is_waited_for() {
    let place = Place::new("ending").await;
    let held = json!({"finalizers": ["example.com/hold"]});
    place.create_secret(&foreign("db", &held)).await;
    let running = place.controller();
    place.apply(&place.sealed("db", &[("password", PASSWORD)])).await;
    place.reason("db", "Conflict").await;
    place
        .secrets()
        .delete("db", &DeleteParams::default())
        .await
        .unwrap();
    until(
        std::time::Duration::from_mins(1),
        "its end is seen to have begun",
        async || running.metric("envelope_secrets_reconcile_total", "outcome=\"left\"") > 0,
    )
    .await;
    let released = json!({"metadata": {"finalizers": null}});
    place
        .secrets()
        .patch("db", &PatchParams::default(), &Patch::Merge(released))
        .await
        .unwrap();
    place.secret("db", &[("password", PASSWORD)]).await;
    place.reason("db", "Synced").await;
    place.finish(running).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_object_harms_nobody() {
    let place = Place::new("bad").await;
    let running = place.controller();
    let good = |name: &str| place.sealed(name, &[("password", PASSWORD)]);
    // What no schema can see.
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
    for (bad, reason, says) in [
        (syntax, "InvalidDocument", "spec.template.render.x: "),
        (
            newer,
            "UnsupportedDocument",
            "field spec.later needs a newer controller",
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
        let refused = place.reason(name, reason).await;
        assert!(message(&refused).contains(says), "{name}: {}", message(&refused));
        let waits = reason == "SealTimeInFuture";
        assert_eq!(condition(&refused, "Reconciling").is_some(), waits, "{name}");
        assert_eq!(condition(&refused, "Stalled").is_some(), !waits, "{name}");
    }
    place.apply(&good("last")).await;
    for name in ["first", "last"] {
        place.reason(name, "Synced").await;
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
async fn a_new_key_in_the_keyring_is_used_at_once() {
    let place = Place::new("keyring").await;
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
    stalled(&place.reason("db", "NoUsableKey").await);
    let both = [
        std::fs::read(place.sealer.keyring()).unwrap(),
        std::fs::read(other.keyring()).unwrap(),
    ]
    .concat();
    std::fs::write(place.sealer.keyring(), both).unwrap();
    place.secret("db", &[("password", PASSWORD)]).await;
    place.reason("db", "Synced").await;
    place.finish(running).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_older_seal_is_applied_with_a_warning() {
    let place = Place::new("rollback").await;
    let running = place.controller();
    let seal = |time: &str, value: &str| {
        place.canary.plant(value);
        let draft = draft(&place.namespace, "db", &[("password", value.as_bytes())]);
        object(&place.sealer.seal_at(draft, SealTime::parse(time).unwrap()))
    };
    place
        .apply(&seal("2026-11-20T10:00:00Z", "planted-newer-1"))
        .await;
    place.secret("db", &[("password", "planted-newer-1")]).await;
    place.reason("db", "Synced").await;
    place
        .apply(&seal("2026-11-19T10:00:00Z", "planted-older-2"))
        .await;
    place.secret("db", &[("password", "planted-older-2")]).await;
    let ready = place.reason("db", "Synced").await;
    assert_eq!(
        message(&ready),
        "secret holds 1 entry of generation 2; older seal than one seen before (2026-11-20T10:00:00Z)"
    );
    assert_eq!(
        ready.data["status"]["sealed"]["highestTime"],
        "2026-11-20T10:00:00Z"
    );
    assert!(!logged(&[&place.namespace, "sealed at 2026-11-19T10:00:00Z", "WARN"]).is_empty());
    place.finish(running).await;
}
