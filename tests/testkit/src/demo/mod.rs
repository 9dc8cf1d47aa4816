//! The product's main job from nothing, as a person would do it: `cargo xtask demo`.
//!
//! Every command is shown and then run exactly as shown, by a shell whose environment holds nothing of the caller's settings; what a
//! command must have come to is checked, so that a demo that ends well is also a test.

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
use story::Story;

/// Of the demo's objects, but in a cluster that is there.
const NAMESPACE: &str = "demo";

/// Whose keys seal and open.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum Provider {
    /// A keyring file.
    Local,
    /// Tencent Cloud KMS, which the emulator plays.
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
    /// Seal, open, tamper: no Kubernetes.
    NoCluster,
    /// A control plane of its own, gone at the end.
    Own,
    /// A cluster that is there, in one namespace of its own.
    Existing {
        kubeconfig: PathBuf,
        /// Do not ask.
        yes: bool,
    },
}

/// Runs the demo with this `envelope` binary. All that it made is gone when this returns, and also when this process ends in any other
/// way: processes and files by the guard, objects in an existing cluster by the cleaner; the emulator is a part of this process.
pub fn run(envelope: &Path, provider: Provider, place: &Place, out: &mut dyn Write) -> Result<()> {
    let mut story = provider.story()?;
    match place {
        Place::NoCluster => {
            let mut stage = Stage::new(out, envelope, None)?;
            story.seal(&mut stage, NAMESPACE)?;
            story.open(&mut stage)?;
            stage.say("Nothing is left behind: keys and files end with this demo.")
        }
        Place::Own => {
            let kubernetes = ControlPlane::start(&Options::default())?;
            let cluster = stage::Cluster {
                kubectl: kubernetes.binaries().path(Part::Kubectl).to_owned(),
                kubeconfig: kubernetes.kubeconfig(),
            };
            let mut stage = Stage::new(out, envelope, Some(&cluster))?;
            stage.say("A Kubernetes control plane runs for this demo alone.")?;
            stage.shows_environment()?;
            story.seal(&mut stage, NAMESPACE)?;
            stage.say("The custom resource, and a namespace.")?;
            stage.runs("envelope crd > crd.yaml")?;
            stage.runs("kubectl create -f crd.yaml")?;
            stage.runs(&format!("kubectl create namespace {NAMESPACE}"))?;
            story::cluster(&mut *story, &mut stage, NAMESPACE)?;
            stage.say(
                "Nothing is left behind: the control plane, its data, keys and files end with this demo.",
            )
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
        .map(|folder| folder.join("kubectl"))
        .find(|file| file.is_absolute() && file.is_file())
}
