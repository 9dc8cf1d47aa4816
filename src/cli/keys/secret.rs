//! `keys create-secret`: a keyring as a Secret in the cluster.

use std::path::{Path, PathBuf};

use clap::{Args, ValueHint};

use super::super::args::path_parser;
use super::super::env;
use super::super::failure::{Failure, Result};
use super::super::printer::Printer;
use crate::controller::{CreateError, Creation, KeyringSecret};
use crate::files;

/// The largest keyring that fits into a Secret.
const LIMIT: u64 = 1024 * 1024;

#[derive(Args)]
pub(super) struct SecretArgs {
    /// The name of the Secret
    name: String,
    /// The namespace of the Secret; defaults to the one of the kubeconfig's context, or of the pod
    #[arg(short, long, value_name = "NAMESPACE")]
    namespace: Option<String>,
    /// The entry of the Secret that holds the keyring
    #[arg(long, value_name = "NAME", default_value = "keyring")]
    entry: String,
    /// The kubeconfig; defaults to KUBECONFIG, then ~/.kube/config, then the pod's ServiceAccount
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, value_parser = path_parser(), env = env::KUBECONFIG, hide_env_values = true)]
    kubeconfig: Option<PathBuf>,
}

/// Creates the Secret from this keyring file.
pub(super) async fn create(args: &SecretArgs, file: &Path, printer: Printer) -> Result<()> {
    let failed = |error: &dyn std::fmt::Display| {
        Failure::failed(format!("cannot read the keyring {}: {error}", file.display()))
    };
    let opened = files::open(file).map_err(|error| failed(&error))?;
    let (keyring, _) = files::read(&opened, LIMIT).map_err(|error| failed(&error))?;
    let secret = KeyringSecret {
        namespace: args.namespace.clone(),
        name: args.name.clone(),
        entry: args.entry.clone(),
    };
    let created = secret.create(args.kubeconfig.as_deref(), &keyring).await;
    let message = match created.map_err(|error| failure(&error))? {
        Creation::Created(namespace) => format!("created the Secret {namespace}/{}", args.name),
        Creation::Exists(namespace) => {
            format!("the Secret {namespace}/{} exists, and was not changed", args.name)
        }
    };
    printer.done(&message);
    Ok(())
}

fn failure(error: &CreateError) -> Failure {
    match error {
        CreateError::Connect(_) => Failure::usage(error.to_string())
            .help("set --kubeconfig, or run it in a pod with a ServiceAccount"),
        CreateError::Random(_) | CreateError::Request { .. } => Failure::failed(error.to_string()),
    }
}
