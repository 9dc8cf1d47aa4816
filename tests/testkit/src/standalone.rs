//! The KMS emulator as a command.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::{Context as _, Result};
use clap::Args;
use testkit::kms::{Command, Emulator, Options, Provider, REGION, ROLE, Role, Trust};

/// The identity provider of `--oidc-jwks`, and the role that its pods may take.
const PROVIDER: &str = "cls-emulator";
const POD_ROLE: &str = "emulator-pod";

#[derive(Args)]
pub(crate) struct KmsEmulator {
    /// Where to serve KMS and STS: an address of this machine's loopback, such as 127.0.0.1:8099; port 0 is any that is free.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    /// Serve HTTPS, with a certificate of an authority made for the run.
    #[arg(long)]
    tls: bool,
    /// Where to serve a machine's metadata, in plain HTTP.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:0")]
    metadata: SocketAddr,
    /// Where to take orders, as JSON over HTTP: faults, rotation, states of keys; without it, on any free port.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:0")]
    control: SocketAddr,
    /// Keep keys and credentials in this file, and begin with what it holds.
    #[arg(long, value_name = "FILE")]
    state: Option<PathBuf>,
    /// The machine has this role, whose credentials the metadata service gives.
    #[arg(long, value_name = "NAME")]
    machine_role: Option<String>,
    /// Whoever takes the role must name this id.
    #[arg(long, value_name = "ID")]
    external_id: Option<String>,
    /// Temporary credentials live no longer than this.
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(i64).range(1..=43_200))]
    temporary_life: Option<i64>,
    /// Pods of the cluster with these keys may take a role: the output of `kubectl get --raw /openid/v1/jwks`.
    #[arg(long, value_name = "FILE")]
    oidc_jwks: Option<PathBuf>,
    /// The cluster's issuer.
    #[arg(
        long,
        value_name = "URL",
        default_value = "https://kubernetes.default.svc",
        requires = "oidc_jwks"
    )]
    oidc_issuer: String,
    /// What the pods' tokens must be made for.
    #[arg(
        long,
        value_name = "NAME",
        default_value = "sts.cloud.tencent.com",
        requires = "oidc_jwks"
    )]
    oidc_audience: String,
    /// The one pod's identity that may take the role, as `system:serviceaccount:NAMESPACE:NAME`; without it, any.
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

    pub(crate) fn in_shell(&self, emulator: &Emulator) -> String {
        let mut text =
            String::from("# An emulator of Tencent Cloud KMS, STS and metadata is ready; Ctrl-C ends it.\n");
        if let Some(control) = emulator.control_endpoint() {
            let _ = writeln!(
                text,
                "# Orders: curl {control}/ -d '{{\"rotate\":{{\"key\":\"{}\"}}}}'; counts: curl {control}/",
                emulator.key()
            );
        }
        let _ = writeln!(
            text,
            "# A role to take: ENVELOPE_TENCENT_ROLE_ARN={}",
            emulator.role_arn(ROLE)
        );
        if self.oidc_jwks.is_some() {
            let _ = writeln!(
                text,
                "# As a pod, with its token's file in TKE_WEB_IDENTITY_TOKEN_FILE and without TENCENTCLOUD_SECRET_ID: \
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
