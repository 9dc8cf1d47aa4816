//! Suite `node`: the image and the chart on a real node. Whatever happens, the cluster is stopped and removed.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail, ensure};

use crate::{
    cluster::{Parts, Plane, RELEASE, checked_text},
    image::target_directory,
    run::{output, run, succeeds},
};

/// How long a change may take to reach a pod, while the host is busy.
const TIMEOUT: Duration = Duration::from_mins(3);

/// How long processes may take to exit, and files to be removed.
const REMOVAL_TIMEOUT: Duration = Duration::from_mins(1);

type Check = (&'static str, fn(&Suite) -> Result<()>);

/// Each check builds on the ones before it.
const CHECKS: &[Check] = &[
    (
        "helm install --wait: the pod is ready under the restricted Pod Security Standard",
        installed,
    ),
    ("the commands of NOTES.txt work as printed", notes),
    (
        "a pod reads the Secret as a file and from its environment",
        pod_reads_secret,
    ),
    ("metrics are served through the Service", metrics),
    (
        "the controller's pod is killed and comes back, and a changed document reaches the running pod",
        killed,
    ),
    (
        "helm uninstall keeps the CRD, EnvelopeSecrets and Secrets",
        uninstalled,
    ),
    (
        "the next helm install adopts them and writes nothing",
        installed_again,
    ),
    (
        "helm upgrade with namespaces leaves the controller no permission elsewhere",
        limited,
    ),
];

pub(crate) fn node() -> Result<()> {
    // The profile `dev` compiles in half the time. `cargo xtask cluster up` runs the released one.
    let parts = Parts::prepare("dev")?;
    let directory = target_directory().join("node");
    let start = Instant::now();
    let mut child = parts
        .node(&directory)?
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .context("cannot start testkit")?;
    let plane = match Plane::read(&mut child) {
        Ok(plane) => plane,
        Err(error) => {
            stop(&mut child)?;
            return Err(error);
        }
    };
    println!("the node is ready after {:.1} s", start.elapsed().as_secs_f64());
    let suite = Suite {
        parts,
        plane,
        directory: directory.clone(),
        work: directory.join("work"),
    };
    let (mut passed, mut failure) = (0, None);
    for (name, test) in CHECKS {
        let start = Instant::now();
        match fs::create_dir_all(&suite.work)
            .map_err(Into::into)
            .and_then(|()| test(&suite))
        {
            Ok(()) => {
                println!("ok: {name} ({:.1} s)", start.elapsed().as_secs_f64());
                passed += 1;
            }
            Err(error) => {
                println!(
                    "FAILED: {name} ({:.1} s): {error:#}",
                    start.elapsed().as_secs_f64()
                );
                suite.diagnose();
                failure = Some(name);
                break;
            }
        }
    }
    // SIGKILL, the hardest way to stop it. After a failure, the orderly way.
    if failure.is_none() {
        child.kill()?;
        child.wait()?;
    } else {
        stop(&mut child)?;
    }
    let removed = removed(&directory);
    println!(
        "{}: everything is removed from this host after SIGKILL",
        if removed.is_ok() { "ok" } else { "FAILED" }
    );
    passed += usize::from(removed.is_ok());
    let failed = usize::from(failure.is_some()) + usize::from(removed.is_err());
    println!(
        "\n{passed} passed, {failed} failed, {} not run; {:.0} s",
        CHECKS.len() + 1 - passed - failed,
        start.elapsed().as_secs_f64()
    );
    removed?;
    match failure {
        None => Ok(()),
        Some(name) => bail!("suite node failed: {name}"),
    }
}

/// Ends testkit's standard input and waits until it has stopped and removed the cluster.
fn stop(child: &mut Child) -> Result<()> {
    drop(child.stdin.take());
    let status = child.wait()?;
    ensure!(status.success(), "testkit failed: {status}");
    Ok(())
}

fn removed(directory: &Path) -> Result<()> {
    let start = Instant::now();
    while directory.exists() && start.elapsed() < REMOVAL_TIMEOUT {
        thread::sleep(Duration::from_millis(100));
    }
    ensure!(!directory.exists(), "{} is still there", directory.display());
    let link = Command::new("ip")
        .args(["link", "show", "envelope-node"])
        .output()?;
    ensure!(!link.status.success(), "the network interface is still there");
    let mounts = fs::read_to_string("/proc/self/mounts")?;
    ensure!(
        !mounts.contains(&directory.display().to_string()),
        "a mount is still there"
    );
    let cgroups = output(Command::new("find").args([
        "/sys/fs/cgroup",
        "-maxdepth",
        "2",
        "-name",
        "envelope-secrets-node*",
    ]))?;
    ensure!(cgroups.is_empty(), "cgroups are still there: {cgroups}");
    let processes = output(Command::new("pgrep").args(["-af", "--"]).arg(directory))?;
    ensure!(processes.is_empty(), "processes are still running: {processes}");
    Ok(())
}

struct Suite {
    parts: Parts,
    plane: Plane,
    directory: PathBuf,
    /// For files of the checks; removed with the run directory.
    work: PathBuf,
}

impl Suite {
    fn kubectl(&self, arguments: &str) -> Result<String> {
        checked_text(&mut self.plane.kubectl(&arguments.split(' ').collect::<Vec<_>>()))
    }

    /// Runs lines of shell in the work directory, with kubectl and envelope in `PATH`, and returns their output.
    fn shell(&self, lines: &str) -> Result<String> {
        let mut bash = self.plane.command("bash");
        bash.args(["-euo", "pipefail", "-c", lines])
            .current_dir(&self.work);
        checked_text(&mut bash)
    }

    /// Seals one value as the Secret `db` of namespace `app`, and applies it.
    fn apply_password(&self, password: &str) -> Result<()> {
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
    fn until(&self, arguments: &str, text: &str) -> Result<()> {
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

    fn diagnose(&self) {
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
}

/// With a KMS key of a cloud, too: without certificate authorities in the image, the controller would exit.
const VALUES: &[&str] = &["allowKeys={tencent-kms://ap-guangzhou/}"];

fn installed(suite: &Suite) -> Result<()> {
    suite
        .plane
        .install(&suite.parts, &suite.directory.join("keyring"), VALUES)?;
    let pods = suite.kubectl("get pods -A")?;
    print!("{pods}");
    ensure!(
        pods.contains(" 1/1 ") && pods.contains(" Running "),
        "the pod is not running:\n{pods}"
    );
    Ok(())
}

fn notes(suite: &Suite) -> Result<()> {
    let notes = checked_text(
        suite
            .plane
            .helm(&suite.parts)
            .args(["get", "notes", RELEASE, "-n", RELEASE]),
    )?;
    let commands: Vec<&str> = notes.lines().filter_map(|line| line.strip_prefix("  ")).collect();
    ensure!(commands.len() >= 7, "too few commands:\n{notes}");
    let printed = suite.shell(&commands.join("\n"))?;
    ensure!(
        printed.contains("condition met\nhello"),
        "the commands printed\n{printed}"
    );
    Ok(())
}

fn pod_reads_secret(suite: &Suite) -> Result<()> {
    suite.kubectl("create namespace app")?;
    suite.apply_password("first-password")?;
    suite.until("get events -n app", " SecretCreated ")?; // events have a low priority
    println!(
        "events of the first seal:\n{}",
        suite.kubectl("get events -n app")?
    );
    let manifest = DEPLOYMENT.replace("IMAGE", &suite.parts.pod.name);
    fs::write(suite.work.join("deployment.yaml"), manifest)?;
    suite.shell(
        "kubectl apply -f deployment.yaml && kubectl rollout status -n app deployment/reader --timeout=120s",
    )?;
    suite.until(
        "logs -n app deployment/reader",
        "environment: first-password\nfile: first-password\n",
    )
}

const DEPLOYMENT: &str = r"
apiVersion: apps/v1
kind: Deployment
metadata: {name: reader, namespace: app}
spec:
  selector: {matchLabels: {app: reader}}
  template:
    metadata: {labels: {app: reader}}
    spec:
      terminationGracePeriodSeconds: 0
      containers:
      - name: reader
        image: IMAGE
        args: [show, /secret/password, PASSWORD]
        env:
        - name: PASSWORD
          valueFrom: {secretKeyRef: {name: db, key: password}}
        volumeMounts:
        - {name: secret, mountPath: /secret, readOnly: true}
      volumes:
      - name: secret
        secret: {secretName: db}
";

fn metrics(suite: &Suite) -> Result<()> {
    let metrics = suite.scrape()?;
    for line in [
        "envelope_secrets_build_info{",
        "envelope_secrets_objects{state=\"Synced\"} 2",
    ] {
        ensure!(metrics.contains(line), "no {line} in\n{metrics}");
    }
    Ok(())
}

impl Suite {
    fn scrape(&self) -> Result<String> {
        self.kubectl("get --raw /api/v1/namespaces/envelope-secrets/services/envelope-secrets-metrics:metrics/proxy/metrics")
    }
}

fn killed(suite: &Suite) -> Result<()> {
    let pod = "get pods -n envelope-secrets -o jsonpath={.items[*].metadata.uid}";
    let before = suite.kubectl(pod)?;
    suite.kubectl("delete pods -n envelope-secrets --all --grace-period=0 --force")?;
    // Sealed while no controller runs, or just after it came back.
    suite.apply_password("second-password")?;
    suite.kubectl("rollout status -n envelope-secrets deployment/envelope-secrets --timeout=120s")?;
    let after = suite.kubectl(pod)?;
    ensure!(before != after, "the pod was not replaced: {after}");
    suite.until("logs -n app deployment/reader", "file: second-password\n")
}

const KEPT: &str = "get crd/envelopesecrets.envelope-secrets.io -o name";
const VERSIONS: &str = "get envsec,secrets -n app -o jsonpath={.items[*].metadata.resourceVersion}";

fn uninstalled(suite: &Suite) -> Result<()> {
    let before = suite.kubectl(VERSIONS)?;
    ensure!(
        before.split(' ').count() == 2,
        "one EnvelopeSecret and one Secret expected: {before}"
    );
    run(suite
        .plane
        .helm(&suite.parts)
        .args(["uninstall", RELEASE, "-n", RELEASE, "--wait"])
        .stdout(Stdio::null()))?;
    suite.until(
        "get deployments,serviceaccounts,services -n envelope-secrets -o name",
        "serviceaccount/default\n",
    )?;
    let left = suite.kubectl("get deployments,services,clusterroles,clusterrolebindings -A -l app.kubernetes.io/name=envelope-secrets -o name")?;
    ensure!(left.is_empty(), "objects of the release are left: {left}");
    suite.kubectl(KEPT)?;
    let after = suite.kubectl(VERSIONS)?;
    ensure!(before == after, "objects changed: {before} -> {after}");
    Ok(())
}

fn installed_again(suite: &Suite) -> Result<()> {
    let before = suite.kubectl(VERSIONS)?;
    suite.plane.install_chart(&suite.parts, VALUES)?;
    // Ready means that both lists are complete; the objects have been reconciled when they are counted.
    let start = Instant::now();
    while !suite
        .scrape()?
        .contains("envelope_secrets_objects{state=\"Synced\"} 2")
    {
        ensure!(
            start.elapsed() < TIMEOUT,
            "the objects were not reconciled:\n{}",
            suite.scrape()?
        );
        thread::sleep(Duration::from_millis(500));
    }
    let metrics = suite.scrape()?;
    let opened = metrics
        .lines()
        .find(|line| line.starts_with("envelope_secrets_opens_total{"));
    ensure!(opened.is_none(), "documents were opened again: {opened:?}");
    let after = suite.kubectl(VERSIONS)?;
    ensure!(before == after, "objects changed: {before} -> {after}");
    ensure!(
        succeeds(&mut suite.plane.kubectl(&["get", "secret", "db", "-n", "app"])),
        "the Secret is gone"
    );
    Ok(())
}

fn limited(suite: &Suite) -> Result<()> {
    let mut helm = suite.plane.helm(&suite.parts);
    helm.args([
        "upgrade",
        RELEASE,
        "charts/envelope-secrets",
        "--namespace",
        RELEASE,
    ]);
    helm.args([
        "--reuse-values",
        "--set",
        "namespaces={app}",
        "--wait",
        "--timeout",
        "3m",
    ]);
    run(helm.stdout(Stdio::null()))?;
    for (namespace, expected) in [("app", "yes"), ("default", "no"), ("envelope-secrets", "no")] {
        let user = format!("--as=system:serviceaccount:{RELEASE}:{RELEASE}");
        let can = ["auth", "can-i", "list", "secrets", "-n", namespace, &user];
        // The exit status of `no` is 1.
        let answer = output(&mut suite.plane.kubectl(&can))?;
        ensure!(
            answer.trim() == expected,
            "can-i list secrets in {namespace}: {answer}"
        );
    }
    suite.apply_password("third-password")?;
    suite.until("logs -n app deployment/reader", "file: third-password\n")
}
