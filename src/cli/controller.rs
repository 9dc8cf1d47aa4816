//! `controller`: runs in the cluster until SIGTERM or SIGINT.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap::{Args, ValueHint};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::args::path_parser;
use super::broker::BrokerArgs;
use super::env;
use super::failure::{Failure, Result};
use super::metrics::{MetricsArgs, connect_failure};
use super::program::Program;
use super::providers::ProviderArgs;
use crate::config::{ByteSize, ControllerConfig};
use crate::controller::{self, Health, Setup, StartError, Timings};
use crate::kms::{self, AllowedKeys, Caller, Capability, Configured, Provider, Registry};
use crate::metrics::Metrics;
use crate::probes::{self, ListenAddr};
use crate::telemetry::{self, LogFormat, LogLevel};

/// Run the controller: decrypt EnvelopeSecrets in a cluster and reconcile their Secrets
///
/// Runs until SIGTERM or SIGINT. At startup it waits until the API server is reachable, the CRD is installed and its
/// permissions are granted; logs, readiness probe and metrics report what is missing. Each flag can also be set with an
/// environment variable, ENVELOPE_<FLAG>.
#[derive(Args)]
#[command(
    after_help = "Example, outside a cluster, with the permissions of your kubeconfig:\n  \
    envelope controller --keyring ~/.config/envelope-secrets/keyring --namespaces demo"
)]
pub(super) struct ControllerArgs {
    /// Allow documents to be opened with this KMS key of a cloud, or with all KMS keys of a region, as in
    /// tencent-kms://ap-guangzhou/; repeat the flag for several. By default no KMS key of a cloud is used, whatever a
    /// document names
    #[arg(long, value_name = "URI", value_delimiter = ',', env = env::ALLOW_KEY, hide_env_values = true)]
    allow_key: Vec<String>,
    /// Watch only these namespaces, separated by commas; defaults to the whole cluster
    #[arg(long, value_name = "NAMESPACE", value_delimiter = ',', env = env::NAMESPACES, hide_env_values = true)]
    namespaces: Vec<String>,
    /// Open documents for this audience; repeat the flag for several. "" means documents without an audience, which is
    /// the default
    #[arg(long, value_name = "AUDIENCE", value_delimiter = ',', env = env::AUDIENCE, hide_env_values = true)]
    audience: Vec<String>,
    /// The kubeconfig; defaults to KUBECONFIG, then ~/.kube/config, then the pod's ServiceAccount
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, value_parser = path_parser(), env = env::KUBECONFIG, hide_env_values = true)]
    kubeconfig: Option<PathBuf>,
    /// The total size of the documents that are kept in memory; the others are read when they are opened
    #[arg(long, value_name = "SIZE", default_value_t = ByteSize::DOCUMENT_CACHE, env = env::DOCUMENT_CACHE, hide_env_values = true)]
    document_cache: ByteSize,
    #[command(flatten)]
    metrics: MetricsArgs,
    /// The address that serves /livez and /readyz
    #[arg(long, value_name = "ADDRESS", default_value = ":8081", env = env::PROBE_ADDR, hide_env_values = true)]
    probe_addr: ListenAddr,
    /// The format of log lines
    #[arg(long, value_name = "FORMAT", value_enum, default_value_t, ignore_case = true, env = env::LOG_FORMAT, hide_env_values = true)]
    log_format: LogFormat,
    /// The minimum log level
    #[arg(long, value_name = "LEVEL", value_enum, default_value_t, ignore_case = true, env = env::LOG_LEVEL, hide_env_values = true)]
    log_level: LogLevel,
    #[command(flatten)]
    broker: BrokerArgs,
    #[command(flatten)]
    providers: ProviderArgs,
}

impl ControllerArgs {
    /// Configures the providers of the KMS keys that may open documents.
    fn registry(&self, program: &Program) -> Result<Registry> {
        let source = program.source_of("--allow-key", env::ALLOW_KEY);
        let entries = self.allow_key.iter().filter(|entry| !entry.is_empty());
        let allowed = AllowedKeys::parse(entries)
            .map_err(|error| Failure::usage(format!("{source}: {error}")).help(error.advice()))?;
        let mut registry = Registry::new();
        for provider in kms::providers() {
            let allowed = allowed.of_scheme(provider.scheme());
            if provider.can(Capability::ConfiguredKeysOnly) {
                refuse_entries(provider, &allowed, source)?;
            } else if allowed.is_empty() {
                continue;
            }
            match provider.configure(self.providers.settings(), allowed, Caller::Controller)? {
                Configured::Kms(kms) => registry.insert(provider.scheme(), kms),
                Configured::NotConfigured(_) => {}
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

/// A provider that uses only its configured keys allows exactly those, so entries for it are errors.
fn refuse_entries(provider: &dyn Provider, allowed: &AllowedKeys, source: &str) -> Result<()> {
    match allowed.iter().next() {
        None => Ok(()),
        Some(key) => Err(
            Failure::usage(format!("{source}: {key} is a KMS key of {}", provider.title()))
                .help("leave it out: a keyring allows exactly the KMS keys that it holds"),
        ),
    }
}

/// How long blocking calls may delay the exit.
const BLOCKING_CALLS: Duration = Duration::from_secs(1);

/// Runs it.
pub(super) fn run(args: &ControllerArgs, program: &Program) -> Result<()> {
    let mut config = ControllerConfig::new(&args.namespaces, &args.audience, args.kubeconfig.clone())
        .map_err(|error| Failure::usage(with_source(&error.to_string(), program)))?;
    config.document_cache = args.document_cache;
    config.broker = args.broker.settings();
    let registry = args.registry(program)?;
    telemetry::init(args.log_format, args.log_level)
        .map_err(|error| Failure::failed(format!("cannot start logging: {error}")))?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Failure::failed(format!("cannot start: {error}")))?;
    let result = runtime.block_on(serve(args, program, config, registry));
    // Dropping it would wait for blocking calls, such as a lookup of a host name while DNS is down.
    runtime.shutdown_timeout(BLOCKING_CALLS);
    result
}

async fn serve(
    args: &ControllerArgs,
    program: &Program,
    config: ControllerConfig,
    registry: Registry,
) -> Result<()> {
    let failed = |error: &dyn std::fmt::Display| Failure::failed(error.to_string());
    let (metrics, health, timings) = (Metrics::new(), Health::default(), Timings::default());
    let kubeconfig = config.kubeconfig.as_deref();
    let metrics_server = args.metrics.server(program, kubeconfig, &timings).await?;
    let metrics_port = bind("--metrics-addr", args.metrics.metrics_addr).await?;
    let probe_port = bind("--probe-addr", args.probe_addr).await?;
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
    let (servers, stop_servers) = (TaskTracker::new(), CancellationToken::new());
    metrics_server.start(
        metrics_port,
        metrics.clone(),
        timings.keyring,
        &servers,
        &stop_servers,
    );
    servers.spawn(probes::serve(
        probe_port,
        routes,
        stop_servers.clone().cancelled_owned(),
    ));

    let shutdown = CancellationToken::new();
    let on_signal = shutdown.clone();
    let signal_task = tokio::spawn(async move {
        first_signal(terminate, interrupt).await;
        on_signal.cancel();
    });
    let result = controller::run(
        Setup {
            config,
            registry,
            metrics,
            health,
        },
        timings,
        shutdown,
    )
    .await;
    signal_task.abort();
    // Probes are served until everything else has shut down.
    stop_servers.cancel();
    servers.close();
    servers.wait().await;
    result.map_err(|error| start_failure(&error))
}

/// An address in use is an error of configuration: another controller on this host has it.
async fn bind(flag: &str, address: ListenAddr) -> Result<tokio::net::TcpListener> {
    probes::bind(address).await.map_err(|error| {
        Failure::usage(format!("{flag}: {error}")).help(format!(
            "stop the process that uses the address, or choose another one with {flag}"
        ))
    })
}

/// An error of the configuration that begins with a flag, with the variable instead if the value comes from there.
fn with_source(error: &str, program: &Program) -> String {
    let flags = [("--namespaces", env::NAMESPACES), ("--audience", env::AUDIENCE)];
    let named = flags.into_iter().find_map(|(flag, variable)| {
        let rest = error.strip_prefix(flag)?;
        Some(format!("{}{rest}", program.source_of(flag, variable)))
    });
    named.unwrap_or_else(|| error.to_owned())
}

async fn first_signal(mut terminate: Signal, mut interrupt: Signal) {
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
}

fn start_failure(error: &StartError) -> Failure {
    match error {
        StartError::Connect(error) => connect_failure(error),
    }
}
