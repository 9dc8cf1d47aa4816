//! The command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

#[derive(Parser)]
#[command(
    name = "cargo xtask",
    bin_name = "cargo xtask",
    about = "Development tasks for envelope-secrets"
)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) task: Task,
}

#[derive(Subcommand)]
pub(crate) enum Task {
    /// Demonstrate the product from scratch: seal, apply, drift correction, restart, tampering; cleans up after itself
    Demo(Demo),
    /// Run a test suite step by step; prints the duration of each step and stops at the first failure
    Test {
        #[arg(value_enum, default_value_t = Suite::Core)]
        suite: Suite,
    },
    /// Measure the product against a bare client on the same API server; writes docs/benchmarks.md, with raw samples and plots
    Bench(Bench),
    /// Write the generated files: the CRD, the CLI reference and the diagrams
    Generate {
        /// Only compare; fail if a file is out of date
        #[arg(long)]
        check: bool,
    },
    /// Build what a release publishes for this host's architecture: the archive with completions and man pages, bill of materials,
    /// checksums, and the manifest of the kubectl plugin; needs musl-tools
    Dist(Dist),
    /// Build the controller's image as an OCI archive, without a Docker engine; needs buildah and musl-tools
    Image(Image),
    /// Start or stop a whole Kubernetes cluster of one node, with the chart installed; needs root on Debian
    Cluster {
        #[command(subcommand)]
        action: Cluster,
    },
    /// Start a Kubernetes control plane, print how to use it, and keep it running
    Controlplane {
        /// Arguments for `testkit controlplane` (`--help` lists them)
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<String>,
    },
    /// Start a local emulator of Tencent Cloud KMS, print how to use it, and keep it running
    KmsEmulator {
        /// Arguments for `testkit kms-emulator`, such as `--listen 127.0.0.1:8099` (`--help` lists them)
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<String>,
    },
}

#[derive(Args)]
pub(crate) struct Bench {
    /// The benchmarks to run, all by default: cold-start, restart, scaling, memory, latency, quota, seal
    #[arg(value_name = "NAME")]
    pub(crate) names: Vec<String>,
    /// Pairs of measurements
    #[arg(long, default_value_t = 7)]
    pub(crate) runs: usize,
    /// Pairs of measurements with more than 5,000 objects, if fewer than `--runs`
    #[arg(long)]
    pub(crate) large_runs: Option<usize>,
    /// The number of objects; the targets are defined for 10,000
    #[arg(long, default_value_t = 10_000)]
    pub(crate) objects: usize,
    /// At most 3 pairs and 1,000 objects
    #[arg(long)]
    pub(crate) quick: bool,
    /// The profile of cargo; `dev` compiles faster, to try the benchmarks themselves
    #[arg(long, default_value = "release")]
    pub(crate) profile: String,
    /// Write the results here. By default only full results of the release profile are written to docs/, others to target/bench/
    #[arg(long, value_name = "DIRECTORY")]
    pub(crate) output: Option<PathBuf>,
    /// Only render the page and the plots from the stored results
    #[arg(long)]
    pub(crate) render: bool,
}

#[derive(Args)]
pub(crate) struct Image {
    /// The profile of cargo; `dev` compiles in half the time, for tests
    #[arg(long, default_value = "release")]
    pub(crate) profile: String,
    /// The archive to write, instead of `target/image/envelope-secrets-<tag>.tar`
    #[arg(long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
}

#[derive(Args)]
pub(crate) struct Dist {
    /// The directory to write to, instead of `target/dist`; archives of other architectures in it are kept
    #[arg(long, value_name = "DIRECTORY")]
    pub(crate) output: Option<PathBuf>,
    /// Where the files will be downloaded from; the krew manifest needs it
    #[arg(long, value_name = "URL")]
    pub(crate) base_url: Option<String>,
}

#[derive(Subcommand)]
pub(crate) enum Cluster {
    /// Start a control plane, a node, and the controller from the chart in this repository; returns when the controller is ready
    Up {
        /// The profile of cargo for the controller's image
        #[arg(long, default_value = "release")]
        profile: String,
    },
    /// Stop it, and remove everything that it created on this host
    Down,
}

#[derive(Args)]
pub(crate) struct Demo {
    /// The KMS to seal and open with
    #[arg(long, value_enum, default_value_t = Provider::Local)]
    pub(crate) provider: Provider,
    /// Only seal, open and tamper; needs neither Go nor a cluster
    #[arg(long, conflicts_with_all = ["kubeconfig", "yes"])]
    pub(crate) no_cluster: bool,
    /// Use the cluster of this kubeconfig's current context, in one new namespace, and remove everything that the demo creates.
    ///
    /// The demo's commands run with a separate HOME, so a login that reads files from your home directory does not work. The controller,
    /// and the KMS emulator of `--provider tencent-kms`, run on this host; nothing in the cluster connects to them.
    #[arg(long, value_name = "FILE")]
    pub(crate) kubeconfig: Option<PathBuf>,
    /// Do not ask for confirmation before using that cluster
    #[arg(long, requires = "kubeconfig")]
    pub(crate) yes: bool,
}

#[derive(Clone, Copy, ValueEnum)]
pub(crate) enum Provider {
    /// A keyring file: seal, apply, drift correction, restart, tampering
    Local,
    /// Tencent Cloud KMS, as an emulator: keys in two regions, pod identity, a regional outage, disabled keys, rotation, a key that is
    /// not allowed, tampering
    TencentKms,
}

#[derive(Clone, Copy, ValueEnum)]
pub(crate) enum Suite {
    /// Formatting, clippy, dependency rules, documentation and every test in the workspace
    Core,
    /// Tencent Cloud's Python and Node SDKs, from their registries, against the KMS emulator and compared with our client; needs Python
    /// 3.10 and Node.js
    Conformance,
    /// The Helm chart: lint, templates, schema, and a server-side dry run on a real API server
    Chart,
    /// kustomize, Argo CD's health check and diff, and Flux's controllers, built from their Go modules, on a real API server; needs Go
    /// and git
    Gitops,
    /// The image and the chart on a real node: sealed documents become files and variables of pods; needs root on Debian
    Node,
    /// The image is reproducible: built twice in different directories, it has the same bytes; needs musl-tools and buildah
    Image,
    /// What only a Tencent Cloud account can verify, with your credentials and the KMS key in `ENVELOPE_KEY`; CI never runs it
    Live,
}
