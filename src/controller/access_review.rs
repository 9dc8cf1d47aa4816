//! Who may read the metrics, decided by the API server: a `TokenReview` authenticates the client, a
//! `SubjectAccessReview` checks its permission. The metrics endpoint of controller-runtime does the same.

use std::collections::BTreeMap;
use std::path::Path;

use futures::future::BoxFuture;
use http::Request;
use http::header::CONTENT_TYPE;
use kube::Client;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::json;
use zeroize::Zeroizing;

use super::client::{ConnectError, WatchActivity, connect};
use super::timings::Timings;
use crate::access::{BearerToken, Decision, ReviewError, Reviewer};
use crate::controller::observe::requests::send;

const TOKEN_REVIEWS: &str = "tokenreviews.authentication.k8s.io";
const ACCESS_REVIEWS: &str = "subjectaccessreviews.authorization.k8s.io";
/// What a client of the metrics needs: permission to get this non-resource URL.
const METRICS_URL: &str = "/metrics";

/// Decides who may read the metrics with the API server, over a connection of its own.
pub struct AccessReviews(Client);

/// The fields of a response that matter. Everything is optional: what is missing denies.
#[derive(Deserialize)]
struct Response<S> {
    status: Option<S>,
}

#[derive(Deserialize)]
struct TokenStatus {
    #[serde(default)]
    authenticated: bool,
    user: Option<User>,
}

#[derive(Deserialize)]
struct AccessStatus {
    #[serde(default)]
    allowed: bool,
    #[serde(default)]
    denied: bool,
}

/// The user of a token, as a `SubjectAccessReview` names it.
#[derive(Deserialize, Serialize)]
struct User {
    /// Empty, as the other fields, if the token is not valid.
    #[serde(default, rename(serialize = "user"))]
    username: String,
    #[serde(default)]
    uid: String,
    #[serde(default)]
    groups: Vec<String>,
    #[serde(default)]
    extra: BTreeMap<String, Vec<String>>,
}

impl AccessReviews {
    /// Creates a client from `kubeconfig`, or from the default kubeconfig or the pod's service account.
    ///
    /// # Errors
    /// If the configuration is unusable. No request is sent.
    pub async fn connect(kubeconfig: Option<&Path>, timings: &Timings) -> Result<Self, ConnectError> {
        let client = connect(kubeconfig, timings.request, WatchActivity::default()).await?;
        Ok(AccessReviews(client))
    }

    async fn decide(&self, token: &BearerToken) -> Result<Decision, ReviewError> {
        let user = match self.token_review(token).await? {
            Some(user) if !user.username.is_empty() => user,
            _ => return Ok(Decision::Unauthenticated),
        };
        let mut spec = serde_json::to_value(&user).map_err(|_| ReviewError::Unreadable)?;
        spec["nonResourceAttributes"] = json!({"path": METRICS_URL, "verb": "get"});
        let review = json!({
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SubjectAccessReview",
            "spec": spec,
        });
        let path = "/apis/authorization.k8s.io/v1/subjectaccessreviews";
        let body = review.to_string().into_bytes();
        let status: Option<AccessStatus> = self.create(path, ACCESS_REVIEWS, body).await?;
        let is_allowed = status.is_some_and(|status| status.allowed && !status.denied);
        Ok(if is_allowed {
            Decision::Allowed
        } else {
            Decision::Forbidden
        })
    }

    /// Returns the user of a token; `None` if the token is not valid for this API server.
    async fn token_review(&self, token: &BearerToken) -> Result<Option<User>, ReviewError> {
        // The alphabet of a token needs no escapes in JSON.
        let review = Zeroizing::new(format!(
            r#"{{"apiVersion":"authentication.k8s.io/v1","kind":"TokenReview","spec":{{"token":"{}"}}}}"#,
            token.reveal()
        ));
        let path = "/apis/authentication.k8s.io/v1/tokenreviews";
        let status = self
            .create(path, TOKEN_REVIEWS, review.as_bytes().to_vec())
            .await?;
        Ok(status.and_then(|status: TokenStatus| status.user.filter(|_| status.authenticated)))
    }

    /// Creates a review and returns its status. The response may repeat the token: no error quotes it.
    async fn create<S: DeserializeOwned>(
        &self,
        path: &str,
        resource: &'static str,
        body: Vec<u8>,
    ) -> Result<Option<S>, ReviewError> {
        let request = Request::post(path)
            .header(CONTENT_TYPE, "application/json")
            .body(body);
        let request = request.map_err(|_| ReviewError::Unreadable)?;
        let response = send(&self.0, request).await.map_err(|error| match error {
            kube::Error::Api(status) if status.code == 403 => ReviewError::NotPermitted(resource),
            kube::Error::Api(status) => ReviewError::Status(status.code),
            _ => ReviewError::Unreachable,
        })?;
        let response: Response<S> = serde_json::from_slice(&response).map_err(|_| ReviewError::Unreadable)?;
        Ok(response.status)
    }
}

impl Reviewer for AccessReviews {
    fn review<'a>(&'a self, token: &'a BearerToken) -> BoxFuture<'a, Result<Decision, ReviewError>> {
        Box::pin(self.decide(token))
    }
}
