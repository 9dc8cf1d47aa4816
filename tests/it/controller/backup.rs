//! Objects and Secrets restored from a backup, as Velero does: with new uids, without status and managedFields, in any order,
//! while the controller runs or not (docs/design/controller.md#ownership).

use k8s_openapi::api::core::v1::Secret;
use kube::api::{DeleteParams, PostParams};
use kube::core::DynamicObject;
use serde_json::json;

use crate::support::controller::{TestNamespace, has_reason, sorted_entries, text_entries};
use crate::support::{until, wait_for};

const LIMIT: std::time::Duration = std::time::Duration::from_mins(2);

/// What a backup contains of an object's metadata, beside its name.
fn backed_up<T: kube::Resource>(object: &mut T) {
    let meta = object.meta_mut();
    meta.uid = None;
    meta.resource_version = None;
    meta.managed_fields = None;
    meta.creation_timestamp = None;
    meta.generation = None;
}

async fn restore_secret(place: &TestNamespace, secret: &Secret) {
    // Between the two, the garbage collector may delete it: its owner does not exist.
    place.create_secret(secret).await;
}

async fn restore_object(place: &TestNamespace, object: &DynamicObject) {
    place
        .objects()
        .create(&PostParams::default(), object)
        .await
        .unwrap();
}

/// Backs up, deletes and restores the object `db` and its Secret.
async fn round_trip(prefix: &str, secret_first: bool, running_meanwhile: bool) {
    let place = TestNamespace::new(prefix).await;
    let entries = [("password", "planted-backup-1")];
    let mut running = Some(place.controller());
    place.apply(&place.sealed("db", &entries)).await;
    let mut object = place.wait_for_reason("db", "Synced").await;
    let mut secret = place.wait_for_secret("db", &entries).await;
    let old_owner = object.metadata.uid.clone();
    backed_up(&mut object);
    backed_up(&mut secret);
    object.data["status"] = json!({});
    if !running_meanwhile && let Some(controller) = running.take() {
        controller.stop().await;
    }
    place
        .objects()
        .delete("db", &DeleteParams::default())
        .await
        .unwrap();
    wait_for(
        &place.secrets(),
        "db",
        "the garbage collector deletes it",
        |secret: Option<&Secret>| secret.is_none(),
    )
    .await;
    if secret_first {
        restore_secret(&place, &secret).await;
        restore_object(&place, &object).await;
    } else {
        restore_object(&place, &object).await;
        if running_meanwhile {
            // The controller has created the Secret, and a restore keeps what exists.
            place.wait_for_secret("db", &entries).await;
        } else {
            restore_secret(&place, &secret).await;
        }
    }
    let running = running.unwrap_or_else(|| place.controller());
    until(
        LIMIT,
        "the new object owns the Secret, and is Synced",
        async || {
            let object = place.objects().get("db").await.unwrap();
            let Ok(Some(secret)) = place.secrets().get_opt("db").await else {
                return false;
            };
            let owners: Vec<_> = secret.metadata.owner_references.iter().flatten().collect();
            has_reason(&object, "Synced")
                && object.metadata.uid != old_owner
                && owners.len() == 1
                && Some(&owners[0].uid) == object.metadata.uid.as_ref()
                && object.data["status"]["applied"]["secretUID"] == json!(secret.metadata.uid)
                && text_entries(&secret) == sorted_entries(&entries)
        },
    )
    .await;
    place.finish(running).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn secret_restored_before_its_object_is_owned_again() {
    round_trip("backup-su", true, true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn secret_restored_before_its_object_while_the_controller_is_down_is_owned_again() {
    round_trip("backup-sd", true, false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn object_restored_before_its_secret_creates_it() {
    round_trip("backup-ou", false, true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn secret_restored_after_its_object_while_the_controller_is_down_is_owned_again() {
    round_trip("backup-od", false, false).await;
}
