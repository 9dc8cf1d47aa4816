//! The management of keys.

use serde_json::{Value, json};

use super::server::{Reply, Server};
use super::*;

const REGION: &str = "ap-guangzhou";

async fn answering(fields: Value) -> Server {
    Server::start(move |_, _| Reply::Response(fields.clone())).await
}

/// The one request that came.
fn only(server: &Server) -> (String, String, Value) {
    let asked = server.asked();
    assert_eq!(asked.len(), 1);
    super::requests::signature_holds(&asked[0], "kms");
    (
        asked[0].action().to_owned(),
        asked[0].header("x-tc-region").to_owned(),
        asked[0].json(),
    )
}

fn sent(action: &str, body: Value) -> (String, String, Value) {
    (action.to_owned(), REGION.to_owned(), body)
}

#[tokio::test]
async fn create_key_gives_its_uri() {
    let server =
        answering(json!({"KeyId": KEY_ID, "Alias": "seals", "KeyState": "Enabled", "TagCode": 0})).await;
    let new = NewKey {
        alias: "seals".to_owned(),
        description: Some("of prod".to_owned()),
    };
    assert_eq!(
        kms(&server).create_key(REGION, &new).await.expect("created"),
        key()
    );
    let body = json!({"Alias": "seals", "Description": "of prod", "KeyUsage": "ENCRYPT_DECRYPT"});
    assert_eq!(only(&server), sent("CreateKey", body));
    let server = answering(json!({"KeyId": "../x"})).await;
    let error = kms(&server)
        .create_key(REGION, &NewKey::default())
        .await
        .expect_err("no key");
    assert!(error.message.contains("names no KMS key"), "{error}");
}

/// A key costs money: after an answer that was lost there may be one already.
#[tokio::test]
async fn create_key_is_repeated_only_where_nothing_was_done() {
    for (first, requests) in [
        ("RequestLimitExceeded", 2),
        ("InternalError", 1),
        ("NeverHeardOf.It", 1),
        ("", 1),
    ] {
        let server = Server::start(move |number, _| match (number, first) {
            (0, "") => Reply::Bytes(Vec::new()),
            (0, code) => Reply::Error(code, "no"),
            _ => Reply::Response(json!({"KeyId": KEY_ID})),
        })
        .await;
        let created = kms(&server).create_key(REGION, &NewKey::default()).await;
        assert_eq!(server.asked().len(), requests, "{first}");
        assert_eq!(created.is_ok(), requests == 2, "{first}");
        if let Err(error) = created {
            assert!(error.advice.contains("may have been done"), "{}", error.advice);
        }
    }
}

#[tokio::test]
async fn describe_key_reads_what_is_there_and_null_as_nothing() {
    let whole = json!({
        "KeyId": KEY_ID, "Alias": "seals", "CreateTime": 1_700_000_000, "Description": "", "KeyState": "Enabled",
        "KeyUsage": "ENCRYPT_DECRYPT", "Type": 4, "CreatorUin": 1, "KeyRotationEnabled": true, "Owner": "user",
        "NextRotateTime": 1_800_000_000, "DeletionDate": 0, "Origin": "TENCENT_KMS", "ValidTo": 0,
        "ResourceId": "creatorUin/1/k", "HsmClusterId": null, "RotateDays": 365, "LastRotateTime": null,
    });
    let server = answering(json!({"KeyMetadata": whole})).await;
    let found = kms(&server)
        .describe_key(REGION, KEY_ID)
        .await
        .expect("described");
    let wanted = KeyMetadata {
        key_id: KEY_ID.to_owned(),
        key_state: "Enabled".to_owned(),
        alias: "seals".to_owned(),
        key_usage: "ENCRYPT_DECRYPT".to_owned(),
        description: String::new(),
        create_time: 1_700_000_000,
        key_rotation_enabled: true,
        next_rotate_time: 1_800_000_000,
        last_rotate_time: 0,
        rotate_days: 365,
        deletion_date: 0,
        origin: "TENCENT_KMS".to_owned(),
        owner: "user".to_owned(),
        resource_id: "creatorUin/1/k".to_owned(),
    };
    assert_eq!(found, wanted);
    assert_eq!(only(&server), sent("DescribeKey", json!({"KeyId": KEY_ID})));
    let server = Server::start(|_, _| Reply::Error("ResourceUnavailable.CmkNotFound", "no")).await;
    let error = kms(&server).describe_key(REGION, KEY_ID).await.expect_err("none");
    assert_eq!((error.class, error.action), (Class::NotFound, "DescribeKey"));
}

#[tokio::test]
async fn describe_keys() {
    let server = answering(json!({"KeyMetadatas": [{"KeyId": OTHER_ID, "KeyState": "Archived"}]})).await;
    let found = kms(&server)
        .describe_keys(REGION, &[KEY_ID, OTHER_ID])
        .await
        .expect("described");
    assert_eq!((found.len(), found[0].key_state.as_str()), (1, "Archived"));
    assert_eq!(
        only(&server),
        sent("DescribeKeys", json!({"KeyIds": [KEY_ID, OTHER_ID]}))
    );
}

#[tokio::test]
async fn lists_go_on_to_the_last_page() {
    let server = Server::start(|_, asked| {
        let asked = asked.json();
        let offset = asked["Offset"].as_u64().expect("a number");
        let here = 450_u64
            .saturating_sub(offset)
            .min(asked["Limit"].as_u64().expect("a number"));
        let keys: Vec<Value> = (offset..offset + here)
            .map(|number| json!({"KeyId": number.to_string(), "KeyState": "Enabled"}))
            .collect();
        Reply::Response(json!({"Keys": keys, "KeyMetadatas": keys, "TotalCount": 450}))
    })
    .await;
    let kms = kms(&server);
    let ids = kms.list_keys(REGION).await.expect("a list");
    let all: Vec<String> = (0..450).map(|number| number.to_string()).collect();
    assert_eq!(ids, all);
    let details = kms.list_key_details(REGION, Some("seals")).await.expect("a list");
    assert_eq!(details.into_iter().map(|key| key.key_id).collect::<Vec<_>>(), all);
    let pages = |action: &str| -> Vec<Value> {
        server
            .asked_for(action)
            .iter()
            .map(super::server::Asked::json)
            .collect()
    };
    let page = |offset: u64| json!({"Offset": offset, "Limit": 200});
    assert_eq!(pages("ListKeys"), [page(0), page(200), page(400)]);
    assert_eq!(
        pages("ListKeyDetail")[2],
        json!({"Offset": 400, "Limit": 200, "SearchKeyAlias": "seals"})
    );
    let empty = answering(json!({"Keys": null, "KeyMetadatas": null, "TotalCount": 0})).await;
    assert!(
        super::kms(&empty)
            .list_keys(REGION)
            .await
            .expect("a list")
            .is_empty()
    );
    assert!(
        super::kms(&empty)
            .list_key_details(REGION, None)
            .await
            .expect("a list")
            .is_empty()
    );
}

#[tokio::test]
async fn switches_of_a_key() {
    let server = answering(json!({})).await;
    let kms = kms(&server);
    kms.enable_key(REGION, KEY_ID).await.expect("done");
    kms.disable_key(REGION, KEY_ID).await.expect("done");
    kms.enable_rotation(REGION, KEY_ID, None).await.expect("done");
    kms.enable_rotation(REGION, KEY_ID, Some(90)).await.expect("done");
    kms.disable_rotation(REGION, KEY_ID).await.expect("done");
    let asked = server.asked();
    let asked: Vec<(&str, Value)> = asked.iter().map(|asked| (asked.action(), asked.json())).collect();
    let only = json!({"KeyId": KEY_ID});
    assert_eq!(
        asked,
        [
            ("EnableKey", only.clone()),
            ("DisableKey", only.clone()),
            ("EnableKeyRotation", only.clone()),
            ("EnableKeyRotation", json!({"KeyId": KEY_ID, "RotateDays": 90})),
            ("DisableKeyRotation", only),
        ]
    );
}

#[tokio::test]
async fn questions_about_rotation_service_regions_and_algorithms() {
    let server = Server::start(|_, asked| {
        Reply::Response(match asked.action() {
            "GetKeyRotationStatus" => json!({"KeyRotationEnabled": true}),
            "GetServiceStatus" => {
                json!({"ServiceEnabled": true, "InvalidType": 1, "QpsLimit": 300, "CmkLimit": null})
            }
            "GetRegions" => json!({"Regions": ["ap-guangzhou", "ap-shanghai"]}),
            _ => json!({"SymmetricAlgorithms": [{"KeyUsage": "ENCRYPT_DECRYPT", "Algorithm": "SM4"}]}),
        })
    })
    .await;
    let kms = kms(&server);
    assert!(kms.rotates(REGION, KEY_ID).await.expect("answered"));
    let status = kms.service_status(REGION).await.expect("answered");
    assert_eq!(
        (
            status.service_enabled,
            status.invalid_type,
            status.qps_limit,
            status.cmk_limit
        ),
        (true, 1, 300, 0)
    );
    assert_eq!(
        kms.regions(REGION).await.expect("answered"),
        ["ap-guangzhou", "ap-shanghai"]
    );
    assert_eq!(
        kms.algorithms(REGION).await.expect("answered")[0].algorithm,
        "SM4"
    );
    let asked = server.asked();
    let asked: Vec<(&str, Value)> = asked.iter().map(|asked| (asked.action(), asked.json())).collect();
    assert_eq!(
        asked,
        [
            ("GetKeyRotationStatus", json!({"KeyId": KEY_ID})),
            ("GetServiceStatus", json!({})),
            ("GetRegions", json!({})),
            ("ListAlgorithms", json!({})),
        ]
    );
}
