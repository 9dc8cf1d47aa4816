//! Tests of the emulator through its HTTP interface.

mod client;
mod faults;
mod keys;
mod sts;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::*;
use client::Client;

const CONTEXT: &str = "{\"name\":\"db\",\"namespace\":\"prod\"}";

fn generate(client: &mut Client, key: &str) -> Value {
    let body = json!({"KeyId": key, "KeySpec": "AES_256", "EncryptionContext": CONTEXT});
    let fields = client.call("GenerateDataKey", &body);
    assert_eq!(fields["KeyId"], key);
    fields
}

fn decrypt(blob: &Value) -> Value {
    json!({"CiphertextBlob": blob, "EncryptionContext": CONTEXT})
}

#[test]
fn data_key_is_generated_decrypted_and_bound_to_its_context() {
    let emulator = Emulator::fresh();
    let mut client = Client::new(&emulator);
    let generated = generate(&mut client, emulator.key());
    let plaintext = STANDARD
        .decode(generated["Plaintext"].as_str().expect("text"))
        .expect("base64");
    assert_eq!(plaintext.len(), 32);
    assert_eq!(generated["CiphertextBlob"].as_str().map(str::len), Some(210));
    let opened = client.call("Decrypt", &decrypt(&generated["CiphertextBlob"]));
    assert_eq!(
        (&opened["Plaintext"], &opened["KeyId"]),
        (&generated["Plaintext"], &json!(emulator.key()))
    );
    let blob = &generated["CiphertextBlob"];
    for wrong in [
        json!({"CiphertextBlob": blob}),
        json!({"CiphertextBlob": blob, "EncryptionContext": ""}),
        json!({"CiphertextBlob": blob, "EncryptionContext": "{\"namespace\":\"prod\",\"name\":\"db\"}"}),
        json!({"CiphertextBlob": "not a ciphertext", "EncryptionContext": CONTEXT}),
    ] {
        assert_eq!(
            client.code("Decrypt", &wrong),
            "InvalidParameterValue.InvalidCiphertext",
            "{wrong}"
        );
    }
    // An empty context is the same as none.
    let bare = client.call(
        "GenerateDataKey",
        &json!({"KeyId": emulator.key(), "NumberOfBytes": 7, "KeySpec": "AES_128"}),
    );
    let opened = client.call(
        "Decrypt",
        &json!({"CiphertextBlob": bare["CiphertextBlob"], "EncryptionContext": ""}),
    );
    assert_eq!(
        opened["Plaintext"].as_str().map(str::len),
        Some(12),
        "NumberOfBytes wins"
    );
    assert_eq!(emulator.calls("Decrypt"), 6);
    assert_eq!(
        emulator.calls_with("Decrypt", emulator.key()),
        Count { total: 5, failed: 3 }
    );
    assert_eq!(emulator.all_calls(), 8);
    let requests = emulator.order(Command::Requests).expect("recorded");
    assert_eq!(requests.as_array().map(Vec::len), Some(8));
    assert_eq!(
        (&requests[0]["action"], &requests[7]["body"]["KeySpec"]),
        (&json!("Decrypt"), &json!("AES_256"))
    );
    assert_eq!(requests[0]["headers"]["x-tc-version"], "2019-01-18");
}

#[test]
fn encrypt_accepts_up_to_4096_bytes_in_base64() {
    let emulator = Emulator::fresh();
    let mut client = Client::new(&emulator);
    let body = |plaintext: &str| json!({"KeyId": emulator.key(), "Plaintext": plaintext, "EncryptionContext": CONTEXT});
    for length in [1, 32, 4096] {
        let text = STANDARD.encode(vec![7; length]);
        let encrypted = client.call("Encrypt", &body(&text));
        let opened = client.call("Decrypt", &decrypt(&encrypted["CiphertextBlob"]));
        assert_eq!(opened["Plaintext"], text);
    }
    for bad in [
        String::new(),
        STANDARD.encode([7; 4097]),
        "BwcH*".to_owned(),
        "BwcHBw".to_owned(),
    ] {
        let code = client.code("Encrypt", &body(&bad));
        assert_eq!(code, "InvalidParameterValue.InvalidPlaintext", "{bad:.20}");
    }
}

#[test]
fn invalid_requests_are_rejected_with_their_codes() {
    let emulator = Emulator::fresh();
    let body = json!({"KeyId": emulator.key()});
    let of = |change: fn(&mut Client)| {
        let mut client = Client::new(&emulator);
        change(&mut client);
        client.code("DescribeKey", &body)
    };
    for (expected, code) in [
        ("", of(|_| {})),
        ("AuthFailure.SignatureFailure", of(|it| it.secret_key.push('x'))),
        ("AuthFailure.SecretIdNotFound", of(|it| it.secret_id.push('x'))),
        (
            "AuthFailure.InvalidSecretId",
            of(|it| it.secret_id.insert(0, 'x')),
        ),
        (
            "AuthFailure.TokenFailure",
            of(|it| it.token = Some("token".to_owned())),
        ),
        ("AuthFailure.SignatureExpire", of(|it| it.ahead = 600)),
        ("AuthFailure.SignatureExpire", of(|it| it.ahead = -600)),
        (
            "UnsupportedProtocol",
            of(|it| it.content_type = "text/plain".to_owned()),
        ),
        (
            "AuthFailure.SignatureFailure",
            of(|it| it.content_type.push_str("; charset=utf-8")),
        ),
        ("NoSuchVersion", of(|it| it.version = "2018-08-13".to_owned())),
        ("UnsupportedRegion", of(|it| it.region = "ap-nowhere".to_owned())),
        ("MissingParameter", of(|it| it.region = String::new())),
        (
            "ResourceUnavailable.CmkNotFound",
            of(|it| it.region = "ap-beijing".to_owned()),
        ),
    ] {
        assert_eq!(code, expected);
    }
    let mut client = Client::new(&emulator);
    for (code, action, body) in [
        ("InvalidAction", "describeKey", json!({"KeyId": emulator.key()})),
        (
            "UnknownParameter",
            "DescribeKey",
            json!({"KeyId": emulator.key(), "Other": 1}),
        ),
        ("MissingParameter", "DescribeKey", json!({})),
        (
            "MissingParameter",
            "Decrypt",
            json!({"EncryptionContext": CONTEXT}),
        ),
        (
            "InvalidParameterValue",
            "GenerateDataKey",
            json!({"KeyId": emulator.key(), "KeySpec": "AES_512"}),
        ),
        (
            "InvalidParameter",
            "GenerateDataKey",
            json!({"KeyId": emulator.key()}),
        ),
        (
            "InvalidParameterValue.InvalidKeyId",
            "DescribeKey",
            json!({"KeyId": "alias/emulator"}),
        ),
        (
            "ResourceUnavailable.CmkNotFound",
            "DescribeKey",
            json!({"KeyId": "23e80852-1e38-11e9-b129-5cb9019b4b01"}),
        ),
        (
            "InvalidParameter",
            "GenerateDataKey",
            json!({"KeyId": emulator.key(), "KeySpec": "AES_256", "EncryptionContext": "name=db"}),
        ),
        (
            "InvalidParameter",
            "GenerateDataKey",
            json!({"KeyId": emulator.key(), "KeySpec": "AES_256", "EncryptionContext": format!("{{\"a\":\"{}\"}}", "b".repeat(1020))}),
        ),
        ("InvalidRequest", "DescribeKey", json!([])),
    ] {
        assert_eq!(client.code(action, &body), code, "{action} {body:.80}");
    }
}

#[test]
fn credentials_can_be_added_restricted_expired_and_removed() {
    let emulator = Emulator::fresh();
    let mut client = Client::new(&emulator);
    client.secret_id = "AKIDtemporary".to_owned();
    client.secret_key = "a key".to_owned();
    client.token = Some("a token".to_owned());
    let credential = Credential {
        secret_id: client.secret_id.clone(),
        secret_key: client.secret_key.clone(),
        token: client.token.clone(),
        expires: None,
        actions: Some(vec!["DescribeKey".to_owned()]),
    };
    let describe = json!({"KeyId": emulator.key()});
    assert_eq!(
        client.code("DescribeKey", &describe),
        "AuthFailure.SecretIdNotFound"
    );
    emulator.order(Command::Credential(credential)).expect("added");
    assert_eq!(client.code("DescribeKey", &describe), "");
    assert_eq!(client.code("DisableKey", &describe), "UnauthorizedOperation");
    let secret_id = client.secret_id.clone();
    emulator
        .order(Command::Expire {
            secret_id: secret_id.clone(),
        })
        .expect("expired");
    assert_eq!(client.code("DescribeKey", &describe), "AuthFailure.TokenFailure");
    emulator
        .order(Command::RemoveCredential {
            secret_id: secret_id.clone(),
        })
        .expect("removed");
    assert_eq!(
        client.code("DescribeKey", &describe),
        "AuthFailure.SecretIdNotFound"
    );
    assert!(emulator.order(Command::Expire { secret_id }).is_err());
}

#[test]
fn account_is_saved_on_every_change_and_loaded_at_startup() {
    let directory = tempfile::tempdir().expect("a directory");
    let options = Options {
        state: Some(directory.path().join("kms.json")),
        ..Options::default()
    };
    let first = Emulator::start(&options).expect("started");
    let mut client = Client::new(&first);
    let generated = generate(&mut client, first.key());
    let made = client.call("CreateKey", &json!({"Alias": "second"}));
    first
        .order(Command::Rotate {
            key: first.key().to_owned(),
        })
        .expect("rotated");
    let uri = first.key_uri();
    drop(first);
    let again = Emulator::start(&options).expect("started");
    assert_eq!(again.key_uri(), uri);
    let mut client = Client::new(&again);
    let opened = client.call("Decrypt", &decrypt(&generated["CiphertextBlob"]));
    assert_eq!(opened["Plaintext"], generated["Plaintext"]);
    assert_eq!(client.code("DescribeKey", &json!({"KeyId": made["KeyId"]})), "");
    // The same through control commands, into another emulator.
    let saved = again.order(Command::Save).expect("saved");
    let load: Command = serde_json::from_value(json!({"load": saved})).expect("a command");
    let other = Emulator::fresh();
    other.order(load).expect("loaded");
    let opened = Client::new(&other).call("Decrypt", &decrypt(&generated["CiphertextBlob"]));
    assert_eq!(opened["Plaintext"], generated["Plaintext"]);
}

#[test]
fn non_loopback_address_is_rejected_and_drop_releases_the_port() {
    let everywhere = Options {
        listen: "0.0.0.0:0".parse().expect("an address"),
        ..Options::default()
    };
    assert!(Emulator::start(&everywhere).is_err());
    let emulator = Emulator::fresh();
    let mut client = Client::new(&emulator);
    assert_eq!(client.code("GetRegions", &json!({})), "");
    let listen = emulator.server.address();
    drop(emulator);
    assert!(
        client.send("GetRegions", "{}").is_err(),
        "open connections are closed"
    );
    let again = Emulator::start(&Options {
        listen,
        ..Options::default()
    })
    .expect("the same port");
    assert_eq!(Client::new(&again).code("GetRegions", &json!({})), "");
}
