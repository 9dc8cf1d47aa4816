//! The metrics server of `controller`: its flags, and what they start.

use std::path::{Path, PathBuf};
use std::str::FromStr as _;
use std::sync::Arc;
use std::time::Duration;

use clap::{Args, ValueHint};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::args::path_parser;
use super::env;
use super::failure::{Failure, Result};
use super::program::Program;
use crate::access::{Gate, GateTimes};
use crate::controller::{AccessReviews, ConnectError, Timings};
use crate::metrics::Metrics;
use crate::probes::{self, ListenAddr, Tls};

/// Where and to whom the metrics are served.
#[derive(Args)]
#[expect(clippy::struct_field_names, reason = "the names of the flags")]
pub(super) struct MetricsArgs {
    /// The address that serves /metrics
    #[arg(long, value_name = "ADDRESS", default_value = ":8080", env = env::METRICS_ADDR, hide_env_values = true)]
    pub(super) metrics_addr: ListenAddr,
    /// Serve /metrics over TLS with the certificate in this file (PEM, with its chain); needs --metrics-tls-key. The
    /// controller reloads both files when they change
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, value_parser = path_parser(), env = env::METRICS_TLS_CERT, hide_env_values = true)]
    metrics_tls_cert: Option<PathBuf>,
    /// The private key of the certificate of /metrics (PEM)
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, value_parser = path_parser(), env = env::METRICS_TLS_KEY, hide_env_values = true)]
    metrics_tls_key: Option<PathBuf>,
    /// Serve /metrics only to clients with a bearer token whose user is allowed to get the non-resource URL /metrics, which
    /// the API server decides; needs TLS
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_parser = bool::from_str,
        value_name = "true|false", env = env::METRICS_AUTH, hide_env_values = true)]
    metrics_auth: Option<bool>,
}

/// The parts of the metrics server.
pub(super) struct MetricsServer {
    tls: Option<Arc<Tls>>,
    gate: Option<Arc<Gate>>,
}

impl MetricsArgs {
    /// Reads the certificate and prepares the decisions about clients. Sends no request.
    pub(super) async fn server(
        &self,
        program: &Program,
        kubeconfig: Option<&Path>,
        timings: &Timings,
    ) -> Result<MetricsServer> {
        let cert = program.source_of("--metrics-tls-cert", env::METRICS_TLS_CERT);
        let key = program.source_of("--metrics-tls-key", env::METRICS_TLS_KEY);
        let auth = program.source_of("--metrics-auth", env::METRICS_AUTH);
        let tls = match (&self.metrics_tls_cert, &self.metrics_tls_key) {
            (Some(certificate), Some(key)) => {
                let opened = Tls::open(certificate, key);
                Some(
                    opened
                        .map_err(|error| Failure::usage(format!("{cert}: {error}")).help(error.advice()))?,
                )
            }
            (None, None) => None,
            (Some(_), None) => {
                return Err(Failure::usage(format!("{cert}: there is no private key"))
                    .help("name its file with --metrics-tls-key"));
            }
            (None, Some(_)) => {
                return Err(Failure::usage(format!("{key}: there is no certificate"))
                    .help("name its file with --metrics-tls-cert"));
            }
        };
        let gate = match (self.metrics_auth.unwrap_or_default(), &tls) {
            (false, _) => None,
            (true, None) => {
                return Err(Failure::usage(format!(
                    "{auth}: bearer tokens must not cross the network unencrypted"
                ))
                .help("add a certificate with --metrics-tls-cert and --metrics-tls-key"));
            }
            (true, Some(_)) => {
                let reviews = AccessReviews::connect(kubeconfig, timings).await;
                let reviews = reviews.map_err(|error| connect_failure(&error))?;
                let times = GateTimes {
                    allowed: timings.access_allowed,
                    denied: timings.access_denied,
                    review: timings.access_review,
                };
                Some(Arc::new(Gate::new(Arc::new(reviews), times)))
            }
        };
        Ok(MetricsServer {
            tls: tls.map(Arc::new),
            gate,
        })
    }
}

impl MetricsServer {
    /// Serves until `stop`. The certificate's files are checked every `interval`.
    pub(super) fn start(
        self,
        listener: TcpListener,
        metrics: Arc<Metrics>,
        interval: Duration,
        servers: &TaskTracker,
        stop: &CancellationToken,
    ) {
        let router = probes::metrics(metrics.clone());
        let router = match self.gate {
            Some(gate) => probes::guarded(router, gate),
            None => router,
        };
        let stopped = stop.clone().cancelled_owned();
        let Some(tls) = self.tls else {
            servers.spawn(probes::serve(listener, router, stopped));
            return;
        };
        let following = probes::follow_certificate(tls.clone(), metrics, interval);
        servers.spawn(stop.clone().run_until_cancelled_owned(following));
        servers.spawn(async move { probes::serve_tls(listener, router, &tls, stopped).await });
    }
}

/// An unusable configuration of the API server's client.
pub(super) fn connect_failure(error: &ConnectError) -> Failure {
    Failure::usage(error.to_string()).help(
        "set --kubeconfig, or run it in a pod with a ServiceAccount; outside a pod, HTTPS_PROXY and NO_PROXY also apply",
    )
}
