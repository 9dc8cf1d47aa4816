//! Which source wins, the metadata service, and files that change.

use super::*;

/// The metadata service as a machine with the role `node` sees it.
fn metadata(asked: &Asked) -> Reply {
    const FOUND: &str = r#"{"TmpSecretId":"AKIDmachine","TmpSecretKey":"machineKey","ExpiredTime":4102444800,
        "Expiration":"2100-01-01T00:00:00Z","Token":"machineToken","Code":"Success"}"#;
    match asked.line.as_str() {
        "GET /latest/meta-data/cam/security-credentials/ HTTP/1.1" => Reply::Raw(200, "node\n"),
        "GET /latest/meta-data/cam/security-credentials/node HTTP/1.1" => Reply::Raw(200, FOUND),
        _ => decrypted(),
    }
}

fn on_machine(server: &Server, environment: Environment) -> TencentKms {
    let settings = TencentSettings {
        environment,
        metadata_endpoint: Some(server.endpoint()),
        ..settings(server)
    };
    TencentKms::new(settings).expect("a client")
}

#[tokio::test]
async fn the_role_of_the_machine() {
    let server = Server::start(|_, asked| metadata(asked)).await;
    let kms = on_machine(&server, Environment::default());
    decrypt(&kms).await.expect("decrypted");
    assert_eq!(server.asked_for(METADATA).len(), 2);
    let call = server.asked_for("Decrypt").pop().expect("a call");
    assert_eq!(
        (signed_by(&call), call.header("x-tc-token")),
        ("AKIDmachine", "machineToken")
    );
    let status = kms.credentials().expect("held");
    assert_eq!(
        (status.source, status.expires),
        (Source::CvmRole, Some(4_102_444_800))
    );
}

/// A pod that was meant to have an identity does not act with its machine's.
#[tokio::test]
async fn a_pods_identity_that_is_not_whole_is_no_reason_to_ask_the_machine() {
    let server = Server::start(|_, asked| metadata(asked)).await;
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
    let error = decrypt(&on_machine(&server, role))
        .await
        .expect_err("no identity");
    assert!(
        error
            .message
            .contains("TKE_ROLE_ARN is set, TKE_PROVIDER_ID, TKE_WEB_IDENTITY_TOKEN_FILE not"),
        "{error}"
    );
    let provider = part(&[("TKE_PROVIDER_ID", "cls-1"), ("TKE_REGION", "ap-shanghai")]);
    let error = decrypt(&on_machine(&server, provider))
        .await
        .expect_err("no identity");
    assert!(
        error.message.contains("TKE_PROVIDER_ID is set, TKE_ROLE_ARN"),
        "{error}"
    );
    assert!(server.asked().is_empty());
    // The region alone says nothing of an identity.
    let region = part(&[("TKE_REGION", "ap-shanghai")]);
    decrypt(&on_machine(&server, region))
        .await
        .expect("with the machine's");
}

#[tokio::test]
async fn a_machines_role_that_gives_nothing_is_named() {
    let path = "/latest/meta-data/cam/security-credentials/";
    for (first, second, named, temporary) in [
        ((404, ""), (200, ""), "cvm-role: the machine has no role", false),
        ((500, ""), (200, ""), "answered with HTTP status 500", true),
        (
            (200, "node"),
            (429, ""),
            "for role node with HTTP status 429",
            true,
        ),
        ((200, "../../user-data"), (200, ""), "names no role", false),
        ((200, "<html>"), (200, ""), "names no role", false),
        (
            (200, "node"),
            (404, ""),
            "for role node with HTTP status 404",
            false,
        ),
        (
            (200, "node"),
            (200, "{\"Code\":\"Failed\"}"),
            "answered Failed for role node",
            false,
        ),
        (
            (200, "node"),
            (200, "{\"Code\":\"Success\",\"TmpSecretId\":\"hunter2\"}"),
            "did not answer with credentials",
            true,
        ),
        (
            (200, "node"),
            (200, "hunter2"),
            "did not answer with credentials",
            true,
        ),
    ] {
        let server = Server::start(move |_, asked| {
            let (status, body) = if asked.line == format!("GET {path} HTTP/1.1") {
                first
            } else {
                second
            };
            Reply::Raw(status, body)
        })
        .await;
        let error = decrypt(&on_machine(&server, Environment::default()))
            .await
            .expect_err("no credentials");
        assert_eq!(
            (error.class, error.retryable),
            (Class::Credentials, temporary),
            "{error}"
        );
        assert!(error.message.contains(named), "{error} instead of {named}");
        assert!(!error.message.contains("hunter2"), "{error}");
        assert!(server.asked().len() <= 2);
    }
}

#[tokio::test]
async fn the_first_source_that_is_set_up_wins() {
    let server = Server::start(|_, asked| match asked.action() {
        WEB => Reply::Response(given(0, LONG)),
        _ => metadata(asked),
    })
    .await;
    let pod = Pod::new();
    let profile = |id: &str| format!("[default]\nsecret_id = {id}\nsecret_key = k\n");
    fs::write(pod.path("named"), profile("AKIDnamed")).expect("written");
    fs::create_dir(pod.path(".tencentcloud")).expect("made");
    fs::write(pod.path(".tencentcloud/credentials"), profile("AKIDhome")).expect("written");
    let home = pod.folder.path().display().to_string();
    let pod = pod.with("HOME", home);
    let keys = [
        ("TENCENTCLOUD_SECRET_ID", "AKIDenvironment".to_owned()),
        ("TENCENTCLOUD_SECRET_KEY", "k".to_owned()),
    ];
    let mut all = Pod {
        folder: tempfile::tempdir().expect("a folder"),
        more: pod.more.clone(),
    };
    all.more.extend(keys.clone());
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
        (None, pod.oidc(), "AKIDtemporary0", Source::TkeOidc),
        (None, pod.environment(&[]), "AKIDhome", Source::Profile),
        (None, Environment::default(), "AKIDmachine", Source::CvmRole),
    ] {
        let settings = TencentSettings {
            credentials: file,
            environment,
            metadata_endpoint: Some(server.endpoint()),
            ..settings(&server)
        };
        let kms = TencentKms::new(settings).expect("a client");
        decrypt(&kms).await.expect("decrypted");
        assert_eq!(signed_by(server.asked_for("Decrypt").last().expect("a call")), id);
        assert_eq!(kms.credentials().map(|status| status.source), Some(source));
    }
}

/// A pod whose identity does not work must not act with the rights of its machine.
#[tokio::test]
async fn a_source_that_is_set_up_and_fails_is_the_last() {
    let server = Server::start(|_, asked| match asked.action() {
        WEB => Reply::Error("ResourceNotFound.RoleNotFound", "no role"),
        _ => metadata(asked),
    })
    .await;
    let pod = Pod::new();
    let error = decrypt(&on_machine(&server, pod.oidc()))
        .await
        .expect_err("no credentials");
    assert!(error.message.contains("no credentials from tke-oidc"), "{error}");
    assert!(server.asked_for(METADATA).is_empty() && server.asked_for("Decrypt").is_empty());
    let half = pod.environment(&[("TENCENTCLOUD_SECRET_ID", "AKIDx".to_owned())]);
    let error = decrypt(&on_machine(&server, half))
        .await
        .expect_err("no credentials");
    assert!(
        error.message.contains("TENCENTCLOUD_SECRET_KEY is not"),
        "{error}"
    );
    assert!(server.asked_for(METADATA).is_empty());
}

#[tokio::test]
async fn without_any_source_each_is_named() {
    let server = giving(LONG).await;
    let error = decrypt(&kms_of(&server, Environment::default()))
        .await
        .expect_err("none");
    for named in [
        "environment: TENCENTCLOUD_SECRET_ID is not set",
        "tke-oidc: TKE_REGION, TKE_PROVIDER_ID, TKE_ROLE_ARN, TKE_WEB_IDENTITY_TOKEN_FILE not set",
        "profile: /etc/tencentcloud/credentials is not there",
        "cvm-role: no metadata service",
    ] {
        assert!(error.message.contains(named), "{error} without {named}");
    }
}

/// Off Tencent Cloud there is no such host; one that is there and does not answer is another matter.
#[tokio::test]
async fn a_metadata_service_that_does_not_answer_passes() {
    let server = Server::start(|_, asked| match asked.action() {
        METADATA => Reply::Bytes(Vec::new()),
        _ => decrypted(),
    })
    .await;
    let error = decrypt(&on_machine(&server, Environment::default()))
        .await
        .expect_err("no credentials");
    assert!(
        error.retryable && error.subject.as_deref() == Some("cvm-role"),
        "{error}"
    );
}

/// A source that gives none is left alone for a while, but not where somebody has put it right.
#[tokio::test]
async fn a_file_that_is_put_right_is_used_at_the_next_call() {
    let server = giving(LONG).await;
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("credentials");
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
async fn a_mounted_secret_that_changes_is_used_at_the_next_call() {
    let server = giving(LONG).await;
    let folder = tempfile::tempdir().expect("a folder");
    let write = |revision: &str, id: &str| {
        let data = folder.path().join(revision);
        fs::create_dir(&data).expect("made");
        fs::write(data.join("secretId"), format!("{id}\n")).expect("written");
        fs::write(data.join("secretKey"), "k\n").expect("written");
        // As the kubelet does it: a link beside, then renamed over the old one.
        let beside = folder.path().join("..data_tmp");
        std::os::unix::fs::symlink(revision, &beside).expect("linked");
        fs::rename(&beside, folder.path().join("..data")).expect("renamed");
    };
    write("..1", "AKIDone");
    for name in ["secretId", "secretKey"] {
        std::os::unix::fs::symlink(format!("..data/{name}"), folder.path().join(name)).expect("linked");
    }
    let settings = TencentSettings {
        credentials: Some(folder.path().to_owned()),
        ..settings(&server)
    };
    let kms = Arc::new(TencentKms::new(settings).expect("a client"));
    decrypt(&kms).await.expect("decrypted");
    write("..2", "AKIDtwo");
    decrypt(&kms).await.expect("decrypted");
    // A change that cannot be read: what was held stays, and the next good one is taken.
    fs::write(folder.path().join("..2/secretId"), "two words").expect("written");
    decrypt(&kms).await.expect("decrypted");
    write("..3", "AKIDthree");
    decrypt(&kms).await.expect("decrypted");
    let ids: Vec<String> = server
        .asked()
        .iter()
        .map(|asked| signed_by(asked).to_owned())
        .collect();
    assert_eq!(ids, ["AKIDone", "AKIDtwo", "AKIDtwo", "AKIDthree"]);
    assert_eq!(kms.credentials().map(|status| status.source), Some(Source::File));
}
