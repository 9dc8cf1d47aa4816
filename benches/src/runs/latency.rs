//! Latency from applying an object to `Ready`: idle, and while another namespace is stuck.

use std::time::Duration;

use anyhow::{Context as _, Result};
use serde_json::{Value, json};
use testkit::kms::{Command, Emulator, Quotas};
use tokio::net::TcpListener;

use super::Target;
use crate::args::{FULL_SIZE, Name};
use crate::client::{JSON, objects};
use crate::controller::Controller;
use crate::lab::{Lab, say};
use crate::ready::{ReadyWatch, two_bare_writes};
use crate::record::{Curve, Record, Row};
use crate::sealed::{Batch, bodies};
use crate::stats::{commas, extremes, number, percentile, sorted};
use crate::usage::Meter;

const KMS_CALLS_PER_SECOND: u32 = 50;
const STUCK: usize = 200;
const WEBHOOK_SECONDS: u32 = 9;
const WEBHOOK: &str = "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations";

/// Samples of one scenario, in milliseconds.
struct Scenario {
    what: String,
    samples: Vec<f64>,
    limit: String,
}

pub(super) async fn run(lab: &mut Lab) -> Result<Record> {
    let full = lab.settings.objects;
    let count = if full == FULL_SIZE {
        300
    } else {
        (full / 10).clamp(10, 100)
    };
    lab.plane(full + 6 * count).await?;
    let (idle, bare) = idle(lab, count).await?;
    let throttled = waiting_for_kms(lab, count / 3 + 1, full).await?;
    let stuck = behind_webhook(lab, count / 3 + 1, STUCK.min(full)).await?;
    let floor = percentile(&bare, 99);
    let mut rows = scenario_rows(&idle, floor, full);
    rows.insert(
        0,
        latency_row("two bare writes, p99", &bare, floor, None, "the API server"),
    );
    for scenario in [&throttled, &stuck] {
        rows.extend(scenario_rows(scenario, 0.0, full));
    }
    let curve = |label: &str, samples: &[f64]| Curve {
        label: label.to_owned(),
        points: distribution(samples),
    };
    Ok(Record {
        name: Name::Latency.text(),
        what: format!(
            "One object at a time is applied with server-side apply; time runs from the start of that request until a watch delivers \
             Ready=True. The two bare writes, a Secret and a status one after the other, alternate with the idle samples. In the other \
             cases another namespace is stuck: {} objects wait for a KMS that accepts {KMS_CALLS_PER_SECOND} calls per second, from \
             which the sampled objects need a call too; or {STUCK} objects wait for an admission webhook that takes {WEBHOOK_SECONDS} s.",
            commas(full)
        ),
        environment: lab.environment.clone(),
        rows,
        notes: Vec::new(),
        curves: vec![
            curve("two bare writes", &bare),
            curve("idle", &idle.samples),
            curve("KMS at its limit", &throttled.samples),
            curve("webhook", &stuck.samples),
        ],
        samples: json!({"bare": bare, "idle": idle.samples, "kms": throttled.samples, "webhook": stuck.samples}),
    })
}

fn latency_row(metric: &str, samples: &[f64], value: f64, target: Option<Target<'_>>, limit: &str) -> Row {
    let (low, high) = extremes(samples);
    Row {
        metric: metric.to_owned(),
        median: format!("{value:.1} ms"),
        spread: format!("{low:.1} - {high:.1} ({})", samples.len()),
        met: target
            .as_ref()
            .filter(|target| target.applies)
            .map(|target| value < target.limit),
        target: target.map(|target| target.text.to_owned()).unwrap_or_default(),
        limit: limit.to_owned(),
    }
}

/// The rows of p50 and p99; `floor` is the p99 of the two bare writes, or 0 for a limit of one second.
fn scenario_rows(scenario: &Scenario, floor: f64, full: usize) -> Vec<Row> {
    let Scenario { what, samples, limit } = scenario;
    let p99 = percentile(samples, 99);
    let target = Target {
        text: if floor > 0.0 {
            "≤ 3 × two bare writes"
        } else {
            "< 1 s"
        },
        limit: if floor > 0.0 { 3.0 * floor } else { 1_000.0 },
        applies: full == FULL_SIZE,
    };
    let middle = percentile(samples, 50);
    vec![
        latency_row(&format!("{what}, p50"), samples, middle, None, limit),
        latency_row(&format!("{what}, p99"), samples, p99, Some(target), limit),
    ]
}

/// A cumulative distribution: milliseconds, and the share of samples that are not slower.
fn distribution(samples: &[f64]) -> Vec<(f64, f64)> {
    let sorted = sorted(samples);
    let total = number(sorted.len().max(1));
    let shares = (1..=sorted.len()).map(|rank| number(rank) / total);
    sorted.iter().copied().zip(shares).collect()
}

async fn idle(lab: &mut Lab, count: usize) -> Result<(Scenario, Vec<f64>)> {
    let (namespace, unwatched) = (
        lab.current()?.control.namespace("idle")?,
        lab.current()?.control.namespace("bare")?,
    );
    let applied = Batch::small(&namespace, count).seal(lab)?;
    let others = Batch::small(&unwatched, count).seal(lab)?;
    let controller = Controller::start(lab, &[&namespace], &[], &[])?;
    controller.ready(&lab.guard).await?;
    let client = lab.current()?.client.clone();
    let mut watch = ReadyWatch::start(&client, &namespace).await?;
    let meter = Meter::start(&lab.processes(&[controller.pid()])?)?;
    let (mut samples, mut bare) = (Vec::new(), Vec::new());
    for (object, other) in applied.iter().zip(&others) {
        samples.push(watch.sample(object).await?);
        bare.push(two_bare_writes(&client, &unwatched, other).await?);
    }
    let scenario = Scenario {
        what: "idle".to_owned(),
        samples,
        limit: meter.shares()?.text(),
    };
    controller.stop(&lab.guard)?;
    report(&scenario);
    Ok((scenario, bare))
}

async fn waiting_for_kms(lab: &mut Lab, count: usize, waiting: usize) -> Result<Scenario> {
    let emulator = Emulator::start(&testkit::kms::Options::default())?;
    let env = emulator.environment();
    let keys = [emulator.key_uri()];
    let (namespace, busy) = (
        lab.current()?.control.namespace("sampled")?,
        lab.current()?.control.namespace("waiting")?,
    );
    let batch = |namespace, count| Batch {
        keys: &keys,
        env: &env,
        ..Batch::small(namespace, count)
    };
    let applied = batch(&namespace, count).seal(lab)?;
    let waiters = batch(&busy, waiting).seal(lab)?;
    let client = lab.current()?.client.clone();
    client.create_all(&objects(&busy), bodies(&waiters)).await?;
    emulator.order(Command::Quotas(Quotas {
        calls: Some(KMS_CALLS_PER_SECOND),
        ..Quotas::default()
    }))?;
    emulator.order(Command::ClearCounts)?;
    let allow = format!("--allow-key={}", emulator.key_uri());
    let controller = Controller::start(lab, &[&namespace, &busy], &[&allow], &env)?;
    controller.ready(&lab.guard).await?;
    // The other namespace's objects are queued, and the KMS is at its limit.
    let calls = u64::from(KMS_CALLS_PER_SECOND).min(waiting as u64 / 2);
    until("the controller calls the KMS", || {
        emulator.calls("Decrypt") >= calls
    })
    .await?;
    let scenario = sampled_while_stuck(
        lab,
        &controller,
        &namespace,
        &applied,
        format!(
            "{} objects of another namespace wait for the KMS",
            commas(waiting)
        ),
    )
    .await?;
    let used = emulator.count(|action, _, _| action == "Decrypt");
    say(&format!(
        "latency, KMS at its limit: {} calls, {} throttled",
        used.total, used.failed
    ));
    controller.stop(&lab.guard)?;
    let Scenario { what, samples, limit } = scenario;
    Ok(Scenario {
        what,
        samples,
        limit: format!(
            "KMS quota of {KMS_CALLS_PER_SECOND}/s: {} of {} calls throttled; {limit}",
            used.failed, used.total
        ),
    })
}

async fn behind_webhook(lab: &mut Lab, count: usize, stuck: usize) -> Result<Scenario> {
    let (namespace, busy) = (
        lab.current()?.control.namespace("sampled")?,
        lab.current()?.control.namespace("stuck")?,
    );
    let applied = Batch::small(&namespace, count).seal(lab)?;
    let stuck_objects = Batch::small(&busy, stuck).seal(lab)?;
    let client = lab.current()?.client.clone();
    // Accepts connections and never answers: the API server gives up after the webhook's timeout and ignores the failure.
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let (sender, mut called) = tokio::sync::mpsc::unbounded_channel();
    let webhook = tokio::spawn(async move {
        let mut held = Vec::new();
        while let Ok((connection, _)) = listener.accept().await {
            held.push(connection);
            if sender.send(()).is_err() {
                break;
            }
        }
    });
    let configuration = json!({
        "apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingWebhookConfiguration",
        "metadata": {"name": "bench-slow"},
        "webhooks": [{
            "name": "slow.example.com", "timeoutSeconds": WEBHOOK_SECONDS, "failurePolicy": "Ignore", "sideEffects": "None",
            "admissionReviewVersions": ["v1"], "clientConfig": {"url": format!("https://{address}/")},
            "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": busy}},
            "rules": [{"apiGroups": [""], "apiVersions": ["v1"], "resources": ["secrets"], "operations": ["CREATE", "UPDATE"]}],
        }],
    });
    client
        .send("POST", WEBHOOK, (JSON, JSON), configuration.to_string())
        .await?;
    let controller = Controller::start(lab, &[&namespace, &busy], &[], &[])?;
    controller.ready(&lab.guard).await?;
    client.create_all(&objects(&busy), bodies(&stuck_objects)).await?;
    let first = tokio::time::timeout(Duration::from_mins(1), called.recv()).await;
    first.context("the API server did not call the webhook")?;
    let what = format!("{stuck} objects of another namespace wait for a {WEBHOOK_SECONDS} s webhook");
    let scenario = sampled_while_stuck(lab, &controller, &namespace, &applied, what).await;
    client
        .send(
            "DELETE",
            &format!("{WEBHOOK}/bench-slow"),
            (JSON, JSON),
            String::new(),
        )
        .await?;
    webhook.abort();
    controller.stop(&lab.guard)?;
    scenario
}

async fn sampled_while_stuck(
    lab: &mut Lab,
    controller: &Controller,
    namespace: &str,
    applied: &[Value],
    what: String,
) -> Result<Scenario> {
    let client = lab.current()?.client.clone();
    let mut watch = ReadyWatch::start(&client, namespace).await?;
    let meter = Meter::start(&lab.processes(&[controller.pid()])?)?;
    let mut samples = Vec::new();
    for object in applied {
        samples.push(watch.sample(object).await?);
    }
    let scenario = Scenario {
        what,
        samples,
        limit: meter.shares()?.text(),
    };
    report(&scenario);
    Ok(scenario)
}

fn report(scenario: &Scenario) {
    say(&format!(
        "latency, {}: p50 {:.1} ms, p99 {:.1} ms",
        scenario.what,
        percentile(&scenario.samples, 50),
        percentile(&scenario.samples, 99)
    ));
}

async fn until(what: &str, mut holds: impl FnMut() -> bool) -> Result<()> {
    let waiting = async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let waited = tokio::time::timeout(Duration::from_mins(2), waiting).await;
    waited.with_context(|| format!("not within 2 min: {what}"))
}
