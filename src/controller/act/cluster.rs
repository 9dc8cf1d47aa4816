//! The API requests of a reconcile. Requests on Secrets use metadata-only responses (`PartialObjectMetadata`), so Secret
//! data is sent but never received.

use std::sync::Arc;

use http::Request;
use http::header::{ACCEPT, HeaderValue};
use kube::Client;
use kube::api::{GetParams, Patch, PatchParams};
use kube::core::Request as Builder;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::api_error::{ApiError, Target, classify};
use super::secret::SecretBody;
use crate::api::{EnvelopeSecretStatus, SECRET_MANAGER, STATUS_MANAGER};
use crate::controller::key::ObjectKey;
use crate::controller::observe::decode::{self, Meta};
use crate::controller::observe::history::{History, Mark};
use crate::controller::observe::kind::Kind;
use crate::controller::observe::object::Object;
use crate::controller::observe::requests;
use crate::envelope::wire::{API_VERSION, KIND};
use crate::metrics::Metrics;

const METADATA_ONLY: HeaderValue =
    HeaderValue::from_static("application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1");

/// A response of which only the metadata is used.
#[derive(serde::Deserialize)]
struct Partial {
    metadata: Meta,
}

/// The client for the requests of a reconcile.
#[derive(Clone)]
pub(in crate::controller) struct Cluster {
    client: Client,
    metrics: Arc<Metrics>,
    history: History,
}

impl Cluster {
    pub(in crate::controller) fn new(client: Client, metrics: Arc<Metrics>, history: History) -> Self {
        Cluster {
            client,
            metrics,
            history,
        }
    }

    /// Applies a Secret with server-side apply and returns the resulting metadata.
    pub(in crate::controller) async fn apply_secret(&self, body: &SecretBody<'_>) -> Result<Meta, ApiError> {
        let params = PatchParams::apply(SECRET_MANAGER).force();
        let mark = self.history.mark(Kind::Secrets);
        let applied = self
            .patch_metadata(body.key, &params, &Patch::Apply(body))
            .await
            .map_err(|error| classify(&error, patch(Kind::Secrets, body.key)))?;
        self.written(
            Kind::Secrets,
            &applied,
            body.precondition.resource_version(),
            mark,
        );
        Ok(applied)
    }

    /// Applies a JSON Patch to a Secret and returns the resulting metadata. The patch itself tests the resourceVersion.
    pub(in crate::controller) async fn patch_secret(
        &self,
        key: &ObjectKey,
        operations: Value,
    ) -> Result<Meta, ApiError> {
        let operations = match serde_json::from_value(operations) {
            Ok(operations) => Patch::<()>::Json(operations),
            Err(error) => {
                return Err(classify(
                    &kube::Error::SerdeError(error),
                    patch(Kind::Secrets, key),
                ));
            }
        };
        let params = PatchParams {
            field_manager: Some(SECRET_MANAGER.to_owned()),
            ..PatchParams::default()
        };
        match self.patch_metadata(key, &params, &operations).await {
            Ok(meta) => Ok(meta),
            // A failed `test` operation is a 422 without causes, and it can only concern the resourceVersion.
            Err(kube::Error::Api(status)) if status.code == 422 && has_no_causes(&status) => {
                Err(ApiError::Conflict)
            }
            Err(error) => Err(classify(&error, patch(Kind::Secrets, key))),
        }
    }

    /// Reads the metadata of the Secret; `None` if it does not exist.
    pub(in crate::controller) async fn secret(&self, key: &ObjectKey) -> Result<Option<Meta>, ApiError> {
        let request = secrets(key).get_metadata(&key.name, &GetParams::default());
        let secret: kube::Result<Partial> = self.read(request).await.and_then(|bytes| decoded(&bytes));
        Ok(optional(secret, get(Kind::Secrets, key))?.map(|secret| secret.metadata))
    }

    /// Reads the object; `None` if it does not exist.
    pub(in crate::controller) async fn object(&self, key: &ObjectKey) -> Result<Option<Object>, ApiError> {
        let request = objects(key).get(&key.name, &GetParams::default());
        let Some(bytes) = optional(self.read(request).await, get(Kind::Objects, key))? else {
            return Ok(None);
        };
        match decode::item::<Object>(&String::from_utf8_lossy(&bytes)) {
            Ok((_, object)) => Ok(Some(object)),
            Err(undecodable) => {
                undecodable.report(Kind::Objects.as_str(), &self.metrics);
                Err(ApiError::unreadable(get(Kind::Objects, key)))
            }
        }
    }

    /// Applies the status with server-side apply, on the precondition that the object still has `resource_version`. Returns
    /// the resulting metadata.
    pub(in crate::controller) async fn apply_status(
        &self,
        key: &ObjectKey,
        resource_version: &str,
        status: &EnvelopeSecretStatus,
    ) -> Result<Meta, ApiError> {
        let body = json!({
            "apiVersion": API_VERSION,
            "kind": KIND,
            "metadata": {"name": &*key.name, "namespace": &*key.namespace, "resourceVersion": resource_version},
            "status": status,
        });
        let mark = self.history.mark(Kind::Objects);
        let applied = self.send_status(key, &body).await;
        let applied = applied.map_err(|error| classify(&error, patch(Kind::Objects, key)))?;
        self.written(Kind::Objects, &applied, resource_version, mark);
        Ok(applied)
    }

    /// kube has no method that patches a status and requests a metadata-only response.
    async fn send_status(
        &self,
        key: &ObjectKey,
        body: &(impl Serialize + std::fmt::Debug),
    ) -> kube::Result<Meta> {
        let params = PatchParams::apply(STATUS_MANAGER).force();
        let request = objects(key).patch_subresource("status", &key.name, &params, &Patch::Apply(body));
        let request = request.map(|mut request| {
            request.headers_mut().insert(ACCEPT, METADATA_ONLY);
            request
        });
        let partial: Partial = self.send(request).await?;
        Ok(partial.metadata)
    }

    async fn patch_metadata<P: Serialize + std::fmt::Debug>(
        &self,
        key: &ObjectKey,
        params: &PatchParams,
        patch: &Patch<P>,
    ) -> kube::Result<Meta> {
        let request = secrets(key).patch_metadata(&key.name, params, patch);
        let partial: Partial = self.send(request).await?;
        Ok(partial.metadata)
    }

    fn written(&self, kind: Kind, meta: &Meta, replaced: &str, mark: Mark) {
        let version = meta.resource_version.as_deref().unwrap_or_default();
        self.history.written(kind, version, replaced, mark);
    }

    async fn send<T: DeserializeOwned>(
        &self,
        request: Result<Request<Vec<u8>>, kube::core::request::Error>,
    ) -> kube::Result<T> {
        let request = request.map_err(kube::Error::BuildRequest)?;
        decoded(&requests::send(&self.client, request).await?)
    }

    async fn read(
        &self,
        request: Result<Request<Vec<u8>>, kube::core::request::Error>,
    ) -> kube::Result<bytes::Bytes> {
        requests::read(&self.client, request.map_err(kube::Error::BuildRequest)?).await
    }
}

fn decoded<T: DeserializeOwned>(bytes: &[u8]) -> kube::Result<T> {
    serde_json::from_str(&String::from_utf8_lossy(bytes)).map_err(kube::Error::SerdeError)
}

fn get(kind: Kind, key: &ObjectKey) -> Target<'_> {
    Target {
        verb: "get",
        kind,
        key,
    }
}

fn patch(kind: Kind, key: &ObjectKey) -> Target<'_> {
    Target {
        verb: "patch",
        kind,
        key,
    }
}

fn secrets(key: &ObjectKey) -> Builder {
    Builder::new(Kind::Secrets.path(Some(&key.namespace)))
}

fn objects(key: &ObjectKey) -> Builder {
    Builder::new(Kind::Objects.path(Some(&key.namespace)))
}

/// Converts "not found" to `None`. A 404 because the type is not served, for a moment after a CRD change, stays an error.
fn optional<T>(response: kube::Result<T>, target: Target<'_>) -> Result<Option<T>, ApiError> {
    match response {
        Ok(object) => Ok(Some(object)),
        Err(error) => match classify(&error, target) {
            ApiError::NotFound => Ok(None),
            other => Err(other),
        },
    }
}

fn has_no_causes(status: &kube::core::Status) -> bool {
    status
        .details
        .as_ref()
        .is_none_or(|details| details.causes.is_empty())
}
