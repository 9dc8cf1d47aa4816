//! The controller as a process, with the permissions of the release's service account and the KMS emulator. Its metrics are what the
//! alerts and the dashboard are checked against.

use std::{
    fs,
    io::{BufRead as _, BufReader},
    path::PathBuf,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail, ensure};

use super::{
    dashboard::{self, Sampler, scrape},
    monitoring,
    support::{CHART, KEYRING, Suite, success},
};
use crate::{cluster::RELEASE, run::profile_directory};

/// How long the controller may take for a few objects while the host is busy.
const TIMEOUT: Duration = Duration::from_mins(2);

/// Needs the release of the checks before it.
pub(super) fn check(suite: &mut Suite) -> Result<()> {
    // Of its two namespaces, the controller may work in one only.
    let values = [KEYRING, "namespaces={one}"];
    success(&suite.helm("upgrade", &[RELEASE, CHART], &values)?)?;
    suite.shell("kubectl delete envsec,secrets --all -n one")?;
    let run = run(suite)?;
    dashboard::check(suite, &run.scrapes);
    monitoring::check(suite, &run.healthy, &run.failing)
}

/// The metrics of a run.
struct Run {
    /// While everything works.
    healthy: String,
    /// After faults.
    failing: String,
    /// All the time, for the dashboard.
    scrapes: String,
}

fn run(suite: &Suite) -> Result<Run> {
    let mut emulator = Emulator::start()?;
    let documents = "
envelope keys create --keyring other-keyring >/dev/null
seal() { # NAME FLAG...
    kubectl create secret generic $1 -n one --from-literal=password=example --dry-run=client -o yaml |
        envelope seal \"${@:2}\"
}
";
    let cloud = format!(
        "export ENVELOPE_TENCENT_ENDPOINT={} TENCENTCLOUD_SECRET_ID={} TENCENTCLOUD_SECRET_KEY={} KEY={}\n",
        emulator.get("ENVELOPE_TENCENT_ENDPOINT")?,
        emulator.get("TENCENTCLOUD_SECRET_ID")?,
        emulator.get("TENCENTCLOUD_SECRET_KEY")?,
        emulator.get("ENVELOPE_KEY")?,
    );
    suite.shell(&format!(
        "{documents}{cloud}
seal good --keyring keyring | kubectl apply -f -
seal cloud --key $KEY | kubectl apply -f -
for batch in {{1..4}}; do
    for number in {{1..8}}; do
        seal batch-$batch-$number --key $KEY
        echo ---
    done >batch-$batch.yaml
done
seal later --key $KEY >later.yaml
for number in {{1..5}}; do # as many failures as open the circuit breaker
    seal last-$number --key $KEY
    echo ---
done >last.yaml
seal tampered --keyring keyring >tampered.yaml
sed -i -E '/^ *password: /{{s/\\.A/.B/;t;s/\\.[^A]/.A/}}' tampered.yaml # another first character
seal other --keyring other-keyring >other.yaml
"
    ))?;
    let controller = Controller::start(suite, &emulator, "one")?;
    let sampler = Sampler::start(&controller.address, "controller-1");
    controller.scrape_until("envelope_secrets_objects{state=\"Synced\"} 2")?;
    for batch in 1..=4 {
        suite.shell(&format!("kubectl apply -f batch-{batch}.yaml"))?;
        let synced = 2 + 8 * batch;
        controller.scrape_until(&format!("envelope_secrets_objects{{state=\"Synced\"}} {synced}"))?;
    }
    suite.shell("kubectl delete secret cloud -n one")?;
    controller.scrape_until("envelope_secrets_data_key_lookups_total{result=\"hit\"} 1")?;
    let healthy = controller.scrape_until("envelope_secrets_objects{state=\"Synced\"} 34")?;
    let mut scrapes = sampler.finish()?;
    drop(controller);
    // A second namespace, without permission, and documents that cannot be opened.
    suite.shell("kubectl apply -f tampered.yaml -f other.yaml -f later.yaml")?;
    let controller = Controller::start(suite, &emulator, "one,two")?;
    let sampler = Sampler::start(&controller.address, "controller-2");
    controller.scrape_until("envelope_secrets_objects{state=\"Synced\"} 35")?;
    controller.scrape_until("envelope_secrets_objects{state=\"IntegrityError\"} 1")?;
    controller.scrape_until("envelope_secrets_objects{state=\"NoUsableKey\"} 1")?;
    controller.scrape_until("envelope_secrets_streams{stream=\"secrets\",state=\"forbidden\"} 1")?;
    emulator.stop();
    suite.shell("kubectl apply -f last.yaml")?;
    // Five failures open the circuit breaker; two probes follow.
    controller.scrape_until("envelope_secrets_kms_requests_total{provider=\"tencent-kms\",action=\"Decrypt\",outcome=\"transient\"} 7")?;
    controller.scrape_until("envelope_secrets_kms_breakers_open 1")?;
    let failing = controller.scrape_until("envelope_secrets_objects{state=\"KmsUnavailable\"} 5")?;
    scrapes += &sampler.finish()?;
    Ok(Run {
        healthy,
        failing,
        scrapes,
    })
}

/// A child that is terminated when this process exits, however that happens.
pub(super) fn child(program: PathBuf, arguments: &[&str]) -> Result<Command> {
    let mut command = Command::new(profile_directory()?.join("testkit"));
    command.arg("exec").arg(std::process::id().to_string());
    command.arg("--").arg(program).args(arguments);
    command.stdin(Stdio::null());
    Ok(command)
}

pub(super) struct Emulator {
    child: Child,
    environment: Vec<(String, String)>,
}

impl Emulator {
    /// With a role of the instance, so that the controller has credentials that expire.
    pub(super) fn start() -> Result<Self> {
        let testkit = profile_directory()?.join("testkit");
        let mut command = child(testkit, &["kms-emulator", "--machine-role", "machine"])?;
        let mut child = command.stdout(Stdio::piped()).spawn()?;
        let output = child.stdout.take().context("no standard output")?;
        let mut environment = Vec::new();
        for line in BufReader::new(output).lines() {
            let line = line?;
            if let Some((name, value)) = line
                .strip_prefix("export ")
                .and_then(|export| export.split_once('='))
            {
                environment.push((name.to_owned(), value.to_owned()));
                if name == "ENVELOPE_KEY" {
                    return Ok(Self { child, environment });
                }
            }
        }
        bail!("the KMS emulator exited")
    }

    pub(super) fn get(&self, name: &str) -> Result<&str> {
        let found = self.environment.iter().find(|(it, _)| it == name);
        found
            .map(|(_, value)| value.as_str())
            .with_context(|| format!("the emulator did not print {name}"))
    }

    fn stop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Emulator {
    fn drop(&mut self) {
        self.stop();
    }
}

struct Controller {
    child: Child,
    address: String,
    log: PathBuf,
}

impl Controller {
    fn start(suite: &Suite, emulator: &Emulator, namespaces: &str) -> Result<Self> {
        // With a token of the release's ServiceAccount, as in its pod.
        suite.shell(&format!(
            "cp \"$KUBECONFIG\" kubeconfig
export KUBECONFIG=$PWD/kubeconfig
token=$(kubectl create token {RELEASE} -n {RELEASE})
kubectl config set-credentials pod --token=\"$token\"
kubectl config set-context --current --user=pod"
        ))?;
        let keyring = suite.work.join("keyring").display().to_string();
        let kubeconfig = suite.work.join("kubeconfig").display().to_string();
        let arguments = [
            "controller",
            "--keyring",
            &keyring,
            "--kubeconfig",
            &kubeconfig,
            "--allow-key",
            "tencent-kms://ap-guangzhou/",
            "--namespaces",
            namespaces,
            "--kms-qps", // so slow that the dashboard shows a queue
            "2",
            "--metrics-addr",
            "127.0.0.1:0",
            "--probe-addr",
            "127.0.0.1:0",
        ];
        let mut command = child(profile_directory()?.join("envelope"), &arguments)?;
        for (name, _) in std::env::vars_os() {
            if ["ENVELOPE_", "TENCENTCLOUD_", "TKE_"]
                .iter()
                .any(|prefix| name.to_string_lossy().starts_with(prefix))
            {
                command.env_remove(name);
            }
        }
        command.env("HOME", &suite.work); // no profile file
        for name in ["ENVELOPE_TENCENT_ENDPOINT", "ENVELOPE_TENCENT_METADATA_ENDPOINT"] {
            command.env(name, emulator.get(name)?);
        }
        let log = suite.work.join("controller.log");
        let mut running = Self {
            child: command.stderr(fs::File::create(&log)?).spawn()?,
            address: String::new(),
            log,
        };
        running.address = running.until("the controller serves metrics", |log| {
            let (_, rest) = log.split_once("metrics=")?;
            let address = rest.split_whitespace().next()?.trim_matches('"');
            Some(address.to_owned())
        })?;
        Ok(running)
    }

    fn until(&self, what: &str, found: impl Fn(&str) -> Option<String>) -> Result<String> {
        let start = Instant::now();
        loop {
            let log = fs::read_to_string(&self.log)?;
            if let Some(found) = found(&log) {
                return Ok(found);
            }
            ensure!(start.elapsed() < TIMEOUT, "{what}: not in time:\n{log}");
            thread::sleep(Duration::from_millis(50));
        }
    }

    fn scrape_until(&self, line: &str) -> Result<String> {
        let start = Instant::now();
        loop {
            let metrics = scrape(&self.address)?;
            if metrics.lines().any(|it| it == line) {
                return Ok(metrics);
            }
            ensure!(
                start.elapsed() < TIMEOUT,
                "no {line} in\n{metrics}\n{}",
                fs::read_to_string(&self.log)?
            );
            thread::sleep(Duration::from_millis(100));
        }
    }
}

impl Drop for Controller {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
