//! The control plane that the other tests use is a real one, and leaves nothing behind.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};
use std::time::Duration;

use k8s_openapi::api::core::v1::{ConfigMap, Secret, ServiceAccount};
use kube::api::{DeleteParams, ListParams, PostParams};
use kube::{Api, ResourceExt as _};
use testkit::{Exits, Options, Part};

use crate::support::{client, client_of, until, wait_for};

fn secret(name: &str, value: &str) -> Secret {
    let data = BTreeMap::from([("password".to_owned(), value.to_owned())]);
    Secret {
        metadata: kube::api::ObjectMeta {
            name: Some(name.to_owned()),
            ..Default::default()
        },
        string_data: Some(data),
        ..Default::default()
    }
}

#[tokio::test]
async fn control_plane_starts_and_serves_kubectl_and_its_controllers_run() {
    let plane = testkit::shared();
    let namespace = plane.namespace("controlplane").unwrap();
    let version: serde_json::Value =
        serde_json::from_str(&plane.kubectl(["version", "-o", "json"]).unwrap()).unwrap();
    let server = version["serverVersion"]["gitVersion"].as_str().unwrap();
    assert_eq!(server, plane.binaries().version(Part::Apiserver).to_string());
    let names = plane.kubectl(["get", "namespaces", "-o", "name"]).unwrap();
    assert!(
        names.lines().any(|line| line == format!("namespace/{namespace}")),
        "{names}"
    );

    // The controller manager creates ServiceAccounts and the CA certificate in each namespace, and collects garbage.
    let client = client().await;
    let accounts: Api<ServiceAccount> = Api::namespaced(client.clone(), &namespace);
    assert_eq!(accounts.get("default").await.unwrap().name_any(), "default");
    let maps: Api<ConfigMap> = Api::namespaced(client.clone(), &namespace);
    let exists = |object: Option<&ConfigMap>| object.is_some();
    let root = wait_for(&maps, "kube-root-ca.crt", "it exists", exists)
        .await
        .unwrap();
    let mut child = ConfigMap::default();
    child.metadata.name = Some("child".to_owned());
    child.metadata.owner_references = Some(vec![
        k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference {
            api_version: "v1".to_owned(),
            kind: "ConfigMap".to_owned(),
            name: "kube-root-ca.crt".to_owned(),
            uid: root.uid().unwrap(),
            ..Default::default()
        },
    ]);
    maps.create(&PostParams::default(), &child).await.unwrap();
    maps.delete("kube-root-ca.crt", &DeleteParams::default())
        .await
        .unwrap();
    let gone = |object: Option<&ConfigMap>| object.is_none();
    wait_for(&maps, "child", "it is deleted with its owner", gone).await;
}

#[tokio::test]
async fn audit_log_has_all_requests_and_no_secret_values() {
    let plane = testkit::shared();
    let namespace = plane.namespace("audit").unwrap();
    let mark = plane.audit_mark().unwrap();
    let secrets: Api<Secret> = Api::namespaced(client().await, &namespace);
    for name in ["one", "two"] {
        secrets
            .create(&PostParams::default(), &secret(name, "planted-in-audit"))
            .await
            .unwrap();
    }
    let conflict = secrets
        .create(&PostParams::default(), &secret("two", "planted-in-audit"))
        .await;
    assert!(conflict.is_err());

    let events = plane.audit_since(mark).unwrap();
    let ours: Vec<_> = events
        .iter()
        .filter(|event| event.namespace == namespace && event.resource == "secrets")
        .collect();
    assert_eq!(ours.len(), 3, "{ours:?}");
    assert!(
        ours.iter()
            .all(|event| event.verb == "create" && event.user == "testkit-admin")
    );
    assert_eq!(ours.iter().filter(|event| event.succeeded()).count(), 2);
    assert_eq!(ours.iter().filter(|event| event.code == 409).count(), 1);
    let log = std::fs::read_to_string(plane.audit_log()).unwrap();
    assert!(!log.contains("planted-in-audit"));
    assert!(!log.contains("cGxhbnRlZC1pbi1hdWRpd"), "base64 of the value");
}

#[tokio::test]
async fn users_and_service_accounts_have_only_the_permissions_that_rbac_grants() {
    let plane = testkit::shared();
    let namespace = plane.namespace("permissions").unwrap();
    let list = |client| async {
        let secrets: Api<Secret> = Api::namespaced(client, &namespace);
        secrets
            .list_metadata(&ListParams::default())
            .await
            .map(|list| list.items.len())
    };
    let user = client_of(
        &plane
            .kubeconfig_for_user("alice", &["readers", "writers"])
            .unwrap(),
    )
    .await;
    let account = client_of(
        &plane
            .kubeconfig_for_service_account(&namespace, "default")
            .unwrap(),
    )
    .await;
    for client in [&user, &account] {
        let refused = list(client.clone()).await.unwrap_err();
        assert!(
            matches!(&refused, kube::Error::Api(status) if status.code == 403),
            "{refused}"
        );
    }
    plane
        .kubectl([
            "create",
            "role",
            "read",
            "-n",
            &namespace,
            "--verb=list",
            "--resource=secrets",
        ])
        .unwrap();
    // The second group of the certificate, and the ServiceAccount.
    let subjects = [
        "--group=writers".to_owned(),
        format!("--serviceaccount={namespace}:default"),
    ];
    let binding = [
        "create",
        "rolebinding",
        "read",
        "-n",
        &namespace,
        "--role=read",
        &subjects[0],
        &subjects[1],
    ];
    plane.kubectl(binding).unwrap();
    // The authorizer learns of the binding through a watch.
    for client in [user, account] {
        until(Duration::from_secs(30), "the binding is effective", async || {
            list(client.clone()).await.is_ok()
        })
        .await;
    }
}

#[test]
fn restarted_api_server_still_has_its_objects() {
    let plane = testkit::own(&Options::default());
    let namespace = plane.namespace("kept").unwrap();
    plane.stop_part(Part::Apiserver).unwrap();
    let refused = plane.kubectl(["get", "namespaces"]).unwrap_err().to_string();
    assert!(refused.contains("refused"), "{refused}");
    plane.start_part(Part::Apiserver).unwrap();
    let kept = plane
        .kubectl(["get", "namespace", &namespace, "-o", "name"])
        .unwrap();
    assert_eq!(kept.trim(), format!("namespace/{namespace}"));
}

#[test]
fn failed_start_reports_the_reason() {
    let options = Options {
        apiserver_arguments: vec!["--no-such-flag".to_owned()],
        ..Options::default()
    };
    let error = testkit::ControlPlane::start(&options)
        .err()
        .expect("a flag that does not exist")
        .to_string();
    assert!(error.contains("kube-apiserver exited while starting"), "{error}");
    assert!(error.contains("unknown flag: --no-such-flag"), "{error}");
}

#[test]
fn killed_owner_leaves_no_process_and_no_directory() {
    let mut owner = Command::new(testkit::testkit_binary().unwrap())
        .args(["controlplane", "--json"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(owner.stdout.take().unwrap())
        .read_line(&mut line)
        .unwrap();
    let facts: serde_json::Value = serde_json::from_str(&line).expect("the control plane's facts");
    let id = |value: &serde_json::Value| u32::try_from(value.as_u64().unwrap()).unwrap();
    let mut ids: Vec<u32> = facts["parts"].as_array().unwrap().iter().map(id).collect();
    assert_eq!(ids.len(), 3);
    ids.push(id(&facts["guard"]));
    let exits = Exits::of(&ids).unwrap();
    owner.kill().unwrap();
    owner.wait().unwrap();
    exits.wait(Duration::from_secs(30)).unwrap();
    assert!(!std::path::Path::new(facts["folder"].as_str().unwrap()).exists());
}
