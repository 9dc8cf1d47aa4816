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
    assert!(error.message.contains("no key id"), "{error}");
    let server = answering(json!({"KeyId": OTHER_ID, "Alias": "other"})).await;
    let error = kms(&server)
        .create_key(REGION, &new)
        .await
        .expect_err("of another");
    assert!(error.message.contains("another alias"), "{error}");
    assert!(error.advice.contains("in the console"), "{}", error.advice);
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
    // Nobody had the request.
    let settings = TencentSettings {
        endpoint: Some(nobody()),
        ..settings(&answering(json!({})).await)
    };
    let kms = TencentKms::new(settings).expect("a client");
    let error = kms
        .create_key(REGION, &NewKey::default())
        .await
        .expect_err("refused");
    assert!(
        error.message.contains("cannot connect") && !error.advice.contains("may have been done"),
        "{error}: {}",
        error.advice
    );
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

/// Whoever asks about a key must not be told of another one.
#[tokio::test]
async fn an_answer_about_another_key_describes_nothing() {
    let server = answering(json!({"KeyMetadata": metadata(OTHER_ID, "Enabled")})).await;
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
async fn describe_keys_answers_for_exactly_the_keys_that_were_asked_for() {
    let both = json!([metadata(OTHER_ID, "Archived"), metadata(KEY_ID, "Enabled")]);
    let server = answering(json!({"KeyMetadatas": both})).await;
    let found = kms(&server).describe_keys(&[key(), other_key()]).await;
    let found = found.expect("described").into_iter();
    assert_eq!(
        found.map(|key| key.key_state).collect::<Vec<_>>(),
        ["Enabled", "Archived"],
        "in the order of the question"
    );
    assert_eq!(
        only(&server),
        sent("DescribeKeys", json!({"KeyIds": [KEY_ID, OTHER_ID]}))
    );
    // One too many, then one too few.
    for (asked, says) in [
        (vec![key()], "another KMS key"),
        (vec![key(), other_key()], "says nothing about KMS key"),
    ] {
        let found = match asked.len() {
            1 => both.clone(),
            _ => json!([metadata(KEY_ID, "Enabled")]),
        };
        let server = answering(json!({"KeyMetadatas": found})).await;
        let error = kms(&server).describe_keys(&asked).await.expect_err("not those");
        assert_eq!(error.class, Class::Integrity);
        assert!(
            error.message.contains(says) && error.message.contains(OTHER_ID),
            "{error}"
        );
    }
}

#[tokio::test]
async fn what_names_no_key_or_two_regions_is_not_asked() {
    let server = answering(json!({})).await;
    let kms = kms(&server);
    let none = KeyUri::parse("tencent-kms://ap-guangzhou/prod").expect("a key URI");
    let error = kms.describe_key(&none).await.expect_err("no key");
    assert_eq!((error.class, &*error.advice), (Class::NotFound, FORM));
    let error = kms.disable_key(&none).await.expect_err("no key");
    assert_eq!((error.class, error.action), (Class::NotFound, "DisableKey"));
    let error = kms.describe_keys(&[key(), far_key()]).await.expect_err("two");
    assert_eq!(error.class, Class::Configuration);
    assert_eq!(kms.describe_keys(&[]).await, Ok(Vec::new()));
    assert!(server.asked().is_empty());
}

fn id(number: usize) -> String {
    format!("23e80852-1e38-11e9-b129-{number:012}")
}

fn uri(number: usize) -> KeyUri {
    KeyUri::parse(&format!("tencent-kms://{REGION}/{}", id(number))).expect("a key URI")
}

/// Lists of 450 keys, at most so many on a page, and with `total` as what it tells.
async fn listing(most: usize, total: Value) -> Server {
    Server::start(move |_, asked| {
        let (action, asked) = (asked.action().to_owned(), asked.json());
        let number = |name: &str| usize::try_from(asked[name].as_u64().expect("a number")).expect("small");
        let (offset, limit) = (number("Offset"), number("Limit").min(most));
        let keys = (offset..450.min(offset + limit)).map(|number| metadata(&id(number), "Enabled"));
        let keys: Vec<Value> = keys.collect();
        let name = if action == "ListKeys" {
            "Keys"
        } else {
            "KeyMetadatas"
        };
        Reply::Response(json!({name: keys, "TotalCount": total}))
    })
    .await
}

#[tokio::test]
async fn lists_go_on_to_the_last_page() {
    let server = listing(200, json!(450)).await;
    let kms = kms(&server);
    let all: Vec<KeyUri> = (0..450).map(uri).collect();
    assert_eq!(kms.list_keys(REGION).await.expect("a list"), all);
    let details = kms.list_key_details(REGION, Some("seals")).await;
    let details = details.expect("a list").into_iter();
    assert_eq!(details.map(|key| key.uri).collect::<Vec<_>>(), all);
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
}

/// The KMS may give less than a page was asked for, and the total may be more than what it shows.
#[tokio::test]
async fn a_short_page_ends_no_list_and_an_empty_one_does() {
    let all: Vec<KeyUri> = (0..450).map(uri).collect();
    for (total, pages) in [(json!(450), 5), (json!(451), 6), (Value::Null, 6)] {
        let server = listing(100, total.clone()).await;
        let kms = kms(&server);
        assert_eq!(kms.list_keys(REGION).await.expect("a list"), all, "{total}");
        let details = kms.list_key_details(REGION, None).await.expect("a list");
        assert_eq!(details.len(), 450, "{total}");
        for action in ["ListKeys", "ListKeyDetail"] {
            assert_eq!(server.asked_for(action).len(), pages, "{action} {total}");
        }
    }
    let server = answering(json!({"Keys": null, "KeyMetadatas": null, "TotalCount": 0})).await;
    let kms = kms(&server);
    assert_eq!(kms.list_keys(REGION).await, Ok(Vec::new()));
    assert_eq!(kms.list_key_details(REGION, None).await, Ok(Vec::new()));
}

/// A key that is made between two pages moves others to the next one.
#[tokio::test]
async fn a_key_that_is_on_two_pages_is_listed_once() {
    let server = Server::start(|number, _| {
        let keys = match number {
            0 => json!([{"KeyId": KEY_ID}, {"KeyId": OTHER_ID}]),
            _ => json!([{"KeyId": OTHER_ID}]),
        };
        Reply::Response(json!({"Keys": keys, "TotalCount": 3}))
    })
    .await;
    let listed = kms(&server).list_keys(REGION).await.expect("a list");
    assert_eq!((listed, server.asked().len()), (vec![key(), other_key()], 2));
}

#[tokio::test]
async fn a_list_of_what_is_no_key_and_one_without_an_end_are_refused() {
    let keys = json!([metadata(KEY_ID, "Enabled"), metadata("../../evil\n", "Enabled")]);
    let server = answering(json!({"Keys": keys, "KeyMetadatas": keys, "TotalCount": 2})).await;
    let kms = kms(&server);
    let refused = [
        kms.list_keys(REGION).await.map(|_| ()),
        kms.list_key_details(REGION, None).await.map(|_| ()),
    ];
    for error in refused.map(|listed| listed.expect_err("no key id")) {
        assert_eq!(error.class, Class::Configuration);
        assert!(error.message.contains("no key id"), "{error}");
        assert_eq!(error.request_id.as_deref(), Some(super::server::REQUEST_ID));
    }
    // The same page again and again, of a total that is never reached.
    let page: Vec<Value> = (0..200).map(|number| metadata(&id(number), "Enabled")).collect();
    let server = answering(json!({"Keys": page, "TotalCount": 1_000_000})).await;
    let error = super::kms(&server).list_keys(REGION).await;
    let error = error.expect_err("no end");
    assert!(error.message.contains("does not end"), "{error}");
    assert_eq!(server.asked().len(), 101);
}

#[tokio::test]
async fn switches_of_a_key() {
    let server = answering(json!({})).await;
    let kms = kms(&server);
    kms.enable_key(&key()).await.expect("done");
    kms.disable_key(&key()).await.expect("done");
    kms.enable_rotation(&key(), None).await.expect("done");
    kms.enable_rotation(&key(), Some(90)).await.expect("done");
    kms.disable_rotation(&key()).await.expect("done");
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
    assert!(kms.rotates(&key()).await.expect("answered"));
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
