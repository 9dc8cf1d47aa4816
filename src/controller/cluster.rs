//! The requests of one reconcile. Secrets go through their partial metadata: the whole body is sent, and metadata
//! alone comes back, so no value of a Secret is ever received.

use http::header::{ACCEPT, HeaderValue};
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::{Api, PartialObjectMeta, Patch, PatchParams};
use kube::core::Request;
use kube::{Client, Resource as _};
use serde::Serialize;
use serde_json::{Value, json};

use super::ObjectKey;
use super::object::{Object, RawObject};
use super::refusal::{Refused, classify};
use super::secret::SecretBody;
use crate::api::{EnvelopeSecretStatus, SECRET_MANAGER, STATUS_MANAGER};
use crate::envelope::wire::{API_VERSION, KIND};

/// Metadata of a Secret as kube types it.
pub(super) type SecretMeta = PartialObjectMeta<Secret>;

const METADATA_ONLY: HeaderValue =
    HeaderValue::from_static("application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1");

/// The API server, for one controller.
#[derive(Clone)]
pub(super) struct Cluster {
    client: Client,
}

impl Cluster {
    pub(super) fn new(client: Client) -> Self {
        Cluster { client }
    }

    /// Server-side apply of a Secret; what the API server made of its metadata.
    pub(super) async fn apply_secret(&self, body: &SecretBody<'_>) -> Result<ObjectMeta, Refused> {
        let params = PatchParams::apply(SECRET_MANAGER).force();
        let answer = self
            .secrets(body.key)
            .patch(&body.key.name, &params, &Patch::Apply(body))
            .await;
        answer
            .map(|meta| meta.metadata)
            .map_err(|error| classify(&error, "patch", body.key))
    }

    /// A JSON Patch of a Secret, which tests what it was made for.
    pub(super) async fn patch_secret(
        &self,
        key: &ObjectKey,
        operations: Value,
    ) -> Result<ObjectMeta, Refused> {
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
            // A `test` that fails is a 422 that names no field; what it tests is only the resourceVersion.
            Err(kube::Error::Api(status)) if status.code == 422 && names_no_field(&status) => {
                Err(Refused::Conflict)
            }
            Err(error) => Err(classify(&error, "patch", key)),
        }
    }

    /// The metadata of the Secret, if there is one.
    pub(super) async fn secret(&self, key: &ObjectKey) -> Result<Option<ObjectMeta>, Refused> {
        let answer = found(self.secrets(key).get(&key.name).await, key)?;
        Ok(answer.map(|meta| meta.metadata))
    }

    /// The object, if there is one.
    pub(super) async fn object(&self, key: &ObjectKey) -> Result<Option<Object>, Refused> {
        let objects: Api<RawObject> = Api::namespaced(self.client.clone(), &key.namespace);
        let answer = found(objects.get(&key.name).await, key)?;
        Ok(answer.and_then(Object::of).map(|(_, object)| object))
    }

    /// Server-side apply of the status, provided that the object still has this resourceVersion; its new metadata.
    pub(super) async fn apply_status(
        &self,
        key: &ObjectKey,
        resource_version: &str,
        status: &EnvelopeSecretStatus,
    ) -> Result<ObjectMeta, Refused> {
        let body = json!({
            "apiVersion": API_VERSION,
            "kind": KIND,
            "metadata": {"name": &*key.name, "namespace": &*key.namespace, "resourceVersion": resource_version},
            "status": status,
        });
        let answer = self.send_status(key, &body).await;
        answer
            .map(|meta| meta.metadata)
            .map_err(|error| classify(&error, "patch", key))
    }

    /// kube has no call that patches a status and asks for metadata alone.
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

/// `None` where the API server says that there is none: not where it does not serve the type, for a moment after a
/// change of the CRD.
fn found<T>(answer: kube::Result<T>, key: &ObjectKey) -> Result<Option<T>, Refused> {
    match answer {
        Ok(found) => Ok(Some(found)),
        Err(error) => match classify(&error, "get", key) {
            Refused::NotFound => Ok(None),
            refused => Err(refused),
        },
    }
}

fn names_no_field(status: &kube::core::Status) -> bool {
    status
        .details
        .as_ref()
        .is_none_or(|details| details.causes.is_empty())
}
