//! The command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

/// Benchmarks of the whole product on a real control plane. `cargo xtask bench` builds what this needs and starts it.
#[derive(Parser)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) action: Action,
}

#[derive(Subcommand)]
pub(crate) enum Action {
    /// Measure, and write the results.
    Run(Box<Settings>),
    /// Only render the page and the plots from the results in a directory.
    Render {
        /// The directory with `benchmarks.md` and `benchmarks/`.
        directory: PathBuf,
    },
    #[command(hide = true)]
    Bare(Bare),
    #[command(hide = true)]
    Seals(Seals),
}

#[derive(Args, Clone)]
pub(crate) struct Settings {
    /// The benchmarks to run; all by default.
    #[arg(value_enum)]
    pub(crate) names: Vec<Name>,
    /// The `envelope` binary.
    #[arg(long)]
    pub(crate) envelope: PathBuf,
    /// Pairs of measurements.
    #[arg(long, default_value_t = 7)]
    pub(crate) runs: usize,
    /// Pairs of measurements with more than 5,000 objects; as many as `--runs` by default.
    #[arg(long)]
    pub(crate) large_runs: Option<usize>,
    /// The number of objects that the targets are defined for.
    #[arg(long, default_value_t = FULL_SIZE)]
    pub(crate) objects: usize,
    /// At most 3 pairs and 1,000 objects.
    #[arg(long)]
    pub(crate) quick: bool,
    /// Write the results to this directory: `benchmarks.md`, `benchmarks/*.json` and `benchmarks/*.svg`.
    #[arg(long)]
    pub(crate) output: PathBuf,
    /// The cargo profile of the measured binary, for the record.
    #[arg(long, default_value = "release")]
    pub(crate) profile: String,
    /// The command line to print on the page.
    #[arg(long, default_value = "bench")]
    pub(crate) shown: String,
}

/// The number of objects in the targets.
pub(crate) const FULL_SIZE: usize = 10_000;

impl Settings {
    /// Returns the settings with the limits of `--quick` and all benchmarks if none is named.
    pub(crate) fn complete(mut self) -> Self {
        if self.quick {
            self.runs = self.runs.min(3);
            self.objects = self.objects.min(1_000);
        }
        self.runs = self.runs.max(1);
        self.objects = self.objects.max(10);
        if self.names.is_empty() {
            self.names = Name::value_variants().to_vec();
        }
        self.names.sort_unstable();
        self.names.dedup();
        self
    }

    /// The number of pairs with this many objects.
    pub(crate) fn pairs(&self, objects: usize) -> usize {
        match self.large_runs {
            Some(large) if objects > 5_000 => large.max(1),
            _ => self.runs,
        }
    }
}

/// A benchmark, in the order in which they run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub(crate) enum Name {
    /// New objects until all are synced, against a bare client that sends the same writes.
    ColdStart,
    /// A restart with unchanged objects, against bare lists.
    Restart,
    /// The cost of each object at different numbers of objects.
    Scaling,
    /// The controller's memory.
    Memory,
    /// From applying an object to `Ready`, idle and while another namespace is stuck.
    Latency,
    /// Forced decrypts at the quota of a KMS.
    Quota,
    /// `envelope seal` against `kubeseal`.
    Seal,
}

impl Name {
    /// The name on the command line and of the file.
    pub(crate) fn text(self) -> String {
        self.to_possible_value()
            .map(|value| value.get_name().to_owned())
            .unwrap_or_default()
    }
}

/// The bare client, in a process of its own like the controller.
#[derive(Args)]
pub(crate) struct Bare {
    #[arg(value_enum)]
    pub(crate) work: Work,
    #[arg(long)]
    pub(crate) kubeconfig: PathBuf,
    #[arg(long)]
    pub(crate) namespace: String,
    /// Objects that are being written at the same time.
    #[arg(long, default_value_t = 32)]
    pub(crate) concurrency: usize,
}

#[derive(Clone, Copy, ValueEnum)]
pub(crate) enum Work {
    /// List both resources, watch both, and write a Secret and a status for each object.
    Write,
    /// List both resources.
    List,
}

/// Starts programs and measures them, in a small process: a child's peak memory includes its parent's memory at the fork.
#[derive(Args)]
pub(crate) struct Seals {
    #[arg(long)]
    pub(crate) runs: usize,
    /// A JSON list of lists of words.
    #[arg(long)]
    pub(crate) commands: String,
    #[arg(long)]
    pub(crate) input: PathBuf,
}
