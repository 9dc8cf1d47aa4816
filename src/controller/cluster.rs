//! The API requests of a reconcile. Requests on Secrets use metadata-only responses (`PartialObjectMetadata`), so Secret
//! data is sent but never received.

use http::header::{ACCEPT, HeaderValue};
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::{Api, PartialObjectMeta, Patch, PatchParams};
use kube::core::Request;
use kube::{Client, Resource as _};
use serde::Serialize;
use serde_json::{Value, json};

use super::api_error::{ApiError, classify};
use super::key::ObjectKey;
use super::object::{Object, RawObject};
use super::secret::SecretBody;
use crate::api::{EnvelopeSecretStatus, SECRET_MANAGER, STATUS_MANAGER};
use crate::envelope::wire::{API_VERSION, KIND};

/// The metadata of a Secret, as kube types it.
pub(super) type SecretMeta = PartialObjectMeta<Secret>;

const METADATA_ONLY: HeaderValue =
    HeaderValue::from_static("application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1");

/// The client for the requests of a reconcile.
#[derive(Clone)]
pub(super) struct Cluster {
    client: Client,
}

impl Cluster {
    pub(super) fn new(client: Client) -> Self {
        Cluster { client }
    }

    /// Applies a Secret with server-side apply and returns the resulting metadata.
    pub(super) async fn apply_secret(&self, body: &SecretBody<'_>) -> Result<ObjectMeta, ApiError> {
        let params = PatchParams::apply(SECRET_MANAGER).force();
        let applied = self
            .secrets(body.key)
            .patch(&body.key.name, &params, &Patch::Apply(body))
            .await;
        applied
            .map(|meta| meta.metadata)
            .map_err(|error| classify(&error, "patch", body.key))
    }

    /// Applies a JSON Patch to a Secret and returns the resulting metadata. The patch itself tests the resourceVersion.
    pub(super) async fn patch_secret(
        &self,
        key: &ObjectKey,
        operations: Value,
    ) -> Result<ObjectMeta, ApiError> {
        let patch = match serde_json::from_value(operations) {
            Ok(operations) => Patch::<()>::Json(operations),
            Err(error) => return Err(classify(&kube::Error::SerdeError(error), "patch", key)),
        };
        let params = PatchParams {
            field_manager: Some(SECRET_MANAGER.to_owned()),
            ..PatchParams::default()
        };
        match self.secrets(key).patch(&key.name, &params, &patch).await {
            Ok(meta) => Ok(meta.metadata),
            // A failed `test` operation is a 422 without causes, and it can only concern the resourceVersion.
            Err(kube::Error::Api(status)) if status.code == 422 && has_no_causes(&status) => {
                Err(ApiError::Conflict)
            }
            Err(error) => Err(classify(&error, "patch", key)),
        }
    }

    /// Reads the metadata of the Secret; `None` if it does not exist.
    pub(super) async fn secret(&self, key: &ObjectKey) -> Result<Option<ObjectMeta>, ApiError> {
        let secret = optional(self.secrets(key).get(&key.name).await, key)?;
        Ok(secret.map(|meta| meta.metadata))
    }

    /// Reads the object; `None` if it does not exist.
    pub(super) async fn object(&self, key: &ObjectKey) -> Result<Option<Object>, ApiError> {
        let objects: Api<RawObject> = Api::namespaced(self.client.clone(), &key.namespace);
        let object = optional(objects.get(&key.name).await, key)?;
        Ok(object.and_then(Object::of).map(|(_, object)| object))
    }

    /// Applies the status with server-side apply, on the precondition that the object still has `resource_version`. Returns
    /// the resulting metadata.
    pub(super) async fn apply_status(
        &self,
        key: &ObjectKey,
        resource_version: &str,
        status: &EnvelopeSecretStatus,
    ) -> Result<ObjectMeta, ApiError> {
        let body = json!({
            "apiVersion": API_VERSION,
            "kind": KIND,
            "metadata": {"name": &*key.name, "namespace": &*key.namespace, "resourceVersion": resource_version},
            "status": status,
        });
        let applied = self.send_status(key, &body).await;
        applied
            .map(|meta| meta.metadata)
            .map_err(|error| classify(&error, "patch", key))
    }

    /// kube has no method that patches a status and requests a metadata-only response.
    async fn send_status(
        &self,
        key: &ObjectKey,
        body: &(impl Serialize + std::fmt::Debug),
    ) -> kube::Result<SecretMeta> {
        let params = PatchParams::apply(STATUS_MANAGER).force();
        let path = RawObject::url_path(&(), Some(&key.namespace));
        let mut request = Request::new(path)
            .patch_subresource("status", &key.name, &params, &Patch::Apply(body))
            .map_err(kube::Error::BuildRequest)?;
        request.headers_mut().insert(ACCEPT, METADATA_ONLY);
        self.client.request(request).await
    }

    fn secrets(&self, key: &ObjectKey) -> Api<SecretMeta> {
        Api::namespaced(self.client.clone(), &key.namespace)
    }
}

/// Converts "not found" to `None`. A 404 because the type is not served, for a moment after a CRD change, stays an error.
fn optional<T>(response: kube::Result<T>, key: &ObjectKey) -> Result<Option<T>, ApiError> {
    match response {
        Ok(object) => Ok(Some(object)),
        Err(error) => match classify(&error, "get", key) {
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
