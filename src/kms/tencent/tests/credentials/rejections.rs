//! Rejected credentials and failing sources: refresh, cooldown, and the errors that callers see.

use std::sync::atomic::AtomicBool;

use super::*;

#[tokio::test]
async fn rejected_credentials_are_refreshed_once() {
    for code in [
        "AuthFailure.TokenFailure",
        "AuthFailure.SecretIdNotFound",
        "AuthFailure.InvalidSecretId",
        "AuthFailure.SignatureFailure",
        "AuthFailure.SomethingNew",
    ] {
        let count = AtomicUsize::new(0);
        let server = Server::start(move |_, request| match request.action() {
            "Decrypt" if signed_by(request) == "AKIDtemporary0" => Reply::Error(code, "no"),
            "Decrypt" => decrypted(),
            _ => Reply::Response(issued(count.fetch_add(1, Ordering::Relaxed), LONG)),
        })
        .await;
        let pod = Pod::new();
        let kms = kms_of(&server, pod.with_identity());
        decrypt(&kms).await.expect("with the second credentials");
        assert_eq!(
            (server.received_of(WEB).len(), server.received_of("Decrypt").len()),
            (2, 2),
            "{code}"
        );
    }
    // If all credentials are rejected: one refresh, and not another for every call.
    let count = AtomicUsize::new(0);
    let server = Server::start(move |_, request| match request.action() {
        "Decrypt" => Reply::Error("AuthFailure.TokenFailure", "no"),
        _ => Reply::Response(issued(count.fetch_add(1, Ordering::Relaxed), LONG)),
    })
    .await;
    let pod = Pod::new();
    let kms = kms_of(&server, pod.with_identity());
    for _ in 0..3 {
        assert_eq!(
            decrypt(&kms).await.expect_err("refused").class,
            Class::Credentials
        );
    }
    assert_eq!(
        (server.received_of(WEB).len(), server.received_of("Decrypt").len()),
        (2, 4)
    );
}

/// The controller's broker makes every attempt itself: the client refreshes, and the caller repeats the call.
#[tokio::test]
async fn call_of_a_single_attempt_returns_repeat_now_after_refreshing() {
    let count = AtomicUsize::new(0);
    let server = Server::start(move |_, request| match request.action() {
        "Decrypt" if signed_by(request) == "AKIDtemporary0" => Reply::Error("AuthFailure.TokenFailure", "no"),
        "Decrypt" => decrypted(),
        _ => Reply::Response(issued(count.fetch_add(1, Ordering::Relaxed), LONG)),
    })
    .await;
    let pod = Pod::new();
    let single = Limits {
        attempts: 1,
        ..limits()
    };
    let settings = TencentSettings {
        environment: pod.with_identity(),
        limits: single,
        ..settings(&server)
    };
    let kms = TencentKms::new(settings).expect("a client");
    let rejected = decrypt(&kms).await.expect_err("rejected");
    assert_eq!((rejected.class, rejected.repeat_now), (Class::Credentials, true));
    assert_eq!(
        (server.received_of(WEB).len(), server.received_of("Decrypt").len()),
        (2, 1)
    );
    decrypt(&kms).await.expect("with the second credentials");
    assert_eq!(
        (server.received_of(WEB).len(), server.received_of("Decrypt").len()),
        (2, 2)
    );
}

/// All calls rejected with the same credentials continue with the result of one refresh.
#[tokio::test]
async fn concurrent_rejections_share_one_refresh() {
    let count = AtomicUsize::new(0);
    let revoked = Arc::new(AtomicBool::new(false));
    let in_script = Arc::clone(&revoked);
    let server = Server::start(move |_, request| match request.action() {
        "Decrypt" if in_script.load(Ordering::Relaxed) && signed_by(request) == "AKIDtemporary0" => {
            Reply::Error("AuthFailure.TokenFailure", "no")
        }
        "Decrypt" => decrypted(),
        _ => Reply::Response(issued(count.fetch_add(1, Ordering::Relaxed), LONG)),
    })
    .await;
    let pod = Pod::new();
    let kms = kms_of(&server, pod.with_identity());
    decrypt(&kms).await.expect("with the first credentials");
    revoked.store(true, Ordering::Relaxed);
    let calls = (0..20).map(|_| decrypt(&kms));
    for done in futures::future::join_all(calls).await {
        done.expect("with the second credentials");
    }
    assert_eq!(server.received_of(WEB).len(), 2);
}

#[tokio::test]
async fn error_names_the_rejected_source_or_denied_identity() {
    for (code, is_pod, class, subject) in [
        (
            "UnauthorizedOperation",
            true,
            Class::Denied,
            "qcs::cam::uin/100000000001:roleName/opener (tke-oidc)",
        ),
        (
            "UnauthorizedOperation",
            false,
            Class::Denied,
            "the identity of the credentials from environment",
        ),
        (
            "AuthFailure.SignatureFailure",
            true,
            Class::Credentials,
            "tke-oidc",
        ),
        (
            "ResourceUnavailable.CmkDisabled",
            false,
            Class::KeyUnusable,
            "disabled",
        ),
    ] {
        let server = Server::start(move |number, request| match request.action() {
            WEB => Reply::Response(issued(number, LONG)),
            _ => Reply::Error(code, "no"),
        })
        .await;
        let pod = Pod::new();
        let kms = if is_pod {
            kms_of(&server, pod.with_identity())
        } else {
            TencentKms::new(settings(&server)).expect("a client")
        };
        let error = decrypt(&kms).await.expect_err("refused");
        assert_eq!((error.class, error.subject.as_deref()), (class, Some(subject)));
    }
}

/// Code and request id are reported, for Tencent Cloud's support.
#[tokio::test]
async fn sts_failure_is_reported_and_retryable_if_transient() {
    for (code, retryable, advice) in [
        ("InternalError", true, "Tencent Cloud's own status"),
        ("RequestLimitExceeded", true, "limits STS calls"),
        ("ResourceNotFound.RoleNotFound", false, "trust policy"),
        ("UnauthorizedOperation", false, "trust policy"),
    ] {
        let server = Server::start(move |_, _| Reply::Error(code, "no")).await;
        let pod = Pod::new();
        let error = decrypt(&kms_of(&server, pod.with_identity()))
            .await
            .expect_err("no credentials");
        assert_eq!(
            (error.class, error.retryable),
            (Class::Credentials, retryable),
            "{code}"
        );
        assert_eq!(
            (error.code.as_deref(), error.request_id.as_deref()),
            (Some(code), Some(REQUEST_ID))
        );
        assert!(error.advice().contains(advice), "{}", error.advice());
    }
    let pod = Pod::new();
    let settings = TencentSettings {
        environment: pod.with_identity(),
        sts_endpoint: Some(unreachable()),
        ..settings(&issuing(LONG).await)
    };
    let kms = TencentKms::new(settings).expect("a client");
    assert!(decrypt(&kms).await.expect_err("STS is unreachable").retryable);
}

#[tokio::test]
async fn failed_source_is_not_asked_for_every_call() {
    let server = Server::start(|_, _| Reply::Error("UnauthorizedOperation", "no")).await;
    let pod = Pod::new();
    // A source of lower precedence, which is not asked.
    let profile = pod.path("profile");
    fs::write(&profile, "[default]\nsecret_id = a\nsecret_key = b\n").expect("written");
    let pod = pod.with("TENCENTCLOUD_CREDENTIALS_FILE", profile.display().to_string());
    let settings = TencentSettings {
        environment: pod.with_identity(),
        limits: Limits {
            pause: Duration::from_mins(1),
            ..limits()
        },
        ..settings(&server)
    };
    let kms = TencentKms::new(settings).expect("a client");
    for _ in 0..20 {
        let error = decrypt(&kms).await.expect_err("no credentials");
        assert_eq!(error.code.as_deref(), Some("UnauthorizedOperation"));
    }
    assert_eq!(server.received_of(WEB).len(), 1);
}

/// The clock of the source or the local one may be wrong.
#[tokio::test]
async fn credentials_expired_on_arrival_are_used_and_not_requested_for_every_call() {
    let server = issuing(-10).await;
    let pod = Pod::new();
    let kms = kms_of(&server, pod.with_identity());
    for _ in 0..50 {
        decrypt(&kms).await.expect("the KMS decides");
    }
    // One for a call, one for the renewal, which then pauses.
    assert!(
        server.received_of(WEB).len() <= 2,
        "{}",
        server.received_of(WEB).len()
    );
}

#[tokio::test]
async fn recovery_of_credentials_is_reported_once() {
    let down = Arc::new(AtomicBool::new(true));
    let in_script = Arc::clone(&down);
    let server = Server::start(move |number, request| match request.action() {
        "Decrypt" => decrypted(),
        _ if in_script.load(Ordering::Relaxed) => Reply::Error("UnauthorizedOperation", "no"),
        _ => Reply::Response(issued(number, LONG)),
    })
    .await;
    let pod = Pod::new();
    let settings = TencentSettings {
        environment: pod.with_identity(),
        limits: Limits {
            pause: Duration::ZERO, // no cooldown
            ..limits()
        },
        ..settings(&server)
    };
    let kms = TencentKms::new(settings).expect("a client");
    assert!(!kms.credentials_revived().await, "no call has been made");
    decrypt(&kms).await.expect_err("no credentials");
    assert!(!kms.credentials_revived().await);
    down.store(false, Ordering::Relaxed);
    assert!(kms.credentials_revived().await);
    assert!(!kms.credentials_revived().await, "already reported");
    decrypt(&kms).await.expect("decrypted");
}

#[tokio::test]
async fn rejection_reports_why_the_refresh_failed() {
    let count = AtomicUsize::new(0);
    let server = Server::start(move |_, request| match request.action() {
        "Decrypt" => Reply::Error("AuthFailure.TokenFailure", "the token has expired"),
        _ if count.fetch_add(1, Ordering::Relaxed) == 0 => Reply::Response(issued(0, LONG)),
        _ => Reply::Error("ResourceNotFound.RoleNotFound", "no such role"),
    })
    .await;
    let pod = Pod::new();
    let error = decrypt(&kms_of(&server, pod.with_identity()))
        .await
        .expect_err("refused");
    assert_eq!(error.code.as_deref(), Some("AuthFailure.TokenFailure"));
    for part in [
        "the token has expired",
        "refreshing the credentials failed",
        "no such role",
    ] {
        assert!(error.message.contains(part), "{error}");
    }
    assert!(error.advice().contains("role"), "{}", error.advice());
}

#[tokio::test]
async fn waiting_for_credentials_counts_towards_the_time_of_the_call() {
    let server = Server::start(|_, _| Reply::Silence).await;
    let pod = Pod::new();
    let settings = TencentSettings {
        environment: pod.with_identity(),
        limits: Limits {
            call: Duration::from_millis(200),
            ..limits()
        },
        ..settings(&server)
    };
    let kms = TencentKms::new(settings).expect("a client");
    let error = decrypt(&kms).await.expect_err("STS does not respond");
    assert!(error.retryable && error.class == Class::Credentials, "{error}");
    assert!(error.message.contains("did not respond within"), "{error}");
    assert!(server.received_of("Decrypt").is_empty());
}
