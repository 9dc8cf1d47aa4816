//! The chain of credentials against STS.

mod places;
mod refusals;

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};
use tempfile::TempDir;

use super::super::credentials::Identity as _;
use super::super::sign::Signable;
use super::server::{Asked, REQUEST_ID, Reply, Server};
use super::*;

const WEB: &str = "AssumeRoleWithWebIdentity";
const ASSUME: &str = "AssumeRole";
const METADATA: &str = "";
const LONG: i64 = 7200;

fn now() -> i64 {
    jiff::Timestamp::now().as_second()
}

/// What STS answers the `number`th time.
fn given(number: usize, life: i64) -> Value {
    json!({
        "Credentials": {
            "TmpSecretId": format!("AKIDtemporary{number}"),
            "TmpSecretKey": format!("temporaryKey{number}"),
            "Token": format!("temporaryToken{number}"),
        },
        "ExpiredTime": now() + life,
        "Expiration": "2018-12-04T09:06:16Z",
    })
}

fn decrypted() -> Reply {
    Reply::Response(json!({"KeyId": KEY_ID, "Plaintext": SEVENS}))
}

/// STS gives new credentials each time, for `life` seconds; the KMS decrypts.
async fn giving(life: i64) -> Server {
    let count = AtomicUsize::new(0);
    Server::start(move |_, asked| match asked.action() {
        "Decrypt" => decrypted(),
        _ => Reply::Response(given(count.fetch_add(1, Ordering::Relaxed), life)),
    })
    .await
}

/// A pod's identity, and other variables.
struct Pod {
    folder: TempDir,
    more: Vec<(&'static str, String)>,
}

impl Pod {
    fn new() -> Self {
        let pod = Pod {
            folder: tempfile::tempdir().expect("a folder"),
            more: Vec::new(),
        };
        pod.set_token("eyJ.first.token\n");
        pod
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn set_token(&self, token: &str) {
        fs::write(self.path("jwt"), token).expect("written");
    }

    fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.more.push((name, value.into()));
        self
    }

    fn oidc(&self) -> Environment {
        self.environment(&[
            ("TKE_REGION", "ap-shanghai".to_owned()),
            ("TKE_PROVIDER_ID", "cls-example".to_owned()),
            (
                "TKE_ROLE_ARN",
                "qcs::cam::uin/100000000001:roleName/opener".to_owned(),
            ),
            (
                "TKE_WEB_IDENTITY_TOKEN_FILE",
                self.path("jwt").display().to_string(),
            ),
        ])
    }

    fn environment(&self, set: &[(&'static str, String)]) -> Environment {
        Environment::from_lookup(|name| {
            let mut all = self.more.iter().chain(set);
            all.find(|(set, _)| *set == name).map(|(_, value)| value.clone())
        })
    }
}

fn kms_of(server: &Server, environment: Environment) -> TencentKms {
    let settings = TencentSettings {
        environment,
        ..settings(server)
    };
    TencentKms::new(settings).expect("a client")
}

async fn decrypt(kms: &TencentKms) -> Result<(), KmsError> {
    kms.decrypt(&key(), BLOB, &context()).await.map(|_| ())
}

fn signed_by(asked: &Asked) -> &str {
    let rest = asked.header("authorization").split_once("Credential=");
    rest.and_then(|(_, rest)| rest.split_once('/'))
        .map_or("", |(id, _)| id)
}

#[tokio::test]
async fn a_pods_token_is_exchanged_unsigned_and_the_kms_is_called_with_what_comes() {
    let server = giving(LONG).await;
    let pod = Pod::new();
    let kms = kms_of(&server, pod.oidc());
    assert_eq!(kms.credentials(), None);
    let before = now();
    decrypt(&kms).await.expect("decrypted");
    decrypt(&kms).await.expect("decrypted");
    let asked = server.asked_for(WEB);
    assert_eq!(asked.len(), 1, "held for the second call");
    for (name, value) in [
        ("authorization", "SKIP"),
        ("x-tc-version", "2018-08-13"),
        ("x-tc-region", "ap-shanghai"),
        ("content-type", "application/json"),
        ("x-tc-language", "en-US"),
    ] {
        assert_eq!(asked[0].header(name), value);
    }
    assert!(!asked[0].headers.contains_key("x-tc-token"));
    let wanted = json!({
        "ProviderId": "cls-example",
        "WebIdentityToken": "eyJ.first.token",
        "RoleArn": "qcs::cam::uin/100000000001:roleName/opener",
        "RoleSessionName": "envelope-secrets",
        "DurationSeconds": 7200,
    });
    assert_eq!(asked[0].json(), wanted);
    let calls = server.asked_for("Decrypt");
    assert_eq!(
        (signed_by(&calls[1]), calls[1].header("x-tc-token")),
        ("AKIDtemporary0", "temporaryToken0")
    );
    assert_eq!(
        calls[1].header("x-tc-region"),
        "ap-guangzhou",
        "the key's, not the pod's"
    );
    let status = kms.credentials().expect("held");
    assert_eq!((status.source, status.assumed_role), (Source::TkeOidc, false));
    assert_eq!(
        status.role.as_deref(),
        Some("qcs::cam::uin/100000000001:roleName/opener")
    );
    let life = status.expires.expect("an end") - before;
    assert!((LONG..LONG + 60).contains(&life), "{life}");
}

#[tokio::test]
async fn many_calls_at_once_ask_sts_once() {
    let server = giving(LONG).await;
    let kms = kms_of(&server, Pod::new().oidc());
    let error = decrypt(&kms).await.expect_err("the folder of the token is gone");
    assert!(
        error
            .message
            .contains("no credentials from tke-oidc: cannot read the pod's token"),
        "{error}"
    );
    let pod = Pod::new();
    let kms = kms_of(&server, pod.oidc());
    let calls = (0..20).map(|_| decrypt(&kms));
    for done in futures::future::join_all(calls).await {
        done.expect("decrypted");
    }
    assert_eq!(
        (server.asked_for(WEB).len(), server.asked_for("Decrypt").len()),
        (1, 20)
    );
}

#[tokio::test]
async fn many_calls_at_once_share_one_failure() {
    let server = Server::start(|_, _| {
        Reply::Error(
            "InvalidParameter.WebIdentityTokenError",
            "token eyJ.first.token expired",
        )
    })
    .await;
    let pod = Pod::new();
    let kms = kms_of(&server, pod.oidc());
    let calls = (0..20).map(|_| decrypt(&kms));
    for done in futures::future::join_all(calls).await {
        let error = done.expect_err("no credentials");
        assert_eq!((error.class, error.action), (Class::Credentials, "Decrypt"));
        assert!(
            error
                .to_string()
                .contains("InvalidParameter.WebIdentityTokenError"),
            "{error}"
        );
        assert!(error.advice().contains("audience"), "{}", error.advice());
        assert!(!format!("{error:?}").contains("eyJ"), "{error:?}");
    }
    assert_eq!(server.asked().len(), 1);
}

#[tokio::test]
async fn renewed_ahead_of_their_end_in_the_background_with_the_token_of_then() {
    let server = giving(2).await; // renewed after one second
    let pod = Pod::new();
    let kms = kms_of(&server, pod.oidc());
    decrypt(&kms).await.expect("decrypted");
    pod.set_token("eyJ.second.token");
    // Nobody calls the KMS meanwhile. On a busy machine the first renewal may come before the second token.
    server.until_asked_for(WEB, 3).await;
    assert_eq!(server.asked_for("Decrypt").len(), 1);
    assert_eq!(
        server.asked_for(WEB)[2].json()["WebIdentityToken"],
        "eyJ.second.token"
    );
    decrypt(&kms).await.expect("decrypted");
    let last = server.asked_for("Decrypt").pop().expect("two");
    assert_ne!(signed_by(&last), "AKIDtemporary0");
}

#[tokio::test]
async fn held_to_their_end_when_renewing_fails_then_a_clear_error() {
    let server = Server::start(|_, asked| match asked.action() {
        "Decrypt" => decrypted(),
        _ if asked.header("x-tc-timestamp").parse::<i64>().expect("seconds") < now() + 100 => {
            Reply::Response(given(0, LONG))
        }
        _ => Reply::Error("InternalError", "down"),
    })
    .await;
    let pod = Pod::new();
    let kms = kms_of(&server, pod.oidc());
    decrypt(&kms).await.expect("decrypted");
    // Refusals make it ask again: in vain, but what is held is not over.
    kms.rpc.set_correction(LONG - 10);
    let held = kms.chain.current().await.expect("held").expect("signed");
    assert!(kms.chain.refused(&held).await.is_err());
    assert!(server.asked_for(WEB).len() > 1);
    decrypt(&kms).await.expect("to the end");
    kms.rpc.set_correction(LONG + 10);
    let error = decrypt(&kms).await.expect_err("over");
    assert_eq!(error.class, Class::Credentials);
    assert!(
        error.message.contains("no credentials from tke-oidc") && error.message.contains("down"),
        "{error}"
    );
}

#[tokio::test]
async fn a_role_is_taken_with_what_the_chain_gives() {
    let server = giving(LONG).await;
    let role = AssumedRole {
        arn: "qcs::cam::uin/100000000001:roleName/other".to_owned(),
        external_id: Some("x-1".to_owned()),
    };
    let settings = TencentSettings {
        role: Some(role),
        ..settings(&server)
    };
    let kms = TencentKms::new(settings).expect("a client");
    decrypt(&kms).await.expect("decrypted");
    let asked = server.asked_for(ASSUME);
    assert_eq!(asked.len(), 1);
    let wanted = json!({
        "RoleArn": "qcs::cam::uin/100000000001:roleName/other",
        "RoleSessionName": "envelope-secrets",
        "DurationSeconds": 7200,
        "ExternalId": "x-1",
    });
    assert_eq!(asked[0].json(), wanted);
    super::requests::signature_holds(&asked[0], "sts");
    assert_eq!(signed_by(&server.asked_for("Decrypt")[0]), "AKIDtemporary0");
    let status = kms.credentials().expect("held");
    assert_eq!((status.source, status.assumed_role), (Source::Environment, true));
    assert_eq!(
        status.role.as_deref(),
        Some("qcs::cam::uin/100000000001:roleName/other")
    );
    let server = Server::start(|_, _| Reply::Error("UnauthorizedOperation", "no")).await;
    let role = Some(AssumedRole {
        arn: "qcs::r".to_owned(),
        external_id: None,
    });
    let settings = TencentSettings {
        role,
        ..super::settings(&server)
    };
    let kms = TencentKms::new(settings).expect("a client");
    let error = decrypt(&kms).await.expect_err("refused");
    assert_eq!(error.class, Class::Credentials);
    assert_eq!(error.subject.as_deref(), Some("environment"));
    assert!(error.message.contains("cannot take the role qcs::r"), "{error}");
    assert_eq!(server.asked()[0].json().get("ExternalId"), None);
}

/// What is signed with temporary credentials is signed with their key.
#[tokio::test]
async fn temporary_keys_sign() {
    let server = giving(LONG).await;
    let pod = Pod::new();
    decrypt(&kms_of(&server, pod.oidc())).await.expect("decrypted");
    let asked = server.asked_for("Decrypt").pop().expect("a call");
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
        service: "kms",
    };
    assert_eq!(
        header("authorization"),
        signable.authorization("AKIDtemporary0", "temporaryKey0")
    );
}
