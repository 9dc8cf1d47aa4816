//! The measured controller, in a process of its own.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result, bail, ensure};
use testkit::{Guard, Spec, Started, State};

use crate::lab::Lab;
use crate::stats::number;
use crate::usage::{self, Memory};

const START_TIMEOUT: Duration = Duration::from_mins(2);
const WORK_TIMEOUT: Duration = Duration::from_mins(20);
const STOP_GRACE: Duration = Duration::from_secs(30);

pub(crate) struct Controller {
    started: Started,
    metrics: u16,
    probes: u16,
    log: PathBuf,
    /// Before the process was started, in seconds since 1970.
    pub(crate) start: f64,
}

impl Controller {
    /// Starts a controller for these namespaces. Does not wait for it.
    pub(crate) fn start(
        lab: &mut Lab,
        namespaces: &[&str],
        more: &[&str],
        env: &[(&str, String)],
    ) -> Result<Self> {
        let kubeconfig = lab.current()?.control.kubeconfig();
        let (metrics, probes) = (free_port()?, free_port()?);
        let mut args = vec![
            "controller".to_owned(),
            "--log-level=warn".to_owned(),
            format!("--kubeconfig={}", kubeconfig.display()),
            format!("--keyring={}", lab.keyring.display()),
            format!("--metrics-addr=127.0.0.1:{metrics}"),
            format!("--probe-addr=127.0.0.1:{probes}"),
        ];
        if !namespaces.is_empty() {
            args.push(format!("--namespaces={}", namespaces.join(",")));
        }
        args.extend(more.iter().map(|flag| (*flag).to_owned()));
        let mut variables = vec![("HOME".to_owned(), lab.directory.display().to_string())];
        variables.extend(
            env.iter()
                .map(|(name, value)| ((*name).to_owned(), value.clone())),
        );
        let log = lab.directory.join("controller.log");
        let spec = Spec {
            program: absolute(&lab.settings.envelope)?,
            args,
            env: variables,
            dir: lab.directory.clone(),
            log: Some(log.clone()),
        };
        let start = now()?;
        let started = lab.guard.spawn(spec)?;
        Ok(Controller {
            started,
            metrics,
            probes,
            log,
            start,
        })
    }

    pub(crate) fn pid(&self) -> u32 {
        self.started.pid
    }

    /// Waits until `/readyz` reports success.
    pub(crate) async fn ready(&self, guard: &Guard) -> Result<()> {
        self.until(
            guard,
            START_TIMEOUT,
            Duration::from_millis(5),
            "it is ready",
            || Ok(matches!(get(self.probes, "/readyz"), Ok((200, _)))),
        )
        .await
    }

    /// Polls `/metrics` until the sum of a metric's samples with this label reaches `count`.
    pub(crate) async fn reaches(
        &self,
        guard: &Guard,
        interval: Duration,
        (metric, label): (&str, &str),
        count: usize,
    ) -> Result<()> {
        let what = format!("{metric}{{{label}}} is {count}");
        self.until(guard, WORK_TIMEOUT, interval, &what, || {
            // Not reachable yet, just after the start.
            Ok(self
                .metrics()
                .is_ok_and(|metrics| metrics.sum(metric, label) >= number(count)))
        })
        .await
    }

    async fn until(
        &self,
        guard: &Guard,
        limit: Duration,
        interval: Duration,
        what: &str,
        mut holds: impl FnMut() -> Result<bool>,
    ) -> Result<()> {
        let deadline = Instant::now() + limit;
        while !holds()? {
            if let State::Exited(status) = guard.state(self.started.id)? {
                bail!("the controller exited: {status}\n{}", self.log_tail());
            }
            if Instant::now() > deadline {
                let metrics = self.metrics().map(|metrics| metrics.0).unwrap_or_default();
                let lines = metrics
                    .lines()
                    .filter(|line| line.contains("objects{") || line.contains("_total"));
                bail!(
                    "the controller: not within {} s: {what}\n{}\n{}",
                    limit.as_secs(),
                    lines.collect::<Vec<_>>().join("\n"),
                    self.log_tail()
                );
            }
            tokio::time::sleep(interval).await;
        }
        Ok(())
    }

    pub(crate) fn metrics(&self) -> Result<Metrics> {
        let (code, text) = get(self.metrics, "/metrics")?;
        ensure!(code == 200, "/metrics: HTTP status {code}");
        Ok(Metrics(text))
    }

    pub(crate) fn cpu_seconds(&self) -> Result<f64> {
        usage::cpu_seconds(self.pid())
    }

    pub(crate) fn memory(&self) -> Result<Memory> {
        usage::memory(self.pid())
    }

    /// Stops it with SIGTERM. It must shut down in time.
    pub(crate) fn stop(self, guard: &Guard) -> Result<()> {
        let state = guard.stop(self.started.id, STOP_GRACE)?;
        ensure!(
            matches!(&state, State::Exited(status) if status.contains("exit status: 0")),
            "the controller did not shut down cleanly: {state:?}\n{}",
            self.log_tail()
        );
        Ok(())
    }

    fn log_tail(&self) -> String {
        let log = std::fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(15)..].join("\n")
    }
}

/// The text of `/metrics`.
pub(crate) struct Metrics(String);

impl Metrics {
    /// Returns the sum of the samples of this name whose labels contain `label`.
    pub(crate) fn sum(&self, name: &str, label: &str) -> f64 {
        self.values(name, label).iter().sum::<f64>() + 0.0 // an empty sum is -0
    }

    /// Does the same; `None` if the controller has no such metric.
    pub(crate) fn optional(&self, name: &str, label: &str) -> Option<f64> {
        self.0.contains(name).then(|| self.sum(name, label))
    }

    fn values(&self, name: &str, label: &str) -> Vec<f64> {
        let of_name = self.0.lines().filter(|line| {
            line.strip_prefix(name)
                .is_some_and(|rest| rest.starts_with(['{', ' ']))
        });
        let values = of_name.filter(|line| line.contains(label));
        values
            .filter_map(|line| line.rsplit(' ').next()?.parse().ok())
            .collect()
    }
}

/// Seconds since 1970.
pub(crate) fn now() -> Result<f64> {
    Ok(SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs_f64())
}

fn absolute(path: &Path) -> Result<PathBuf> {
    std::fs::canonicalize(path).with_context(|| path.display().to_string())
}

fn free_port() -> Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}

/// Sends a GET request to the loopback address. HTTP/1.0: the response ends when the connection closes.
fn get(port: u16, path: &str) -> Result<(u16, String)> {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    write!(stream, "GET {path} HTTP/1.0\r\nHost: 127.0.0.1\r\n\r\n")?;
    let mut response = String::new();
    stream.read_to_string(&mut response)?;
    let (head, body) = response.split_once("\r\n\r\n").context("not an HTTP response")?;
    let code = head.split(' ').nth(1).and_then(|code| code.parse().ok());
    Ok((code.context("no HTTP status")?, body.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[expect(clippy::float_cmp, reason = "exact values")]
    fn samples_are_summed_by_name_and_label() {
        let metrics = Metrics(
            "# TYPE opens counter\nopens_total{outcome=\"opened\"} 3\nopens_total{outcome=\"broken\"} 1\nopens 9\n".to_owned(),
        );
        assert_eq!(metrics.sum("opens_total", ""), 4.0);
        assert_eq!(metrics.sum("opens_total", "opened"), 3.0);
        assert_eq!(metrics.optional("parses_total", ""), None);
    }
}
