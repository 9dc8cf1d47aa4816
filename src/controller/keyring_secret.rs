//! A keyring as a Secret: created once, never changed.

use std::fmt;
use std::path::Path;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use k8s_openapi::api::core::v1::Secret;
use kube::Api;
use kube::api::{Patch, PatchParams};
use serde::Serialize;
use serde_json::json;
use zeroize::Zeroizing;

use super::client::{ConnectError, WatchActivity, connect};

/// The timeout of a request.
const TIMEOUT: Duration = Duration::from_secs(30);

/// The Secret of a keyring.
#[derive(Clone, Debug)]
pub struct KeyringSecret {
    /// Its namespace; the one of the pod or of the kubeconfig's context if `None`.
    pub namespace: Option<String>,
    /// Its name.
    pub name: String,
    /// The entry that holds the keyring.
    pub entry: String,
}

/// What [`KeyringSecret::create`] did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Creation {
    /// The Secret was created in this namespace.
    Created(String),
    /// A Secret of this name exists in this namespace, and was not changed.
    Exists(String),
}

/// The Secret was not created.
#[derive(Debug, thiserror::Error)]
pub enum CreateError {
    /// There is no connection to an API server.
    #[error("{0}")]
    Connect(ConnectError),
    /// The operating system returns no random number.
    #[error("cannot create the Secret: {0}")]
    Random(getrandom::Error),
    /// The API server refused the request, or did not respond.
    #[error("cannot create the Secret {secret}: {error}")]
    Request {
        /// Namespace and name.
        secret: String,
        /// The cause; never contains the content of the Secret.
        error: kube::Error,
    },
}

/// The body of the request. Its Debug hides the keyring.
#[derive(Serialize)]
#[serde(transparent)]
struct Body(serde_json::Value);

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Body")
    }
}

impl KeyringSecret {
    /// Creates the Secret, unless one of this name exists, whatever it holds.
    ///
    /// By server-side apply: RBAC can then limit the permissions `get`, `create` and `patch` to this one name, which a POST
    /// does not carry. The response is metadata.
    ///
    /// # Errors
    /// If there is no connection, or the API server refuses the request.
    pub async fn create(
        &self,
        kubeconfig: Option<&Path>,
        keyring: &Zeroizing<Vec<u8>>,
    ) -> Result<Creation, CreateError> {
        let client = connect(kubeconfig, TIMEOUT, WatchActivity::default())
            .await
            .map_err(CreateError::Connect)?;
        let namespace = self.namespace.clone();
        let namespace = namespace.unwrap_or_else(|| client.default_namespace().to_owned());
        let secrets: Api<Secret> = Api::namespaced(client, &namespace);
        let failed = |error| CreateError::Request {
            secret: format!("{namespace}/{}", self.name),
            error,
        };
        let found = secrets.get_metadata_opt(&self.name).await.map_err(failed)?;
        if found.is_some() {
            return Ok(Creation::Exists(namespace));
        }
        let encoded = Zeroizing::new(STANDARD.encode(keyring));
        let body = Body(json!({
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {
                "name": self.name,
                "labels": { "app.kubernetes.io/part-of": "envelope-secrets" },
            },
            "type": "Opaque",
            "data": { &self.entry: encoded.as_str() },
        }));
        // A Secret that appeared meanwhile has another owner of this field, or of its own: the entry conflicts.
        let manager = format!(
            "envelope-keyring-{:016x}",
            getrandom::u64().map_err(CreateError::Random)?
        );
        let params = PatchParams::apply(&manager);
        match secrets
            .patch_metadata(&self.name, &params, &Patch::Apply(body))
            .await
        {
            Ok(_) => Ok(Creation::Created(namespace)),
            Err(kube::Error::Api(status)) if status.code == 409 => Ok(Creation::Exists(namespace)),
            Err(error) => Err(failed(error)),
        }
    }
}
