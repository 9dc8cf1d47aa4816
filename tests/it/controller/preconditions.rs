//! The write preconditions (docs/design/controller.md#write-preconditions), each tested on the API server itself. Run on
//! every supported minor version before a release.

use k8s_openapi::api::core::v1::{ConfigMap, Namespace, Secret};
use kube::Api;
use kube::api::{DeleteParams, PartialObjectMeta, Patch, PatchParams, PostParams};
use serde_json::{Value, json};

use crate::support::controller::TestNamespace;

const MANAGER: &str = "envelope-secrets";

/// Sends a forced apply as the controller does. Returns the Secret's metadata or the error code.
async fn apply(
    place: &TestNamespace,
    name: &str,
    metadata: Value,
    value: &str,
) -> Result<PartialObjectMeta<Secret>, u16> {
    let secrets: Api<PartialObjectMeta<Secret>> = Api::namespaced(place.client.clone(), &place.namespace);
    let mut body =
        json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "data": {"a": value}});
    body["metadata"]
        .as_object_mut()
        .unwrap()
        .extend(metadata.as_object().unwrap().clone());
    let params = PatchParams::apply(MANAGER).force();
    match secrets.patch(name, &params, &Patch::Apply(&body)).await {
        Ok(meta) => Ok(meta),
        Err(kube::Error::Api(status)) => Err(status.code),
        Err(error) => panic!("{error}"),
    }
}

/// The precondition for this version.
fn unchanged_since(meta: &PartialObjectMeta<Secret>) -> Value {
    json!({"uid": meta.metadata.uid, "resourceVersion": meta.metadata.resource_version})
}

async fn delete(place: &TestNamespace, name: &str) {
    place
        .secrets()
        .delete(name, &DeleteParams::default())
        .await
        .unwrap();
}

#[tokio::test]
async fn first_apply_never_updates() {
    let place = TestNamespace::new("create").await;
    let absent = json!({"resourceVersion": "1"});
    let made = apply(&place, "one", absent.clone(), "YQ==")
        .await
        .expect("absent");
    assert_eq!(
        apply(&place, "one", absent.clone(), "Yg==").await.err(),
        Some(409),
        "even our own Secret"
    );
    let foreign: Secret =
        serde_json::from_value(json!({"metadata": {"name": "foreign"}, "data": {"b": "eA=="}})).unwrap();
    place.create_secret(&foreign).await;
    assert_eq!(apply(&place, "foreign", absent, "Yg==").await.err(), Some(409));
    let kept = place.secrets().get("foreign").await.unwrap();
    assert_eq!(kept.data.unwrap().into_keys().collect::<Vec<_>>(), ["b"]);
    assert_eq!(
        place
            .secrets()
            .get("one")
            .await
            .unwrap()
            .metadata
            .resource_version,
        made.metadata.resource_version
    );
}

#[tokio::test]
async fn later_apply_updates_only_the_observed_version() {
    let place = TestNamespace::new("update").await;
    let absent = json!({"resourceVersion": "1"});
    let first = apply(&place, "s", absent.clone(), "YQ==").await.expect("made");
    let second = apply(&place, "s", unchanged_since(&first), "Yg==")
        .await
        .expect("unchanged");
    assert_ne!(second.metadata.resource_version, first.metadata.resource_version);
    assert_eq!(
        apply(&place, "s", unchanged_since(&first), "Yw==").await.err(),
        Some(409),
        "changed since"
    );
    let same = apply(&place, "s", unchanged_since(&second), "Yg==")
        .await
        .expect("the same content");
    assert_eq!(
        same.metadata.resource_version, second.metadata.resource_version,
        "an apply of the same content is a no-op"
    );

    delete(&place, "s").await;
    assert_eq!(
        apply(&place, "s", unchanged_since(&second), "Yw==").await.err(),
        Some(409),
        "deleted"
    );
    assert!(
        place.secrets().get_opt("s").await.unwrap().is_none(),
        "it stays deleted"
    );
    let alone = json!({"resourceVersion": second.metadata.resource_version});
    assert!(
        apply(&place, "s", alone, "Yw==").await.is_ok(),
        "a resourceVersion alone creates it again: the uid is required"
    );
    assert_eq!(
        apply(&place, "s", unchanged_since(&second), "Yw==").await.err(),
        Some(409),
        "replaced"
    );
}

#[tokio::test]
async fn json_patch_with_an_outdated_test_is_rejected() {
    let place = TestNamespace::new("jsonpatch").await;
    let first = apply(&place, "s", json!({"resourceVersion": "1"}), "YQ==")
        .await
        .expect("made");
    let patch = |version: &Option<String>| {
        let operations = json!([{"op": "test", "path": "/metadata/resourceVersion", "value": version},
                                {"op": "remove", "path": "/data/a"}]);
        Patch::<()>::Json(serde_json::from_value(operations).unwrap())
    };
    let second = apply(&place, "s", unchanged_since(&first), "Yg==")
        .await
        .expect("changed");
    let secrets = place.secrets();
    let params = PatchParams::default();
    let refused = secrets
        .patch("s", &params, &patch(&first.metadata.resource_version))
        .await
        .err();
    let Some(kube::Error::Api(status)) = refused else {
        panic!("changed since")
    };
    let names_a_field = status.details.is_some_and(|details| !details.causes.is_empty());
    assert_eq!(
        (status.code, names_a_field),
        (422, false),
        "distinguishable from an invalid Secret"
    );
    secrets
        .patch("s", &params, &patch(&second.metadata.resource_version))
        .await
        .unwrap();
}

#[tokio::test]
async fn status_is_written_only_for_the_observed_version() {
    let place = TestNamespace::new("status").await;
    let first = place
        .apply(&place.sealed("db", &[("password", "planted-status-3Vn")]))
        .await;
    let changed = place
        .apply(&place.sealed("db", &[("password", "planted-status-4Vn")]))
        .await;
    let status = |version: &Option<String>| {
        Patch::Apply(
            json!({"apiVersion": "envelope-secrets.io/v1", "kind": "EnvelopeSecret",
            "metadata": {"name": "db", "namespace": place.namespace, "resourceVersion": version},
            "status": {"observedGeneration": 7}}),
        )
    };
    let params = PatchParams::apply("envelope-secrets-status").force();
    let objects = place.objects();
    let refused = objects
        .patch_status("db", &params, &status(&first.metadata.resource_version))
        .await
        .err();
    assert!(matches!(refused, Some(kube::Error::Api(status)) if status.code == 409));
    objects
        .patch_status("db", &params, &status(&changed.metadata.resource_version))
        .await
        .unwrap();
}

#[tokio::test]
async fn dry_run_in_a_terminating_namespace_is_refused_like_a_write() {
    let place = TestNamespace::new("terminating").await;
    let held: ConfigMap =
        serde_json::from_value(json!({"metadata": {"name": "held", "finalizers": ["example.com/hold"]}}))
            .unwrap();
    let maps: Api<ConfigMap> = Api::namespaced(place.client.clone(), &place.namespace);
    maps.create(&PostParams::default(), &held).await.unwrap();
    let namespaces: Api<Namespace> = Api::all(place.client.clone());
    namespaces
        .delete(&place.namespace, &DeleteParams::default())
        .await
        .unwrap();
    let body =
        json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s", "resourceVersion": "1"}});
    for dry_run in [true, false] {
        let params = PatchParams {
            dry_run,
            ..PatchParams::apply(MANAGER).force()
        };
        let refused = place
            .secrets()
            .patch("s", &params, &Patch::Apply(&body))
            .await
            .err();
        let Some(kube::Error::Api(status)) = refused else {
            panic!("the namespace is being deleted")
        };
        let mut causes = status.details.iter().flat_map(|details| &details.causes);
        assert!(
            causes.any(|cause| cause.reason == "NamespaceTerminating"),
            "{status:?}"
        );
    }
    let free = json!({"metadata": {"finalizers": null}});
    maps.patch("held", &PatchParams::default(), &Patch::Merge(free))
        .await
        .unwrap();
}
