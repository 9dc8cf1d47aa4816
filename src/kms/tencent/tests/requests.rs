//! The requests on the wire, and how successful responses are read.

use serde_json::{Value, json};

use super::super::transport::sign::Signable;
use super::server::{Received, Reply, Server};
use super::*;

/// Checks the signature against the received request.
pub(super) fn assert_signature(request: &Received, service: &str) {
    let header = |name| request.header(name);
    let signable = Signable {
        method: "POST",
        query: "",
        headers: &[
            ("content-type", header("content-type")),
            ("host", header("host")),
            ("x-tc-action", header("x-tc-action")),
        ],
        body: &request.body,
        timestamp: header("x-tc-timestamp").parse().expect("seconds"),
        service,
    };
    let authorization = signable.authorization(
        "AKIDEXAMPLE00000000000000000000kms01",
        "EXAMPLEsecretKEYforTestsOnly0123",
    );
    assert_eq!(header("authorization"), authorization);
}

fn assert_headers(request: &Received, server: &Server, action: &str, region: &str) {
    assert_eq!(request.line, "POST / HTTP/1.1");
    let wanted = [
        ("host", server.host()),
        ("content-type", "application/json".to_owned()),
        ("x-tc-action", action.to_owned()),
        ("x-tc-version", "2019-01-18".to_owned()),
        ("x-tc-region", region.to_owned()),
        ("x-tc-language", "en-US".to_owned()),
        (
            "x-tc-requestclient",
            format!("envelope-secrets {}", env!("CARGO_PKG_VERSION")),
        ),
    ];
    for (name, value) in wanted {
        assert_eq!(request.header(name), value, "{name}");
    }
    let sent: i64 = request.header("x-tc-timestamp").parse().expect("seconds");
    assert!((jiff::Timestamp::now().as_second() - sent).abs() < 60);
    assert!(!request.headers.contains_key("x-tc-token"));
    assert!(
        request
            .header("authorization")
            .contains("SignedHeaders=content-type;host;x-tc-action,"),
        "{}",
        request.header("authorization")
    );
    assert_signature(request, "kms");
}

async fn responding(fields: Value) -> Server {
    Server::start(move |_, _| Reply::Response(fields.clone())).await
}

#[tokio::test]
async fn generate_data_key_sends_key_and_context_and_returns_both_keys() {
    let server =
        responding(json!({"KeyId": KEY_ID, "Plaintext": SEVENS, "CiphertextBlob": BLOB, "DataKeyId": null}))
            .await;
    let generated = kms(&server)
        .generate_data_key(&key(), &context())
        .await
        .expect("a data key");
    assert_eq!(
        (generated.data_key.expose(), generated.ciphertext.as_str()),
        (&[7; 32], BLOB)
    );
    let requests = server.received();
    assert_headers(&requests[0], &server, "GenerateDataKey", "ap-guangzhou");
    let wanted = json!({"KeyId": KEY_ID, "KeySpec": "AES_256", "EncryptionContext": context().as_str()});
    assert_eq!((requests.len(), requests[0].json()), (1, wanted));
    assert_eq!(
        context().as_str(),
        r#"{"es:aud":"prod-gz","es:name":"db","es:ns":"prod","es:scope":"strict","es:v":"es1"}"#
    );
}

#[tokio::test]
async fn encrypt_sends_the_data_key_and_returns_the_ciphertext() {
    let server = responding(json!({"KeyId": KEY_ID, "CiphertextBlob": BLOB})).await;
    let data_key = DataKey::from_slice(&[7; 32]).expect("32 bytes");
    let blob = kms(&server)
        .encrypt(&key(), &data_key, &context())
        .await
        .expect("a ciphertext");
    assert_eq!(blob, BLOB);
    let requests = server.received();
    assert_headers(&requests[0], &server, "Encrypt", "ap-guangzhou");
    let wanted = json!({"KeyId": KEY_ID, "Plaintext": SEVENS, "EncryptionContext": context().as_str()});
    assert_eq!(requests[0].json(), wanted);
}

#[tokio::test]
async fn decrypt_sends_the_ciphertext_verbatim() {
    let server = responding(json!({"KeyId": KEY_ID, "Plaintext": SEVENS})).await;
    // Not base64, with characters that a careless client would escape or decode.
    let blob = "GPJU+/==-k-<&>\"\\'-k-%2B";
    let bytes = kms(&server)
        .decrypt(&key(), blob, &context())
        .await
        .expect("decrypted");
    assert_eq!(bytes.expose(), [7; 32]);
    let requests = server.received();
    assert_headers(&requests[0], &server, "Decrypt", "ap-guangzhou");
    let wanted = json!({"CiphertextBlob": blob, "EncryptionContext": context().as_str()});
    assert_eq!(requests[0].json(), wanted);
}

#[tokio::test]
async fn re_encrypt_within_a_region_keeps_the_data_key_in_the_kms() {
    let server = responding(
        json!({"CiphertextBlob": "NEW-k-N-k-N", "KeyId": OTHER_ID, "SourceKeyId": KEY_ID, "ReEncrypted": true}),
    )
    .await;
    let moved = kms(&server)
        .re_encrypt(&key(), BLOB, &other_key(), &context())
        .await
        .expect("moved");
    assert_eq!(moved, "NEW-k-N-k-N");
    let requests = server.received();
    assert_headers(&requests[0], &server, "ReEncrypt", "ap-guangzhou");
    let wanted = json!({
        "CiphertextBlob": BLOB, "DestinationKeyId": OTHER_ID,
        "SourceEncryptionContext": context().as_str(), "DestinationEncryptionContext": context().as_str(),
    });
    assert_eq!((requests.len(), requests[0].json()), (1, wanted));
}

#[tokio::test]
async fn re_encrypt_between_regions_decrypts_and_encrypts() {
    let server = Server::start(|_, request| {
        Reply::Response(match request.action() {
            "Decrypt" => json!({"KeyId": KEY_ID, "Plaintext": SEVENS}),
            _ => json!({"KeyId": OTHER_ID, "CiphertextBlob": "FAR-k-F-k-F"}),
        })
    })
    .await;
    let moved = kms(&server)
        .re_encrypt(&key(), BLOB, &far_key(), &context())
        .await
        .expect("moved");
    assert_eq!(moved, "FAR-k-F-k-F");
    let requests = server.received();
    assert_headers(&requests[0], &server, "Decrypt", "ap-guangzhou");
    assert_headers(&requests[1], &server, "Encrypt", "ap-shanghai");
    assert_eq!(requests[1].json()["Plaintext"], SEVENS);
}

#[tokio::test]
async fn connections_are_reused() {
    let server = responding(json!({"KeyId": KEY_ID, "Plaintext": SEVENS})).await;
    let kms = kms(&server);
    for _ in 0..3 {
        kms.decrypt(&key(), BLOB, &context()).await.expect("decrypted");
    }
    let connections: Vec<usize> = server
        .received()
        .iter()
        .map(|request| request.connection)
        .collect();
    assert_eq!(connections, [0, 0, 0]);
}

#[tokio::test]
async fn session_token_is_sent_but_not_signed() {
    let server = responding(json!({"KeyId": KEY_ID, "Plaintext": SEVENS})).await;
    let environment = Environment::from_lookup(|name| match name {
        "TENCENTCLOUD_SECRET_ID" => Some("AKIDEXAMPLE00000000000000000000kms01".to_owned()),
        "TENCENTCLOUD_SECRET_KEY" => Some("EXAMPLEsecretKEYforTestsOnly0123".to_owned()),
        "TENCENTCLOUD_SESSION_TOKEN" => Some("EXAMPLE.session.token/abc+def==".to_owned()),
        _ => None,
    });
    let kms = TencentKms::new(TencentSettings {
        environment,
        ..settings(&server)
    })
    .expect("a client");
    kms.decrypt(&key(), BLOB, &context()).await.expect("decrypted");
    let requests = server.received();
    assert_eq!(
        requests[0].header("x-tc-token"),
        "EXAMPLE.session.token/abc+def=="
    );
    assert_signature(&requests[0], "kms");
}

#[tokio::test]
async fn describe_returns_the_key_state() {
    let server =
        responding(json!({"KeyMetadata": {"KeyId": KEY_ID, "KeyState": "Disabled", "Alias": "a"}})).await;
    let described = kms(&server).describe(&key()).await.expect("described");
    assert_eq!(
        (described.uri, described.state.as_str(), described.default),
        (key(), "Disabled", false)
    );
    assert_eq!(server.received()[0].json(), json!({"KeyId": KEY_ID}));
}

#[tokio::test]
async fn missing_credentials_are_reported_without_a_request() {
    let server = responding(json!({})).await;
    let settings = TencentSettings {
        environment: Environment::default(),
        ..settings(&server)
    };
    let kms = TencentKms::new(settings).expect("a client");
    let error = kms
        .decrypt(&key(), BLOB, &context())
        .await
        .err()
        .expect("no credentials");
    assert_eq!(error.class, Class::Credentials);
    assert!(
        error.advice().contains("TENCENTCLOUD_SECRET_ID"),
        "{}",
        error.advice()
    );
    assert!(server.received().is_empty());
}
