//! The actions that manage keys.

use serde_json::{Value, json};

use super::server::{Received, Reply, Server};
use super::*;

const REGION: &str = "ap-guangzhou";

async fn responding(fields: Value) -> Server {
    Server::start(move |_, _| Reply::Response(fields.clone())).await
}

/// Returns the only request.
fn only(server: &Server) -> (String, String, Value) {
    let requests = server.received();
    assert_eq!(requests.len(), 1);
    super::requests::assert_signature(&requests[0], "kms");
    (
        requests[0].action().to_owned(),
        requests[0].header("x-tc-region").to_owned(),
        requests[0].json(),
    )
}

fn sent(action: &str, body: Value) -> (String, String, Value) {
    (action.to_owned(), REGION.to_owned(), body)
}

#[tokio::test]
async fn create_key_returns_the_uri_of_the_new_key() {
    let server =
        responding(json!({"KeyId": KEY_ID, "Alias": "seals", "KeyState": "Enabled", "TagCode": 0})).await;
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
    let server = responding(json!({"KeyId": "../x"})).await;
    let error = kms(&server)
        .create_key(REGION, &NewKey::default())
        .await
        .expect_err("not a key id");
    assert!(error.message.contains("not a valid KMS key id"), "{error}");
    let server = responding(json!({"KeyId": OTHER_ID, "Alias": "other"})).await;
    let error = kms(&server)
        .create_key(REGION, &new)
        .await
        .expect_err("another key");
    assert!(error.message.contains("another alias"), "{error}");
    assert!(error.advice.contains("in the console"), "{}", error.advice);
}

/// Keys cost money: after a lost response there may be one already.
#[tokio::test]
async fn create_key_is_retried_only_if_no_key_can_have_been_created() {
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
        assert_eq!(server.received().len(), requests, "{first}");
        assert_eq!(created.is_ok(), requests == 2, "{first}");
        if let Err(error) = created {
            assert!(
                error.advice.contains("may have been executed"),
                "{}",
                error.advice
            );
        }
    }
    // The request was not sent.
    let settings = TencentSettings {
        endpoint: Some(unreachable()),
        ..settings(&responding(json!({})).await)
    };
    let kms = TencentKms::new(settings).expect("a client");
    let error = kms
        .create_key(REGION, &NewKey::default())
        .await
        .expect_err("refused");
    assert!(
        error.message.contains("cannot connect") && !error.advice.contains("may have been executed"),
        "{error}: {}",
        error.advice
    );
}

#[tokio::test]
async fn describe_key_reads_null_fields_as_empty() {
    let whole = json!({
        "KeyId": KEY_ID, "Alias": "seals", "CreateTime": 1_700_000_000, "Description": "", "KeyState": "Enabled",
        "KeyUsage": "ENCRYPT_DECRYPT", "Type": 4, "CreatorUin": 1, "KeyRotationEnabled": true, "Owner": "user",
        "NextRotateTime": 1_800_000_000, "DeletionDate": 0, "Origin": "TENCENT_KMS", "ValidTo": 0,
        "ResourceId": "creatorUin/1/k", "HsmClusterId": null, "RotateDays": 365, "LastRotateTime": null,
    });
    let server = responding(json!({"KeyMetadata": whole})).await;
    let found = kms(&server).describe_key(&key()).await.expect("described");
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
    let error = kms(&server).describe_key(&key()).await.expect_err("none");
    assert_eq!((error.class, error.action), (Class::NotFound, "DescribeKey"));
}

fn metadata(id: &str, state: &str) -> Value {
    json!({"KeyId": id, "KeyState": state})
}

#[tokio::test]
async fn description_of_another_key_is_an_integrity_failure() {
    let server = responding(json!({"KeyMetadata": metadata(OTHER_ID, "Enabled")})).await;
    let kms = kms(&server);
    let error = kms.describe_key(&key()).await.expect_err("another key");
    assert_eq!(error.class, Class::Integrity);
    assert!(
        error.message.contains("another KMS key") && error.message.contains(OTHER_ID),
        "{error}"
    );
    assert_eq!(error.request_id.as_deref(), Some(super::server::REQUEST_ID));
    let error = kms.describe(&key()).await.expect_err("another key");
    assert_eq!((error.class, error.key), (Class::Integrity, key()));
}

#[tokio::test]
async fn uri_that_is_not_a_key_causes_no_request() {
    let server = responding(json!({})).await;
    let kms = kms(&server);
    let alias = KeyUri::parse("tencent-kms://ap-guangzhou/prod").expect("a key URI");
    let error = kms.describe_key(&alias).await.expect_err("not a key");
    assert_eq!((error.class, &*error.advice), (Class::NotFound, FORM));
    let error = kms.disable_rotation(&alias).await.expect_err("not a key");
    assert_eq!(
        (error.class, error.action),
        (Class::NotFound, "DisableKeyRotation")
    );
    assert!(server.received().is_empty());
}

fn id(number: usize) -> String {
    format!("23e80852-1e38-11e9-b129-{number:012}")
}

fn uri(number: usize) -> KeyUri {
    KeyUri::parse(&format!("tencent-kms://{REGION}/{}", id(number))).expect("a key URI")
}

/// A region with 450 keys. A page has at most `max_page` keys; `total` is the total that it reports.
async fn listing(max_page: usize, total: Value) -> Server {
    Server::start(move |_, request| {
        let parameters = request.json();
        let number =
            |name: &str| usize::try_from(parameters[name].as_u64().expect("a number")).expect("small");
        let (offset, limit) = (number("Offset"), number("Limit").min(max_page));
        let keys = (offset..450.min(offset + limit)).map(|number| metadata(&id(number), "Enabled"));
        let keys: Vec<Value> = keys.collect();
        Reply::Response(json!({"KeyMetadatas": keys, "TotalCount": total}))
    })
    .await
}

fn uris(keys: Vec<ListedKey>) -> Vec<KeyUri> {
    keys.into_iter().map(|key| key.uri).collect()
}

#[tokio::test]
async fn list_reads_all_pages() {
    let server = listing(200, json!(450)).await;
    let keys = kms(&server).list_key_details(REGION, Some("seals")).await;
    let all: Vec<KeyUri> = (0..450).map(uri).collect();
    assert_eq!(uris(keys.expect("a list")), all);
    let pages: Vec<Value> = server.received().iter().map(Received::json).collect();
    let page = |offset: u64| json!({"Offset": offset, "Limit": 200, "SearchKeyAlias": "seals"});
    assert_eq!(pages, [page(0), page(200), page(400)]);
    let server = listing(200, json!(450)).await;
    let keys = kms(&server).list_key_details(REGION, None).await;
    assert_eq!(keys.expect("a list").len(), 450);
    assert_eq!(server.received()[0].json(), json!({"Offset": 0, "Limit": 200}));
}

/// The API may return less than a full page, and a total that is larger than what it lists.
#[tokio::test]
async fn short_page_does_not_end_a_list_but_an_empty_one_does() {
    let all: Vec<KeyUri> = (0..450).map(uri).collect();
    for (total, pages) in [(json!(450), 5), (json!(451), 6), (Value::Null, 6)] {
        let server = listing(100, total.clone()).await;
        let keys = kms(&server).list_key_details(REGION, None).await;
        assert_eq!(uris(keys.expect("a list")), all, "{total}");
        assert_eq!(server.received().len(), pages, "{total}");
    }
    let server = responding(json!({"KeyMetadatas": null, "TotalCount": 0})).await;
    assert_eq!(kms(&server).list_key_details(REGION, None).await, Ok(Vec::new()));
}

/// A key that is created between two pages moves others to the next one.
#[tokio::test]
async fn key_on_two_pages_is_listed_once() {
    let server = Server::start(|number, _| {
        let keys = match number {
            0 => json!([metadata(KEY_ID, "Enabled"), metadata(OTHER_ID, "Enabled")]),
            _ => json!([metadata(OTHER_ID, "Enabled")]),
        };
        Reply::Response(json!({"KeyMetadatas": keys, "TotalCount": 3}))
    })
    .await;
    let keys = kms(&server).list_key_details(REGION, None).await;
    assert_eq!(uris(keys.expect("a list")), [key(), other_key()]);
    assert_eq!(server.received().len(), 2);
}

#[tokio::test]
async fn list_with_an_invalid_key_id_is_rejected() {
    let keys = json!([metadata(KEY_ID, "Enabled"), metadata("../../evil\n", "Enabled")]);
    let server = responding(json!({"KeyMetadatas": keys, "TotalCount": 2})).await;
    let error = kms(&server).list_key_details(REGION, None).await;
    let error = error.expect_err("not a key id");
    assert_eq!(error.class, Class::Configuration);
    assert!(error.message.contains("not a valid KMS key id"), "{error}");
    assert_eq!(error.request_id.as_deref(), Some(super::server::REQUEST_ID));
}

#[tokio::test]
async fn list_without_end_is_rejected() {
    // The same page each time, with a total that is never reached.
    let page: Vec<Value> = (0..200).map(|number| metadata(&id(number), "Enabled")).collect();
    let server = responding(json!({"KeyMetadatas": page, "TotalCount": 1_000_000})).await;
    let error = kms(&server).list_key_details(REGION, None).await;
    let error = error.expect_err("no end");
    assert!(error.message.contains("does not end"), "{error}");
    assert_eq!(server.received().len(), 101);
}

#[tokio::test]
async fn rotation_is_enabled_with_or_without_a_period_and_disabled() {
    let server = responding(json!({})).await;
    let kms = kms(&server);
    kms.enable_rotation(&key(), None).await.expect("enabled");
    kms.enable_rotation(&key(), Some(90)).await.expect("enabled");
    kms.disable_rotation(&key()).await.expect("disabled");
    let requests = server.received();
    let requests: Vec<(&str, Value)> = requests
        .iter()
        .map(|request| (request.action(), request.json()))
        .collect();
    let key_only = json!({"KeyId": KEY_ID});
    assert_eq!(
        requests,
        [
            ("EnableKeyRotation", key_only.clone()),
            ("EnableKeyRotation", json!({"KeyId": KEY_ID, "RotateDays": 90})),
            ("DisableKeyRotation", key_only),
        ]
    );
}
