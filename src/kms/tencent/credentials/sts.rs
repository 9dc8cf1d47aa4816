//! The Security Token Service (API 2018-08-13), which issues temporary credentials.

use std::sync::Arc;

use futures::FutureExt as _;
use futures::future::{BoxFuture, ready};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::assumed_role::AssumedRole;
use super::environment::{self, Environment};
use super::source::Fetched;
use crate::kms::tencent::error::TencentError;
use crate::kms::tencent::key::is_region;
use crate::kms::tencent::transport::call::ApiClient;
use crate::kms::tencent::transport::credentials_provider::{Credentials, CredentialsProvider};
use crate::kms::tencent::transport::endpoint::{Endpoint, Site};
use crate::kms::tencent::transport::request::{self, Call, Idempotency};
use crate::kms::tencent::transport::response::Reply;
use crate::kms::tencent::transport::service::Service;

/// The requested lifetime of temporary credentials, which is also the default of STS. Seconds.
const DURATION: u32 = 7200;
/// The region of calls that have none. STS is one service for all regions, but a region is required.
const DEFAULT_REGION: &str = "ap-guangzhou";
/// The session name that the audit log shows.
const SESSION: &str = "envelope-secrets";

/// The client of STS.
#[derive(Clone)]
pub(super) struct Sts {
    pub(super) api: Arc<ApiClient>,
    pub(super) site: Site,
    pub(super) endpoint: Option<Endpoint>,
}

/// A pod's identity, and the role that trusts it.
pub(super) struct PodIdentity<'a> {
    pub(super) region: &'a str,
    pub(super) provider_id: &'a str,
    pub(super) role_arn: &'a str,
    pub(super) token: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct AssumeRoleWithWebIdentity<'a> {
    provider_id: &'a str,
    web_identity_token: &'a str,
    role_arn: &'a str,
    role_session_name: &'a str,
    duration_seconds: u32,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct AssumeRole<'a> {
    role_arn: &'a str,
    role_session_name: &'a str,
    duration_seconds: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    external_id: Option<&'a str>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Issued {
    credentials: TemporaryCredentials,
    expired_time: i64,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct TemporaryCredentials {
    token: Zeroizing<String>,
    tmp_secret_id: String,
    tmp_secret_key: Zeroizing<String>,
}

/// Signs with fixed credentials, or not at all.
struct FixedCredentials(Option<Arc<Credentials>>);

impl CredentialsProvider for FixedCredentials {
    fn credentials(&self) -> BoxFuture<'_, Result<Option<Arc<Credentials>>, TencentError>> {
        ready(Ok(self.0.clone())).boxed()
    }

    fn refresh_rejected<'a>(
        &'a self,
        _rejected: &'a Arc<Credentials>,
    ) -> BoxFuture<'a, Result<bool, TencentError>> {
        ready(Ok(false)).boxed()
    }
}

impl Sts {
    /// Exchanges a pod's token for the credentials of its role. The call is not signed.
    pub(super) async fn assume_role_with_web_identity(
        &self,
        pod: &PodIdentity<'_>,
    ) -> Result<Fetched, TencentError> {
        let parameters = AssumeRoleWithWebIdentity {
            provider_id: pod.provider_id,
            web_identity_token: pod.token,
            role_arn: pod.role_arn,
            role_session_name: SESSION,
            duration_seconds: DURATION,
        };
        let action = "AssumeRoleWithWebIdentity";
        let secrets = [pod.token];
        let issued = self.call(action, pod.region, &parameters, &secrets, None);
        Ok(issued.await?.with_role(pod.role_arn))
    }

    /// Assumes `role` with the credentials `base`.
    pub(super) async fn assume_role(
        &self,
        role: &AssumedRole,
        region: &str,
        base: Credentials,
    ) -> Result<Fetched, TencentError> {
        let parameters = AssumeRole {
            role_arn: &role.arn,
            role_session_name: SESSION,
            duration_seconds: DURATION,
            external_id: role.external_id.as_deref(),
        };
        let base = Some(Arc::new(base));
        let issued = self.call("AssumeRole", region, &parameters, &[], base);
        Ok(issued.await?.with_role(&role.arn))
    }

    async fn call<P: Serialize>(
        &self,
        action: &'static str,
        region: &str,
        parameters: &P,
        secrets: &[&str],
        credentials: Option<Arc<Credentials>>,
    ) -> Result<Fetched, TencentError> {
        let service = Service::Sts;
        let endpoint = self.site.endpoint_unless(self.endpoint.as_ref(), service, region);
        let call = Call {
            service,
            action,
            region,
            endpoint: &endpoint,
            body: request::body(action, parameters).map_err(TencentError::into_credentials_error)?,
            secrets,
            idempotency: Idempotency::Idempotent,
            reads_ciphertext: false,
        };
        let reply = self.api.call(&call, &FixedCredentials(credentials)).await;
        let reply: Reply<Issued> = reply.map_err(TencentError::into_credentials_error)?;
        let issued = reply.value.credentials;
        let credentials = Credentials::new(issued.tmp_secret_id, issued.tmp_secret_key, Some(issued.token));
        let credentials = credentials.map_err(|why| {
            TencentError::credentials(format!("{action}: {why}"), "check the endpoint of STS")
        })?;
        Ok(Fetched {
            credentials,
            role: None,
            expires: Some(reply.value.expired_time),
        })
    }
}

/// Returns the region for STS calls that have none: from the environment, else the default.
pub(super) fn sts_region(environment: &Environment) -> String {
    let configured = [environment::REGION, environment::TKE_REGION]
        .iter()
        .find_map(|name| environment.text(name));
    configured
        .filter(|region| is_region(region))
        .unwrap_or(DEFAULT_REGION)
        .to_owned()
}
