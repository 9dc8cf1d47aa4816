//! What must be on the machine, looked at in the first second, before anything is built.

use std::{env, fmt, process::Command};

use anyhow::{Result, ensure};

use crate::run::{answers, cargo};

/// One thing that a task needs.
#[derive(Clone, Copy)]
pub(crate) enum Need {
    /// `cc`: the TLS library has C parts.
    CCompiler,
    /// rustfmt and clippy.
    Components,
    /// Go, which builds the control plane, or a folder with one that is built.
    ControlPlane,
    Kubectl,
    /// With its module for virtual environments.
    Python,
    /// With npm.
    Node,
    /// A key of Tencent Cloud KMS; whether there are credentials, the program's own search tells.
    TencentKey,
}

impl Need {
    /// `None`: it is there.
    fn missing(self) -> Option<&'static str> {
        let (there, advice) = match self {
            Self::CCompiler => (
                answers(Command::new("cc").arg("--version")),
                "a C compiler (`cc`), for the TLS library: for example `apt-get install gcc libc6-dev`, or Xcode's command line tools",
            ),
            Self::Components => (
                ["fmt", "clippy"]
                    .iter()
                    .all(|name| answers(&mut cargo([name, "--version"]))),
                "rustfmt and clippy: `rustup component add rustfmt clippy`",
            ),
            Self::ControlPlane => (
                env::var_os("KUBEBUILDER_ASSETS").is_some_and(|folder| !folder.is_empty())
                    || answers(Command::new("go").arg("version")),
                "Go (https://go.dev/dl), which builds etcd and the Kubernetes API server, or the environment variable \
                 KUBEBUILDER_ASSETS with a folder that holds them",
            ),
            Self::Kubectl => (
                answers(Command::new("kubectl").args(["version", "--client"])),
                "kubectl (https://kubernetes.io/docs/tasks/tools)",
            ),
            Self::Python => (
                answers(Command::new("python3").args([
                    "-c",
                    "import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 10))",
                ])),
                "Python 3.10 or later with venv: for example `apt-get install python3-venv`",
            ),
            Self::Node => (
                ["node", "npm"]
                    .iter()
                    .all(|name| answers(Command::new(name).arg("--version"))),
                "Node.js 18 or later with npm (https://nodejs.org)",
            ),
            Self::TencentKey => (
                env::var("ENVELOPE_KEY").is_ok_and(|key| key.starts_with("tencent-kms://")),
                "a key of Tencent Cloud KMS, its URI (tencent-kms://REGION/KEY-ID) in the environment variable ENVELOPE_KEY, and \
                 credentials that may use it",
            ),
        };
        (!there).then_some(advice)
    }
}

/// What is not there; told apart from a failure by xtask's exit status.
#[derive(Debug)]
pub(crate) struct Missing(String);

impl Missing {
    /// What a registry did not give. The registry's own words stand above it in the log.
    pub(crate) fn from_registry(what: &str) -> Self {
        Missing(format!(
            "{what}: it could not be installed; is its registry reached from here?"
        ))
    }

    /// What the started program found to be missing, in its words.
    pub(crate) fn told(why: &str) -> Self {
        Missing(why.to_owned())
    }

    pub(crate) const EXIT: u8 = 3;
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "not on this machine:\n  {}", self.0)
    }
}

impl std::error::Error for Missing {}

pub(crate) fn check(needs: &[Need]) -> Result<()> {
    let missing: Vec<&str> = needs.iter().filter_map(|need| need.missing()).collect();
    ensure!(missing.is_empty(), Missing(missing.join("\n  ")));
    Ok(())
}
