//! Errors and broken responses: their class, the retries, and the messages.

use std::sync::{Arc, OnceLock};
use std::time::Instant;

use serde_json::json;

use super::server::{REQUEST_ID, Reply, Server};
use super::*;

async fn decrypt(kms: &TencentKms) -> Result<SecretBytes, KmsError> {
    kms.decrypt(&key(), BLOB, &context()).await
}

async fn decrypt_error(kms: &TencentKms) -> KmsError {
    decrypt(kms).await.err().expect("a failure")
}

fn good() -> Reply {
    Reply::Response(json!({"KeyId": KEY_ID, "Plaintext": SEVENS}))
}

#[tokio::test]
async fn error_code_determines_class_and_retries_and_is_reported() {
    // (code, class on Decrypt, requests)
    for (code, class, requests) in [
        ("InvalidParameterValue.InvalidCiphertext", Class::Integrity, 1),
        ("FailedOperation.DecryptError", Class::Integrity, 1),
        ("InvalidParameter", Class::Integrity, 1),
        ("NeverHeardOf.It", Class::Integrity, 1),
        ("InternalError", Class::Transient, 4),
        ("ServiceUnavailable", Class::Transient, 4),
        ("RequestLimitExceeded", Class::Throttled, 4),
        ("RequestLimitExceeded.UinLimitExceeded", Class::Throttled, 4),
        ("AuthFailure.SignatureFailure", Class::Credentials, 1),
        ("AuthFailure.SecretIdNotFound", Class::Credentials, 1),
        ("UnauthorizedOperation", Class::Denied, 1),
        ("ResourceUnavailable.CmkDisabled", Class::KeyUnusable, 1),
        ("ResourceUnavailable.CmkNotFound", Class::NotFound, 1),
        ("UnsupportedRegion", Class::Configuration, 1),
    ] {
        let server = Server::start(move |_, _| Reply::Error(code, "the server's message")).await;
        let error = decrypt_error(&kms(&server)).await;
        assert_eq!(
            (error.class, server.received().len()),
            (class, requests),
            "{code}"
        );
        assert_eq!(
            error.to_string(),
            format!(
                "Decrypt with {}: the server's message ({code}, request {REQUEST_ID})",
                key()
            )
        );
    }
}

#[tokio::test]
async fn denied_call_names_the_permission_to_grant() {
    let server = Server::start(|_, _| Reply::Error("UnauthorizedOperation", "no")).await;
    let error = decrypt_error(&kms(&server)).await;
    assert!(error.advice().contains("kms:Decrypt"), "{}", error.advice());
}

#[tokio::test]
async fn unknown_code_is_retried_once_if_no_ciphertext_is_involved() {
    let server = Server::start(|_, _| Reply::Error("NeverHeardOf.It", "no")).await;
    let error = kms(&server)
        .generate_data_key(&key(), &context())
        .await
        .err()
        .expect("refused");
    assert_eq!((error.class, server.received().len()), (Class::Transient, 2));
    assert!(
        error.advice().contains("does not know the KMS's error code"),
        "{}",
        error.advice()
    );
}

#[tokio::test]
async fn transient_failures_are_retried_and_each_attempt_is_signed() {
    let shared: Arc<OnceLock<Arc<TencentKms>>> = Arc::default();
    let in_script = Arc::clone(&shared);
    let server = Server::start(move |number, _| {
        // Time passes between the attempts.
        let seconds = 100 * i64::try_from(number + 1).expect("small");
        in_script.get().expect("set").api.clock().set_correction(seconds);
        match number {
            0 => Reply::Error("RequestLimitExceeded", "slow down"),
            1 => Reply::Raw(502, "<html>bad gateway</html>"),
            2 => Reply::Bytes(Vec::new()),
            _ => good(),
        }
    })
    .await;
    let kms = shared.get_or_init(|| Arc::new(kms(&server)));
    assert_eq!(decrypt(kms).await.expect("decrypted").expose(), [7; 32]);
    let requests = server.received();
    let seconds = |at: usize| {
        requests[at]
            .header("x-tc-timestamp")
            .parse::<i64>()
            .expect("seconds")
    };
    assert_eq!(requests.len(), 4);
    for (at, request) in requests.iter().enumerate() {
        let since = seconds(at) - seconds(0) - 100 * i64::try_from(at).expect("small");
        assert!((0..10).contains(&since), "attempt {at} is {since} s off");
        super::requests::assert_signature(request, "kms");
    }
}

#[tokio::test]
async fn http_status_other_than_200_is_transient_and_redirects_are_not_followed() {
    for (status, body, named) in [
        (500, "{\"Response\":{\"RequestId\":\"r-1\"}}", "HTTP status 500"),
        (403, "<html>secret page</html>", "HTTP status 403"),
        (302, "", "redirects are not followed"),
        (407, "", "HTTP status 407"),
    ] {
        let server = Server::start(move |_, _| Reply::Raw(status, body)).await;
        let error = decrypt_error(&kms(&server)).await;
        assert_eq!(
            (error.class, server.received().len()),
            (Class::Transient, 4),
            "{status}"
        );
        assert!(error.message.contains(named), "{error}");
        assert!(!error.to_string().contains("secret page"), "{error}");
        assert_eq!(error.request_id.as_deref(), (status == 500).then_some("r-1"));
    }
}

#[tokio::test]
async fn malformed_response_is_transient_and_never_quoted() {
    for body in [
        "",
        "<html>",
        "{\"Response\":",
        "{\"Response\":{}}",
        "{\"Response\":null}",
        "{\"Response\":{\"KeyId\":\"23e80852-1e38-11e9-b129-5cb9019b4b01\"}}",
        "{\"Response\":{\"KeyId\":null,\"Plaintext\":\"BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc=\"}}",
        "{\"Response\":{\"KeyId\":\"23e80852-1e38-11e9-b129-5cb9019b4b01\",\"Plaintext\":{\"a\":\"BwcHBwcHBwcHBwcH\"}}}",
        "{\"Response\":{\"KeyId\":\"23e80852-1e38-11e9-b129-5cb9019b4b01\",\"Plaintext\":\"BwcHBwcHBwcHBwcH*\"}}",
    ] {
        let server = Server::start(move |_, _| Reply::Raw(200, body)).await;
        let error = decrypt_error(&kms(&server)).await;
        assert_eq!(error.class, Class::Transient, "{body}");
        let all = format!("{error} {error:?}");
        assert!(!all.contains("BwcH") && !all.contains("html"), "{all}");
    }
}

#[tokio::test]
async fn response_about_another_key_is_an_integrity_failure() {
    let server = Server::start(|_, request| {
        Reply::Response(match request.action() {
            "ReEncrypt" => json!({"KeyId": OTHER_ID, "SourceKeyId": OTHER_ID, "CiphertextBlob": BLOB}),
            _ => json!({"KeyId": OTHER_ID, "Plaintext": SEVENS, "CiphertextBlob": BLOB}),
        })
    })
    .await;
    let kms = kms(&server);
    let data_key = DataKey::from_slice(&[7; 32]).expect("32 bytes");
    let errors = [
        decrypt(&kms).await.err(),
        kms.generate_data_key(&key(), &context()).await.err(),
        kms.encrypt(&key(), &data_key, &context()).await.err(),
        kms.re_encrypt(&key(), BLOB, &other_key(), &context()).await.err(),
    ];
    for error in errors {
        let error = error.expect("refused");
        assert_eq!(error.class, Class::Integrity, "{error}");
        assert!(error.message.contains("another KMS key"), "{error}");
        assert_eq!(error.request_id.as_deref(), Some(REQUEST_ID));
    }
    assert_eq!(server.received().len(), 4, "none is retried");
}

#[tokio::test]
async fn data_key_of_wrong_length_and_oversized_ciphertext_are_rejected() {
    let long = "x".repeat(4097);
    let blobs = [
        (
            json!({"KeyId": KEY_ID, "Plaintext": "BwcH", "CiphertextBlob": BLOB}),
            Class::Integrity,
            "3 bytes",
        ),
        (
            json!({"KeyId": KEY_ID, "Plaintext": SEVENS, "CiphertextBlob": ""}),
            Class::Configuration,
            "0 bytes",
        ),
        (
            json!({"KeyId": KEY_ID, "Plaintext": SEVENS, "CiphertextBlob": "a b"}),
            Class::Configuration,
            "3 bytes",
        ),
        (
            json!({"KeyId": KEY_ID, "Plaintext": SEVENS, "CiphertextBlob": long}),
            Class::Configuration,
            "4097 bytes",
        ),
    ];
    for (fields, class, named) in blobs {
        let server = Server::start(move |_, _| Reply::Response(fields.clone())).await;
        let error = kms(&server)
            .generate_data_key(&key(), &context())
            .await
            .err()
            .expect("refused");
        assert_eq!(error.class, class, "{error}");
        assert!(error.message.contains(named), "{error}");
    }
    // The length of a decrypted data key is checked when the document is opened.
    let server = Server::start(|_, _| Reply::Response(json!({"KeyId": KEY_ID, "Plaintext": "BwcH"}))).await;
    assert_eq!(decrypt(&kms(&server)).await.expect("bytes").len(), 3);
}

#[tokio::test]
async fn wrong_clock_is_corrected_once_and_the_correction_is_kept() {
    let server = Server::start(|number, _| match number {
        0 => Reply::ErrorAt("AuthFailure.SignatureExpire", 600),
        _ => good(),
    })
    .await;
    let kms = kms(&server);
    decrypt(&kms).await.expect("decrypted with the server's clock");
    decrypt(&kms).await.expect("decrypted with the kept correction");
    let requests = server.received();
    let seconds = |at: usize| {
        requests[at]
            .header("x-tc-timestamp")
            .parse::<i64>()
            .expect("seconds")
    };
    assert_eq!(requests.len(), 3);
    assert!(
        (595..=605).contains(&(seconds(1) - seconds(0))),
        "{}",
        seconds(1) - seconds(0)
    );
    assert!((0..=5).contains(&(seconds(2) - seconds(1))));
    assert!((595..=605).contains(&kms.api.clock().correction()));
}

/// After NTP has set the clock, the correction is too large.
#[tokio::test]
async fn correction_ends_when_the_corrected_clock_is_rejected() {
    let server = Server::start(|number, _| match number {
        0 => Reply::ErrorAt("AuthFailure.SignatureExpire", 600),
        2 => Reply::ErrorAt("AuthFailure.SignatureExpire", 0),
        _ => good(),
    })
    .await;
    let kms = kms(&server);
    decrypt(&kms).await.expect("with the server's clock");
    assert!((595..=605).contains(&kms.api.clock().correction()));
    decrypt(&kms).await.expect("with the local clock");
    assert_eq!((kms.api.clock().correction(), server.received().len()), (0, 4));
}

#[tokio::test]
async fn correction_ends_with_any_response_that_shows_another_time() {
    let fields = || json!({"KeyId": KEY_ID, "Plaintext": SEVENS});
    let server = Server::start(move |number, _| match number {
        0 => Reply::ErrorAt("AuthFailure.SignatureExpire", 200),
        1 => Reply::ResponseAt(fields(), 200),
        _ => Reply::ResponseAt(fields(), 0),
    })
    .await;
    let kms = kms(&server);
    decrypt(&kms).await.expect("with the server's clock");
    assert!((195..=205).contains(&kms.api.clock().correction()));
    decrypt(&kms).await.expect("the local clock is correct now");
    assert_eq!((kms.api.clock().correction(), server.received().len()), (0, 3));
}

#[tokio::test]
async fn clock_that_cannot_be_corrected_is_reported() {
    for (ahead, requests, named) in [
        (-600, 2, "ahead of the server's"),
        (900, 2, "behind the server's"),
        (0, 1, "clock agrees with the server's"),
    ] {
        let server = Server::start(move |_, _| Reply::ErrorAt("AuthFailure.SignatureExpire", ahead)).await;
        let error = decrypt_error(&kms(&server)).await;
        assert_eq!(
            (error.class, server.received().len()),
            (Class::Configuration, requests)
        );
        assert!(error.message.contains(named), "{error}");
        assert!(error.advice().contains("clock"), "{}", error.advice());
    }
    let server = Server::start(|_, _| Reply::Error("AuthFailure.SignatureExpire", "no")).await;
    let error = decrypt_error(&kms(&server)).await;
    assert!(error.message.contains("has no Date"), "{error}");
    assert_eq!(server.received().len(), 1);
}

#[tokio::test]
async fn message_that_repeats_a_secret_is_withheld() {
    let server = Server::start(|_, _| Reply::Error("InvalidParameterValue.InvalidPlaintext", SEVENS)).await;
    let data_key = DataKey::from_slice(&[7; 32]).expect("32 bytes");
    let error = kms(&server)
        .encrypt(&key(), &data_key, &context())
        .await
        .expect_err("refused");
    assert!(!format!("{error} {error:?}").contains(SEVENS), "{error}");
    let server =
        Server::start(|_, _| Reply::Error("AuthFailure", "key EXAMPLEsecretKEYforTestsOnly0123")).await;
    let error = decrypt_error(&kms(&server)).await;
    assert!(
        !format!("{error} {error:?}").contains("EXAMPLEsecretKEY"),
        "{error}"
    );
}

#[tokio::test]
async fn request_and_call_time_out() {
    let server = Server::start(|_, _| Reply::Silence).await;
    let limits = Limits {
        request: Duration::from_millis(300),
        call: Duration::from_millis(720),
        attempts: 100,
        ..limits()
    };
    let kms = TencentKms::new(TencentSettings {
        limits,
        ..settings(&server)
    })
    .expect("a client");
    let started = Instant::now();
    let error = decrypt_error(&kms).await;
    assert_eq!(error.class, Class::Transient);
    assert!(error.message.contains("did not respond within"), "{error}");
    assert!(
        (2..=4).contains(&server.received().len()),
        "{}",
        server.received().len()
    );
    assert!(
        started.elapsed() < Duration::from_secs(20),
        "{:?}",
        started.elapsed()
    );
}

#[tokio::test]
async fn oversized_or_truncated_body_is_transient() {
    let head = |length: &str| format!("HTTP/1.1 200 X\r\nContent-Type: application/json\r\n{length}\r\n\r\n");
    let endless = [
        head("Transfer-Encoding: chunked"),
        "1000\r\n".to_owned() + &"x".repeat(4096) + "\r\n",
    ]
    .concat();
    for (answer, named) in [
        (head("Content-Length: 4097"), "longer than 4096 bytes"),
        (
            endless.clone() + "1000\r\n" + &"x".repeat(4096),
            "longer than 4096 bytes",
        ),
        (head("Content-Length: 100") + "{\"Resp", "lost the connection"),
        (endless, "lost the connection"),
    ] {
        let server = Server::start(move |_, _| Reply::Bytes(answer.clone().into_bytes())).await;
        let limits = Limits {
            response_size: 4096,
            attempts: 2,
            ..limits()
        };
        let kms = TencentKms::new(TencentSettings {
            limits,
            ..settings(&server)
        })
        .expect("a client");
        let error = decrypt_error(&kms).await;
        assert_eq!(
            (error.class, server.received().len()),
            (Class::Transient, 2),
            "{error}"
        );
        assert!(error.message.contains(named), "{error}");
    }
}

#[tokio::test]
async fn refused_connection_is_transient() {
    let server = Server::start(|_, _| good()).await;
    let settings = settings(&server);
    drop(server);
    let kms = TencentKms::new(settings).expect("a client");
    // The port is closed once the task has been dropped.
    tokio::task::yield_now().await;
    let error = decrypt_error(&kms).await;
    assert_eq!(error.class, Class::Transient);
    assert!(error.message.contains("cannot connect to 127.0.0.1:"), "{error}");
    assert!(error.advice().contains("NO_PROXY"), "{}", error.advice());
}
