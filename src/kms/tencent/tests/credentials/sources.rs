//! The precedence of the sources, the metadata service, and files that change.

use super::*;

/// The metadata service of an instance with the role `node`; the KMS decrypts.
fn metadata(request: &Received) -> Reply {
    const FOUND: &str = r#"{"TmpSecretId":"AKIDinstance","TmpSecretKey":"instanceKey","ExpiredTime":4102444800,
        "Expiration":"2100-01-01T00:00:00Z","Token":"instanceToken","Code":"Success"}"#;
    match request.line.as_str() {
        "GET /latest/meta-data/cam/security-credentials/ HTTP/1.1" => Reply::Raw(200, "node\n"),
        "GET /latest/meta-data/cam/security-credentials/node HTTP/1.1" => Reply::Raw(200, FOUND),
        _ => decrypted(),
    }
}

fn on_instance(server: &Server, environment: Environment) -> TencentKms {
    let settings = TencentSettings {
        environment,
        metadata_endpoint: Some(server.endpoint()),
        ..settings(server)
    };
    TencentKms::new(settings).expect("a client")
}

#[tokio::test]
async fn instance_role_is_used_without_other_sources() {
    let server = Server::start(|_, request| metadata(request)).await;
    let kms = on_instance(&server, Environment::default());
    decrypt(&kms).await.expect("decrypted");
    assert_eq!(server.received_of(METADATA).len(), 2);
    let call = server.received_of("Decrypt").pop().expect("a call");
    assert_eq!(
        (signed_by(&call), call.header("x-tc-token")),
        ("AKIDinstance", "instanceToken")
    );
    let status = kms.credentials().expect("held");
    assert_eq!(
        (status.source, status.expires),
        (Source::CvmRole, Some(4_102_444_800))
    );
}

/// A pod that is meant to have an identity must not act with the role of its node.
#[tokio::test]
async fn incomplete_pod_identity_is_an_error_and_not_skipped() {
    let server = Server::start(|_, request| metadata(request)).await;
    let part = |set: &[(&'static str, &str)]| {
        let set: Vec<(&str, String)> = set
            .iter()
            .map(|(name, value)| (*name, (*value).to_owned()))
            .collect();
        Environment::from_lookup(|name| {
            set.iter()
                .find(|(set, _)| *set == name)
                .map(|(_, value)| value.clone())
        })
    };
    let role = part(&[
        ("TKE_ROLE_ARN", "qcs::cam::uin/1:roleName/opener"),
        ("TKE_REGION", "ap-shanghai"),
    ]);
    let error = decrypt(&on_instance(&server, role))
        .await
        .expect_err("no identity");
    assert!(
        error
            .message
            .contains("TKE_ROLE_ARN is set, but not TKE_PROVIDER_ID, TKE_WEB_IDENTITY_TOKEN_FILE"),
        "{error}"
    );
    let provider = part(&[("TKE_PROVIDER_ID", "cls-1"), ("TKE_REGION", "ap-shanghai")]);
    let error = decrypt(&on_instance(&server, provider))
        .await
        .expect_err("no identity");
    assert!(
        error
            .message
            .contains("TKE_PROVIDER_ID is set, but not TKE_ROLE_ARN"),
        "{error}"
    );
    assert!(server.received().is_empty());
    // The region alone does not indicate an identity.
    let region = part(&[("TKE_REGION", "ap-shanghai")]);
    decrypt(&on_instance(&server, region))
        .await
        .expect("with the instance's role");
}

#[tokio::test]
async fn unusable_response_of_the_metadata_service_is_reported() {
    let path = "/latest/meta-data/cam/security-credentials/";
    for (first, second, expected, retryable) in [
        ((404, ""), (200, ""), "cvm-role: the instance has no role", false),
        ((500, ""), (200, ""), "responded with HTTP status 500", true),
        (
            (200, "node"),
            (429, ""),
            "responded for role node with HTTP status 429",
            true,
        ),
        (
            (200, "../../user-data"),
            (200, ""),
            "did not return the name of a role",
            false,
        ),
        (
            (200, "<html>"),
            (200, ""),
            "did not return the name of a role",
            false,
        ),
        (
            (200, "node"),
            (404, ""),
            "responded for role node with HTTP status 404",
            false,
        ),
        (
            (200, "node"),
            (200, "{\"Code\":\"Failed\"}"),
            "responded Failed for role node",
            false,
        ),
        (
            (200, "node"),
            (200, "{\"Code\":\"Success\",\"TmpSecretId\":\"hunter2\"}"),
            "did not return credentials",
            true,
        ),
        (
            (200, "node"),
            (200, "hunter2"),
            "did not return credentials",
            true,
        ),
    ] {
        let server = Server::start(move |_, request| {
            let (status, body) = if request.line == format!("GET {path} HTTP/1.1") {
                first
            } else {
                second
            };
            Reply::Raw(status, body)
        })
        .await;
        let error = decrypt(&on_instance(&server, Environment::default()))
            .await
            .expect_err("no credentials");
        assert_eq!(
            (error.class, error.retryable),
            (Class::Credentials, retryable),
            "{error}"
        );
        assert!(error.message.contains(expected), "{error} instead of {expected}");
        assert!(!error.message.contains("hunter2"), "{error}");
        assert!(server.received().len() <= 2);
    }
}

#[tokio::test]
async fn first_configured_source_wins() {
    let server = Server::start(|_, request| match request.action() {
        WEB => Reply::Response(issued(0, LONG)),
        _ => metadata(request),
    })
    .await;
    let pod = Pod::new();
    let profile = |id: &str| format!("[default]\nsecret_id = {id}\nsecret_key = k\n");
    fs::write(pod.path("named"), profile("AKIDnamed")).expect("written");
    fs::create_dir(pod.path(".tencentcloud")).expect("made");
    fs::write(pod.path(".tencentcloud/credentials"), profile("AKIDhome")).expect("written");
    let home = pod.directory.path().display().to_string();
    let pod = pod.with("HOME", home);
    let keys = [
        ("TENCENTCLOUD_SECRET_ID", "AKIDenvironment".to_owned()),
        ("TENCENTCLOUD_SECRET_KEY", "k".to_owned()),
    ];
    let mut all = Pod {
        directory: tempfile::tempdir().expect("a directory"),
        variables: pod.variables.clone(),
    };
    all.variables.extend(keys.clone());
    let with_keys = all.environment(&[
        ("TKE_REGION", "ap-shanghai".to_owned()),
        ("TKE_PROVIDER_ID", "cls-example".to_owned()),
        ("TKE_ROLE_ARN", "qcs::r".to_owned()),
        (
            "TKE_WEB_IDENTITY_TOKEN_FILE",
            pod.path("jwt").display().to_string(),
        ),
    ]);
    let named = Some(pod.path("named"));
    for (file, environment, id, source) in [
        (named, with_keys.clone(), "AKIDnamed", Source::File),
        (None, with_keys, "AKIDenvironment", Source::Environment),
        (None, pod.with_identity(), "AKIDtemporary0", Source::TkeOidc),
        (None, pod.environment(&[]), "AKIDhome", Source::Profile),
        (None, Environment::default(), "AKIDinstance", Source::CvmRole),
    ] {
        let settings = TencentSettings {
            credentials: file,
            environment,
            metadata_endpoint: Some(server.endpoint()),
            ..settings(&server)
        };
        let kms = TencentKms::new(settings).expect("a client");
        decrypt(&kms).await.expect("decrypted");
        assert_eq!(
            signed_by(server.received_of("Decrypt").last().expect("a call")),
            id
        );
        assert_eq!(kms.credentials().map(|status| status.source), Some(source));
    }
}

/// A pod whose identity does not work must not act with the role of its node.
#[tokio::test]
async fn no_source_is_asked_after_a_configured_one_fails() {
    let server = Server::start(|_, request| match request.action() {
        WEB => Reply::Error("ResourceNotFound.RoleNotFound", "no role"),
        _ => metadata(request),
    })
    .await;
    let pod = Pod::new();
    let error = decrypt(&on_instance(&server, pod.with_identity()))
        .await
        .expect_err("no credentials");
    assert!(error.message.contains("no credentials from tke-oidc"), "{error}");
    assert!(server.received_of(METADATA).is_empty() && server.received_of("Decrypt").is_empty());
    let half = pod.environment(&[("TENCENTCLOUD_SECRET_ID", "AKIDx".to_owned())]);
    let error = decrypt(&on_instance(&server, half))
        .await
        .expect_err("no credentials");
    assert!(
        error.message.contains("but TENCENTCLOUD_SECRET_KEY is not"),
        "{error}"
    );
    assert!(server.received_of(METADATA).is_empty());
}

#[tokio::test]
async fn error_without_any_source_names_each_of_them() {
    let server = issuing(LONG).await;
    let error = decrypt(&kms_of(&server, Environment::default()))
        .await
        .expect_err("none");
    for part in [
        "environment: TENCENTCLOUD_SECRET_ID is not set",
        "tke-oidc: TKE_REGION, TKE_PROVIDER_ID, TKE_ROLE_ARN, TKE_WEB_IDENTITY_TOKEN_FILE not set",
        "profile: /etc/tencentcloud/credentials does not exist",
        "cvm-role: no metadata service",
    ] {
        assert!(error.message.contains(part), "{error} without {part}");
    }
}

/// Outside Tencent Cloud the host does not exist; a host that exists and does not respond is a failure.
#[tokio::test]
async fn unresponsive_metadata_service_is_retryable() {
    let server = Server::start(|_, request| match request.action() {
        METADATA => Reply::Bytes(Vec::new()),
        _ => decrypted(),
    })
    .await;
    let error = decrypt(&on_instance(&server, Environment::default()))
        .await
        .expect_err("no credentials");
    assert!(
        error.retryable && error.subject.as_deref() == Some("cvm-role"),
        "{error}"
    );
}

/// The cooldown of a failed source ends early when its file changes.
#[tokio::test]
async fn corrected_file_is_used_by_the_next_call() {
    let server = issuing(LONG).await;
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("credentials");
    fs::write(&path, "[default]\nsecret_id = AKIDone\n").expect("written");
    let settings = TencentSettings {
        credentials: Some(path.clone()),
        limits: Limits {
            pause: Duration::from_mins(1),
            ..limits()
        },
        ..settings(&server)
    };
    let kms = TencentKms::new(settings).expect("a client");
    for _ in 0..2 {
        decrypt(&kms).await.expect_err("no secret key");
    }
    fs::write(&path, "[default]\nsecret_id = AKIDone\nsecret_key = k\n").expect("written");
    decrypt(&kms).await.expect("decrypted");
}

#[tokio::test]
async fn changed_secret_mount_is_used_by_the_next_call() {
    let server = issuing(LONG).await;
    let directory = tempfile::tempdir().expect("a directory");
    let write = |revision: &str, id: &str| {
        let data = directory.path().join(revision);
        fs::create_dir(&data).expect("made");
        fs::write(data.join("secretId"), format!("{id}\n")).expect("written");
        fs::write(data.join("secretKey"), "k\n").expect("written");
        // Like the kubelet: a new link, renamed over the old one.
        let new_link = directory.path().join("..data_tmp");
        std::os::unix::fs::symlink(revision, &new_link).expect("linked");
        fs::rename(&new_link, directory.path().join("..data")).expect("renamed");
    };
    write("..1", "AKIDone");
    for name in ["secretId", "secretKey"] {
        std::os::unix::fs::symlink(format!("..data/{name}"), directory.path().join(name)).expect("linked");
    }
    let settings = TencentSettings {
        credentials: Some(directory.path().to_owned()),
        ..settings(&server)
    };
    let kms = Arc::new(TencentKms::new(settings).expect("a client"));
    decrypt(&kms).await.expect("decrypted");
    write("..2", "AKIDtwo");
    decrypt(&kms).await.expect("decrypted");
    // After a change to unusable content the held credentials stay in use, until the next usable change.
    fs::write(directory.path().join("..2/secretId"), "two words").expect("written");
    decrypt(&kms).await.expect("decrypted");
    write("..3", "AKIDthree");
    decrypt(&kms).await.expect("decrypted");
    let ids: Vec<String> = server
        .received()
        .iter()
        .map(|request| signed_by(request).to_owned())
        .collect();
    assert_eq!(ids, ["AKIDone", "AKIDtwo", "AKIDtwo", "AKIDthree"]);
    assert_eq!(kms.credentials().map(|status| status.source), Some(Source::File));
}
