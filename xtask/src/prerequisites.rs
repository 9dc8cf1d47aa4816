//! What must be installed on the host; checked before anything is built.

use std::{env, fmt, path::Path, process::Command};

use anyhow::{Result, ensure};

use crate::run::{cargo, output, root, succeeds};

/// A prerequisite of a task.
#[derive(Clone, Copy)]
pub(crate) enum Need {
    /// `cc`: parts of the TLS library are written in C.
    CCompiler,
    /// rustfmt and clippy.
    Components,
    /// Go, to build the control plane, or a directory with the built binaries.
    ControlPlane,
    /// Go itself, whatever `KUBEBUILDER_ASSETS` contains.
    Go,
    Git,
    Kubectl,
    /// With the venv module.
    Python,
    /// With npm.
    Node,
    /// musl's C compiler and Rust's standard library for static binaries.
    Musl,
    Buildah,
    /// The trusted certificate authorities, which are copied into the image.
    CertificateAuthorities,
    Root,
    /// containerd, runc, CNI plugins and `ip`.
    Containers,
    /// The URI of a Tencent Cloud KMS key. The suite itself reports missing credentials.
    TencentKey,
}

impl Need {
    /// What to install; `None` if the prerequisite is present.
    fn missing(self) -> Option<&'static str> {
        let (present, advice) = match self {
            Self::CCompiler => (
                succeeds(Command::new("cc").arg("--version")),
                "a C compiler (`cc`) for the TLS library, for example `apt-get install gcc libc6-dev` or Xcode's command line tools",
            ),
            Self::Components => (
                ["fmt", "clippy"]
                    .iter()
                    .all(|name| succeeds(&mut cargo([name, "--version"]))),
                "rustfmt and clippy: `rustup component add rustfmt clippy`",
            ),
            Self::ControlPlane => (
                env::var_os("KUBEBUILDER_ASSETS").is_some_and(|directory| !directory.is_empty())
                    || succeeds(Command::new("go").arg("version")),
                "Go (https://go.dev/dl) to build etcd and the Kubernetes API server, or a directory with the built binaries in the \
                 environment variable KUBEBUILDER_ASSETS",
            ),
            Self::Go => (
                succeeds(Command::new("go").arg("version")),
                "Go (https://go.dev/dl)",
            ),
            Self::Git => (
                succeeds(Command::new("git").arg("--version")),
                "git (https://git-scm.com)",
            ),
            Self::Kubectl => (
                succeeds(Command::new("kubectl").args(["version", "--client"])),
                "kubectl (https://kubernetes.io/docs/tasks/tools)",
            ),
            Self::Python => (
                succeeds(Command::new("python3").args([
                    "-c",
                    "import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 10))",
                ])),
                "Python 3.10 or later with venv, for example `apt-get install python3-venv`",
            ),
            Self::Node => (
                ["node", "npm"]
                    .iter()
                    .all(|name| succeeds(Command::new(name).arg("--version"))),
                "Node.js 18 or later with npm (https://nodejs.org)",
            ),
            Self::Musl => (
                succeeds(Command::new("musl-gcc").arg("--version")) && has_musl_target(),
                "musl's C compiler and Rust's standard library for it: `apt-get install musl-tools` and \
                 `rustup target add $(uname -m)-unknown-linux-musl`",
            ),
            Self::Buildah => (
                succeeds(Command::new("buildah").arg("--version")),
                "buildah (`apt-get install buildah`)",
            ),
            Self::CertificateAuthorities => (
                Path::new(CERTIFICATE_AUTHORITIES).is_file(),
                "the trusted certificate authorities (`apt-get install ca-certificates`)",
            ),
            Self::Root => (
                output(Command::new("id").arg("-u")).is_ok_and(|id| id.trim() == "0"),
                "root, to create namespaces, mounts and a network interface",
            ),
            Self::Containers => (
                [["containerd", "--version"], ["runc", "--version"], ["ip", "-V"]]
                    .iter()
                    .all(|[name, argument]| succeeds(Command::new(name).arg(argument)))
                    && Path::new(CNI_PLUGINS).join("bridge").is_file(),
                "containerd, runc, CNI plugins and ip (`apt-get install containerd runc containernetworking-plugins iproute2`)",
            ),
            Self::TencentKey => (
                env::var("ENVELOPE_KEY").is_ok_and(|key| key.starts_with("tencent-kms://")),
                "a Tencent Cloud KMS key: its URI (tencent-kms://REGION/KEY-ID) in the environment variable ENVELOPE_KEY, and \
                 credentials with permission to use it",
            ),
        };
        (!present).then_some(advice)
    }
}

/// Where Debian's `ca-certificates` puts all authorities, and where the binary reads them in the image.
pub(crate) const CERTIFICATE_AUTHORITIES: &str = "/etc/ssl/certs/ca-certificates.crt";

/// The target triple of static binaries for this host.
pub(crate) fn musl_target() -> String {
    format!("{}-unknown-linux-musl", env::consts::ARCH)
}

/// Where Debian's `containernetworking-plugins` puts the CNI plugins.
const CNI_PLUGINS: &str = "/usr/lib/cni";

fn has_musl_target() -> bool {
    let sysroot = output(
        Command::new("rustc")
            .args(["--print", "sysroot"])
            .current_dir(root()),
    );
    sysroot.is_ok_and(|sysroot| {
        Path::new(sysroot.trim())
            .join("lib/rustlib")
            .join(musl_target())
            .join("lib")
            .is_dir()
    })
}

/// Missing prerequisites; xtask exits with [`Missing::EXIT`] instead of the status of a failure.
#[derive(Debug)]
pub(crate) struct Missing(String);

impl Missing {
    pub(crate) const EXIT: u8 = 3;

    /// A package that could not be installed. The package manager's error is above it in the log.
    pub(crate) fn not_installable(package: &str) -> Self {
        Missing(format!(
            "{package}, which could not be installed; check that its package registry is reachable"
        ))
    }

    /// A prerequisite that the started program reported as missing.
    pub(crate) fn reported(why: &str) -> Self {
        Missing(why.to_owned())
    }
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "missing prerequisites:\n  {}", self.0)
    }
}

impl std::error::Error for Missing {}

/// Fails with [`Missing`] unless all prerequisites are present.
pub(crate) fn check(needs: &[Need]) -> Result<()> {
    let missing: Vec<&str> = needs.iter().filter_map(|need| need.missing()).collect();
    ensure!(missing.is_empty(), Missing(missing.join("\n  ")));
    Ok(())
}
