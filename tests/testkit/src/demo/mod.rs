//! `cargo xtask demo`: the product's main job from scratch, as a user would do it.
//!
//! Every command is shown and then run exactly as shown, by a shell that inherits none of the caller's settings. The results are checked,
//! so the demo is also a test.

mod cleaner;
mod existing;
mod local;
mod stage;
mod story;
mod tencent;

use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use clap::ValueEnum;

use crate::binaries::Part;
use crate::plane::{ControlPlane, Options};
pub use cleaner::clean;
use stage::Stage;
use story::{NAMESPACE, Story};

/// The KMS to seal and open with.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum Provider {
    /// A keyring file.
    Local,
    /// Tencent Cloud KMS, as an emulator.
    TencentKms,
}

impl Provider {
    fn story(self) -> Result<Box<dyn Story>> {
        Ok(match self {
            Provider::Local => Box::new(local::Local),
            Provider::TencentKms => Box::new(tencent::Tencent::start()?),
        })
    }
}

/// Where the demo runs.
#[derive(Clone, Debug)]
pub enum Place {
    /// Seal, open and tamper only, without Kubernetes.
    NoCluster,
    /// A new control plane, removed at the end.
    Own,
    /// A new namespace in an existing cluster.
    Existing {
        kubeconfig: PathBuf,
        /// Do not ask for confirmation.
        yes: bool,
    },
}

/// Runs the demo with this `envelope` binary. However this process exits, everything that the demo created is removed: processes and files
/// by the guard, objects in an existing cluster by the cleaner. The emulator runs in this process.
pub fn run(envelope: &Path, provider: Provider, place: &Place, out: &mut dyn Write) -> Result<()> {
    let mut story = provider.story()?;
    match place {
        Place::NoCluster => {
            let mut stage = Stage::new(out, envelope, None)?;
            story.seal(&mut stage, NAMESPACE)?;
            story.open(&mut stage)?;
            stage.say("Nothing is left behind: the keys and files are removed.")
        }
        Place::Own => {
            let kubernetes = ControlPlane::start(&Options::default())?;
            let cluster = stage::Cluster {
                kubectl: kubernetes.binaries().path(Part::Kubectl).to_owned(),
                kubeconfig: kubernetes.kubeconfig(),
            };
            let mut stage = Stage::new(out, envelope, Some(&cluster))?;
            stage.say("Start a Kubernetes control plane for this demo.")?;
            stage.show_environment()?;
            story.seal(&mut stage, NAMESPACE)?;
            stage.say("Create the CRD and a namespace.")?;
            stage.run("envelope crd > crd.yaml")?;
            stage.run("kubectl create -f crd.yaml")?;
            stage.run(&format!("kubectl create namespace {NAMESPACE}"))?;
            story::run_in_cluster(&mut *story, &mut stage, NAMESPACE)?;
            stage.say("Nothing is left behind: the control plane, its data, the keys and files are removed.")
        }
        Place::Existing { kubeconfig, yes } => {
            let kubeconfig =
                std::fs::canonicalize(kubeconfig).with_context(|| kubeconfig.display().to_string())?;
            let kubectl = kubectl_in_path().context("kubectl is not in PATH")?;
            let cluster = stage::Cluster { kubectl, kubeconfig };
            let mut stage = Stage::new(out, envelope, Some(&cluster))?;
            existing::run(&mut *story, &mut stage, *yes)
        }
    }
}

fn kubectl_in_path() -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        .map(|directory| directory.join("kubectl"))
        .find(|file| file.is_absolute() && file.is_file())
}
