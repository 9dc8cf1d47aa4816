//! A bare client of the API server: requests and bytes, without types.

use std::path::Path;
use std::pin::Pin;

use anyhow::{Context as _, Result, anyhow};
use futures::StreamExt as _;
use http::Request;
use http::header::{ACCEPT, CONTENT_TYPE, USER_AGENT};
use kube::config::{KubeConfigOptions, Kubeconfig};
use serde_json::Value;

pub(crate) const AGENT: &str = "envelope-secrets-bench";
/// Requests the metadata of an object instead of the whole object, as the controller does.
pub(crate) const METADATA: &str = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1";
pub(crate) const METADATA_LIST: &str = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1";
pub(crate) const JSON: &str = "application/json";
pub(crate) const APPLY: &str = "application/apply-patch+yaml";

/// Concurrent requests of the benchmark itself, for example to create objects.
const CONCURRENCY: usize = 32;

#[derive(Clone)]
pub(crate) struct Client(kube::Client);

impl Client {
    pub(crate) async fn connect(kubeconfig: &Path) -> Result<Self> {
        // Fails if it is installed already.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let file = Kubeconfig::read_from(kubeconfig)?;
        let mut config = kube::Config::from_custom_kubeconfig(file, &KubeConfigOptions::default()).await?;
        config.proxy_url = None;
        config.headers.push((USER_AGENT, AGENT.parse()?));
        Ok(Client(kube::Client::try_from(config)?))
    }

    /// Sends a request and returns the body of a successful response.
    pub(crate) async fn send(
        &self,
        method: &str,
        path: &str,
        headers: (&str, &str),
        body: String,
    ) -> Result<String> {
        let (content_type, accept) = headers;
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(CONTENT_TYPE, content_type)
            .header(ACCEPT, accept)
            .body(body.into_bytes())?;
        let response = self.0.request_text(request).await;
        response.with_context(|| format!("{method} {path}"))
    }

    pub(crate) async fn get(&self, path: &str, accept: &str) -> Result<String> {
        self.send("GET", path, (JSON, accept), String::new()).await
    }

    /// Server-side apply, with the metadata of the result as the response.
    pub(crate) async fn apply(&self, path: &str, manager: &str, body: &Value) -> Result<String> {
        let path = format!("{path}?fieldManager={manager}&force=true");
        self.send("PATCH", &path, (APPLY, METADATA), body.to_string())
            .await
    }

    /// Opens a watch and returns its lines.
    pub(crate) async fn watch(
        &self,
        path: &str,
        accept: &str,
    ) -> Result<Pin<Box<dyn futures::AsyncBufRead + Send>>> {
        let request = Request::builder()
            .uri(path)
            .header(ACCEPT, accept)
            .body(Vec::new())?;
        Ok(Box::pin(self.0.request_stream(request).await?))
    }

    /// Lists all objects in pages and returns the pages.
    pub(crate) async fn pages(&self, path: &str, accept: &str, limit: usize) -> Result<Vec<String>> {
        let mut pages = Vec::new();
        let mut query = String::new();
        loop {
            let separator = if path.contains('?') { '&' } else { '?' };
            let page = self
                .get(&format!("{path}{separator}limit={limit}{query}"), accept)
                .await?;
            let token = continue_token(&page).map(str::to_owned);
            pages.push(page);
            match token {
                Some(token) => query = format!("&continue={token}"),
                None => return Ok(pages),
            }
        }
    }

    /// Creates these objects in the collection, many at a time.
    pub(crate) async fn create_all(&self, collection: &str, bodies: Vec<String>) -> Result<()> {
        self.all(bodies, |client, body| async move {
            client
                .send("POST", collection, (JSON, METADATA), body)
                .await
                .map(drop)
        })
        .await
    }

    /// Carries out `work` for each item, many at a time.
    pub(crate) async fn all<T, F>(&self, items: Vec<T>, work: impl Fn(Client, T) -> F) -> Result<()>
    where
        F: Future<Output = Result<()>>,
    {
        let mut running = futures::stream::iter(items)
            .map(|item| work(self.clone(), item))
            .buffer_unordered(CONCURRENCY);
        while let Some(done) = running.next().await {
            done?;
        }
        Ok(())
    }
}

/// Returns the token for the next page, without parsing the items. The list's metadata comes before them or, for custom resources, after
/// them.
fn continue_token(page: &str) -> Option<&str> {
    let head = page.split("\"items\"").next()?;
    let (_, tail) = page.rsplit_once(']')?;
    let (_, rest) = [head, tail]
        .into_iter()
        .find_map(|part| part.split_once("\"continue\":\""))?;
    rest.split('"').next().filter(|token| !token.is_empty())
}

/// Returns the uid and the resourceVersion of an object or of its metadata.
pub(crate) fn identity(text: &str) -> Result<(String, String)> {
    let value: Value = serde_json::from_str(text)?;
    let text = |name: &str| {
        let value = value["metadata"][name].as_str().map(str::to_owned);
        value.ok_or_else(|| anyhow!("no {name} in the response"))
    };
    Ok((text("uid")?, text("resourceVersion")?))
}

/// The path of the Secrets of a namespace.
pub(crate) fn secrets(namespace: &str) -> String {
    format!("/api/v1/namespaces/{namespace}/secrets")
}

/// The path of the `EnvelopeSecrets` of a namespace.
pub(crate) fn objects(namespace: &str) -> String {
    format!("/apis/envelope-secrets.io/v1/namespaces/{namespace}/envelopesecrets")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn continue_token_is_read_from_the_metadata_of_the_list() {
        let page = r#"{"kind":"List","metadata":{"resourceVersion":"7","continue":"abc","remainingItemCount":3},"items":[{}]}"#;
        assert_eq!(continue_token(page), Some("abc"));
        let last =
            r#"{"kind":"List","metadata":{"resourceVersion":"7"},"items":[{"x":"\"continue\":\"no"}]}"#;
        assert_eq!(continue_token(last), None);
        let custom = r#"{"apiVersion":"x/v1","items":[{"y":[]}],"kind":"XList","metadata":{"continue":"def","resourceVersion":"7"}}"#;
        assert_eq!(continue_token(custom), Some("def"));
    }
}
