//! `controller`: runs in the cluster until it is told to stop.

use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::Arc;

use clap::{Args, ValueHint};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::env;
use super::failure::{Failure, Result};
use super::providers::ProviderArgs;
use crate::config::ControllerConfig;
use crate::controller::{self, Health, Setup, StartError, Timings};
use crate::kms::{self, AllowedKeys, Capability, Connection, Host, Provider, Registry};
use crate::metrics::Metrics;
use crate::probes::{self, ListenAddr};
use crate::telemetry::{self, LogFormat, LogLevel};

/// Watch EnvelopeSecrets in a cluster, open them, and keep their Secrets
///
/// Runs until SIGTERM or SIGINT. It waits for an API server that does not answer, for the CRD and for its rights; the log, the
/// readiness probe and the metrics say which. Each flag has a variable `ENVELOPE_<FLAG>`.
#[derive(Args)]
#[command(
    after_help = "Example, outside a cluster with the rights of your kubeconfig:\n  \
    envelope controller --keyring ~/.config/envelope-secrets/keyring --namespaces demo"
)]
pub(super) struct ControllerArgs {
    /// Open documents with this KMS key of a cloud, or with all keys of a region: tencent-kms://ap-guangzhou/; repeat it
    /// for several. Without it, none is used, whatever a document names
    #[arg(long, value_name = "URI", value_delimiter = ',', env = env::ALLOW_KEY, hide_env_values = true)]
    allow_key: Vec<String>,
    /// Work in these namespaces only, separated by commas; without it, in all of the cluster
    #[arg(long, value_name = "NAMESPACE", value_delimiter = ',', env = env::NAMESPACES, hide_env_values = true)]
    namespaces: Vec<String>,
    /// Open documents for this audience; repeat it for several, "" stands for documents without one; without the flag, only those
    #[arg(long, value_name = "AUDIENCE", value_delimiter = ',', env = env::AUDIENCE, hide_env_values = true)]
    audience: Vec<String>,
    /// The kubeconfig; without it, KUBECONFIG, else ~/.kube/config, else the pod's own account
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, env = env::KUBECONFIG, hide_env_values = true)]
    kubeconfig: Option<OsString>,
    /// Where /metrics is served
    #[arg(long, value_name = "ADDRESS", default_value = ":8080", env = env::METRICS_ADDR, hide_env_values = true)]
    metrics_addr: ListenAddr,
    /// Where /livez and /readyz are served
    #[arg(long, value_name = "ADDRESS", default_value = ":8081", env = env::PROBE_ADDR, hide_env_values = true)]
    probe_addr: ListenAddr,
    /// How log lines look
    #[arg(long, value_name = "FORMAT", value_enum, default_value_t, env = env::LOG_FORMAT, hide_env_values = true)]
    log_format: LogFormat,
    /// The least important level that is logged
    #[arg(long, value_name = "LEVEL", value_enum, default_value_t, env = env::LOG_LEVEL, hide_env_values = true)]
    log_level: LogLevel,
    #[command(flatten)]
    providers: ProviderArgs,
}

impl ControllerArgs {
    /// The providers of the KMS keys that documents may be opened with.
    fn registry(&self) -> Result<Registry> {
        let entries = self.allow_key.iter().filter(|entry| !entry.is_empty());
        let allowed = AllowedKeys::parse(entries)
            .map_err(|error| Failure::usage(format!("--allow-key: {error}")).help(error.advice()))?;
        let mut registry = Registry::new();
        for provider in kms::providers() {
            let allowed = allowed.of_scheme(provider.scheme());
            if provider.can(Capability::HoldKeys) {
                refuse_entries(provider, &allowed)?;
            } else if allowed.is_empty() {
                continue;
            }
            match provider.connect(self.providers.settings(), allowed, Host::Controller)? {
                Connection::Ready(kms) => registry.insert(provider.scheme(), kms),
                Connection::Absent(_) => {}
            }
        }
        if registry.is_empty() {
            return Err(Failure::usage("there is no KMS key to open documents with").help(
                "provide a keyring with --keyring FILE, or allow KMS keys of a cloud with --allow-key URI",
            ));
        }
        Ok(registry)
    }
}

/// A provider that holds its keys allows exactly those.
fn refuse_entries(provider: &dyn Provider, allowed: &AllowedKeys) -> Result<()> {
    match allowed.iter().next() {
        None => Ok(()),
        Some(key) => Err(
            Failure::usage(format!("--allow-key: {key} is a KMS key of {}", provider.title()))
                .help("leave it out: a keyring allows exactly the KMS keys that it holds"),
        ),
    }
}

/// A path; an empty one counts as not given, as the variable of a chart's unused setting has it.
fn set(path: Option<&OsString>) -> Option<PathBuf> {
    path.filter(|path| !path.is_empty()).map(PathBuf::from)
}

/// Runs it.
pub(super) fn run(args: &ControllerArgs) -> Result<()> {
    let config = ControllerConfig::new(&args.namespaces, &args.audience, set(args.kubeconfig.as_ref()))
        .map_err(|error| Failure::usage(error.to_string()))?;
    let registry = args.registry()?;
    telemetry::init(args.log_format, args.log_level)
        .map_err(|error| Failure::failed(format!("cannot start logging: {error}")))?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Failure::failed(format!("cannot start: {error}")))?;
    runtime.block_on(serve(args, config, registry))
}

async fn serve(args: &ControllerArgs, config: ControllerConfig, registry: Registry) -> Result<()> {
    let failed = |error: &dyn std::fmt::Display| Failure::failed(error.to_string());
    let (metrics, health) = (Metrics::new(), Health::default());
    let metrics_port = probes::bind(args.metrics_addr)
        .await
        .map_err(|error| failed(&error))?;
    let probe_port = probes::bind(args.probe_addr)
        .await
        .map_err(|error| failed(&error))?;
    let signals = |kind| signal(kind).map_err(|error| failed(&format!("cannot wait for signals: {error}")));
    let (terminate, interrupt) = (
        signals(SignalKind::terminate())?,
        signals(SignalKind::interrupt())?,
    );

    let bound =
        |port: &tokio::net::TcpListener| port.local_addr().map(|at| at.to_string()).unwrap_or_default();
    tracing::info!(
        metrics = bound(&metrics_port),
        probes = bound(&probe_port),
        "serving"
    );

    let (live, ready) = (health.clone(), health.clone());
    let routes = probes::probes(Arc::new(move || live.live()), Arc::new(move || ready.ready()));
    let (servers, end) = (TaskTracker::new(), CancellationToken::new());
    servers.spawn(probes::serve(
        metrics_port,
        probes::metrics(metrics.clone()),
        end.clone().cancelled_owned(),
    ));
    servers.spawn(probes::serve(probe_port, routes, end.clone().cancelled_owned()));

    let shutdown = CancellationToken::new();
    let told = shutdown.clone();
    let waiting = tokio::spawn(async move {
        first_of(terminate, interrupt).await;
        told.cancel();
    });
    let ran = controller::run(
        Setup {
            config,
            registry,
            metrics,
            health,
        },
        Timings::default(),
        shutdown,
    )
    .await;
    waiting.abort();
    // Probes answer until everything else has ended.
    end.cancel();
    servers.close();
    servers.wait().await;
    ran.map_err(explain)
}

async fn first_of(mut terminate: Signal, mut interrupt: Signal) {
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
}

fn explain(error: StartError) -> Failure {
    match error {
        StartError::Connect(_) => Failure::usage(error.to_string()).help(
            "give a kubeconfig with --kubeconfig, or run it in a pod with a ServiceAccount; outside of one HTTPS_PROXY and \
             NO_PROXY count, too",
        ),
    }
}
