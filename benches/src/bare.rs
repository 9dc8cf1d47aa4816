//! The bare client, which the controller is compared with: the same requests from the same HTTP stack, in a process of its own.

use std::io::Write as _;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result};
use futures::{AsyncReadExt as _, StreamExt as _};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::args::{Bare, Work};
use crate::client::{Client, JSON, METADATA, METADATA_LIST, identity, objects, secrets};
use crate::usage;

/// Objects per page of a list, kube's default.
pub(crate) const PAGE: usize = 500;
const MANAGED: &str = "labelSelector=envelope-secrets.io%2Fmanaged";

/// What the process prints when it is done.
#[derive(Serialize, Deserialize)]
pub(crate) struct Done {
    /// The time of the end, in seconds since 1970.
    pub(crate) end: f64,
    pub(crate) cpu_seconds: f64,
    /// The objects that were written, or the pages that were read.
    pub(crate) objects: usize,
}

pub(crate) async fn run(args: &Bare) -> Result<()> {
    let client = Client::connect(&args.kubeconfig).await?;
    let namespace = &args.namespace;
    let (object_path, secret_path) = (objects(namespace), secrets(namespace));
    let secret_list = format!("{secret_path}?{MANAGED}");
    let (listed, others) = tokio::try_join!(
        client.pages(&object_path, JSON, PAGE),
        client.pages(&secret_list, METADATA_LIST, PAGE)
    )?;
    let mut count = listed.len() + others.len();
    if matches!(args.work, Work::Write) {
        let found = parse(&listed)?;
        count = found.len();
        for (path, accept, pages) in [
            (format!("{object_path}?"), JSON, &listed),
            (format!("{secret_list}&"), METADATA, &others),
        ] {
            let version = list_version(pages.last())?;
            let path = format!("{path}watch=true&allowWatchBookmarks=true&resourceVersion={version}");
            let mut stream = client.watch(&path, accept).await?;
            tokio::spawn(async move {
                let mut buffer = vec![0; 1 << 16];
                while stream.read(&mut buffer).await.is_ok_and(|read| read > 0) {}
            });
        }
        let writes = found.into_iter().map(|object| write(&client, namespace, object));
        let mut running = futures::stream::iter(writes).buffer_unordered(args.concurrency);
        while let Some(done) = running.next().await {
            done?;
        }
    }
    let done = Done {
        end: SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs_f64(),
        cpu_seconds: usage::cpu_seconds(std::process::id())?,
        objects: count,
    };
    writeln!(std::io::stdout(), "{}", serde_json::to_string(&done)?)?;
    Ok(())
}

/// An object to write for.
pub(crate) struct Found {
    pub(crate) name: String,
    pub(crate) uid: String,
    pub(crate) version: String,
}

fn parse(pages: &[String]) -> Result<Vec<Found>> {
    let mut found = Vec::new();
    for page in pages {
        let page: Value = serde_json::from_str(page)?;
        for item in page["items"].as_array().context("a list")? {
            let text = |name: &str| item["metadata"][name].as_str().unwrap_or_default().to_owned();
            found.push(Found {
                name: text("name"),
                uid: text("uid"),
                version: text("resourceVersion"),
            });
        }
    }
    Ok(found)
}

fn list_version(page: Option<&String>) -> Result<String> {
    #[derive(Deserialize)]
    struct List {
        metadata: Metadata,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Metadata {
        resource_version: String,
    }
    let list: List = serde_json::from_str(page.context("no page")?)?;
    Ok(list.metadata.resource_version)
}

/// Applies a Secret, then the status, with bodies of the fields and the size of the controller's.
pub(crate) async fn write(client: &Client, namespace: &str, object: Found) -> Result<()> {
    let Found { name, uid, version } = &object;
    let secret = json!({
        "apiVersion": "v1", "kind": "Secret", "type": "Opaque",
        "metadata": {
            "name": name, "namespace": namespace, "resourceVersion": "1",
            "labels": {"envelope-secrets.io/managed": "owned", "app.kubernetes.io/managed-by": "envelope-secrets"},
            "ownerReferences": [{"apiVersion": "envelope-secrets.io/v1", "kind": "EnvelopeSecret", "name": name, "uid": uid,
                "controller": true}],
        },
        "data": {"password": "cGFzc3dvcmQtMTIzNDU2Nzg5MA==", "url": "cG9zdGdyZXM6Ly9kYi5leGFtcGxlOjU0MzIvZGI=", "username": "dXNlcg=="},
    });
    let applied = client
        .apply(
            &format!("{}/{name}", secrets(namespace)),
            "envelope-secrets",
            &secret,
        )
        .await?;
    let (secret_uid, secret_version) = identity(&applied)?;
    let status = json!({
        "apiVersion": "envelope-secrets.io/v1", "kind": "EnvelopeSecret",
        "metadata": {"name": name, "namespace": namespace, "resourceVersion": version},
        "status": {
            "observedGeneration": 1, "kmsKey": "local://0123abcd", "kmsKeys": ["local://0123abcd"], "dataKeys": ["69e86d38"],
            "sealed": {"time": "2026-11-23T17:00:00Z", "mac": "sPARSTx2bd6L2pJrTVY3z1hVxX2v0Ykz4n7Jm4m2C0o",
                "highestTime": "2026-11-23T17:00:00Z"},
            "applied": {"generation": 1, "digest": "36d8ec41f0bb9c1a36d8ec41f0bb9c1a36d8ec41f0bb9c1a36d8ec41f0bb9c1a", "mode": "Owned",
                "renderer": 1, "secretUID": secret_uid, "secretResourceVersion": secret_version, "entries": 3,
                "time": "2026-11-24T00:47:55Z"},
            "conditions": [{"type": "Ready", "status": "True", "reason": "Synced", "observedGeneration": 1,
                "message": "secret holds 3 entries from generation 1", "lastTransitionTime": "2026-11-24T00:47:55Z"}],
        },
    });
    let path = format!("{}/{name}/status", objects(namespace));
    client.apply(&path, "envelope-secrets-status", &status).await?;
    Ok(())
}
