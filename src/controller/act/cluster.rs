//! The reads of a reconcile. Requests on Secrets use metadata-only responses (`PartialObjectMetadata`), so Secret data is
//! never received. Writes need a [`Writer`](super::writer::Writer).

use std::sync::Arc;

use http::Request;
use kube::Client;
use kube::api::GetParams;
use kube::core::Request as Builder;
use serde::de::DeserializeOwned;

use super::api_error::{ApiError, Target, classify};
use crate::controller::key::ObjectKey;
use crate::controller::observe::decode::{self, Meta};
use crate::controller::observe::kind::Kind;
use crate::controller::observe::object::Received;
use crate::controller::observe::requests;
use crate::metrics::Metrics;

/// A response of which only the metadata is used.
#[derive(serde::Deserialize)]
pub(super) struct Partial {
    pub(super) metadata: Meta,
}

/// The client for reads.
#[derive(Clone)]
pub(in crate::controller) struct Cluster {
    client: Client,
    metrics: Arc<Metrics>,
}

impl Cluster {
    pub(in crate::controller) fn new(client: Client, metrics: Arc<Metrics>) -> Self {
        Cluster { client, metrics }
    }

    /// Reads the metadata of the Secret; `None` if it does not exist.
    pub(in crate::controller) async fn secret(&self, key: &ObjectKey) -> Result<Option<Meta>, ApiError> {
        let request = secrets(key).get_metadata(&key.name, &GetParams::default());
        let secret: kube::Result<Partial> = self.read(request).await.and_then(|bytes| decoded(&bytes));
        Ok(optional(secret, get(Kind::Secrets, key))?.map(|secret| secret.metadata))
    }

    /// Reads the object; `None` if it does not exist.
    pub(in crate::controller) async fn object(&self, key: &ObjectKey) -> Result<Option<Received>, ApiError> {
        let request = objects(key).get(&key.name, &GetParams::default());
        let Some(bytes) = optional(self.read(request).await, get(Kind::Objects, key))? else {
            return Ok(None);
        };
        match decode::item::<Received>(&String::from_utf8_lossy(&bytes)) {
            Ok((_, object)) => Ok(Some(object)),
            Err(undecodable) => {
                undecodable.report(Kind::Objects.as_str(), &self.metrics);
                Err(ApiError::unreadable(get(Kind::Objects, key)))
            }
        }
    }

    async fn read(
        &self,
        request: Result<Request<Vec<u8>>, kube::core::request::Error>,
    ) -> kube::Result<bytes::Bytes> {
        requests::read(&self.client, request.map_err(kube::Error::BuildRequest)?).await
    }
}

pub(super) fn decoded<T: DeserializeOwned>(bytes: &[u8]) -> kube::Result<T> {
    serde_json::from_str(&String::from_utf8_lossy(bytes)).map_err(kube::Error::SerdeError)
}

fn get(kind: Kind, key: &ObjectKey) -> Target<'_> {
    Target {
        verb: "get",
        kind,
        key,
    }
}

pub(super) fn secrets(key: &ObjectKey) -> Builder {
    Builder::new(Kind::Secrets.path(Some(&key.namespace)))
}

pub(super) fn objects(key: &ObjectKey) -> Builder {
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
