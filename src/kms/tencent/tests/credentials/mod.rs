//! The chain of credential sources against a scripted STS.

mod rejections;
mod sources;

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};
use tempfile::TempDir;

use super::super::transport::credentials_provider::CredentialsProvider as _;
use super::super::transport::sign::Signable;
use super::server::{REQUEST_ID, Received, Reply, Server};
use super::*;

const WEB: &str = "AssumeRoleWithWebIdentity";
const ASSUME: &str = "AssumeRole";
const METADATA: &str = "";
/// A lifetime in seconds that no test reaches.
const LONG: i64 = 7200;

fn now() -> i64 {
    jiff::Timestamp::now().as_second()
}

/// The STS response number `number`, for credentials with this lifetime in seconds.
fn issued(number: usize, lifetime: i64) -> Value {
    json!({
        "Credentials": {
            "TmpSecretId": format!("AKIDtemporary{number}"),
            "TmpSecretKey": format!("temporaryKey{number}"),
            "Token": format!("temporaryToken{number}"),
        },
        "ExpiredTime": now() + lifetime,
        "Expiration": "2018-12-04T09:06:16Z",
    })
}

fn decrypted() -> Reply {
    Reply::Response(json!({"KeyId": KEY_ID, "Plaintext": SEVENS}))
}

/// STS issues different credentials each time; the KMS decrypts.
async fn issuing(lifetime: i64) -> Server {
    let count = AtomicUsize::new(0);
    Server::start(move |_, request| match request.action() {
        "Decrypt" => decrypted(),
        _ => Reply::Response(issued(count.fetch_add(1, Ordering::Relaxed), lifetime)),
    })
    .await
}

/// A pod with a token file, and more variables.
struct Pod {
    directory: TempDir,
    variables: Vec<(&'static str, String)>,
}

impl Pod {
    fn new() -> Self {
        let pod = Pod {
            directory: tempfile::tempdir().expect("a directory"),
            variables: Vec::new(),
        };
        pod.set_token("eyJ.first.token\n");
        pod
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn set_token(&self, token: &str) {
        fs::write(self.path("jwt"), token).expect("written");
    }

    fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.variables.push((name, value.into()));
        self
    }

    fn with_identity(&self) -> Environment {
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
            let mut all = self.variables.iter().chain(set);
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

fn signed_by(request: &Received) -> &str {
    let rest = request.header("authorization").split_once("Credential=");
    rest.and_then(|(_, rest)| rest.split_once('/'))
        .map_or("", |(id, _)| id)
}

#[tokio::test]
async fn pod_token_is_exchanged_unsigned_and_the_result_signs_kms_calls() {
    let server = issuing(LONG).await;
    let pod = Pod::new();
    let kms = kms_of(&server, pod.with_identity());
    assert_eq!(kms.credentials(), None);
    let before = now();
    decrypt(&kms).await.expect("decrypted");
    decrypt(&kms).await.expect("decrypted");
    let requests = server.received_of(WEB);
    assert_eq!(requests.len(), 1, "held for the second call");
    for (name, value) in [
        ("authorization", "SKIP"),
        ("x-tc-version", "2018-08-13"),
        ("x-tc-region", "ap-shanghai"),
        ("content-type", "application/json"),
        ("x-tc-language", "en-US"),
    ] {
        assert_eq!(requests[0].header(name), value);
    }
    assert!(!requests[0].headers.contains_key("x-tc-token"));
    let wanted = json!({
        "ProviderId": "cls-example",
        "WebIdentityToken": "eyJ.first.token",
        "RoleArn": "qcs::cam::uin/100000000001:roleName/opener",
        "RoleSessionName": "envelope-secrets",
        "DurationSeconds": 7200,
    });
    assert_eq!(requests[0].json(), wanted);
    let calls = server.received_of("Decrypt");
    assert_eq!(
        (signed_by(&calls[1]), calls[1].header("x-tc-token")),
        ("AKIDtemporary0", "temporaryToken0")
    );
    assert_eq!(
        calls[1].header("x-tc-region"),
        "ap-guangzhou",
        "the key's region, not the pod's"
    );
    let status = kms.credentials().expect("held");
    assert_eq!((status.source, status.assumed_role), (Source::TkeOidc, false));
    assert_eq!(
        status.role.as_deref(),
        Some("qcs::cam::uin/100000000001:roleName/opener")
    );
    let lifetime = status.expires.expect("an expiry") - before;
    assert!((LONG..LONG + 60).contains(&lifetime), "{lifetime}");
}

#[tokio::test]
async fn concurrent_calls_share_one_sts_request() {
    let server = issuing(LONG).await;
    let kms = kms_of(&server, Pod::new().with_identity());
    let error = decrypt(&kms).await.expect_err("the token file has been deleted");
    assert!(
        error
            .message
            .contains("no credentials from tke-oidc: cannot read the pod's token"),
        "{error}"
    );
    let pod = Pod::new();
    let kms = kms_of(&server, pod.with_identity());
    let calls = (0..20).map(|_| decrypt(&kms));
    for done in futures::future::join_all(calls).await {
        done.expect("decrypted");
    }
    assert_eq!(
        (server.received_of(WEB).len(), server.received_of("Decrypt").len()),
        (1, 20)
    );
}

#[tokio::test]
async fn concurrent_calls_share_one_failure() {
    let server = Server::start(|_, _| {
        Reply::Error(
            "InvalidParameter.WebIdentityTokenError",
            "token eyJ.first.token expired",
        )
    })
    .await;
    let pod = Pod::new();
    let kms = kms_of(&server, pod.with_identity());
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
    assert_eq!(server.received().len(), 1);
}

#[tokio::test]
async fn credentials_are_renewed_in_the_background_with_the_current_token() {
    let server = issuing(2).await; // renewed after one second
    let pod = Pod::new();
    let kms = kms_of(&server, pod.with_identity());
    decrypt(&kms).await.expect("decrypted");
    pod.set_token("eyJ.second.token");
    // Without any KMS call. On a busy host the first renewal may precede the second token.
    server.wait_for(WEB, 3).await;
    assert_eq!(server.received_of("Decrypt").len(), 1);
    assert_eq!(
        server.received_of(WEB)[2].json()["WebIdentityToken"],
        "eyJ.second.token"
    );
    decrypt(&kms).await.expect("decrypted");
    let last = server.received_of("Decrypt").pop().expect("two");
    assert_ne!(signed_by(&last), "AKIDtemporary0");
}

#[tokio::test]
async fn credentials_are_used_until_they_expire_when_renewal_fails() {
    let server = Server::start(|_, request| match request.action() {
        "Decrypt" => decrypted(),
        _ if request.header("x-tc-timestamp").parse::<i64>().expect("seconds") < now() + 100 => {
            Reply::Response(issued(0, LONG))
        }
        _ => Reply::Error("InternalError", "down"),
    })
    .await;
    let pod = Pod::new();
    let kms = kms_of(&server, pod.with_identity());
    decrypt(&kms).await.expect("decrypted");
    // A rejection causes a request, which fails; the held credentials have not expired.
    kms.api.clock().set_correction(LONG - 10);
    let held = kms
        .credentials
        .credentials()
        .await
        .expect("held")
        .expect("signed");
    assert!(kms.credentials.refresh_rejected(&held).await.is_err());
    assert!(server.received_of(WEB).len() > 1);
    decrypt(&kms).await.expect("not expired");
    kms.api.clock().set_correction(LONG + 10);
    let error = decrypt(&kms).await.expect_err("expired");
    assert_eq!(error.class, Class::Credentials);
    assert!(
        error.message.contains("no credentials from tke-oidc") && error.message.contains("down"),
        "{error}"
    );
}

#[tokio::test]
async fn role_is_assumed_with_the_credentials_of_the_chain() {
    let server = issuing(LONG).await;
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
    let requests = server.received_of(ASSUME);
    assert_eq!(requests.len(), 1);
    let wanted = json!({
        "RoleArn": "qcs::cam::uin/100000000001:roleName/other",
        "RoleSessionName": "envelope-secrets",
        "DurationSeconds": 7200,
        "ExternalId": "x-1",
    });
    assert_eq!(requests[0].json(), wanted);
    super::requests::assert_signature(&requests[0], "sts");
    assert_eq!(signed_by(&server.received_of("Decrypt")[0]), "AKIDtemporary0");
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
    assert!(error.message.contains("cannot assume the role qcs::r"), "{error}");
    assert_eq!(server.received()[0].json().get("ExternalId"), None);
}

#[tokio::test]
async fn temporary_secret_key_signs_calls() {
    let server = issuing(LONG).await;
    let pod = Pod::new();
    decrypt(&kms_of(&server, pod.with_identity()))
        .await
        .expect("decrypted");
    let request = server.received_of("Decrypt").pop().expect("a call");
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
        service: "kms",
    };
    assert_eq!(
        header("authorization"),
        signable.authorization("AKIDtemporary0", "temporaryKey0")
    );
}
