//! What all benchmarks share: the guard, a directory, a control plane, and results that a later benchmark uses again.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, ensure};
use testkit::{ControlPlane, Guard, Options};

use crate::args::{Settings, Work};
use crate::bare::Done;
use crate::client::Client;
use crate::cost::Run;
use crate::record::Environment;

const CRD: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../crds/envelopesecrets.yaml");
const CRD_NAME: &str = "crd/envelopesecrets.envelope-secrets.io";
/// A control plane is replaced once this many objects were created on it: a new one starts faster than objects are deleted.
const OBJECTS_PER_PLANE: usize = 45_000;

/// The fixtures. However this process exits, the guards terminate the processes and remove the directories.
pub(crate) struct Lab {
    pub(crate) settings: Settings,
    pub(crate) environment: Environment,
    pub(crate) directory: PathBuf,
    pub(crate) keyring: PathBuf,
    plane: Option<Plane>,
    /// The measured cold starts, by number of objects.
    pub(crate) cold_starts: Vec<Run>,
    /// Dropped last: it removes the directory.
    pub(crate) guard: Guard,
}

pub(crate) struct Plane {
    pub(crate) control: ControlPlane,
    pub(crate) client: Client,
    created: usize,
    /// A namespace with this many synced objects, for a restart.
    pub(crate) synced: Option<(String, usize)>,
    /// The best concurrency of the bare client, once measured.
    pub(crate) concurrency: Option<usize>,
}

impl Lab {
    pub(crate) fn start(settings: Settings) -> Result<Self> {
        let guard = Guard::start()?;
        let directory = guard.temporary_directory("envelope-bench-")?;
        let environment = Environment::read(&settings)?;
        let lab = Lab {
            keyring: directory.join("keyring"),
            settings,
            environment,
            directory,
            plane: None,
            cold_starts: Vec::new(),
            guard,
        };
        let keyring = lab.keyring.clone();
        lab.envelope(&["keys", "create", "--keyring"], &[&keyring], &[], None)?;
        Ok(lab)
    }

    /// Returns a control plane on which this many more objects fit.
    pub(crate) async fn plane(&mut self, objects: usize) -> Result<&mut Plane> {
        let full = |plane: &Plane| plane.created > 0 && plane.created + objects > OBJECTS_PER_PLANE;
        let old = self.plane.take_if(|plane| full(plane));
        let concurrency = old.as_ref().and_then(|plane| plane.concurrency);
        drop(old); // before the next one starts
        if self.plane.is_none() {
            let control = ControlPlane::start(&Options::default())?;
            control.kubectl(["apply", "--server-side", "-f", CRD])?;
            control.kubectl(["wait", "--for=condition=Established", "--timeout=60s", CRD_NAME])?;
            let client = Client::connect(&control.kubeconfig()).await?;
            self.plane = Some(Plane {
                control,
                client,
                created: 0,
                synced: None,
                concurrency,
            });
        }
        let plane = self.plane.as_mut().context("no control plane")?;
        plane.created += objects;
        Ok(plane)
    }

    /// Returns the control plane that [`Self::plane`] started.
    pub(crate) fn current(&mut self) -> Result<&mut Plane> {
        self.plane.as_mut().context("no control plane")
    }

    /// Stops the control plane.
    pub(crate) fn drop_plane(&mut self) {
        self.plane = None;
    }

    /// The processes whose CPU time is compared: those of the control plane, this one and `more`.
    pub(crate) fn processes(&mut self, more: &[u32]) -> Result<Vec<u32>> {
        let (_, mut pids) = self.current()?.control.process_ids();
        pids.push(std::process::id());
        pids.extend(more);
        Ok(pids)
    }

    /// Runs the measured binary with this input and returns its output. It inherits only `env`.
    pub(crate) fn envelope(
        &self,
        words: &[&str],
        paths: &[&Path],
        env: &[(&str, String)],
        output: Option<&Path>,
    ) -> Result<String> {
        let mut command = Command::new(&self.settings.envelope);
        command.args(words).args(paths).env_clear();
        command.env("HOME", &self.directory).stdin(Stdio::null());
        command.envs(env.iter().map(|(name, value)| (*name, value)));
        command.current_dir(&self.directory);
        if let Some(output) = output {
            command.stdout(std::fs::File::create(output)?);
        }
        let done = command.output().context("cannot start envelope")?;
        let error = String::from_utf8_lossy(&done.stderr);
        ensure!(
            done.status.success(),
            "envelope {}: {}: {}",
            words.join(" "),
            done.status,
            error.lines().take(5).collect::<Vec<_>>().join("\n")
        );
        Ok(String::from_utf8_lossy(&done.stdout).into_owned())
    }

    /// Runs the bare client in a process of its own and returns its result. Its time is measured from here.
    pub(crate) fn bare(&mut self, work: Work, namespace: &str, concurrency: usize) -> Result<Done> {
        let work = match work {
            Work::Write => "write",
            Work::List => "list",
        };
        let kubeconfig = self.current()?.control.kubeconfig();
        let mut command = Command::new(std::env::current_exe()?);
        command
            .args(["bare", work, "--namespace", namespace, "--kubeconfig"])
            .arg(kubeconfig)
            .args(["--concurrency", &concurrency.to_string()]);
        let done = command.stdin(Stdio::null()).stderr(Stdio::inherit()).output()?;
        ensure!(done.status.success(), "the bare client failed: {}", done.status);
        serde_json::from_slice(&done.stdout).context("the output of the bare client")
    }
}

/// Prints a line of progress.
pub(crate) fn say(line: &str) {
    testkit::say(&format!("bench: {line}"));
}
