//! The time from applying an object until `Ready` describes it.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use futures::{AsyncBufReadExt as _, StreamExt as _};
use serde_json::Value;
use tokio::sync::mpsc;

use crate::bare::{Found, write};
use crate::client::{Client, JSON, identity, objects};

const TIMEOUT: Duration = Duration::from_mins(2);

/// Watches the objects of a namespace and reports when each becomes ready.
pub(crate) struct ReadyWatch {
    ready: mpsc::UnboundedReceiver<(String, Instant)>,
    client: Client,
    namespace: String,
}

impl ReadyWatch {
    pub(crate) async fn start(client: &Client, namespace: &str) -> Result<Self> {
        let path = format!("{}?watch=true&timeoutSeconds=3600", objects(namespace));
        let mut lines = client.watch(&path, JSON).await?.lines();
        let (sender, ready) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            while let Some(Ok(line)) = lines.next().await {
                let at = Instant::now();
                if let Some(name) = ready_object(&line)
                    && sender.send((name, at)).is_err()
                {
                    break;
                }
            }
        });
        Ok(ReadyWatch {
            ready,
            client: client.clone(),
            namespace: namespace.to_owned(),
        })
    }

    /// Applies the object and returns the milliseconds until it is ready.
    pub(crate) async fn sample(&mut self, object: &Value) -> Result<f64> {
        let name = object["metadata"]["name"].as_str().context("no name")?.to_owned();
        let path = format!("{}/{name}", objects(&self.namespace));
        let start = Instant::now();
        self.client.apply(&path, "bench", object).await?;
        loop {
            let next = tokio::time::timeout(TIMEOUT, self.ready.recv()).await;
            let Ok(next) = next else {
                bail!(
                    "{}/{name} was not ready within {} s",
                    self.namespace,
                    TIMEOUT.as_secs()
                )
            };
            let (found, at) = next.context("the watch ended")?;
            if found == name {
                return Ok(at.duration_since(start).as_secs_f64() * 1_000.0);
            }
        }
    }
}

/// Returns the name of the object in a watch event if its status says that it is ready.
fn ready_object(line: &str) -> Option<String> {
    let event: Value = serde_json::from_str(line).ok()?;
    let object = &event["object"];
    let status = &object["status"];
    let current = status["observedGeneration"].as_i64() == object["metadata"]["generation"].as_i64();
    let conditions = status["conditions"].as_array()?;
    let is_ready = conditions
        .iter()
        .any(|condition| condition["type"] == "Ready" && condition["status"] == "True");
    (current && is_ready).then(|| object["metadata"]["name"].as_str().map(str::to_owned))?
}

/// Creates an object that no controller watches and returns the milliseconds of the two writes that follow: Secret and status.
pub(crate) async fn two_bare_writes(client: &Client, namespace: &str, object: &Value) -> Result<f64> {
    let name = object["metadata"]["name"].as_str().context("no name")?.to_owned();
    let created = client
        .apply(&format!("{}/{name}", objects(namespace)), "bench", object)
        .await?;
    let (uid, version) = identity(&created)?;
    let start = Instant::now();
    write(client, namespace, Found { name, uid, version }).await?;
    Ok(start.elapsed().as_secs_f64() * 1_000.0)
}
