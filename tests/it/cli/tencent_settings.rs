//! Invalid settings, and how they are reported.

use std::process::Command;

use serde_json::json;

use super::tencent::{Cloud, SECRET};

#[test]
fn switch_variable_other_than_true_or_false_is_refused() {
    let mut cloud = Cloud::new();
    // This host, by an address that does not count as loopback.
    let far = cloud.emulator.endpoint().replace("127.0.0.1", "0.0.0.0");
    let near = cloud.emulator.endpoint();
    let variable = "ENVELOPE_TENCENT_ALLOW_HTTP";
    for wrong in ["1", "yes", "TRUE", " true"] {
        cloud.set(variable, wrong);
        let says = format!("{variable}: {wrong:?} is neither true nor false");
        let ran = cloud.run(&["seal"], SECRET).failed(2, &says);
        assert!(ran.stderr.contains("set it to true or false"), "{}", ran.stderr);
    }
    assert_eq!(cloud.emulator.all_calls(), 0);
    // A flag takes precedence, as for every other setting.
    cloud.run(&["seal", "--tencent-allow-http"], SECRET).ok();
    for (value, endpoint, code) in [
        ("true", &near, 0),
        ("false", &near, 0),
        ("", &near, 0),
        ("false", &far, 2),
        ("", &far, 2),
    ] {
        cloud.set(variable, value);
        cloud.set("ENVELOPE_TENCENT_ENDPOINT", endpoint);
        let ran = cloud.run(&["seal"], SECRET);
        assert_eq!(ran.code, Some(code), "{value:?} {endpoint}: {}", ran.stderr);
    }
    // It is allowed to connect.
    cloud.set(variable, "true");
    cloud.set("ENVELOPE_TENCENT_ENDPOINT", "http://0.0.0.0:9");
    cloud.run(&["seal"], SECRET).failed(4, "0.0.0.0:9");
}

/// These pipes have no writer, so a program that reads them blocks forever.
#[test]
fn credentials_in_a_pipe_are_refused_without_blocking() {
    let mut cloud = Cloud::new();
    let pipe = cloud.shell.path("pipe");
    let made = Command::new("mkfifo").arg(&pipe).status().unwrap();
    assert!(made.success());
    let ran = cloud.run(&["seal", "--tencent-credentials", "pipe"], SECRET);
    let ran = ran.failed(1, "cannot read it: not a regular file");
    assert!(ran.stderr.contains("secret_id and secret_key"), "{}", ran.stderr);
    for name in ["TENCENTCLOUD_SECRET_ID", "TENCENTCLOUD_SECRET_KEY"] {
        cloud.unset(name);
    }
    cloud.set("TKE_REGION", "ap-guangzhou");
    cloud.set("TKE_PROVIDER_ID", "cls-1");
    cloud.set("TKE_ROLE_ARN", "qcs::cam::uin/1:roleName/sealer");
    cloud.set("TKE_WEB_IDENTITY_TOKEN_FILE", &pipe.display().to_string());
    let ran = cloud.run(&["seal"], SECRET).failed(1, "not a regular file");
    assert!(
        ran.stderr.contains("cannot read the pod's token"),
        "{}",
        ran.stderr
    );
    assert_eq!(cloud.emulator.all_calls(), 0);
}

#[test]
fn empty_token_file_is_named_without_a_call() {
    let mut cloud = Cloud::new();
    for name in ["TENCENTCLOUD_SECRET_ID", "TENCENTCLOUD_SECRET_KEY"] {
        cloud.unset(name);
    }
    let token = cloud.shell.path("token");
    cloud.set("TKE_REGION", "ap-guangzhou");
    cloud.set("TKE_PROVIDER_ID", "cls-1");
    cloud.set("TKE_ROLE_ARN", "qcs::cam::uin/1:roleName/sealer");
    cloud.set("TKE_WEB_IDENTITY_TOKEN_FILE", &token.display().to_string());
    for content in ["", " \n"] {
        cloud.shell.write("token", content);
        let message = format!("the pod's token {} is empty", token.display());
        let ran = cloud.run(&["seal"], SECRET).failed(1, &message);
        assert!(
            ran.stderr.contains("help: check that the token"),
            "{}",
            ran.stderr
        );
    }
    assert_eq!(cloud.emulator.all_calls(), 0);
}

/// Advice must not be a command that only fails in another way.
#[test]
fn advice_for_a_document_with_invalid_uris_does_not_suggest_them() {
    let cloud = Cloud::new();
    let sealed = cloud.sealed();
    let id = cloud.emulator.key();
    for uri in [
        format!("tencent-kms://evil.example:80/{id}"),
        "tencent-kms://ap-guangzhou/../x".to_owned(),
        format!("nokms://{id}"),
        "local://FA1975B2".to_owned(),
    ] {
        let mut object = sealed.clone();
        object["spec"]["dataKeys"][0]["wraps"][0]["key"] = json!(uri);
        let text = serde_json::to_vec(&object).unwrap();
        for args in [&["open"][..], &["open", "--trust-document-keys"]] {
            let ran = cloud.run(args, &text).failed(1, &uri);
            let help = ran.stderr.split_once("help: ").expect("help").1;
            assert!(
                help.contains("its last version in Git") && !help.contains("--key"),
                "{uri} {args:?}: {help}"
            );
        }
    }
    assert_eq!(cloud.emulator.all_calls(), 1, "the sealing");
}

#[test]
fn local_key_in_the_allow_list_of_the_controller_is_refused() {
    let cloud = Cloud::new();
    let allowed = format!("{},local://fa1975b2", cloud.emulator.key_uri());
    let args = ["controller", "--keyring", "k", "--allow-key", &allowed];
    let ran = cloud
        .run(&args, b"")
        .failed(2, "local://fa1975b2 is a KMS key of the local keyring");
    assert!(
        ran.stderr.contains("allows exactly the KMS keys that it holds"),
        "{}",
        ran.stderr
    );
}
