//! Files of published Go modules: the schemas of Kubernetes versions, and the CRDs of the Prometheus operator.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::{Map, Value, json};

/// A version of a module, and its checksum as in go.sum.
type Module = (&'static str, &'static str, &'static str);

/// The oldest and the newest minor version of Kubernetes that the chart supports.
const KUBERNETES: [Module; 2] = [
    (
        "k8s.io/kubernetes",
        "v1.33.13",
        "h1:bmH31xUdSzeA5vk0wZAK9MZp11mdLuzUSeKk0qN3hPQ=",
    ),
    (
        "k8s.io/kubernetes",
        "v1.37.2",
        "h1:A2VDEiObzkYqFTKhSsn0ZEb0RlLEXpHWj93gi2HqEwE=",
    ),
];

const PROMETHEUS_OPERATOR: Module = (
    "github.com/prometheus-operator/prometheus-operator",
    "v0.85.0",
    "h1:M5xLCLEoaW2IJfnuCwFzzpL+jSVQu3KGT84Pye+fW8s=",
);

/// Increase this when the schemas are derived differently, to invalidate existing ones.
const RECIPE: u32 = 1;

/// Returns the directory of the module in Go's module cache, downloaded if necessary and verified.
fn download((module, version, sum): Module) -> Result<PathBuf> {
    let mut go = Command::new("go");
    go.args(["mod", "download", "-json", &format!("{module}@{version}")])
        .env("GOFLAGS", "-mod=mod")
        .env("GOWORK", "off")
        .current_dir(std::env::temp_dir())
        .stdin(Stdio::null());
    let output = go.output().context("cannot run go")?;
    let value: Value = serde_json::from_slice(&output.stdout)
        .with_context(|| String::from_utf8_lossy(&output.stderr).into_owned())?;
    if let Some(error) = value["Error"].as_str() {
        bail!("cannot download {module} {version}: {error}");
    }
    ensure!(
        value["Sum"] == sum,
        "{module} {version} has the checksum {}, not {sum}",
        value["Sum"]
    );
    Ok(value["Dir"].as_str().context("no directory")?.into())
}

/// Returns the directory with the CRDs of the Prometheus operator.
pub fn monitoring_crds() -> Result<PathBuf> {
    Ok(download(PROMETHEUS_OPERATOR)?.join("example/prometheus-operator-crd"))
}

/// Returns, for each supported Kubernetes version, a directory with one strict JSON schema per kind, for kubeconform.
pub fn kubernetes_schemas(say: &dyn Fn(&str)) -> Result<Vec<(String, PathBuf)>> {
    KUBERNETES
        .iter()
        .map(|&module| {
            let (_, version, sum) = module;
            let cache = super::cache::directory("schemas", RECIPE, version, sum)?;
            if !cache.is_dir() {
                say(&format!(
                    "downloading Kubernetes {version}, once, for the schemas of its API"
                ));
                let file = download(module)?.join("api/openapi-spec/swagger.json");
                let text = std::fs::read_to_string(&file)
                    .with_context(|| format!("cannot read {}", file.display()))?;
                let schemas = kinds(&serde_json::from_str(&text)?)?;
                write(&cache, &schemas)?;
            }
            Ok((version.to_owned(), cache))
        })
        .collect()
}

/// Written elsewhere and then moved, so that a directory in the cache is complete.
fn write(cache: &Path, schemas: &BTreeMap<String, Value>) -> Result<()> {
    let parent = cache.parent().context("no cache directory")?;
    std::fs::create_dir_all(parent)?;
    let work = tempfile::tempdir_in(parent)?;
    for (name, schema) in schemas {
        std::fs::write(work.path().join(name), serde_json::to_vec(schema)?)?;
    }
    match std::fs::rename(work.path(), cache) {
        Err(_) if cache.is_dir() => Ok(()), // another process was faster
        done => done.context("cannot move the schemas into the cache"),
    }
}

/// The schema of each kind, by a file name such as `deployment-apps-v1.json`, with the definitions that it refers to.
fn kinds(swagger: &Value) -> Result<BTreeMap<String, Value>> {
    let definitions = swagger["definitions"].as_object().context("no definitions")?;
    let mut found = BTreeMap::new();
    for (name, definition) in definitions {
        let Some([kind]) = definition["x-kubernetes-group-version-kind"]
            .as_array()
            .map(Vec::as_slice)
        else {
            continue; // no kind, or one of many groups, such as DeleteOptions
        };
        let text = |field: &str| kind[field].as_str().unwrap_or_default().to_lowercase();
        let group = text("group");
        let group = group.split('.').next().unwrap_or_default();
        let group = if group.is_empty() {
            String::new()
        } else {
            format!("-{group}")
        };
        let mut needed = Map::new();
        collect(name, definitions, &mut needed);
        let schema = json!({ "$ref": format!("#/definitions/{name}"), "definitions": needed });
        found.insert(
            format!("{}{group}-{}.json", text("kind"), text("version")),
            schema,
        );
    }
    ensure!(found.len() > 50, "only {} kinds", found.len());
    Ok(found)
}

fn collect(name: &str, definitions: &Map<String, Value>, needed: &mut Map<String, Value>) {
    if needed.contains_key(name) {
        return;
    }
    let mut schema = definitions.get(name).cloned().unwrap_or_default();
    let mut references = Vec::new();
    strict(&mut schema, &mut references);
    needed.insert(name.to_owned(), schema);
    for reference in references {
        collect(&reference, definitions, needed);
    }
}

/// Refuses unknown fields, as the API server does with strict validation, and accepts what its types accept beyond the schema.
fn strict(schema: &mut Value, references: &mut Vec<String>) {
    match schema {
        Value::Object(object) => {
            if let Some(reference) = object.get("$ref").and_then(Value::as_str) {
                let name = reference.rsplit('/').next().unwrap_or_default();
                // Text or number in JSON, but only text in the published schema.
                let quantity = name.ends_with(".Quantity") || name.ends_with(".IntOrString");
                if quantity {
                    *schema = json!({ "type": ["string", "number"] });
                } else {
                    references.push(name.to_owned());
                }
                return;
            }
            if object.contains_key("properties") {
                object.entry("additionalProperties").or_insert(Value::Bool(false));
            }
            // An explicit null is an absent field.
            for value in object.values_mut() {
                strict(value, references);
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| strict(item, references)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn schemas_are_strict_and_complete() {
        let mut swagger = json!({ "definitions": {
            "io.Deployment": {
                "x-kubernetes-group-version-kind": [{ "group": "apps.k8s.io", "version": "v1", "kind": "Deployment" }],
                "properties": { "spec": { "$ref": "#/definitions/io.Spec" } },
            },
            "io.Spec": {
                "properties": {
                    "limit": { "$ref": "#/definitions/io.Quantity" },
                    "self": { "$ref": "#/definitions/io.Spec" },
                },
            },
            "io.Unused": {},
        } });
        for number in 0..60 {
            let kind = json!([{ "group": "", "version": "v1", "kind": format!("Kind{number}") }]);
            swagger["definitions"][format!("io.Kind{number}")] =
                json!({ "x-kubernetes-group-version-kind": kind });
        }
        let found = kinds(&swagger).unwrap();
        assert!(found.contains_key("kind0-v1.json"));
        let schema = &found["deployment-apps-v1.json"];
        assert_eq!(
            *schema,
            json!({
                "$ref": "#/definitions/io.Deployment",
                "definitions": {
                    "io.Deployment": {
                        "x-kubernetes-group-version-kind":
                            [{ "group": "apps.k8s.io", "version": "v1", "kind": "Deployment" }],
                        "properties": { "spec": { "$ref": "#/definitions/io.Spec" } },
                        "additionalProperties": false,
                    },
                    "io.Spec": {
                        "properties": {
                            "limit": { "type": ["string", "number"] },
                            "self": { "$ref": "#/definitions/io.Spec" },
                        },
                        "additionalProperties": false,
                    },
                },
            })
        );
    }
}
