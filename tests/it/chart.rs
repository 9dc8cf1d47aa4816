//! The Helm chart without Helm, and what its Job does: `cargo xtask test chart` and `node` run the rest.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::{Value, json};

fn file(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("charts/envelope-secrets")
        .join(name);
    fs::read_to_string(path).unwrap()
}

/// The paths of all keys in the chart's values, as `metrics.service.enabled`.
fn value_paths(values: &Value, path: &str, found: &mut BTreeSet<String>) {
    for (name, value) in values.as_object().into_iter().flatten() {
        let path = format!("{path}.{name}");
        match value {
            Value::Object(members) if !members.is_empty() => value_paths(value, &path, found),
            _ => drop(found.insert(path)),
        }
    }
}

#[test]
fn schema_and_values_have_the_same_keys() {
    let schema: Value = serde_json::from_str(&file("values.schema.json")).unwrap();
    let values: Value = serde_saphyr::from_str(&file("values.yaml")).unwrap();
    let mut paths = BTreeSet::new();
    value_paths(&values, "", &mut paths);
    assert!(paths.len() > 80, "{paths:?}");
    for path in &paths {
        let mut at = &schema;
        for name in path.trim_start_matches('.').split('.') {
            if let Some(reference) = at["$ref"].as_str() {
                at = &schema["definitions"][reference.trim_start_matches("#/definitions/")];
            }
            if !at["additionalProperties"].is_object() && at.get("properties").is_none() {
                break; // labels, or an object that the API server validates
            }
            let property = &at["properties"][name];
            at = if property.is_null() {
                &at["additionalProperties"]
            } else {
                property
            };
            assert!(at.is_object(), "the schema has no {path}");
        }
    }
    for name in schema["properties"].as_object().unwrap().keys() {
        assert!(
            name == "global" || values.get(name).is_some(),
            "{name} is not in values.yaml"
        );
    }
}

#[test]
fn schema_refuses_unknown_keys_everywhere() {
    /// Every object with listed properties, apart from conditions, and volumes, whose sources are many.
    fn check(schema: &Value, path: &str) {
        let conditional =
            path.ends_with("/then") || path.ends_with("/if") || path.ends_with("extraVolumes/items");
        if schema.get("properties").is_some() && !conditional {
            assert_eq!(schema["additionalProperties"], json!(false), "{path}");
        }
        match schema {
            Value::Object(members) => {
                for (name, value) in members {
                    check(value, &format!("{path}/{name}"));
                }
            }
            Value::Array(items) => items.iter().for_each(|item| check(item, path)),
            _ => {}
        }
    }
    check(&serde_json::from_str(&file("values.schema.json")).unwrap(), "");
}

fn envelope(kubeconfig: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_envelope"))
        .args(arguments)
        .arg("--kubeconfig")
        .arg(kubeconfig)
        .env_clear()
        .env("HOME", "/nonexistent")
        .output()
        .unwrap()
}

/// The role of the chart's Job: one name, by which server-side apply also creates.
fn role(namespace: &str, user: &str) -> Value {
    let metadata = json!({ "name": "create-keyring", "namespace": namespace });
    json!({ "apiVersion": "v1", "kind": "List", "items": [
        {
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": metadata,
            "rules": [{
                "apiGroups": [""], "resources": ["secrets"], "resourceNames": ["ring"],
                "verbs": ["get", "create", "patch"],
            }],
        },
        {
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": metadata,
            "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "create-keyring" },
            "subjects": [{ "kind": "User", "name": user }],
        },
    ] })
}

#[test]
fn keyring_secret_is_created_once_with_permission_for_one_name() {
    let plane = testkit::shared();
    let namespace = plane.namespace("keyring").unwrap();
    let user = format!("{namespace}-user");
    plane
        .kubectl_with_input(["create", "-f", "-"], &role(&namespace, &user).to_string())
        .unwrap();
    let kubeconfig = plane.kubeconfig_for_user(&user, &[]).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let keyring = directory.path().join("keyring").display().to_string();
    let created = Command::new(env!("CARGO_BIN_EXE_envelope"))
        .args(["keys", "create", "--quiet", "--keyring", &keyring])
        .output()
        .unwrap();
    assert!(created.status.success(), "{created:?}");
    let key = fs::read_to_string(&keyring).unwrap();
    let material = key
        .split_whitespace()
        .max_by_key(|word| word.len())
        .unwrap()
        .to_owned();
    let run = |name: &str| {
        let output = envelope(
            &kubeconfig,
            &[
                "keys",
                "create-secret",
                name,
                "-n",
                &namespace,
                "--entry",
                "file",
                "--keyring",
                &keyring,
            ],
        );
        let text = [output.stdout, output.stderr].concat();
        let text = String::from_utf8(text).unwrap();
        assert!(!text.contains(&material), "the output contains the key");
        (output.status.code(), text)
    };
    let stored = || {
        let stored = plane.kubectl(["get", "secret", "ring", "-n", &namespace, "-o", "json"]);
        serde_json::from_str::<Value>(&stored.unwrap()).unwrap()
    };

    let (code, text) = run("ring");
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains("created the Secret"), "{text}");
    let first = stored();
    let encoded = first["data"]["file"].as_str().unwrap();
    let decoded = base64::Engine::decode(&base64::engine::general_purpose::STANDARD, encoded).unwrap();
    assert_eq!(decoded, key.as_bytes());

    // Another keyring does not replace it.
    fs::remove_file(&keyring).unwrap();
    Command::new(env!("CARGO_BIN_EXE_envelope"))
        .args(["keys", "create", "--quiet", "--keyring", &keyring])
        .output()
        .unwrap();
    let (code, text) = run("ring");
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains("was not changed"), "{text}");
    assert_eq!(stored(), first);

    let (code, text) = run("other");
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains("forbidden"), "{text}");
}
