//! A real control plane on free loopback ports, in a folder of its own, with its own certificates.

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

/// How long a part may take to come up. Ten seconds is usual; the machine may be busy compiling.
const START_LIMIT: Duration = Duration::from_mins(2);
/// How long a part may take to end by itself.
const STOP_GRACE: Duration = Duration::from_secs(5);
const FOLDER_PREFIX: &str = "envelope-secrets-plane-";
/// What fits into a socket's address on every system, with its ending zero.
const LONGEST_SOCKET: usize = 103;
/// The order in which parts need each other.
const SERVERS: [Part; 3] = [Part::Etcd, Part::Apiserver, Part::ControllerManager];

/// What can be chosen.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// The folder to live in, kept afterwards; it must be empty or absent. `None`: a temporary one, removed at the end (kept when
    /// `TESTKIT_KEEP` is set).
    pub folder: Option<PathBuf>,
    /// More flags for kube-apiserver.
    pub apiserver_arguments: Vec<String>,
}

/// A running control plane. Dropping it, or the end of this process however it comes, ends its parts and removes its folder.
pub struct ControlPlane {
    folder: PathBuf,
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
    /// Starts etcd, kube-apiserver and kube-controller-manager; returns when objects can be made.
    pub fn start(options: &Options) -> Result<Self> {
        let binaries = Binaries::get(&say)?;
        let started = Instant::now();
        for _ in 0..4 {
            let plane = Self::prepare(options.clone(), binaries.clone(), ports::free()?)?;
            match plane.start_all() {
                Ok(()) => {
                    let (seconds, folder) = (started.elapsed().as_secs_f32(), plane.folder.display());
                    say(&format!(
                        "control plane up in {seconds:.1} s: {} {folder}",
                        plane.server
                    ));
                    return Ok(plane);
                }
                // Another process took the port between our look and our part's start.
                Err(_) if plane.port_was_taken() && plane.options.folder.is_none() => {}
                Err(error) => bail!("{error:#}{}", plane.log_tails()),
            }
        }
        bail!("cannot start the control plane: its port was taken by another again and again")
    }

    fn prepare(options: Options, binaries: Binaries, port: u16) -> Result<Self> {
        let guard = Guard::start()?;
        let folder = match &options.folder {
            None if std::env::var_os("TESTKIT_KEEP").is_some() => {
                tempfile::Builder::new().prefix(FOLDER_PREFIX).tempdir()?.keep()
            }
            None => guard.folder(FOLDER_PREFIX)?,
            Some(folder) => new_folder(folder)?,
        };
        if folder.join(parts::ETCD_SOCKET).as_os_str().len() > LONGEST_SOCKET {
            bail!(
                "{} is too long a path for a socket; name a shorter one (TMPDIR or --dir)",
                folder.display()
            );
        }
        let server = format!("https://127.0.0.1:{port}");
        let authority = Authority::new()?;
        let admin = authority.client("testkit-admin", &["system:masters"])?;
        parts::write_files(&folder, &authority, &server, &Identity::Certificate(&admin))?;
        let api = Api::new(port, &authority.certificate, &admin)?;
        let running = Mutex::default();
        Ok(Self {
            folder,
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
        // The controller manager serves nothing that could be asked; this is its first work.
        let path = "/api/v1/namespaces/default/serviceaccounts/default";
        until(START_LIMIT, "default ServiceAccount", || {
            self.check_runs(Part::ControllerManager)?;
            Ok(matches!(self.api.text("GET", path, None)?, (200, _)).then_some(()))
        })
    }

    fn check_runs(&self, part: Part) -> Result<()> {
        let name = part.file_name();
        let started = self
            .lock()
            .get(&part)
            .copied()
            .with_context(|| format!("{name} was not started"))?;
        if let State::Ended(how) = self.guard.state(started.id)? {
            bail!("{name} ended while starting: {how}");
        }
        Ok(())
    }

    /// Starts a part that was stopped, on the same port and data, and waits until it serves.
    pub fn start_part(&self, part: Part) -> Result<()> {
        let spec = Spec {
            program: self.binaries.path(part).to_owned(),
            args: parts::arguments(part, &self.folder, self.port, &self.options),
            env: self.environment(),
            dir: self.folder.clone(),
            log: Some(self.log(part)),
        };
        let started = self.guard.spawn(spec)?;
        self.lock().insert(part, started);
        until(START_LIMIT, part.file_name(), || {
            self.check_runs(part)?;
            let ready = match part {
                Part::Etcd => UnixStream::connect(self.folder.join(parts::ETCD_SOCKET)).is_ok(),
                Part::Apiserver => self.api.ready(),
                // What it does is waited for by who needs it.
                Part::ControllerManager | Part::Kubectl => true,
            };
            Ok(ready.then_some(()))
        })
    }

    /// Ends a part and waits until it is gone: SIGTERM, after some seconds SIGKILL. Not for the shared plane.
    pub fn stop_part(&self, part: Part) -> Result<()> {
        if let Some(started) = self.lock().remove(&part) {
            self.guard.stop(started.id, STOP_GRACE)?;
        }
        Ok(())
    }

    /// Sends a signal to a part (`KILL`: a crash; `STOP` and `CONT`: one that hangs and comes back). Not for the shared plane.
    pub fn signal_part(&self, part: Part, signal: Signal) -> Result<()> {
        let started = self.lock().get(&part).copied();
        let started = started.with_context(|| format!("{} is not running", part.file_name()))?;
        self.guard.signal(started.id, signal).map(|_| ())
    }

    /// `https://127.0.0.1:port`.
    pub fn server(&self) -> &str {
        &self.server
    }

    /// Everything of this control plane lies here: certificates, kubeconfigs, logs, `audit.log`, etcd's data in `etcd/`.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The kubeconfig of an administrator (group `system:masters`).
    pub fn kubeconfig(&self) -> PathBuf {
        self.folder.join("kubeconfig")
    }

    /// The executable and version of a part.
    pub fn binaries(&self) -> &Binaries {
        &self.binaries
    }

    /// Process ids: of the guard, and of each running part.
    pub fn process_ids(&self) -> (u32, Vec<u32>) {
        (
            self.guard.pid(),
            self.lock().values().map(|started| started.pid).collect(),
        )
    }

    /// A kubeconfig for a user with a client certificate; at most two groups. The user has the rights that RBAC gives it, at first none.
    pub fn kubeconfig_for_user(&self, user: &str, groups: &[&str]) -> Result<PathBuf> {
        let pair = self.authority.client(user, groups)?;
        self.write_kubeconfig(&Identity::Certificate(&pair))
    }

    /// A kubeconfig with a token of a `ServiceAccount`, valid for ten hours.
    pub fn kubeconfig_for_service_account(&self, namespace: &str, name: &str) -> Result<PathBuf> {
        let request = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {"expirationSeconds": 36_000}});
        let path = format!("/api/v1/namespaces/{namespace}/serviceaccounts/{name}/token");
        let answer = self.api.json("POST", &path, Some(&request))?;
        let token = answer
            .pointer("/status/token")
            .and_then(|token| token.as_str())
            .context("no token in the answer")?;
        self.write_kubeconfig(&Identity::Token(token))
    }

    fn write_kubeconfig(&self, identity: &Identity<'_>) -> Result<PathBuf> {
        let path = self.folder.join(format!("kubeconfig-{:016x}", crate::random()));
        kubeconfig::write(&path, &self.server, &self.authority.certificate, identity)?;
        Ok(path)
    }

    /// Makes a namespace named `<prefix>-<random>` and waits until its default `ServiceAccount` exists. Returns the name.
    pub fn namespace(&self, prefix: &str) -> Result<String> {
        let name = format!("{prefix}-{:08x}", crate::random() >> 32);
        let object = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}});
        self.api.json("POST", "/api/v1/namespaces", Some(&object))?;
        let path = format!(
            "/api/v1/namespaces/{name}/serviceaccounts?watch=true&fieldSelector=metadata.name%3Ddefault&timeoutSeconds={}",
            START_LIMIT.as_secs()
        );
        let event = self.api.first_event(&path, START_LIMIT)?;
        if event["type"] != "ADDED" {
            bail!("default ServiceAccount of {name}: unexpected event {event}");
        }
        Ok(name)
    }

    /// The end of the audit log as it stands now.
    pub fn audit_mark(&self) -> Result<AuditMark> {
        Ok(AuditMark(std::fs::metadata(self.audit_log())?.len()))
    }

    /// Every event since `mark`, of all requests that were answered before this call: a request of our own goes behind them, and is
    /// waited for in the log.
    pub fn audit_since(&self, mark: AuditMark) -> Result<Vec<AuditEvent>> {
        let marker = format!("audit-marker-{:016x}", crate::random());
        let here = self.audit_mark()?;
        self.api
            .text("GET", &format!("/api/v1/namespaces/{marker}"), None)?;
        let log = self.audit_log();
        until(Duration::from_secs(30), "audit log", || {
            Ok(audit::contains(&log, here, &marker)?.then_some(()))
        })?;
        let events = audit::read(&log, mark)?;
        Ok(events.into_iter().filter(|event| event.name != marker).collect())
    }

    /// One JSON event a line, as the API server writes it.
    pub fn audit_log(&self) -> PathBuf {
        self.folder.join("audit.log")
    }

    /// Standard output and error of a part.
    pub fn log(&self, part: Part) -> PathBuf {
        self.folder.join(format!("{}.log", part.file_name()))
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

fn new_folder(folder: &Path) -> Result<PathBuf> {
    std::fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
    if std::fs::read_dir(folder)?.next().is_some() {
        bail!("{} is not empty; name a new folder", folder.display());
    }
    Ok(std::fs::canonicalize(folder)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_that_somebody_else_has_is_told_from_other_failures() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let taken = listener.local_addr().unwrap().port();
        let binaries = Binaries::get(&say).unwrap();
        let plane = ControlPlane::prepare(Options::default(), binaries, taken).unwrap();
        let error = plane.start_all().unwrap_err().to_string();
        assert!(error.contains("kube-apiserver ended while starting"), "{error}");
        assert!(plane.port_was_taken());
        assert!(plane.log_tails().contains("address already in use"));
    }

    #[test]
    fn a_folder_must_be_new_and_its_path_short() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("notes"), "mine").unwrap();
        let start = |path: PathBuf| {
            let options = Options {
                folder: Some(path),
                ..Options::default()
            };
            ControlPlane::start(&options)
                .err()
                .expect("no control plane")
                .to_string()
        };
        assert!(start(folder.path().to_owned()).contains("is not empty"));
        assert!(start(folder.path().join("x".repeat(100))).contains("too long"));
        assert_eq!(
            std::fs::read_to_string(folder.path().join("notes")).unwrap(),
            "mine"
        );
    }
}
