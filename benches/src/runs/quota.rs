//! Forced decrypts at the quota of a KMS.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};
use testkit::kms::{Command, Emulator, Quotas};

use super::{Quantity, Target, row};
use crate::args::{FULL_SIZE, Name};
use crate::audit::{CONTROLLER, requests};
use crate::client::objects;
use crate::controller::{Controller, now};
use crate::lab::{Lab, say};
use crate::record::{Record, Row};
use crate::sealed::{Batch, bodies};
use crate::stats::{commas, number};
use crate::usage::Meter;

const CALLS_PER_SECOND: u32 = 300;
/// The controller shares a key's calls among namespaces.
const NAMESPACES: usize = 4;
const RECONCILES: &str = "envelope_secrets_reconcile_total";
const POLL: Duration = Duration::from_millis(500);

pub(super) async fn run(lab: &mut Lab) -> Result<Record> {
    let count = lab.settings.objects;
    let emulator = Emulator::start(&testkit::kms::Options::default())?;
    let second = emulator.create_key(testkit::kms::REGION, "second")?;
    let second = emulator.key_uri().replace(emulator.key(), &second);
    let (keys, env) = ([emulator.key_uri(), second], emulator.environment());
    lab.plane(count).await?;
    let mut namespaces = Vec::new();
    let mut both = Vec::new();
    for _ in 0..NAMESPACES {
        let namespace = lab.current()?.control.namespace("quota")?;
        let batch = Batch {
            keys: &keys,
            env: &env,
            ..Batch::small(&namespace, count / NAMESPACES)
        };
        both.extend(batch.seal(lab)?);
        namespaces.push(namespace);
    }
    let count = both.len();
    let names: Vec<&str> = namespaces.iter().map(String::as_str).collect();
    let allow = [
        format!("--allow-key={}", keys[0]),
        format!("--allow-key={}", keys[1]),
    ];
    let allow: Vec<&str> = allow.iter().map(String::as_str).collect();
    let configuration = Configuration {
        namespaces: &names,
        allow: &allow,
        env: &env,
    };
    add_second_wraps(lab, &configuration, both).await?;

    emulator.order(Command::Quotas(Quotas {
        calls: Some(CALLS_PER_SECOND),
        ..Quotas::default()
    }))?;
    emulator.order(Command::ClearCounts)?;
    let mark = lab.current()?.control.audit_mark()?;
    let controller = Controller::start(lab, &names, &allow, &env)?;
    let meter = Meter::start(&lab.processes(&[controller.pid()])?)?;
    while emulator.calls("Decrypt") == 0 {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    let start = now()?;
    controller
        .reaches(&lab.guard, POLL, (RECONCILES, "outcome=\"verified\""), count)
        .await?;
    let shares = meter.shares()?;
    controller.stop(&lab.guard)?;
    let calls = emulator.count(|action, _, _| action == "Decrypt");
    let requests = requests(&lab.current()?.control, mark, &names, CONTROLLER)?;
    let seconds = requests.last_write - start;
    let dictated = number(count) / f64::from(CALLS_PER_SECOND);
    let (total, failed) = (
        number(usize::try_from(calls.total)?),
        number(usize::try_from(calls.failed)?),
    );
    ensure!(
        total - failed >= number(count),
        "fewer decrypts than objects: {calls:?}"
    );
    say(&format!(
        "quota, {} decrypts: {seconds:.1} s, the quota dictates {dictated:.1} s; {failed} of {total} calls throttled",
        commas(count)
    ));
    let measured = Measured {
        count,
        seconds,
        dictated,
        throttled: 100.0 * failed / total,
    };
    let rows = measured.rows(&shares.text());
    Ok(Record {
        name: Name::Quota.text(),
        what: format!(
            "Synced objects in {NAMESPACES} namespaces get a second wrap while the controller is stopped. After its start it verifies each with one Decrypt and \
             records that in the status, without a write to the Secret. The emulator refuses more than {CALLS_PER_SECOND} calls in a \
             second. Time runs from the first call until the response to the last status write; the quota dictates the number of \
             objects divided by {CALLS_PER_SECOND}/s."
        ),
        environment: lab.environment.clone(),
        rows,
        notes: Vec::new(),
        curves: Vec::new(),
        samples: json!({"seconds": seconds, "dictated": dictated, "calls": total, "throttled": failed, "requests": requests, "shares": shares}),
    })
}

struct Measured {
    count: usize,
    seconds: f64,
    dictated: f64,
    /// In percent of all calls.
    throttled: f64,
}

impl Measured {
    fn rows(&self, shares: &str) -> Vec<Row> {
        let target = |text, limit| {
            Some(Target {
                text,
                limit,
                applies: self.count == FULL_SIZE,
            })
        };
        let decrypts = commas(self.count);
        let quantity = |metric: &str, unit, decimals| Quantity {
            metric: format!("{decrypts} decrypts at {CALLS_PER_SECOND}/s: {metric}"),
            unit,
            decimals,
        };
        vec![
            row(
                quantity("time against the quota's", " ×", 3),
                &[self.seconds / self.dictated],
                target("≤ 1.05 ×", 1.05),
                &format!("the quota; {shares}"),
            ),
            row(quantity("time", " s", 1), &[self.seconds], None, ""),
            row(
                quantity("throttled calls", " %", 2),
                &[self.throttled],
                target("< 1 %", 0.999),
                "",
            ),
        ]
    }
}

/// What the controller is started with.
struct Configuration<'a> {
    namespaces: &'a [&'a str],
    allow: &'a [&'a str],
    env: &'a [(&'a str, String)],
}

/// Lets the controller sync the documents with their first wraps only, stops it, and adds the second wraps: each then costs one Decrypt
/// and one status write.
async fn add_second_wraps(lab: &mut Lab, configuration: &Configuration<'_>, both: Vec<Value>) -> Result<()> {
    let Configuration {
        namespaces,
        allow,
        env,
    } = *configuration;
    let client = lab.current()?.client.clone();
    let mut first = both.clone();
    first.iter_mut().try_for_each(remove_second_wrap)?;
    let count = first.len();
    for namespace in namespaces {
        let of_namespace: Vec<Value> = first
            .iter()
            .filter(|object| is_in(object, namespace))
            .cloned()
            .collect();
        client
            .create_all(&objects(namespace), bodies(&of_namespace))
            .await?;
    }
    let controller = Controller::start(lab, namespaces, allow, env)?;
    let synced = ("envelope_secrets_objects", "\"Synced\"");
    controller.reaches(&lab.guard, POLL, synced, count).await?;
    controller.stop(&lab.guard)?;
    client
        .all(both, |client, object| async move {
            let metadata = &object["metadata"];
            let (namespace, name) = (metadata["namespace"].as_str(), metadata["name"].as_str());
            let (namespace, name) = namespace.zip(name).context("no namespace and name")?;
            let path = format!("{}/{name}", objects(namespace));
            client.apply(&path, "bench", &object).await.map(drop)
        })
        .await
}

fn is_in(object: &Value, namespace: &str) -> bool {
    object["metadata"]["namespace"] == namespace
}

fn remove_second_wrap(object: &mut Value) -> Result<()> {
    let wraps = object.pointer_mut("/spec/dataKeys/0/wraps");
    let wraps = wraps.and_then(Value::as_array_mut).context("no wraps")?;
    ensure!(wraps.len() == 2, "{} wraps instead of 2", wraps.len());
    wraps.truncate(1);
    Ok(())
}
