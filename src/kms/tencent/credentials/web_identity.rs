//! The identity of a pod in TKE: its `ServiceAccount` token, exchanged at STS.

use std::path::PathBuf;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use zeroize::Zeroizing;

use super::environment::{self, Environment};
use super::source::{CredentialSource, Fetched, Lookup, Source};
use super::sts::{PodIdentity, Sts};
use super::text_file::read_text;
use crate::kms::tencent::error::TencentError;
use crate::kms::tencent::key::is_region;

/// The identity of the pod.
pub(super) struct WebIdentity {
    sts: Sts,
    variables: Result<Variables, MissingVariables>,
}

/// The variables that TKE's webhook sets in a pod with an identity.
struct Variables {
    region: String,
    provider_id: String,
    role_arn: String,
    token_file: PathBuf,
}

/// Some of these variables are not set.
struct MissingVariables {
    /// A variable that is set and has no other use: the pod is meant to have an identity of its own, and must not fall
    /// back to the role of its node.
    set: Option<&'static str>,
    /// The names of those that are not set.
    names: String,
}

impl WebIdentity {
    pub(super) fn new(environment: &Environment, sts: Sts) -> Self {
        let variables = Variables::read(environment);
        WebIdentity { sts, variables }
    }

    async fn exchange(&self, variables: &Variables) -> Result<Fetched, TencentError> {
        if !is_region(&variables.region) {
            return Err(TencentError::credentials(
                format!("{} is not a valid region", environment::TKE_REGION),
                "it is set by TKE's pod-identity-webhook: set it to a region like ap-guangzhou",
            ));
        }
        // Read each time: the kubelet rotates the token.
        let token = read_text(&variables.token_file).map_err(|error| {
            let path = variables.token_file.display();
            TencentError::credentials(
                format!("cannot read the pod's token {path}: {error}"),
                "check that the token of the pod's ServiceAccount is projected there",
            )
        })?;
        let token = Zeroizing::new(token.trim().to_owned());
        if token.is_empty() {
            return Err(TencentError::credentials(
                format!("the pod's token {} is empty", variables.token_file.display()),
                "check that the token of the pod's ServiceAccount is projected there",
            ));
        }
        let pod = PodIdentity {
            region: &variables.region,
            provider_id: &variables.provider_id,
            role_arn: &variables.role_arn,
            token: &token,
        };
        self.sts.assume_role_with_web_identity(&pod).await
    }
}

impl Variables {
    fn read(environment: &Environment) -> Result<Self, MissingVariables> {
        let missing: Vec<&str> = [
            environment::TKE_REGION,
            environment::TKE_PROVIDER_ID,
            environment::TKE_ROLE_ARN,
            environment::TKE_TOKEN_FILE,
        ]
        .into_iter()
        .filter(|name| environment.text(name).is_none())
        .collect();
        if !missing.is_empty() {
            // Not TKE_REGION, which may be set for other reasons.
            let mut specific = [
                environment::TKE_ROLE_ARN,
                environment::TKE_TOKEN_FILE,
                environment::TKE_PROVIDER_ID,
            ]
            .into_iter();
            return Err(MissingVariables {
                set: specific.find(|name| environment.text(name).is_some()),
                names: missing.join(", "),
            });
        }
        let text = |name| environment.text(name).unwrap_or_default().to_owned();
        Ok(Variables {
            region: text(environment::TKE_REGION),
            provider_id: text(environment::TKE_PROVIDER_ID),
            role_arn: text(environment::TKE_ROLE_ARN),
            token_file: text(environment::TKE_TOKEN_FILE).into(),
        })
    }
}

impl CredentialSource for WebIdentity {
    fn source(&self) -> Source {
        Source::TkeOidc
    }

    fn fetch(&self) -> BoxFuture<'_, Lookup> {
        async {
            match &self.variables {
                Err(MissingVariables { set: None, names }) => {
                    Lookup::NotConfigured(format!("{names} not set"))
                }
                Err(MissingVariables {
                    set: Some(set),
                    names,
                }) => Lookup::failed(
                    format!("{set} is set, but not {names}"),
                    "TKE's pod-identity-webhook sets all four: check that it runs, and the ServiceAccount's annotations; \
                     or set none of them",
                ),
                Ok(variables) => match self.exchange(variables).await {
                    Ok(fetched) => Lookup::Found(fetched),
                    Err(error) => Lookup::Failed(error),
                },
            }
        }
        .boxed()
    }
}
