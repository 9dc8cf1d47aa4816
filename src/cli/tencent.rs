//! The flags of Tencent Cloud KMS, for every command that calls it.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueHint};

use super::env;
use super::failure::{Failure, Result};
use crate::kms::AllowedKeys;
use crate::kms::tencent::{AssumedRole, Endpoint, Environment, Limits, Site, TencentKms, TencentSettings};

const SITE: &str = "ENVELOPE_TENCENT_SITE";
const ENDPOINT: &str = "ENVELOPE_TENCENT_ENDPOINT";
const STS_ENDPOINT: &str = "ENVELOPE_TENCENT_STS_ENDPOINT";
const METADATA_ENDPOINT: &str = "ENVELOPE_TENCENT_METADATA_ENDPOINT";
const CREDENTIALS: &str = "ENVELOPE_TENCENT_CREDENTIALS";
const ROLE_ARN: &str = "ENVELOPE_TENCENT_ROLE_ARN";
const EXTERNAL_ID: &str = "ENVELOPE_TENCENT_EXTERNAL_ID";
const ALLOW_HTTP: &str = "ENVELOPE_TENCENT_ALLOW_HTTP";
const CA_FILE: &str = "ENVELOPE_TENCENT_CA_FILE";
const TIMEOUT: &str = "ENVELOPE_TENCENT_TIMEOUT";
const CONNECT_TIMEOUT: &str = "ENVELOPE_TENCENT_CONNECT_TIMEOUT";

/// How Tencent Cloud KMS is reached. Each flag has a variable, named ENVELOPE_ and the flag.
#[derive(Args, Default)]
#[command(next_help_heading = "Tencent Cloud KMS")]
#[expect(
    clippy::struct_field_names,
    reason = "they are the flags, whose names must be free in every command"
)]
pub(super) struct TencentArgs {
    /// Credentials: a profile file (INI), or a folder with the files secretId, secretKey and perhaps token, as a Secret
    /// is mounted
    ///
    /// Without it: TENCENTCLOUD_SECRET_ID and TENCENTCLOUD_SECRET_KEY, else the identity of a TKE pod, else
    /// ~/.tencentcloud/credentials, else the role of the machine.
    #[arg(long, value_name = "PATH", value_hint = ValueHint::AnyPath)]
    tencent_credentials: Option<PathBuf>,
    /// Take this role with these credentials
    #[arg(long, value_name = "ARN")]
    tencent_role_arn: Option<String>,
    /// The external id that the role's trust policy asks for
    #[arg(long, hide_short_help = true, value_name = "ID")]
    tencent_external_id: Option<String>,
    /// Which hosts to call: `nearest`, `regional` (of the KMS key's region), `internal` (inside a VPC) or
    /// `international` (accounts of tencentcloud.com); without it, `nearest`
    #[arg(long, value_name = "SITE")]
    tencent_site: Option<String>,
    /// Call this endpoint instead, whatever the region
    #[arg(long, value_name = "URL", value_hint = ValueHint::Url)]
    tencent_endpoint: Option<String>,
    /// Get temporary credentials from this endpoint instead of the site's STS
    #[arg(long, hide_short_help = true, value_name = "URL", value_hint = ValueHint::Url)]
    tencent_sts_endpoint: Option<String>,
    /// Ask this endpoint for the role of the machine
    #[arg(long, hide_short_help = true, value_name = "URL", value_hint = ValueHint::Url)]
    tencent_metadata_endpoint: Option<String>,
    /// Allow an endpoint with http:// that is not on this machine: data keys then cross the network readable
    #[arg(long, hide_short_help = true)]
    tencent_allow_http: bool,
    /// Trust the certificate authorities of this file (PEM), too
    #[arg(long, hide_short_help = true, value_name = "FILE", value_hint = ValueHint::FilePath)]
    tencent_ca_file: Option<PathBuf>,
    /// How long one request may take, in seconds; without it, 10
    #[arg(long, hide_short_help = true, value_name = "SECONDS")]
    tencent_timeout: Option<String>,
    /// How long connecting may take, in seconds; without it, 3
    #[arg(long, hide_short_help = true, value_name = "SECONDS")]
    tencent_connect_timeout: Option<String>,
}

/// What was typed, else what the variable holds, and which of the two.
fn given(
    flag: Option<&String>,
    name: &'static str,
    variable: &'static str,
) -> Option<(String, &'static str)> {
    match flag {
        Some(text) => Some((text.clone(), name)),
        None => env::text(variable).map(|text| (text, variable)),
    }
}

fn seconds(given: Option<(String, &'static str)>, default: Duration) -> Result<Duration> {
    let Some((text, source)) = given else {
        return Ok(default);
    };
    let number = text
        .parse()
        .ok()
        .filter(|seconds| (0.05..=600.0).contains(seconds));
    number
        .map(Duration::from_secs_f64)
        .ok_or_else(|| Failure::usage(format!("{source}: {text:?} is no time of 0.05 to 600 seconds")))
}

fn origin(given: Option<(String, &'static str)>, allow_http: bool) -> Result<Option<Endpoint>> {
    let Some((text, source)) = given else {
        return Ok(None);
    };
    match Endpoint::parse(&text, allow_http) {
        Ok(endpoint) => Ok(Some(endpoint)),
        Err(error) => Err(Failure::usage(format!("{source}: {error}")).help(error.advice())),
    }
}

/// The provider of a command without flags: variables say everything. Only for suite `live`, whose calls are to be made
/// as the program makes them.
#[cfg(feature = "live-tests")]
pub fn of_variables() -> Result<TencentKms> {
    TencentArgs::default().provider(AllowedKeys::default())
}

impl TencentArgs {
    fn role(&self) -> Result<Option<AssumedRole>> {
        let text = |flag: &Option<String>, variable| flag.clone().or_else(|| env::text(variable));
        let external_id = text(&self.tencent_external_id, EXTERNAL_ID);
        match text(&self.tencent_role_arn, ROLE_ARN) {
            Some(arn) => Ok(Some(AssumedRole { arn, external_id })),
            None if external_id.is_some() => Err(Failure::usage("an external id goes with a role")
                .help("name the role with --tencent-role-arn")),
            None => Ok(None),
        }
    }

    /// The provider; documents open with the `allowed` keys only.
    pub(super) fn provider(&self, allowed: AllowedKeys) -> Result<TencentKms> {
        TencentKms::new(self.settings(allowed)?)
            .map_err(|error| Failure::usage(error.to_string()).help(error.advice()))
    }

    fn settings(&self, allowed: AllowedKeys) -> Result<TencentSettings> {
        let site = match given(self.tencent_site.as_ref(), "--tencent-site", SITE) {
            None => Site::default(),
            Some((text, source)) => Site::parse(&text).ok_or_else(|| {
                let words = Site::ALL.map(Site::as_str).join(", ");
                Failure::usage(format!("{source}: there is no site {text:?}"))
                    .help(format!("use one of {words}"))
            })?,
        };
        let allow_http = env::flag(ALLOW_HTTP)? || self.tencent_allow_http;
        let sts = given(
            self.tencent_sts_endpoint.as_ref(),
            "--tencent-sts-endpoint",
            STS_ENDPOINT,
        );
        let metadata = given(
            self.tencent_metadata_endpoint.as_ref(),
            "--tencent-metadata-endpoint",
            METADATA_ENDPOINT,
        );
        let endpoint = given(self.tencent_endpoint.as_ref(), "--tencent-endpoint", ENDPOINT);
        let limits = Limits::default();
        let request = given(self.tencent_timeout.as_ref(), "--tencent-timeout", TIMEOUT);
        let request = seconds(request, limits.request)?;
        let connect = given(
            self.tencent_connect_timeout.as_ref(),
            "--tencent-connect-timeout",
            CONNECT_TIMEOUT,
        );
        Ok(TencentSettings {
            allowed,
            site,
            endpoint: origin(endpoint, allow_http)?,
            sts_endpoint: origin(sts, allow_http)?,
            metadata_endpoint: origin(metadata, allow_http)?,
            credentials: self
                .tencent_credentials
                .clone()
                .or_else(|| env::path(CREDENTIALS)),
            role: self.role()?,
            ca_file: self.tencent_ca_file.clone().or_else(|| env::path(CA_FILE)),
            limits: Limits {
                connect: seconds(connect, limits.connect)?,
                request,
                call: limits.call.max(request * 2),
                ..limits
            },
            environment: Environment::of_process(),
        })
    }
}
