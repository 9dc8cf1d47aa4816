//! What the KMS refuses: the condition that says so, and that its end is enough.

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn a_disabled_key_leaves_secrets_alone_and_opens_again_once_enabled() {
    let cloud = Cloud::new("disabled").await;
    let key = cloud.emulator.key().to_owned();
    let running = cloud.controller_of_region();
    cloud.place.apply(&cloud.sealed("db", FIRST).await).await;
    cloud.ready("db", FIRST).await;
    let (changed, new) = (cloud.sealed("db", SECOND).await, cloud.sealed("new", FIRST).await);

    cloud.key_state(&key, KeyState::Disabled);
    cloud.place.apply(&changed).await;
    cloud.place.apply(&new).await;
    for (name, kept) in [
        ("db", "the secret keeps generation 1"),
        ("new", "no secret exists yet"),
    ] {
        let refused = cloud.place.reason(name, "KmsKeyUnusable").await;
        stalled(&refused);
        let said = message(&refused);
        for part in [
            &*format!("{} is disabled (", cloud.emulator.key_uri()),
            "ResourceUnavailable.CmkDisabled",
            kept,
            "enable the key",
        ] {
            assert!(said.contains(part), "{part}: {said}");
        }
    }
    cloud.place.secret("db", &[("password", FIRST)]).await;
    cloud.no_secret("new").await;

    // The same refusal with another request id is no news, to another process neither.
    running.stop().await;
    let version = async || {
        let object = cloud.place.objects().get("new").await.unwrap();
        object.metadata.resource_version.unwrap()
    };
    let (before, tried) = (version().await, cloud.decrypts(&key));
    let running = cloud.controller_of_region();
    // The third try of two objects comes after what the first found out was told.
    until(LIMIT, "the new process has tried again", async || {
        cloud.decrypts(&key) >= tried + 6
    })
    .await;
    let again = [
        "the same refusal again",
        "\"request_id\":",
        "\"name\":\"new\"",
        &cloud.place.namespace,
    ];
    assert!(!logged(&again).is_empty(), "later ids go to the log");
    let after = cloud.place.objects().get("new").await.unwrap();
    assert_eq!(version().await, before, "{:#}", after.data["status"]);

    cloud.key_state(&key, KeyState::Enabled);
    cloud.ready("db", SECOND).await;
    cloud.ready("new", FIRST).await;

    // What is in order needs no key: a controller that starts while it is disabled asks for nothing.
    running.stop().await;
    cloud.key_state(&key, KeyState::Disabled);
    let before = cloud.decrypts(&key);
    let other = cloud.emulator.create_key(REGION, "other").unwrap();
    let other = format!("tencent-kms://{REGION}/{other}");
    cloud
        .place
        .apply(&cloud.sealed_with(&[&other], "last", FIRST).await)
        .await;
    let running = cloud.controller_of_region();
    cloud.ready("last", FIRST).await;
    cloud.ready("db", SECOND).await;
    assert_eq!(cloud.decrypts(&key), before);
    cloud.place.finish(running).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_refusal_has_its_reason_and_ends_when_its_cause_does() {
    let cloud = Cloud::new("refusals").await;
    let running = cloud.controller_of_region();
    for (name, code, reason, says) in [
        (
            "throttled",
            "RequestLimitExceeded",
            "KmsThrottled",
            "raise the quota",
        ),
        ("fault", "InternalError", "KmsUnavailable", "retried by itself"),
        (
            "secret-id",
            "AuthFailure.SecretIdNotFound",
            "CredentialsUnavailable",
            "no valid credentials for Tencent Cloud KMS from environment; ",
        ),
        (
            "token",
            "AuthFailure.TokenFailure",
            "CredentialsUnavailable",
            "check the controller's credentials",
        ),
        (
            "denied",
            "UnauthorizedOperation",
            "KmsDenied",
            "the identity of the credentials from environment may not decrypt with tencent-kms://",
        ),
        (
            "region",
            "UnsupportedRegion",
            "KmsMisconfigured",
            "refuses the request",
        ),
        (
            "gone",
            "ResourceUnavailable.CmkNotFound",
            "KmsKeyUnusable",
            "is not found",
        ),
        (
            "deleting",
            "ResourceUnavailable.KeyPendingDelete",
            "KmsKeyUnusable",
            " is about to be deleted (",
        ),
    ] {
        let sealed = cloud.sealed(name, FIRST).await;
        cloud.emulator.fault(Fault::new(error(code)).action("Decrypt"));
        cloud.place.apply(&sealed).await;
        let refused = cloud.place.reason(name, reason).await;
        let said = message(&refused);
        assert!(
            said.contains(says) && said.contains("no secret exists yet"),
            "{said}"
        );
        let passes = matches!(
            reason,
            "KmsThrottled" | "KmsUnavailable" | "CredentialsUnavailable"
        );
        assert_eq!(condition(&refused, "Reconciling").is_some(), passes, "{code}");
        assert_eq!(condition(&refused, "Stalled").is_some(), !passes, "{code}");
        cloud.no_secret(name).await;
        cloud.emulator.clear_faults();
        cloud.ready(name, FIRST).await;
    }
    cloud.place.finish(running).await;
}
