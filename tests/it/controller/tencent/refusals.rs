//! KMS errors: their conditions, and recovery once the cause is gone.

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn disabled_key_keeps_secrets_and_recovers_once_enabled() {
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
        ("db", "secret still holds generation 1"),
        ("new", "no secret exists yet"),
    ] {
        let refused = cloud.place.wait_for_reason(name, "KmsKeyUnusable").await;
        assert_stalled(&refused);
        let said = message(&refused);
        for part in [
            &*format!("{} is disabled (", cloud.emulator.key_uri()),
            "ResourceUnavailable.CmkDisabled",
            kept,
            "enable the KMS key",
        ] {
            assert!(said.contains(part), "{part}: {said}");
        }
    }
    cloud.place.wait_for_secret("db", &[("password", FIRST)]).await;
    cloud.no_secret("new").await;

    // The same error with another request id changes nothing, even after a restart.
    running.stop().await;
    let version = async || {
        let object = cloud.place.objects().get("new").await.unwrap();
        object.metadata.resource_version.unwrap()
    };
    let (before, tried) = (version().await, cloud.decrypts(&key));
    let running = cloud.controller_of_region();
    // By the third attempt of two objects, the result of the first was reported.
    until(LIMIT, "the new process has retried", async || {
        cloud.decrypts(&key) >= tried + 6
    })
    .await;
    let repetition = [
        "the KMS call failed again for the same reason",
        "\"request_id\":",
        "\"name\":\"new\"",
        &cloud.place.namespace,
    ];
    assert!(!logged(&repetition).is_empty(), "later request ids are logged");
    let after = cloud.place.objects().get("new").await.unwrap();
    assert_eq!(version().await, before, "{:#}", after.data["status"]);

    cloud.key_state(&key, KeyState::Enabled);
    cloud.ready("db", SECOND).await;
    cloud.ready("new", FIRST).await;

    // Synced objects need no key: a controller that starts while the key is disabled does not call it.
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
async fn each_kms_error_has_its_reason_and_recovers() {
    let cloud = Cloud::new("refusals").await;
    let running = cloud.controller_of_region();
    for (name, code, reason, expected) in [
        (
            "throttled",
            "RequestLimitExceeded",
            "KmsThrottled",
            "raise the quota",
        ),
        (
            "fault",
            "InternalError",
            "KmsUnavailable",
            "retrying with backoff",
        ),
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
            "the identity of the credentials from environment is not allowed to decrypt with tencent-kms://",
        ),
        (
            "region",
            "UnsupportedRegion",
            "KmsMisconfigured",
            "rejected the request",
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
            " is pending deletion (",
        ),
    ] {
        let sealed = cloud.sealed(name, FIRST).await;
        cloud.emulator.fault(Fault::new(error(code)).action("Decrypt"));
        cloud.place.apply(&sealed).await;
        let refused = cloud.place.wait_for_reason(name, reason).await;
        let said = message(&refused);
        assert!(
            said.contains(expected) && said.contains("no secret exists yet"),
            "{said}"
        );
        let retryable = matches!(
            reason,
            "KmsThrottled" | "KmsUnavailable" | "CredentialsUnavailable"
        );
        assert_eq!(condition(&refused, "Reconciling").is_some(), retryable, "{code}");
        assert_eq!(condition(&refused, "Stalled").is_some(), !retryable, "{code}");
        cloud.no_secret(name).await;
        cloud.emulator.clear_faults();
        cloud.ready(name, FIRST).await;
    }
    cloud.place.finish(running).await;
}
