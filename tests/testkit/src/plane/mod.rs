//! A real control plane on free loopback ports, with its own data directory and certificates.

mod audit;
mod http;
mod kubeconfig;
mod kubectl;
mod parts;
pub(crate) mod pki;
mod ports;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use rustix::process::Signal;
use serde_json::json;

use crate::binaries::{Binaries, Part};
use crate::guard::{Guard, Spec, Started, State};
use crate::{say, until};
pub use audit::{AuditEvent, AuditMark};
use http::Api;
use kubeconfig::Identity;
use pki::Authority;
pub(crate) use ports::free as free_port;

/// How long a part may take to start. Ten seconds is usual, but the host may be busy compiling.
const START_TIMEOUT: Duration = Duration::from_mins(2);
/// How long a part may take to shut down after SIGTERM.
const STOP_GRACE: Duration = Duration::from_secs(5);
const DIRECTORY_PREFIX: &str = "envelope-secrets-plane-";
/// The longest path that fits into a Unix socket address on every supported system, without its terminating zero byte.
const MAX_SOCKET_PATH: usize = 103;
/// In the order in which they must start.
const SERVERS: [Part; 3] = [Part::Etcd, Part::Apiserver, Part::ControllerManager];

/// Options of a control plane.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// The data directory, which must be empty or absent and is kept. `None`: a temporary one, removed on shutdown unless
    /// `TESTKIT_KEEP` is set.
    pub directory: Option<PathBuf>,
    /// Additional flags for kube-apiserver.
    pub apiserver_arguments: Vec<String>,
}

/// A running control plane. When it is dropped, or when this process exits for any reason, its parts are terminated and its directory is
/// removed.
pub struct ControlPlane {
    directory: PathBuf,
    server: String,
    port: u16,
    options: Options,
    authority: Authority,
    api: Api,
    binaries: Binaries,
    running: Mutex<BTreeMap<Part, Started>>,
    guard: Guard,
}

impl ControlPlane {
    /// Starts etcd, kube-apiserver and kube-controller-manager. Returns when objects can be created.
    pub fn start(options: &Options) -> Result<Self> {
        let binaries = Binaries::get(&say)?;
        let started = Instant::now();
        for _ in 0..4 {
            let plane = Self::prepare(options.clone(), binaries.clone(), ports::free()?)?;
            match plane.start_all() {
                Ok(()) => {
                    let seconds = started.elapsed().as_secs_f32();
                    say(&format!(
                        "control plane ready after {seconds:.1} s: {} {}",
                        plane.server,
                        plane.directory.display()
                    ));
                    return Ok(plane);
                }
                // Another process bound the port between the check for a free one and the start.
                Err(_) if plane.port_was_taken() && plane.options.directory.is_none() => {}
                Err(error) => bail!("{error:#}{}", plane.log_tails()),
            }
        }
        bail!("cannot start the control plane: other processes repeatedly bound its port first")
    }

    fn prepare(options: Options, binaries: Binaries, port: u16) -> Result<Self> {
        let guard = Guard::start()?;
        let directory = match &options.directory {
            None if std::env::var_os("TESTKIT_KEEP").is_some() => tempfile::Builder::new()
                .prefix(DIRECTORY_PREFIX)
                .tempdir()?
                .keep(),
            None => guard.temporary_directory(DIRECTORY_PREFIX)?,
            Some(directory) => create_empty(directory)?,
        };
        if directory.join(parts::ETCD_SOCKET).as_os_str().len() > MAX_SOCKET_PATH {
            bail!(
                "the path {} is too long for a socket; use a shorter one (TMPDIR or --dir)",
                directory.display()
            );
        }
        let server = format!("https://127.0.0.1:{port}");
        let authority = Authority::new()?;
        let admin = authority.client("testkit-admin", &["system:masters"])?;
        parts::write_files(&directory, &authority, &server, &Identity::Certificate(&admin))?;
        let api = Api::new(port, &authority.certificate, &admin)?;
        let running = Mutex::default();
        Ok(Self {
            directory,
            server,
            port,
            options,
            authority,
            api,
            binaries,
            running,
            guard,
        })
    }

    fn start_all(&self) -> Result<()> {
        for part in SERVERS {
            self.start_part(part)?;
        }
        // The controller manager has no endpoint here; creating this ServiceAccount is the first thing it does.
        let path = "/api/v1/namespaces/default/serviceaccounts/default";
        until(START_TIMEOUT, "default ServiceAccount", || {
            self.ensure_running(Part::ControllerManager)?;
            Ok(matches!(self.api.text("GET", path, None)?, (200, _)).then_some(()))
        })
    }

    fn ensure_running(&self, part: Part) -> Result<()> {
        let name = part.file_name();
        let started = self
            .lock()
            .get(&part)
            .copied()
            .with_context(|| format!("{name} was not started"))?;
        if let State::Exited(status) = self.guard.state(started.id)? {
            bail!("{name} exited while starting: {status}");
        }
        Ok(())
    }

    /// Starts a part, after [`Self::stop_part`] with the same port and data, and waits until it is ready.
    pub fn start_part(&self, part: Part) -> Result<()> {
        let spec = Spec {
            program: self.binaries.path(part).to_owned(),
            args: parts::arguments(
                part,
                &self.directory,
                self.port,
                &self.options.apiserver_arguments,
            ),
            env: self.environment(),
            dir: self.directory.clone(),
            log: Some(self.log(part)),
        };
        let started = self.guard.spawn(spec)?;
        self.lock().insert(part, started);
        until(START_TIMEOUT, part.file_name(), || {
            self.ensure_running(part)?;
            let ready = match part {
                Part::Etcd => UnixStream::connect(self.directory.join(parts::ETCD_SOCKET)).is_ok(),
                Part::Apiserver => self.api.is_ready(),
                // Callers wait for the effects that they need.
                Part::ControllerManager | Part::Kubectl => true,
            };
            Ok(ready.then_some(()))
        })
    }

    /// Stops a part with SIGTERM, then SIGKILL after 5 s, and waits until it has exited. Not for the shared plane.
    pub fn stop_part(&self, part: Part) -> Result<()> {
        if let Some(started) = self.lock().remove(&part) {
            self.guard.stop(started.id, STOP_GRACE)?;
        }
        Ok(())
    }

    /// Sends a signal to a part: `KILL` for a crash, `STOP` and `CONT` for a hang. Not for the shared plane.
    pub fn signal_part(&self, part: Part, signal: Signal) -> Result<()> {
        let started = self.lock().get(&part).copied();
        let started = started.with_context(|| format!("{} is not running", part.file_name()))?;
        self.guard.signal(started.id, signal).map(|_| ())
    }

    /// `https://127.0.0.1:port`.
    pub fn server(&self) -> &str {
        &self.server
    }

    /// The data directory: certificates, kubeconfigs, logs, `audit.log`, and etcd's data in `etcd/`.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// The kubeconfig of an administrator (group `system:masters`).
    pub fn kubeconfig(&self) -> PathBuf {
        self.directory.join("kubeconfig")
    }

    /// The executables and versions of the parts.
    pub fn binaries(&self) -> &Binaries {
        &self.binaries
    }

    /// Process IDs of the guard and of each running part.
    pub fn process_ids(&self) -> (u32, Vec<u32>) {
        (
            self.guard.pid(),
            self.lock().values().map(|started| started.pid).collect(),
        )
    }

    /// A kubeconfig for a user with a client certificate; at most two groups. The user has no permissions until RBAC grants some.
    pub fn kubeconfig_for_user(&self, user: &str, groups: &[&str]) -> Result<PathBuf> {
        let pair = self.authority.client(user, groups)?;
        self.write_kubeconfig(&Identity::Certificate(&pair))
    }

    /// A kubeconfig with a token of a `ServiceAccount`, valid for 10 hours.
    pub fn kubeconfig_for_service_account(&self, namespace: &str, name: &str) -> Result<PathBuf> {
        let request = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {"expirationSeconds": 36_000}});
        let path = format!("/api/v1/namespaces/{namespace}/serviceaccounts/{name}/token");
        let response = self.api.json("POST", &path, Some(&request))?;
        let token = response
            .pointer("/status/token")
            .and_then(|token| token.as_str())
            .context("no token in the response")?;
        self.write_kubeconfig(&Identity::Token(token))
    }

    fn write_kubeconfig(&self, identity: &Identity<'_>) -> Result<PathBuf> {
        let path = self
            .directory
            .join(format!("kubeconfig-{:016x}", crate::random()));
        kubeconfig::write(&path, &self.server, &self.authority.certificate, identity)?;
        Ok(path)
    }

    /// Creates a namespace named `<prefix>-<random>` and waits until its default `ServiceAccount` exists. Returns the name.
    pub fn namespace(&self, prefix: &str) -> Result<String> {
        let name = format!("{prefix}-{:08x}", crate::random() >> 32);
        let object = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}});
        self.api.json("POST", "/api/v1/namespaces", Some(&object))?;
        let path = format!(
            "/api/v1/namespaces/{name}/serviceaccounts?watch=true&fieldSelector=metadata.name%3Ddefault&timeoutSeconds={}",
            START_TIMEOUT.as_secs()
        );
        let event = self.api.first_event(&path, START_TIMEOUT)?;
        if event["type"] != "ADDED" {
            bail!("default ServiceAccount of {name}: unexpected event {event}");
        }
        Ok(name)
    }

    /// The current end of the audit log.
    pub fn audit_mark(&self) -> Result<AuditMark> {
        Ok(AuditMark(std::fs::metadata(self.audit_log())?.len()))
    }

    /// Returns the events since `mark` of all requests that were answered before this call. To be sure that they are complete, it sends a
    /// request itself and waits until the log contains it.
    pub fn audit_since(&self, mark: AuditMark) -> Result<Vec<AuditEvent>> {
        let marker = format!("audit-marker-{:016x}", crate::random());
        let end = self.audit_mark()?;
        self.api
            .text("GET", &format!("/api/v1/namespaces/{marker}"), None)?;
        let log = self.audit_log();
        until(Duration::from_secs(30), "audit log", || {
            Ok(audit::contains(&log, end, &marker)?.then_some(()))
        })?;
        let events = audit::read(&log, mark)?;
        Ok(events.into_iter().filter(|event| event.name != marker).collect())
    }

    /// The API server's audit log: one JSON event per line.
    pub fn audit_log(&self) -> PathBuf {
        self.directory.join("audit.log")
    }

    /// The file with the standard output and standard error of a part.
    pub fn log(&self, part: Part) -> PathBuf {
        self.directory.join(format!("{}.log", part.file_name()))
    }

    fn log_tails(&self) -> String {
        let mut text = String::new();
        for part in SERVERS {
            let log = std::fs::read_to_string(self.log(part)).unwrap_or_default();
            let lines: Vec<&str> = log.lines().collect();
            if !lines.is_empty() {
                let tail = lines[lines.len().saturating_sub(15)..].join("\n");
                let _ = write!(text, "\n--- end of {}'s log:\n{tail}", part.file_name());
            }
        }
        text
    }

    fn port_was_taken(&self) -> bool {
        let log = std::fs::read_to_string(self.log(Part::Apiserver));
        log.is_ok_and(|log| log.contains("address already in use"))
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<Part, Started>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn create_empty(directory: &Path) -> Result<PathBuf> {
    std::fs::create_dir_all(directory).with_context(|| directory.display().to_string())?;
    if std::fs::read_dir(directory)?.next().is_some() {
        bail!("{} is not empty; use a new directory", directory.display());
    }
    Ok(std::fs::canonicalize(directory)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn port_in_use_is_distinguished_from_other_failures() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let taken = listener.local_addr().unwrap().port();
        let binaries = Binaries::get(&say).unwrap();
        let plane = ControlPlane::prepare(Options::default(), binaries, taken).unwrap();
        let error = plane.start_all().unwrap_err().to_string();
        assert!(error.contains("kube-apiserver exited while starting"), "{error}");
        assert!(plane.port_was_taken());
        assert!(plane.log_tails().contains("address already in use"));
    }

    #[test]
    fn directory_that_is_not_empty_or_has_a_long_path_is_rejected() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("notes"), "mine").unwrap();
        let start = |path: PathBuf| {
            let options = Options {
                directory: Some(path),
                ..Options::default()
            };
            ControlPlane::start(&options)
                .err()
                .expect("no control plane")
                .to_string()
        };
        assert!(start(directory.path().to_owned()).contains("is not empty"));
        assert!(start(directory.path().join("x".repeat(100))).contains("too long"));
        assert_eq!(
            std::fs::read_to_string(directory.path().join("notes")).unwrap(),
            "mine"
        );
    }
}
