//! What a refusal of credentials sets off, and what of it a caller sees.

use std::sync::atomic::AtomicBool;

use super::*;

#[tokio::test]
async fn a_refusal_asks_for_fresh_ones_once() {
    for code in [
        "AuthFailure.TokenFailure",
        "AuthFailure.SecretIdNotFound",
        "AuthFailure.InvalidSecretId",
        "AuthFailure.SignatureFailure",
        "AuthFailure.SomethingNew",
    ] {
        let count = AtomicUsize::new(0);
        let server = Server::start(move |_, asked| match asked.action() {
            "Decrypt" if signed_by(asked) == "AKIDtemporary0" => Reply::Error(code, "no"),
            "Decrypt" => decrypted(),
            _ => Reply::Response(given(count.fetch_add(1, Ordering::Relaxed), LONG)),
        })
        .await;
        let pod = Pod::new();
        let kms = kms_of(&server, pod.oidc());
        decrypt(&kms).await.expect("with the second");
        assert_eq!(
            (server.asked_for(WEB).len(), server.asked_for("Decrypt").len()),
            (2, 2),
            "{code}"
        );
    }
    // Refused whatever comes: one renewal, then not again at every call.
    let count = AtomicUsize::new(0);
    let server = Server::start(move |_, asked| match asked.action() {
        "Decrypt" => Reply::Error("AuthFailure.TokenFailure", "no"),
        _ => Reply::Response(given(count.fetch_add(1, Ordering::Relaxed), LONG)),
    })
    .await;
    let pod = Pod::new();
    let kms = kms_of(&server, pod.oidc());
    for _ in 0..3 {
        assert_eq!(
            decrypt(&kms).await.expect_err("refused").class,
            Class::Credentials
        );
    }
    assert_eq!(
        (server.asked_for(WEB).len(), server.asked_for("Decrypt").len()),
        (2, 4)
    );
}

/// One renewal for all that were refused with the same credentials, and each of them goes on with what it gave.
#[tokio::test]
async fn many_refusals_at_once_share_one_renewal() {
    let count = AtomicUsize::new(0);
    let revoked = Arc::new(AtomicBool::new(false));
    let in_script = Arc::clone(&revoked);
    let server = Server::start(move |_, asked| match asked.action() {
        "Decrypt" if in_script.load(Ordering::Relaxed) && signed_by(asked) == "AKIDtemporary0" => {
            Reply::Error("AuthFailure.TokenFailure", "no")
        }
        "Decrypt" => decrypted(),
        _ => Reply::Response(given(count.fetch_add(1, Ordering::Relaxed), LONG)),
    })
    .await;
    let pod = Pod::new();
    let kms = kms_of(&server, pod.oidc());
    decrypt(&kms).await.expect("with the first");
    revoked.store(true, Ordering::Relaxed);
    let calls = (0..20).map(|_| decrypt(&kms));
    for done in futures::future::join_all(calls).await {
        done.expect("with the second");
    }
    assert_eq!(server.asked_for(WEB).len(), 2);
}

#[tokio::test]
async fn a_refusal_names_who_was_refused() {
    for (code, oidc, class, subject) in [
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
        let server = Server::start(move |number, asked| match asked.action() {
            WEB => Reply::Response(given(number, LONG)),
            _ => Reply::Error(code, "no"),
        })
        .await;
        let pod = Pod::new();
        let kms = if oidc {
            kms_of(&server, pod.oidc())
        } else {
            TencentKms::new(settings(&server)).expect("a client")
        };
        let error = decrypt(&kms).await.expect_err("refused");
        assert_eq!((error.class, error.subject.as_deref()), (class, Some(subject)));
    }
}

/// The same command is worth repeating, and whoever asks Tencent's support has its names.
#[tokio::test]
async fn a_service_of_credentials_that_is_down_passes_and_is_named() {
    for (code, temporary, advice) in [
        ("InternalError", true, "Tencent Cloud's own status"),
        ("RequestLimitExceeded", true, "limits calls of STS"),
        ("ResourceNotFound.RoleNotFound", false, "trust policy"),
        ("UnauthorizedOperation", false, "trust policy"),
    ] {
        let server = Server::start(move |_, _| Reply::Error(code, "no")).await;
        let pod = Pod::new();
        let error = decrypt(&kms_of(&server, pod.oidc()))
            .await
            .expect_err("no credentials");
        assert_eq!(
            (error.class, error.retryable),
            (Class::Credentials, temporary),
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
        environment: pod.oidc(),
        sts_endpoint: Some(nobody()),
        ..settings(&giving(LONG).await)
    };
    let kms = TencentKms::new(settings).expect("a client");
    assert!(decrypt(&kms).await.expect_err("no way to STS").retryable);
}

/// A source that gives none is left alone for a while, however many calls there are.
#[tokio::test]
async fn calls_do_not_become_as_many_requests_to_a_source_that_gives_none() {
    let server = Server::start(|_, _| Reply::Error("UnauthorizedOperation", "no")).await;
    let pod = Pod::new();
    // Of a source behind it, which is not asked.
    let profile = pod.path("profile");
    fs::write(&profile, "[default]\nsecret_id = a\nsecret_key = b\n").expect("written");
    let pod = pod.with("TENCENTCLOUD_CREDENTIALS_FILE", profile.display().to_string());
    let settings = TencentSettings {
        environment: pod.oidc(),
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
    assert_eq!(server.asked_for(WEB).len(), 1);
}

/// By a clock that is wrong, or from a source that is: they are used, and not asked for without a pause.
#[tokio::test]
async fn credentials_that_have_ended_when_they_come_are_used_and_not_asked_for_at_every_call() {
    let server = giving(-10).await;
    let pod = Pod::new();
    let kms = kms_of(&server, pod.oidc());
    for _ in 0..50 {
        decrypt(&kms).await.expect("the KMS decides");
    }
    // One by a call, one by the renewal, which then rests.
    assert!(
        server.asked_for(WEB).len() <= 2,
        "{}",
        server.asked_for(WEB).len()
    );
}

/// Whoever was refused for want of credentials hears once that there are some again.
#[tokio::test]
async fn the_end_of_a_time_without_credentials_is_told_once() {
    let down = Arc::new(AtomicBool::new(true));
    let in_script = Arc::clone(&down);
    let server = Server::start(move |number, asked| match asked.action() {
        "Decrypt" => decrypted(),
        _ if in_script.load(Ordering::Relaxed) => Reply::Error("UnauthorizedOperation", "no"),
        _ => Reply::Response(given(number, LONG)),
    })
    .await;
    let pod = Pod::new();
    let settings = TencentSettings {
        environment: pod.oidc(),
        limits: Limits {
            pause: Duration::ZERO, // a source that gives none does not rest
            ..limits()
        },
        ..settings(&server)
    };
    let kms = TencentKms::new(settings).expect("a client");
    assert!(!kms.credentials_revived().await, "nobody has asked yet");
    decrypt(&kms).await.expect_err("no credentials");
    assert!(!kms.credentials_revived().await);
    down.store(false, Ordering::Relaxed);
    assert!(kms.credentials_revived().await);
    assert!(!kms.credentials_revived().await, "told");
    decrypt(&kms).await.expect("decrypted");
}

/// What was refused, and why there is nothing else to try.
#[tokio::test]
async fn a_refusal_tells_why_there_are_no_others() {
    let count = AtomicUsize::new(0);
    let server = Server::start(move |_, asked| match asked.action() {
        "Decrypt" => Reply::Error("AuthFailure.TokenFailure", "the token has expired"),
        _ if count.fetch_add(1, Ordering::Relaxed) == 0 => Reply::Response(given(0, LONG)),
        _ => Reply::Error("ResourceNotFound.RoleNotFound", "no such role"),
    })
    .await;
    let pod = Pod::new();
    let error = decrypt(&kms_of(&server, pod.oidc())).await.expect_err("refused");
    assert_eq!(error.code.as_deref(), Some("AuthFailure.TokenFailure"));
    for part in ["the token has expired", "others could not be had", "no such role"] {
        assert!(error.message.contains(part), "{error}");
    }
    assert!(error.advice().contains("role"), "{}", error.advice());
}

/// The time that credentials take is part of the time of the call.
#[tokio::test]
async fn a_call_does_not_wait_longer_for_credentials_than_it_may_take() {
    let server = Server::start(|_, _| Reply::Silence).await;
    let pod = Pod::new();
    let settings = TencentSettings {
        environment: pod.oidc(),
        limits: Limits {
            call: Duration::from_millis(200),
            ..limits()
        },
        ..settings(&server)
    };
    let kms = TencentKms::new(settings).expect("a client");
    let error = decrypt(&kms).await.expect_err("nobody answers");
    assert!(error.retryable && error.class == Class::Credentials, "{error}");
    assert!(error.message.contains("did not answer within"), "{error}");
    assert!(server.asked_for("Decrypt").is_empty());
}
