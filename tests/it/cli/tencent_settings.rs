//! What can be set wrongly, and what is said then.

use std::process::Command;

use serde_json::json;

use super::tencent::{Cloud, SECRET};

#[test]
fn a_variable_that_is_true_or_false_is_nothing_else() {
    let mut cloud = Cloud::new();
    // This machine, by a name that is not taken for it.
    let far = cloud.emulator.endpoint().replace("127.0.0.1", "0.0.0.0");
    let near = cloud.emulator.endpoint();
    let variable = "ENVELOPE_TENCENT_ALLOW_HTTP";
    for wrong in ["1", "yes", "TRUE", " true"] {
        cloud.set(variable, wrong);
        let says = format!("{variable}: {wrong:?} is neither true nor false");
        let ran = cloud.run(&["seal"], SECRET).failed(2, &says);
        assert!(ran.stderr.contains("set it to true or false"), "{}", ran.stderr);
        cloud
            .run(&["seal", "--tencent-allow-http"], SECRET)
            .failed(2, &says);
    }
    assert_eq!(cloud.emulator.all_calls(), 0);
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
    // It gets as far as a connection.
    cloud.set(variable, "true");
    cloud.set("ENVELOPE_TENCENT_ENDPOINT", "http://0.0.0.0:9");
    cloud.run(&["seal"], SECRET).failed(4, "0.0.0.0:9");
}

/// Nobody writes to these pipes: a program that waits for somebody never ends.
#[test]
fn credentials_in_a_pipe_are_not_waited_for() {
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

/// What helps must not be a command that only fails in another way.
#[test]
fn a_document_whose_uris_name_no_key_is_not_answered_with_a_key_to_name() {
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
fn a_local_key_is_not_for_the_list_of_the_controller() {
    let cloud = Cloud::new();
    let allowed = format!("{},local://fa1975b2", cloud.emulator.key_uri());
    let args = ["controller", "--keyring", "k", "--allow-key", &allowed];
    let ran = cloud
        .run(&args, b"")
        .failed(2, "local://fa1975b2 is a local KMS key");
    assert!(ran.stderr.contains("put it into the keyring"), "{}", ran.stderr);
}
