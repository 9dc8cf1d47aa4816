//! Keys: aliases, states, quotas and rotation.

use super::*;
use crate::kms::account::is_key_id;

#[test]
fn created_key_is_described_and_listed() {
    let emulator = Emulator::fresh();
    let mut client = Client::new(&emulator);
    let made = client.call(
        "CreateKey",
        &json!({"Alias": "sealing", "Description": "for Git", "Tags": [{"TagKey": "a", "TagValue": "b"}]}),
    );
    assert!(made["KeyId"].as_str().is_some_and(is_key_id), "{made}");
    assert_eq!(
        (&made["Alias"], &made["KeyState"]),
        (&json!("sealing"), &json!("Enabled"))
    );
    let described = client.call("DescribeKey", &json!({"KeyId": made["KeyId"]}))["KeyMetadata"].take();
    for (name, value) in [
        ("Alias", json!("sealing")),
        ("Description", json!("for Git")),
        ("KeyUsage", json!("ENCRYPT_DECRYPT")),
        ("Origin", json!("TENCENT_KMS")),
        ("KeyRotationEnabled", json!(false)),
        ("LastRotateTime", json!(0)),
    ] {
        assert_eq!(described[name], value, "{name}");
    }
    let resource = described["ResourceId"].as_str().expect("a resource");
    assert!(
        resource.starts_with("creatorUin/") && resource.ends_with(made["KeyId"].as_str().expect("an id"))
    );
    let both = json!({"KeyIds": [emulator.key(), made["KeyId"]]});
    let several = client.call("DescribeKeys", &both);
    assert_eq!(several["KeyMetadatas"].as_array().map(Vec::len), Some(2));
    let list = client.call("ListKeys", &json!({}));
    assert_eq!(
        (&list["TotalCount"], &list["Keys"][0]["KeyId"]),
        (&json!(2), &made["KeyId"]),
        "the newest first"
    );
    let page = client.call("ListKeys", &json!({"Offset": 1, "Limit": 5}));
    assert_eq!(
        (&page["TotalCount"], page["Keys"].as_array().map(Vec::len)),
        (&json!(2), Some(1))
    );
    let found = client.call(
        "ListKeyDetail",
        &json!({"SearchKeyAlias": "seal", "OrderType": 1}),
    );
    assert_eq!(
        (&found["TotalCount"], &found["KeyMetadatas"][0]["Alias"]),
        (&json!(1), &json!("sealing"))
    );
    let disabled = client.call("ListKeyDetail", &json!({"KeyState": 2}));
    assert_eq!(disabled["TotalCount"], 0);
    assert_eq!(client.call("ListKeys", &json!({"Role": 1}))["TotalCount"], 0);
    let status = client.call("GetServiceStatus", &json!({}));
    assert_eq!(
        (&status["ServiceEnabled"], &status["CmkUserCount"]),
        (&json!(true), &json!(2))
    );
    let regions = client.call("GetRegions", &json!({}));
    assert!(
        regions["Regions"]
            .as_array()
            .is_some_and(|regions| regions.contains(&json!(REGION)))
    );
    assert_eq!(
        client.call("ListAlgorithms", &json!({}))["SymmetricAlgorithms"][0]["Algorithm"],
        "SM4"
    );
    client.region = "eu-frankfurt".to_owned();
    assert_eq!(
        client.call("ListKeys", &json!({}))["TotalCount"],
        0,
        "keys belong to a region"
    );
    assert_eq!(
        client.call("ListAlgorithms", &json!({}))["SymmetricAlgorithms"][0]["Algorithm"],
        "AES_256"
    );
}

#[test]
fn invalid_aliases_and_exceeded_quotas_are_rejected() {
    let emulator = Emulator::fresh();
    let mut client = Client::new(&emulator);
    for bad in ["", "-a", "a b", "KMS-a", &"a".repeat(61)] {
        let code = client.code("CreateKey", &json!({"Alias": bad}));
        assert_eq!(code, "InvalidParameterValue.InvalidAlias", "{bad}");
    }
    assert_eq!(
        client.code("CreateKey", &json!({"Alias": "emulator"})),
        "InvalidParameterValue.AliasAlreadyExists"
    );
    emulator
        .order(Command::Quotas(Quotas {
            keys: 2,
            calls: Some(2),
        }))
        .expect("set");
    assert_eq!(client.code("CreateKey", &json!({"Alias": "second"})), "");
    assert_eq!(
        client.code("CreateKey", &json!({"Alias": "third"})),
        "LimitExceeded.CmkLimitExceeded"
    );
    // Some of 100 calls are throttled unless they take more than 50 seconds.
    let encrypt = json!({"KeyId": emulator.key(), "Plaintext": "BwcH"});
    let codes: Vec<String> = (0..100).map(|_| client.code("Encrypt", &encrypt)).collect();
    assert!(codes[..2].iter().all(String::is_empty), "{codes:?}");
    assert!(
        codes.contains(&"RequestLimitExceeded.UinLimitExceeded".to_owned()),
        "{codes:?}"
    );
    assert_eq!(
        client.code("GetRegions", &json!({})),
        "",
        "only cryptographic calls are throttled"
    );
}

#[test]
fn deletion_of_a_key_that_is_not_disabled_is_rejected() {
    let emulator = Emulator::fresh();
    let mut client = Client::new(&emulator);
    let named = json!({"KeyId": emulator.key()});
    let in_days = |days| json!({"KeyId": emulator.key(), "PendingWindowInDays": days});
    let action = "ScheduleKeyDeletion";
    assert_eq!(
        client.code(action, &in_days(7)),
        "ResourceUnavailable.CmkShouldBeDisabled"
    );
    assert_eq!(client.code("DisableKey", &named), "");
    assert_eq!(client.code(action, &in_days(6)), "InvalidParameterValue");
    assert_eq!(client.code(action, &named), "MissingParameter");
    let date = client.call(action, &in_days(7))["DeletionDate"].take();
    let key = client.call("DescribeKey", &named)["KeyMetadata"].take();
    assert_eq!(
        (&key["KeyState"], &key["DeletionDate"]),
        (&json!("PendingDelete"), &date)
    );
    let days = (date.as_i64().expect("a time") - key["CreateTime"].as_i64().expect("a time")) / 86_400;
    assert_eq!(days, 7);
}

#[test]
fn key_in_pending_delete_has_a_deletion_date_however_the_state_was_set() {
    let emulator = Emulator::fresh();
    let mut client = Client::new(&emulator);
    let named = json!({"KeyId": emulator.key()});
    let mut set = |state| {
        let key = emulator.key().to_owned();
        emulator.order(Command::KeyState { key, state }).expect("set");
        let key = client.call("DescribeKey", &named)["KeyMetadata"].take();
        let [date, created] = ["DeletionDate", "CreateTime"].map(|name| key[name].as_i64().expect("a time"));
        (date, created)
    };
    let (date, created) = set(KeyState::PendingDelete);
    assert_eq!((date - created) / 86_400, 7);
    assert_eq!(set(KeyState::PendingDelete).0, date, "the date is kept");
    assert_eq!(set(KeyState::Disabled).0, 0, "the deletion is canceled");
    let state = KeyState::PendingDelete;
    emulator.fault(Fault::new(Effect::KeyState { state }).times(1));
    let key = client.call("DescribeKey", &named)["KeyMetadata"].take();
    assert!(
        key["DeletionDate"].as_i64().is_some_and(|date| date > created),
        "{key}"
    );
}

#[test]
fn each_key_state_allows_only_its_actions() {
    let emulator = Emulator::fresh();
    let mut client = Client::new(&emulator);
    let key = emulator.key().to_owned();
    let blob = generate(&mut client, &key)["CiphertextBlob"].take();
    let named = json!({"KeyId": key});
    for (state, encrypts, decrypts, rotates) in [
        (KeyState::Disabled, "CmkDisabled", "CmkDisabled", "CmkDisabled"),
        (KeyState::Archived, "CmkArchived", "", "CmkArchived"),
        (
            KeyState::PendingDelete,
            "KeyPendingDelete",
            "KeyPendingDelete",
            "KeyPendingDelete",
        ),
        (KeyState::Enabled, "", "", ""),
    ] {
        emulator
            .order(Command::KeyState {
                key: key.clone(),
                state,
            })
            .expect("set");
        let code = |code: &str| match code {
            "" => String::new(),
            code => format!("ResourceUnavailable.{code}"),
        };
        let generate = json!({"KeyId": key, "KeySpec": "AES_256"});
        let encrypt = json!({"KeyId": key, "Plaintext": "BwcH"});
        assert_eq!(
            client.code("GenerateDataKey", &generate),
            code(encrypts),
            "{state:?}"
        );
        assert_eq!(client.code("Encrypt", &encrypt), code(encrypts), "{state:?}");
        assert_eq!(
            client.code("Decrypt", &decrypt(&blob)),
            code(decrypts),
            "{state:?}"
        );
        assert_eq!(
            client.code("EnableKeyRotation", &named),
            code(rotates),
            "{state:?}"
        );
        assert_eq!(
            client.call("DescribeKey", &named)["KeyMetadata"]["KeyState"],
            serde_json::to_value(state).expect("a word")
        );
    }
    assert_eq!(client.code("DisableKey", &named), "");
    assert_eq!(
        client.code("Decrypt", &decrypt(&blob)),
        "ResourceUnavailable.CmkDisabled"
    );
    assert_eq!(client.code("EnableKey", &named), "");
    assert_eq!(client.code("Decrypt", &decrypt(&blob)), "");
    let state = KeyState::PendingDelete;
    emulator
        .order(Command::KeyState {
            key: key.clone(),
            state,
        })
        .expect("set");
    assert_eq!(
        client.code("EnableKey", &named),
        "ResourceUnavailable.CmkStateNotSupport"
    );
    emulator
        .order(Command::DeleteKey { key: key.clone() })
        .expect("deleted");
    for (action, body) in [("DescribeKey", &named), ("Decrypt", &decrypt(&blob))] {
        assert_eq!(
            client.code(action, body),
            "ResourceUnavailable.CmkNotFound",
            "{action}"
        );
    }
    assert!(emulator.order(Command::Rotate { key }).is_err());
    let imported = client.call("CreateKey", &json!({"Alias": "imported", "Type": 2}));
    let named = json!({"KeyId": imported["KeyId"]});
    assert_eq!(
        client.code("EnableKeyRotation", &named),
        "UnsupportedOperation.ExternalCmkCanNotRotate"
    );
}

#[test]
fn old_versions_decrypt_and_re_encrypt_uses_the_newest() {
    let emulator = Emulator::fresh();
    let mut client = Client::new(&emulator);
    let key = emulator.key().to_owned();
    let old = generate(&mut client, &key);
    let re_encrypt = |blob: &Value, to: &str, context: &str| {
        json!({"CiphertextBlob": blob, "DestinationKeyId": to, "SourceEncryptionContext": CONTEXT,
               "DestinationEncryptionContext": context})
    };
    let same = client.call("ReEncrypt", &re_encrypt(&old["CiphertextBlob"], "", CONTEXT));
    assert_eq!(
        (&same["ReEncrypted"], &same["CiphertextBlob"]),
        (&json!(false), &old["CiphertextBlob"])
    );
    emulator
        .order(Command::Rotate { key: key.clone() })
        .expect("rotated");
    assert!(
        client.call("DescribeKey", &json!({"KeyId": key}))["KeyMetadata"]["LastRotateTime"].as_i64()
            > Some(0)
    );
    let new = generate(&mut client, &key);
    let first = |blob: &Value| blob.as_str().map(|text| text[..88].to_owned());
    assert_ne!(
        first(&old["CiphertextBlob"]),
        first(&new["CiphertextBlob"]),
        "another version"
    );
    for generated in [&old, &new] {
        let opened = client.call("Decrypt", &decrypt(&generated["CiphertextBlob"]));
        assert_eq!(opened["Plaintext"], generated["Plaintext"]);
    }
    let moved = client.call("ReEncrypt", &re_encrypt(&old["CiphertextBlob"], "", CONTEXT));
    assert_eq!(
        (&moved["ReEncrypted"], &moved["KeyId"], &moved["SourceKeyId"]),
        (&json!(true), &json!(key), &json!(key))
    );
    assert_eq!(first(&moved["CiphertextBlob"]), first(&new["CiphertextBlob"]));
    assert_eq!(
        client.call("Decrypt", &decrypt(&moved["CiphertextBlob"]))["Plaintext"],
        old["Plaintext"]
    );
    // To another key, and to another context.
    let other = emulator.create_key(REGION, "other").expect("made");
    let elsewhere = client.call(
        "ReEncrypt",
        &re_encrypt(&old["CiphertextBlob"], &other, "{\"a\":\"b\"}"),
    );
    assert_eq!(
        (&elsewhere["KeyId"], &elsewhere["SourceKeyId"]),
        (&json!(other), &json!(key))
    );
    let body = json!({"CiphertextBlob": elsewhere["CiphertextBlob"], "EncryptionContext": "{\"a\":\"b\"}"});
    let opened = client.call("Decrypt", &body);
    assert_eq!(
        (&opened["Plaintext"], &opened["KeyId"]),
        (&old["Plaintext"], &json!(other))
    );
    let wrong = json!({"CiphertextBlob": old["CiphertextBlob"], "SourceEncryptionContext": "{\"a\":\"b\"}"});
    assert_eq!(
        client.code("ReEncrypt", &wrong),
        "InvalidParameterValue.InvalidCiphertext"
    );
    // A ciphertext of another region's key is invalid in this region.
    client.region = "ap-beijing".to_owned();
    assert_eq!(
        client.code("Decrypt", &decrypt(&old["CiphertextBlob"])),
        "InvalidParameterValue.InvalidCiphertext"
    );
}

#[test]
fn rotation_can_be_enabled_and_disabled() {
    let emulator = Emulator::fresh();
    let mut client = Client::new(&emulator);
    let named = json!({"KeyId": emulator.key()});
    let on = |client: &mut Client| client.call("GetKeyRotationStatus", &named)["KeyRotationEnabled"].take();
    assert_eq!(on(&mut client), false);
    let days = json!({"KeyId": emulator.key(), "RotateDays": 90});
    assert_eq!(client.code("EnableKeyRotation", &days), "");
    assert_eq!(on(&mut client), true);
    let metadata = client.call("DescribeKey", &named)["KeyMetadata"].take();
    let created = metadata["CreateTime"].as_i64().expect("a time");
    assert_eq!(
        (&metadata["RotateDays"], &metadata["NextRotateTime"]),
        (&json!(90), &json!(created + 90 * 86_400))
    );
    assert_eq!(client.code("DisableKeyRotation", &named), "");
    assert_eq!(on(&mut client), false);
    let days = json!({"KeyId": emulator.key(), "RotateDays": 6});
    assert_eq!(client.code("EnableKeyRotation", &days), "InvalidParameterValue");
}
