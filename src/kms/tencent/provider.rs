//! How the `tencent-kms` provider is configured.

use std::sync::Arc;
use std::time::Duration;

use super::key::{TencentKey, is_region};
use super::manage::TencentKeyManager;
use super::{
    AssumedRole, Endpoint, Environment, FORM, Limits, SCHEME, Site, TencentKms, TencentSettings, is_key,
};
use crate::kms::{
    AllowedKeys, Caller, Capability, Configured, Given, KeyManager, KeyUri, Provider, ProviderError, Setting,
    SettingKind, Settings, UriKind, Variable,
};

/// The one instance.
pub static PROVIDER: TencentProvider = TencentProvider;

/// The provider of Tencent Cloud KMS.
#[derive(Clone, Copy, Debug, Default)]
pub struct TencentProvider;

const CREDENTIALS: Setting = Setting {
    flag: "tencent-credentials",
    variable: "ENVELOPE_TENCENT_CREDENTIALS",
    kind: SettingKind::Path("PATH"),
    help: "Credentials: a profile file (INI), or a directory with the files secretId, secretKey and optionally token, \
           as mounted from a Secret",
    details: "Without it: TENCENTCLOUD_SECRET_ID and TENCENTCLOUD_SECRET_KEY, then the identity of a TKE pod, then \
              ~/.tencentcloud/credentials, then the role of the CVM instance.",
    advanced: false,
};
const ROLE_ARN: Setting = Setting {
    flag: "tencent-role-arn",
    variable: "ENVELOPE_TENCENT_ROLE_ARN",
    kind: SettingKind::Text("ARN"),
    help: "Assume this role with these credentials",
    details: "",
    advanced: false,
};
const EXTERNAL_ID: Setting = Setting {
    flag: "tencent-external-id",
    variable: "ENVELOPE_TENCENT_EXTERNAL_ID",
    kind: SettingKind::Text("ID"),
    help: "The external id that the role's trust policy requires",
    details: "",
    advanced: true,
};
const SITE: Setting = Setting {
    flag: "tencent-site",
    variable: "ENVELOPE_TENCENT_SITE",
    kind: SettingKind::Text("SITE"),
    help: "Which hosts to call: `nearest`, `regional` (of the KMS key's region), `internal` (inside a VPC) or \
           `international` (accounts of tencentcloud.com); defaults to `nearest`",
    details: "",
    advanced: false,
};
const ENDPOINT: Setting = Setting {
    flag: "tencent-endpoint",
    variable: "ENVELOPE_TENCENT_ENDPOINT",
    kind: SettingKind::Text("URL"),
    help: "Call this endpoint for every region instead",
    details: "",
    advanced: false,
};
const STS_ENDPOINT: Setting = Setting {
    flag: "tencent-sts-endpoint",
    variable: "ENVELOPE_TENCENT_STS_ENDPOINT",
    kind: SettingKind::Text("URL"),
    help: "Request temporary credentials from this endpoint instead of the site's STS",
    details: "",
    advanced: true,
};
const METADATA_ENDPOINT: Setting = Setting {
    flag: "tencent-metadata-endpoint",
    variable: "ENVELOPE_TENCENT_METADATA_ENDPOINT",
    kind: SettingKind::Text("URL"),
    help: "Request the role of the CVM instance from this endpoint",
    details: "",
    advanced: true,
};
const ALLOW_HTTP: Setting = Setting {
    flag: "tencent-allow-http",
    variable: "ENVELOPE_TENCENT_ALLOW_HTTP",
    kind: SettingKind::Switch,
    help: "Allow an http:// endpoint that is not on this host: data keys then cross the network in plaintext",
    details: "",
    advanced: true,
};
const CA_FILE: Setting = Setting {
    flag: "tencent-ca-file",
    variable: "ENVELOPE_TENCENT_CA_FILE",
    kind: SettingKind::Path("FILE"),
    help: "Also trust the certificate authorities in this file (PEM)",
    details: "The controller reloads the file when it changes.",
    advanced: true,
};
const TIMEOUT: Setting = Setting {
    flag: "tencent-timeout",
    variable: "ENVELOPE_TENCENT_TIMEOUT",
    kind: SettingKind::Text("SECONDS"),
    help: "Timeout of one request, in seconds; defaults to 10",
    details: "",
    advanced: true,
};
const CONNECT_TIMEOUT: Setting = Setting {
    flag: "tencent-connect-timeout",
    variable: "ENVELOPE_TENCENT_CONNECT_TIMEOUT",
    kind: SettingKind::Text("SECONDS"),
    help: "Timeout of connecting, in seconds; defaults to 3",
    details: "",
    advanced: true,
};

impl Provider for TencentProvider {
    fn scheme(&self) -> &'static str {
        SCHEME
    }

    fn title(&self) -> &'static str {
        "Tencent Cloud KMS"
    }

    fn capabilities(&self) -> &'static [Capability] {
        &[
            Capability::GenerateDataKey,
            Capability::ReEncrypt,
            Capability::BindContext,
            Capability::ProveOrigin,
            Capability::ManageKeys,
        ]
    }

    /// `REGION/KEY-ID` is a key, `REGION/` all keys of a region.
    fn classify_uri(&self, uri: &KeyUri) -> UriKind {
        let region = uri.rest().strip_suffix('/');
        if is_key(uri) {
            UriKind::Key
        } else if region.is_some_and(is_region) {
            UriKind::Prefix
        } else {
            UriKind::Nothing
        }
    }

    fn explain(&self, uri: &KeyUri) -> Option<String> {
        let (region, id) = uri.rest().split_once('/').unwrap_or((uri.rest(), ""));
        let is_zone = region.rsplit_once('-').is_some_and(|(parent, number)| {
            is_region(parent) && !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit())
        });
        Some(if is_zone {
            format!("{region} is a zone, not a region")
        } else if is_region(region) && id.is_empty() {
            "the key id is missing".to_owned()
        } else if region.is_empty() || !uri.rest().contains('/') {
            "the region is missing".to_owned()
        } else if is_region(region) {
            "the key id is not a UUID in lower case".to_owned()
        } else {
            format!("{region} is not a region")
        })
    }

    fn key_form(&self) -> &'static str {
        FORM
    }

    fn region<'k>(&self, uri: &'k KeyUri) -> Option<&'k str> {
        TencentKey::of_uri(uri).map(|key| key.region)
    }

    fn setup_advice(&self) -> &'static str {
        "name its KMS keys (--key URI; for the controller, --allow-key URI) and provide Tencent Cloud credentials"
    }

    fn settings(&self) -> &'static [Setting] {
        &[
            CREDENTIALS,
            ROLE_ARN,
            EXTERNAL_ID,
            SITE,
            ENDPOINT,
            STS_ENDPOINT,
            METADATA_ENDPOINT,
            ALLOW_HTTP,
            CA_FILE,
            TIMEOUT,
            CONNECT_TIMEOUT,
        ]
    }

    fn variables(&self) -> &'static [Variable] {
        &[
            Variable {
                names: &["TENCENTCLOUD_SECRET_ID", "TENCENTCLOUD_SECRET_KEY"],
                meaning: "credentials of Tencent Cloud; the session token of temporary credentials is in \
                          `TENCENTCLOUD_TOKEN` (or `..._SESSION_TOKEN`, `..._SECURITY_TOKEN`)",
            },
            Variable {
                names: &["TENCENTCLOUD_REGION"],
                meaning: "the region for `keys create` and `keys list` without `--region`",
            },
            Variable {
                names: &["TENCENTCLOUD_CREDENTIALS_FILE"],
                meaning: "the profile file, if it is not `~/.tencentcloud/credentials`",
            },
            Variable {
                names: &[
                    "TKE_REGION",
                    "TKE_PROVIDER_ID",
                    "TKE_ROLE_ARN",
                    "TKE_WEB_IDENTITY_TOKEN_FILE",
                ],
                meaning: "the identity of a pod, set by TKE",
            },
            Variable {
                names: &["HTTPS_PROXY", "NO_PROXY"],
                meaning: "the proxy to a cloud KMS",
            },
        ]
    }

    fn configure(
        &self,
        settings: &Settings,
        allowed: AllowedKeys,
        caller: Caller,
    ) -> Result<Configured, ProviderError> {
        let settings = tencent_settings(settings, allowed)?;
        // The controller's broker decides about each attempt.
        let limits = match caller {
            Caller::CommandLine | Caller::ControllerCheck => settings.limits,
            Caller::Controller => Limits {
                attempts: 1,
                ..settings.limits
            },
        };
        let kms = new_client(TencentSettings { limits, ..settings })?;
        Ok(Configured::Kms(Arc::new(kms)))
    }

    fn key_manager(&self, settings: &Settings) -> Result<Box<dyn KeyManager>, ProviderError> {
        // A client that manages keys opens no document.
        let kms = client(settings, AllowedKeys::default())?;
        Ok(Box::new(TencentKeyManager::new(kms, Environment::of_process())))
    }
}

fn client(settings: &Settings, allowed: AllowedKeys) -> Result<TencentKms, ProviderError> {
    new_client(tencent_settings(settings, allowed)?)
}

fn new_client(settings: TencentSettings) -> Result<TencentKms, ProviderError> {
    TencentKms::new(settings).map_err(|error| ProviderError::configuration(error.to_string(), error.advice()))
}

/// A client configured by environment variables alone. For the suites `live` and `conformance`, whose calls must be made
/// exactly as the program makes them. It opens no document.
#[cfg(feature = "live-tests")]
pub fn from_variables() -> Result<TencentKms, ProviderError> {
    let mut settings = Settings::default();
    for setting in PROVIDER.settings() {
        settings.set(
            setting,
            std::env::var_os(setting.variable).unwrap_or_default(),
            false,
        );
    }
    client(&settings, AllowedKeys::default())
}

fn tencent_settings(settings: &Settings, allowed: AllowedKeys) -> Result<TencentSettings, ProviderError> {
    let text = |setting: Setting| settings.text(setting.flag);
    let allow_http = settings.switch(ALLOW_HTTP.flag)?;
    let endpoint = |setting: Setting| origin(text(setting)?, allow_http);
    let site = match text(SITE)? {
        None => Site::default(),
        Some(given) => Site::parse(given.value).ok_or_else(|| {
            let sites = Site::ALL.map(Site::as_str).join(", ");
            ProviderError::configuration(
                format!("{}: {:?} is not a site", given.source, given.value),
                format!("use one of {sites}"),
            )
        })?,
    };
    let limits = Limits::default();
    let request = seconds(text(TIMEOUT)?, limits.request)?;
    Ok(TencentSettings {
        allowed,
        site,
        endpoint: endpoint(ENDPOINT)?,
        sts_endpoint: endpoint(STS_ENDPOINT)?,
        metadata_endpoint: endpoint(METADATA_ENDPOINT)?,
        credentials: settings.path(CREDENTIALS.flag)?,
        role: role(settings)?,
        ca_file: settings.path(CA_FILE.flag)?,
        limits: Limits {
            connect: seconds(text(CONNECT_TIMEOUT)?, limits.connect)?,
            request,
            call: limits.call.max(request * 2),
            ..limits
        },
        environment: Environment::of_process(),
    })
}

fn role(settings: &Settings) -> Result<Option<AssumedRole>, ProviderError> {
    let owned = |setting: Setting| -> Result<Option<String>, ProviderError> {
        let given = settings.text(setting.flag)?;
        Ok(given.map(|given| given.value.to_owned()))
    };
    let external_id = owned(EXTERNAL_ID)?;
    match owned(ROLE_ARN)? {
        Some(arn) => Ok(Some(AssumedRole { arn, external_id })),
        None if external_id.is_some() => Err(ProviderError::configuration(
            "an external id requires a role",
            "name the role with --tencent-role-arn",
        )),
        None => Ok(None),
    }
}

fn origin(given: Option<Given<&str>>, allow_http: bool) -> Result<Option<Endpoint>, ProviderError> {
    let Some(given) = given else {
        return Ok(None);
    };
    let parsed = Endpoint::parse(given.value, allow_http);
    parsed
        .map(Some)
        .map_err(|error| ProviderError::configuration(format!("{}: {error}", given.source), error.advice()))
}

fn seconds(given: Option<Given<&str>>, default: Duration) -> Result<Duration, ProviderError> {
    let Some(given) = given else {
        return Ok(default);
    };
    let seconds = given.value.parse().ok();
    let seconds = seconds.filter(|seconds| (0.05..=600.0).contains(seconds));
    seconds.map(Duration::from_secs_f64).ok_or_else(|| {
        ProviderError::configuration(
            format!("{}: {:?} is not a valid timeout", given.source, given.value),
            "use a number of seconds from 0.05 to 600",
        )
    })
}
