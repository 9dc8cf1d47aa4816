//! Credentials from STS (API 2018-08-13): a pod's identity, and a role on top of other credentials.

use std::path::PathBuf;
use std::sync::Arc;

use futures::FutureExt as _;
use futures::future::{BoxFuture, ready};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::env::{self, Environment};
use super::file::read_text;
use super::{Credentials, Fetched, Found, Identity, Provide, Source, Trouble};
use crate::kms::tencent::endpoint::{Endpoint, Site};
use crate::kms::tencent::error::TencentError;
use crate::kms::tencent::key::is_region;
use crate::kms::tencent::rpc::{self, Call, Nature, Rpc, Service};
use crate::kms::tencent::secret_text::SecretText;

/// How long temporary credentials are asked for: what STS gives by itself. Seconds.
const DURATION: u32 = 7200;
/// STS is one service for all regions; a region must be named.
const ANY_REGION: &str = "ap-guangzhou";
/// What the audit log shows as the session.
const SESSION: &str = "envelope-secrets";

/// A role to take on top of other credentials.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AssumedRole {
    /// `qcs::cam::uin/100000000001:roleName/sealer`.
    pub arn: String,
    /// What the role's trust policy may ask for.
    pub external_id: Option<String>,
}

/// STS, as it is reached.
#[derive(Clone)]
pub(super) struct Sts {
    pub(super) rpc: Arc<Rpc>,
    pub(super) site: Site,
    pub(super) endpoint: Option<Endpoint>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct WithWebIdentity<'a> {
    provider_id: &'a str,
    web_identity_token: &'a str,
    role_arn: &'a str,
    role_session_name: &'a str,
    duration_seconds: u32,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Assume<'a> {
    role_arn: &'a str,
    role_session_name: &'a str,
    duration_seconds: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    external_id: Option<&'a str>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Given {
    credentials: Temporary,
    expired_time: i64,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Temporary {
    token: SecretText,
    tmp_secret_id: String,
    tmp_secret_key: SecretText,
}

/// Signs with what it is given, or nothing.
struct As(Option<Arc<Credentials>>);

impl Identity for As {
    fn current(&self) -> BoxFuture<'_, Result<Option<Arc<Credentials>>, TencentError>> {
        ready(Ok(self.0.clone())).boxed()
    }

    fn refused<'a>(&'a self, _which: &'a Arc<Credentials>) -> BoxFuture<'a, Result<bool, TencentError>> {
        ready(Ok(false)).boxed()
    }
}

impl Sts {
    async fn call<P: Serialize>(
        &self,
        action: &'static str,
        region: &str,
        parameters: &P,
        secrets: &[&str],
        who: Option<Arc<Credentials>>,
    ) -> Result<Fetched, Trouble> {
        let service = Service::Sts;
        let endpoint = self
            .site
            .endpoint_unless(self.endpoint.as_ref(), service.as_str(), region);
        let call = Call {
            service,
            action,
            region,
            endpoint: &endpoint,
            body: rpc::parameters(action, parameters).map_err(Trouble::from)?,
            secrets,
            nature: Nature::Repeatable,
        };
        let reply = self
            .rpc
            .call::<Given>(&call, &As(who))
            .await
            .map_err(Trouble::from)?;
        let Given {
            credentials,
            expired_time,
        } = reply.value;
        let given = Credentials::new(
            credentials.tmp_secret_id,
            credentials.tmp_secret_key.0,
            Some(credentials.token.0),
        );
        let credentials =
            given.map_err(|why| Trouble::new(format!("{action}: {why}"), "check the endpoint of STS"))?;
        Ok(Fetched {
            credentials,
            role: None,
            expires: Some(expired_time),
        })
    }

    /// Takes `role` with `base`.
    pub(super) async fn assume(
        &self,
        role: &AssumedRole,
        region: &str,
        base: Fetched,
    ) -> Result<Fetched, Trouble> {
        let asked = Assume {
            role_arn: &role.arn,
            role_session_name: SESSION,
            duration_seconds: DURATION,
            external_id: role.external_id.as_deref(),
        };
        let base = Some(Arc::new(base.credentials));
        let taken = self.call("AssumeRole", region, &asked, &[], base).await?;
        Ok(taken.of_role(&role.arn))
    }
}

/// A region for calls that have none of their own.
pub(super) fn region(environment: &Environment) -> String {
    let named = [env::REGION, env::TKE_REGION]
        .iter()
        .find_map(|name| environment.text(name));
    named
        .filter(|region| is_region(region))
        .unwrap_or(ANY_REGION)
        .to_owned()
}

/// The identity of a pod in TKE.
pub(super) struct WebIdentity {
    sts: Sts,
    pod: Result<Pod, Missing>,
}

/// Not all that a pod's identity takes.
struct Missing {
    /// What is set that no other program needs: whoever set it meant this pod to have an identity of its own, and not
    /// to act with that of its machine.
    meant: Option<&'static str>,
    /// The names of what is not set.
    names: String,
}

struct Pod {
    region: String,
    provider_id: String,
    role_arn: String,
    token_file: PathBuf,
}

impl WebIdentity {
    pub(super) fn new(environment: &Environment, sts: Sts) -> Self {
        let names = [
            env::TKE_REGION,
            env::TKE_PROVIDER_ID,
            env::TKE_ROLE_ARN,
            env::TKE_TOKEN_FILE,
        ];
        let missing: Vec<&str> = names
            .into_iter()
            .filter(|name| environment.text(name).is_none())
            .collect();
        let text = |name| environment.text(name).unwrap_or_default().to_owned();
        let pod = if missing.is_empty() {
            Ok(Pod {
                region: text(env::TKE_REGION),
                provider_id: text(env::TKE_PROVIDER_ID),
                role_arn: text(env::TKE_ROLE_ARN),
                token_file: text(env::TKE_TOKEN_FILE).into(),
            })
        } else {
            let meant = [env::TKE_ROLE_ARN, env::TKE_TOKEN_FILE, env::TKE_PROVIDER_ID];
            Err(Missing {
                meant: meant.into_iter().find(|name| environment.text(name).is_some()),
                names: missing.join(", "),
            })
        };
        WebIdentity { sts, pod }
    }

    async fn exchange(&self, pod: &Pod) -> Result<Fetched, Trouble> {
        if !is_region(&pod.region) {
            return Err(Trouble::new(
                format!("{} holds no region", env::TKE_REGION),
                "it is set by TKE's pod-identity-webhook: set it to a region like ap-guangzhou",
            ));
        }
        // Read anew each time: the kubelet rotates it.
        let token = read_text(&pod.token_file).map_err(|error| {
            let path = pod.token_file.display();
            Trouble::new(
                format!("cannot read the pod's token {path}: {error}"),
                "check that the pod's ServiceAccount token is projected there",
            )
        })?;
        let token = Zeroizing::new(token.trim().to_owned());
        let asked = WithWebIdentity {
            provider_id: &pod.provider_id,
            web_identity_token: &token,
            role_arn: &pod.role_arn,
            role_session_name: SESSION,
            duration_seconds: DURATION,
        };
        let action = "AssumeRoleWithWebIdentity";
        let given = self
            .sts
            .call(action, &pod.region, &asked, &[&token], None)
            .await?;
        Ok(given.of_role(&pod.role_arn))
    }
}

impl Provide for WebIdentity {
    fn source(&self) -> Source {
        Source::TkeOidc
    }

    fn fetch(&self) -> BoxFuture<'_, Found> {
        async {
            match &self.pod {
                Err(Missing { meant: None, names }) => Found::Absent(format!("{names} not set")),
                Err(Missing {
                    meant: Some(set),
                    names,
                }) => Found::unusable(
                    format!("{set} is set, {names} not"),
                    "TKE's pod-identity-webhook sets all four: check that it runs and the ServiceAccount's annotations; \
                     or set none of them",
                ),
                Ok(pod) => match self.exchange(pod).await {
                    Ok(fetched) => Found::Credentials(fetched),
                    Err(trouble) => Found::Unusable(trouble),
                },
            }
        }
        .boxed()
    }
}
