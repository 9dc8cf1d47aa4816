//! The only writer of Secrets and statuses. Requests use metadata-only responses (`PartialObjectMetadata`), so Secret data
//! is sent but never received.
//!
//! A [`Writer`] needs a [`WriterToken`], so a controller that does not hold one cannot write: no code path leads from
//! there to a write. Each write takes a slot of its namespace first (docs/design/controller.md#scheduling-and-the-opening-queue), and then
//! checks the token's deadline.

use std::sync::Arc;

use bytes::Bytes;
use http::Request;
use http::header::{ACCEPT, HeaderValue};
use kube::Client;
use kube::api::{DeleteParams, Patch, PatchParams, Preconditions};
use serde::Serialize;
use serde_json::{Value, json};

use super::api_error::{ApiError, Target, classify};
use super::cluster::{Partial, decoded, objects, secrets};
use super::secret::SecretBody;
use super::token::WriterToken;
use crate::api::{EnvelopeSecretStatus, SECRET_MANAGER, STATUS_MANAGER};
use crate::controller::key::ObjectKey;
use crate::controller::observe::decode::Meta;
use crate::controller::observe::history::{History, Mark};
use crate::controller::observe::kind::Kind;
use crate::controller::observe::requests;
use crate::controller::slots::Slots;
use crate::envelope::wire::{API_VERSION, KIND};
use crate::lanes::Bounds;
use crate::metrics::Metrics;

const METADATA_ONLY: HeaderValue =
    HeaderValue::from_static("application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1");

/// Concurrent writes: the measured optimum, and the most of one namespace while others wait. A slow admission webhook in
/// one namespace holds its own writes only.
const WRITES: Bounds = Bounds {
    total: 32,
    contended: 8,
};

/// The client for writes.
pub(in crate::controller) struct Writer {
    client: Client,
    token: WriterToken,
    slots: Slots,
    metrics: Arc<Metrics>,
    history: History,
}

impl Writer {
    pub(in crate::controller) fn new(
        client: Client,
        token: WriterToken,
        metrics: Arc<Metrics>,
        history: History,
    ) -> Self {
        Writer {
            client,
            token,
            slots: Slots::new(WRITES),
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
            .map_err(|failure| failure.classify(patch(Kind::Secrets, body.key)))?;
        self.written(
            Kind::Secrets,
            &applied,
            body.precondition.resource_version(),
            mark,
        );
        Ok(applied)
    }

    /// Applies a Secret as a dry run: the API server checks permissions, quota and admission, and stores nothing.
    pub(in crate::controller) async fn probe_secret(
        &self,
        key: &ObjectKey,
        body: &Value,
    ) -> Result<(), ApiError> {
        let params = PatchParams {
            dry_run: true,
            ..PatchParams::apply(SECRET_MANAGER).force()
        };
        let probed = self.patch_metadata(key, &params, &Patch::Apply(body)).await;
        probed
            .map(drop)
            .map_err(|failure| failure.classify(patch(Kind::Secrets, key)))
    }

    /// Deletes a Secret, if it still has this uid and resourceVersion.
    pub(in crate::controller) async fn delete_secret(
        &self,
        key: &ObjectKey,
        uid: &str,
        resource_version: &str,
    ) -> Result<(), ApiError> {
        let params = DeleteParams {
            preconditions: Some(Preconditions {
                uid: Some(uid.to_owned()),
                resource_version: Some(resource_version.to_owned()),
            }),
            ..DeleteParams::background()
        };
        let request = secrets(key).delete(&key.name, &params).map(|mut request| {
            // Where a finalizer holds the Secret, the response is the Secret itself.
            request.headers_mut().insert(ACCEPT, METADATA_ONLY);
            request
        });
        let target = Target {
            verb: "delete",
            kind: Kind::Secrets,
            key,
        };
        let deleted = self.send(target, request).await;
        deleted.map(drop).map_err(|failure| failure.classify(target))
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
            Err(Failure::Request(kube::Error::Api(status)))
                if status.code == 422 && has_no_causes(&status) =>
            {
                Err(ApiError::Conflict)
            }
            Err(failure) => Err(failure.classify(patch(Kind::Secrets, key))),
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
        let applied = applied.map_err(|failure| failure.classify(patch(Kind::Objects, key)))?;
        self.written(Kind::Objects, &applied, resource_version, mark);
        Ok(applied)
    }

    /// kube has no method that patches a status and requests a metadata-only response.
    async fn send_status(
        &self,
        key: &ObjectKey,
        body: &(impl Serialize + std::fmt::Debug),
    ) -> Result<Meta, Failure> {
        let params = PatchParams::apply(STATUS_MANAGER).force();
        let request = objects(key).patch_subresource("status", &key.name, &params, &Patch::Apply(body));
        let request = request.map(|mut request| {
            request.headers_mut().insert(ACCEPT, METADATA_ONLY);
            request
        });
        metadata(&self.send(patch(Kind::Objects, key), request).await?)
    }

    async fn patch_metadata<P: Serialize + std::fmt::Debug>(
        &self,
        key: &ObjectKey,
        params: &PatchParams,
        body: &Patch<P>,
    ) -> Result<Meta, Failure> {
        let request = secrets(key).patch_metadata(&key.name, params, body);
        metadata(&self.send(patch(Kind::Secrets, key), request).await?)
    }

    fn written(&self, kind: Kind, meta: &Meta, replaced: &str, mark: Mark) {
        let version = meta.resource_version.as_deref().unwrap_or_default();
        self.history.written(kind, version, replaced, mark);
    }

    /// Sends a write, once its namespace has a slot and if the token is still valid then.
    async fn send(
        &self,
        target: Target<'_>,
        request: Result<Request<Vec<u8>>, kube::core::request::Error>,
    ) -> Result<Bytes, Failure> {
        let mark = self.history.mark(target.kind);
        let (_slot, waited) = self.slots.acquire(&target.key.namespace).await;
        self.metrics.lane_waited("write", waited);
        if !self.token.is_valid() {
            return Err(Failure::TokenExpired);
        }
        if !self.history.is_current(mark) {
            return Err(Failure::Restored);
        }
        let request = request.map_err(kube::Error::BuildRequest)?;
        Ok(requests::send(&self.client, request).await?)
    }
}

fn metadata(response: &[u8]) -> Result<Meta, Failure> {
    let partial: Partial = decoded(response)?;
    Ok(partial.metadata)
}

/// Why a write failed.
enum Failure {
    TokenExpired,
    /// The storage was restored while the write waited: what it was based on may no longer exist.
    Restored,
    Request(kube::Error),
}

impl From<kube::Error> for Failure {
    fn from(error: kube::Error) -> Self {
        Failure::Request(error)
    }
}

impl Failure {
    fn classify(&self, target: Target<'_>) -> ApiError {
        match self {
            Failure::TokenExpired => ApiError::NotWriter,
            Failure::Restored => ApiError::Conflict,
            Failure::Request(error) => classify(error, target),
        }
    }
}

fn patch(kind: Kind, key: &ObjectKey) -> Target<'_> {
    Target {
        verb: "patch",
        kind,
        key,
    }
}

fn has_no_causes(status: &kube::core::Status) -> bool {
    status
        .details
        .as_ref()
        .is_none_or(|details| details.causes.is_empty())
}
