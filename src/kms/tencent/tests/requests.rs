//! What goes over the wire, and what is made of good answers.

use serde_json::{Value, json};

use super::super::sign::Signable;
use super::server::{Asked, Reply, Server};
use super::*;

/// The signature over what came, computed from what came.
pub(super) fn signature_holds(asked: &Asked, service: &str) {
    let header = |name| asked.header(name);
    let signable = Signable {
        method: "POST",
        query: "",
        headers: &[
            ("content-type", header("content-type")),
            ("host", header("host")),
            ("x-tc-action", header("x-tc-action")),
        ],
        body: &asked.body,
        timestamp: header("x-tc-timestamp").parse().expect("seconds"),
        service,
    };
    let authorization = signable.authorization(
        "AKIDEXAMPLE00000000000000000000kms01",
        "EXAMPLEsecretKEYforTestsOnly0123",
    );
    assert_eq!(header("authorization"), authorization);
}

fn headers_are_right(asked: &Asked, server: &Server, action: &str, region: &str) {
    assert_eq!(asked.line, "POST / HTTP/1.1");
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
        assert_eq!(asked.header(name), value, "{name}");
    }
    let sent: i64 = asked.header("x-tc-timestamp").parse().expect("seconds");
    assert!((jiff::Timestamp::now().as_second() - sent).abs() < 60);
    assert!(!asked.headers.contains_key("x-tc-token"));
    assert!(
        asked
            .header("authorization")
            .contains("SignedHeaders=content-type;host;x-tc-action,"),
        "{}",
        asked.header("authorization")
    );
    signature_holds(asked, "kms");
}

async fn answering(fields: Value) -> Server {
    Server::start(move |_, _| Reply::Response(fields.clone())).await
}

#[tokio::test]
async fn generate_data_key() {
    let server =
        answering(json!({"KeyId": KEY_ID, "Plaintext": SEVENS, "CiphertextBlob": BLOB, "DataKeyId": null}))
            .await;
    let generated = kms(&server)
        .generate_data_key(&key(), &context())
        .await
        .expect("a data key");
    assert_eq!(
        (generated.data_key.expose(), generated.ciphertext.as_str()),
        (&[7; 32], BLOB)
    );
    let asked = server.asked();
    headers_are_right(&asked[0], &server, "GenerateDataKey", "ap-guangzhou");
    let wanted = json!({"KeyId": KEY_ID, "KeySpec": "AES_256", "EncryptionContext": context().as_str()});
    assert_eq!((asked.len(), asked[0].json()), (1, wanted));
    assert_eq!(
        context().as_str(),
        r#"{"es:aud":"prod-gz","es:name":"db","es:ns":"prod","es:scope":"strict","es:v":"es1"}"#
    );
}

#[tokio::test]
async fn encrypt() {
    let server = answering(json!({"KeyId": KEY_ID, "CiphertextBlob": BLOB})).await;
    let data_key = DataKey::from_slice(&[7; 32]).expect("32 bytes");
    let blob = kms(&server)
        .encrypt(&key(), &data_key, &context())
        .await
        .expect("a ciphertext");
    assert_eq!(blob, BLOB);
    let asked = server.asked();
    headers_are_right(&asked[0], &server, "Encrypt", "ap-guangzhou");
    let wanted = json!({"KeyId": KEY_ID, "Plaintext": SEVENS, "EncryptionContext": context().as_str()});
    assert_eq!(asked[0].json(), wanted);
}

#[tokio::test]
async fn decrypt_sends_the_blob_verbatim() {
    let server = answering(json!({"KeyId": KEY_ID, "Plaintext": SEVENS})).await;
    // Not base64, with characters that a careless client would escape or decode.
    let blob = "GPJU+/==-k-<&>\"\\'-k-%2B";
    let bytes = kms(&server)
        .decrypt(&key(), blob, &context())
        .await
        .expect("decrypted");
    assert_eq!(bytes.expose(), [7; 32]);
    let asked = server.asked();
    headers_are_right(&asked[0], &server, "Decrypt", "ap-guangzhou");
    let wanted = json!({"CiphertextBlob": blob, "EncryptionContext": context().as_str()});
    assert_eq!(asked[0].json(), wanted);
}

#[tokio::test]
async fn re_encrypt_keeps_the_data_key_in_the_kms_within_a_region() {
    let server = answering(
        json!({"CiphertextBlob": "NEW-k-N-k-N", "KeyId": OTHER_ID, "SourceKeyId": KEY_ID, "ReEncrypted": true}),
    )
    .await;
    let moved = kms(&server)
        .re_encrypt(&key(), BLOB, &other_key(), &context())
        .await
        .expect("moved");
    assert_eq!(moved, "NEW-k-N-k-N");
    let asked = server.asked();
    headers_are_right(&asked[0], &server, "ReEncrypt", "ap-guangzhou");
    let wanted = json!({
        "CiphertextBlob": BLOB, "DestinationKeyId": OTHER_ID,
        "SourceEncryptionContext": context().as_str(), "DestinationEncryptionContext": context().as_str(),
    });
    assert_eq!((asked.len(), asked[0].json()), (1, wanted));
}

#[tokio::test]
async fn re_encrypt_to_another_region_decrypts_and_encrypts() {
    let server = Server::start(|_, asked| {
        Reply::Response(match asked.action() {
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
    let asked = server.asked();
    headers_are_right(&asked[0], &server, "Decrypt", "ap-guangzhou");
    headers_are_right(&asked[1], &server, "Encrypt", "ap-shanghai");
    assert_eq!(asked[1].json()["Plaintext"], SEVENS);
}

#[tokio::test]
async fn connections_are_kept() {
    let server = answering(json!({"KeyId": KEY_ID, "Plaintext": SEVENS})).await;
    let kms = kms(&server);
    for _ in 0..3 {
        kms.decrypt(&key(), BLOB, &context()).await.expect("decrypted");
    }
    let connections: Vec<usize> = server.asked().iter().map(|asked| asked.connection).collect();
    assert_eq!(connections, [0, 0, 0]);
}

#[tokio::test]
async fn a_session_token_is_sent_and_not_signed() {
    let server = answering(json!({"KeyId": KEY_ID, "Plaintext": SEVENS})).await;
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
    let asked = server.asked();
    assert_eq!(asked[0].header("x-tc-token"), "EXAMPLE.session.token/abc+def==");
    signature_holds(&asked[0], "kms");
}

#[tokio::test]
async fn describe_tells_the_state() {
    let server =
        answering(json!({"KeyMetadata": {"KeyId": KEY_ID, "KeyState": "Disabled", "Alias": "a"}})).await;
    let described = kms(&server).describe(&key()).await.expect("described");
    assert_eq!(
        (described.uri, described.state.as_str(), described.default),
        (key(), "Disabled", false)
    );
    assert_eq!(server.asked()[0].json(), json!({"KeyId": KEY_ID}));
}

#[tokio::test]
async fn without_credentials_nothing_is_sent() {
    let server = answering(json!({})).await;
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
    assert!(server.asked().is_empty());
}
