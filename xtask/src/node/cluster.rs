//! The running cluster of the suite, for its checks.

use std::{
    path::PathBuf,
    process::Command,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Result, ensure};

use crate::{
    cluster::{Parts, Plane, checked_text},
    run::run,
};

/// How long a change may take to reach a pod, while the host is busy.
pub(super) const TIMEOUT: Duration = Duration::from_mins(3);

/// With a KMS key of a cloud, too: without certificate authorities in the image, the controller would exit.
pub(super) const VALUES: &[&str] = &["allowKeys={tencent-kms://ap-guangzhou/}"];

/// The versions of the objects in namespace `app`.
pub(super) const VERSIONS: &str =
    "get envsec,secrets -n app -o jsonpath={.items[*].metadata.resourceVersion}";

pub(super) struct Suite {
    pub(super) parts: Parts,
    pub(super) plane: Plane,
    pub(super) directory: PathBuf,
    /// For files of the checks; removed with the run directory.
    pub(super) work: PathBuf,
}

impl Suite {
    pub(super) fn kubectl(&self, arguments: &str) -> Result<String> {
        checked_text(&mut self.plane.kubectl(&arguments.split(' ').collect::<Vec<_>>()))
    }

    /// Runs lines of shell in the work directory, with kubectl and envelope in `PATH`, and returns their output.
    pub(super) fn shell(&self, lines: &str) -> Result<String> {
        let mut bash = self.plane.command("bash");
        bash.args(["-euo", "pipefail", "-c", lines])
            .current_dir(&self.work);
        checked_text(&mut bash)
    }

    /// Seals one value as the Secret `db` of namespace `app`, and applies it.
    pub(super) fn apply_password(&self, password: &str) -> Result<()> {
        let keyring = self.directory.join("keyring");
        self.shell(&format!(
            "kubectl create secret generic db -n app --from-literal=password={password} --dry-run=client -o yaml |
                envelope seal --keyring {} >db.yaml
             kubectl apply -f db.yaml >&2
             kubectl wait -n app --for=condition=Ready --timeout=60s envsec/db >&2",
            keyring.display()
        ))
        .map(|_| ())
    }

    /// Waits until the output of kubectl contains `text`.
    pub(super) fn until(&self, arguments: &str, text: &str) -> Result<()> {
        let start = Instant::now();
        loop {
            let output = self.kubectl(arguments).unwrap_or_default();
            if output.contains(text) {
                return Ok(());
            }
            ensure!(
                start.elapsed() < TIMEOUT,
                "kubectl {arguments}: no {text:?} within {} s, but\n{output}",
                TIMEOUT.as_secs()
            );
            thread::sleep(Duration::from_millis(500));
        }
    }

    pub(super) fn diagnose(&self) {
        for arguments in [
            "get pods,envsec,secrets -A -o wide",
            "get events -A --sort-by=.metadata.creationTimestamp",
            "describe pods -n envelope-secrets",
            "logs -n envelope-secrets deployment/envelope-secrets --tail=50",
        ] {
            println!("--- kubectl {arguments}");
            let _ = run(&mut self.plane.kubectl(&arguments.split(' ').collect::<Vec<_>>()));
        }
        for log in ["init.log", "kubelet.log"] {
            println!("--- {log}");
            let _ = run(Command::new("tail")
                .args(["-n", "30"])
                .arg(self.directory.join(log)));
        }
    }

    pub(super) fn scrape(&self) -> Result<String> {
        self.kubectl("get --raw /api/v1/namespaces/envelope-secrets/services/envelope-secrets-metrics:metrics/proxy/metrics")
    }
}
