//! `testkit kms-emulator`: the KMS emulator as a command.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::{Context as _, Result};
use clap::Args;
use testkit::kms::{Command, Emulator, Options, Provider, REGION, ROLE, Role, Trust};

/// The identity provider of `--oidc-jwks`, and the role that its pods may assume.
const PROVIDER: &str = "cls-emulator";
const POD_ROLE: &str = "emulator-pod";

#[derive(Args)]
pub(crate) struct KmsEmulator {
    /// Loopback address for KMS and STS, such as 127.0.0.1:8099; port 0 selects a free port.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    /// Serve HTTPS, with a certificate from a CA that is created for this run.
    #[arg(long)]
    tls: bool,
    /// Loopback address for the instance metadata service, over plain HTTP.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:0")]
    metadata: SocketAddr,
    /// Loopback address for control commands, as JSON over HTTP: faults, rotation, key states; port 0 selects a free port.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:0")]
    control: SocketAddr,
    /// Persist keys and credentials in this file, and load it at startup if it exists.
    #[arg(long, value_name = "FILE")]
    state: Option<PathBuf>,
    /// Bind this role to the instance; the metadata service returns its credentials.
    #[arg(long, value_name = "NAME")]
    machine_role: Option<String>,
    /// Require this external ID to assume the role.
    #[arg(long, value_name = "ID")]
    external_id: Option<String>,
    /// Maximum lifetime of temporary credentials.
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(i64).range(1..=43_200))]
    temporary_life: Option<i64>,
    /// Let pods of the cluster with these keys assume a role: the output of `kubectl get --raw /openid/v1/jwks`.
    #[arg(long, value_name = "FILE")]
    oidc_jwks: Option<PathBuf>,
    /// The cluster's token issuer.
    #[arg(
        long,
        value_name = "URL",
        default_value = "https://kubernetes.default.svc",
        requires = "oidc_jwks"
    )]
    oidc_issuer: String,
    /// The audience that the pods' tokens must have.
    #[arg(
        long,
        value_name = "NAME",
        default_value = "sts.cloud.tencent.com",
        requires = "oidc_jwks"
    )]
    oidc_audience: String,
    /// The only identity that may assume the role, as `system:serviceaccount:NAMESPACE:NAME`; without it, any pod may.
    #[arg(long, value_name = "SUBJECT", requires = "oidc_jwks")]
    oidc_subject: Option<String>,
}

impl KmsEmulator {
    pub(crate) fn start(&self) -> Result<Emulator> {
        let emulator = Emulator::start(&Options {
            listen: self.listen,
            tls: self.tls,
            metadata: self.metadata,
            control: Some(self.control),
            state: self.state.clone(),
        })?;
        if self.machine_role.is_some() {
            let name = self.machine_role.clone();
            emulator.order(Command::MachineRole { name })?;
        }
        if self.external_id.is_some() {
            let external_id = self.external_id.clone();
            emulator.order(Command::Role(role(ROLE, Trust::Account { external_id })))?;
        }
        if self.temporary_life.is_some() {
            let seconds = self.temporary_life;
            emulator.order(Command::Life { seconds })?;
        }
        if let Some(file) = &self.oidc_jwks {
            let text = std::fs::read(file).with_context(|| file.display().to_string())?;
            let jwks = serde_json::from_slice(&text).with_context(|| file.display().to_string())?;
            emulator.order(Command::Provider(Provider {
                id: PROVIDER.to_owned(),
                issuer: self.oidc_issuer.clone(),
                audience: self.oidc_audience.clone(),
                jwks,
            }))?;
            let trust = Trust::WebIdentity {
                provider: PROVIDER.to_owned(),
                subject: self.oidc_subject.clone(),
            };
            emulator.order(Command::Role(role(POD_ROLE, trust)))?;
        }
        Ok(emulator)
    }

    pub(crate) fn as_shell_commands(&self, emulator: &Emulator) -> String {
        let mut text = String::from(
            "# An emulator of Tencent Cloud KMS, STS and instance metadata is ready. Stop it with Ctrl-C.\n",
        );
        if let Some(control) = emulator.control_endpoint() {
            let _ = writeln!(
                text,
                "# Control commands: curl {control}/ -d '{{\"rotate\":{{\"key\":\"{}\"}}}}'; counts: curl {control}/",
                emulator.key()
            );
        }
        let _ = writeln!(
            text,
            "# A role to assume: ENVELOPE_TENCENT_ROLE_ARN={}",
            emulator.role_arn(ROLE)
        );
        if self.oidc_jwks.is_some() {
            let _ = writeln!(
                text,
                "# As a pod, with the path of its token in TKE_WEB_IDENTITY_TOKEN_FILE and without TENCENTCLOUD_SECRET_ID: \
                 TKE_REGION={REGION} TKE_PROVIDER_ID={PROVIDER} TKE_ROLE_ARN={}",
                emulator.role_arn(POD_ROLE)
            );
        }
        text.push_str("# In another terminal:\n");
        for (name, value) in emulator.environment() {
            let _ = writeln!(text, "export {name}={value}");
        }
        text
    }
}

fn role(name: &str, trust: Trust) -> Role {
    Role {
        name: name.to_owned(),
        trust,
        actions: None,
    }
}
