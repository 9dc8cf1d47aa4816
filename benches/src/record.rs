//! Results as they are stored: one JSON file for each benchmark, with its raw samples.

use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::args::{Name, Settings};

/// The result of one benchmark.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Record {
    pub(crate) name: String,
    /// One sentence: what was measured.
    pub(crate) what: String,
    pub(crate) environment: Environment,
    pub(crate) rows: Vec<Row>,
    /// What a reader must know to interpret the rows.
    pub(crate) notes: Vec<String>,
    /// Curves for the plots.
    pub(crate) curves: Vec<Curve>,
    /// All measurements.
    pub(crate) samples: Value,
}

/// A row of the page.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Row {
    pub(crate) metric: String,
    pub(crate) median: String,
    /// The range of the samples, or how many there are.
    pub(crate) spread: String,
    /// Empty if there is none.
    pub(crate) target: String,
    /// Whether the target is met; `None` without a target, or if the benchmark ran with other numbers than those of the target.
    pub(crate) met: Option<bool>,
    pub(crate) limit: String,
}

/// A curve of a plot.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Curve {
    pub(crate) label: String,
    pub(crate) points: Vec<(f64, f64)>,
}

/// Where and how a benchmark ran.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Environment {
    pub(crate) date: String,
    pub(crate) command: String,
    pub(crate) profile: String,
    pub(crate) commit: String,
    pub(crate) host: String,
    pub(crate) versions: String,
    pub(crate) runs: usize,
    pub(crate) large_runs: usize,
    pub(crate) objects: usize,
}

impl Environment {
    pub(crate) fn read(settings: &Settings) -> Result<Self> {
        let cpu = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let model = cpu
            .lines()
            .find_map(|line| line.strip_prefix("model name")?.split_once(": "));
        let memory = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
        let kib: Option<u64> = memory.lines().find_map(|line| {
            line.strip_prefix("MemTotal:")?
                .split_whitespace()
                .next()?
                .parse()
                .ok()
        });
        let cores = std::thread::available_parallelism()?;
        let binaries = testkit::Binaries::get(&testkit::say)?;
        let version = |part| binaries.version(part).to_string();
        let objects = settings.objects;
        Ok(Environment {
            date: first_line("date", &["-u", "+%Y-%m-%d %H:%M UTC"]),
            command: settings.shown.clone(),
            profile: settings.profile.clone(),
            commit: commit(),
            host: format!(
                "{cores} cores of {}, {} GiB memory, Linux {}",
                model.map_or("an unknown CPU", |(_, model)| model),
                kib.unwrap_or_default() / (1 << 20),
                first_line("uname", &["-r"])
            ),
            versions: format!(
                "envelope {}, {}, Kubernetes {}, etcd {}, etcd's data without fsync",
                env!("CARGO_PKG_VERSION"),
                first_line("rustc", &["--version"]),
                version(testkit::Part::Apiserver),
                version(testkit::Part::Etcd)
            ),
            runs: settings.runs,
            large_runs: settings.pairs(usize::MAX),
            objects,
        })
    }
}

fn commit() -> String {
    let commit = first_line("git", &["rev-parse", "--short=10", "HEAD"]);
    let changed = first_line("git", &["status", "--porcelain", "--", ":/src", ":/Cargo.lock"]);
    if changed.is_empty() {
        commit
    } else {
        format!("{commit} with changes in src")
    }
}

fn first_line(program: &str, args: &[&str]) -> String {
    let output = Command::new(program)
        .args(args)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output();
    let text = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
    text.unwrap_or_default()
        .lines()
        .next()
        .unwrap_or_default()
        .to_owned()
}

impl Record {
    pub(crate) fn write(&self, directory: &Path) -> Result<()> {
        std::fs::create_dir_all(directory)?;
        let path = directory.join(format!("{}.json", self.name));
        let text = serde_json::to_string_pretty(self)?;
        std::fs::write(&path, text + "\n").with_context(|| path.display().to_string())
    }

    /// Reads all results of a directory, in the order of the benchmarks.
    pub(crate) fn read_all(directory: &Path) -> Result<Vec<Record>> {
        let mut records = Vec::new();
        for name in <Name as clap::ValueEnum>::value_variants() {
            let path = directory.join(format!("{}.json", name.text()));
            if path.is_file() {
                let text = std::fs::read(&path)?;
                records.push(serde_json::from_slice(&text).with_context(|| path.display().to_string())?);
            }
        }
        Ok(records)
    }
}
