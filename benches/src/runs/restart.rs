//! Restart: unchanged objects until all are skipped.

use std::time::Duration;

use anyhow::{Result, ensure};
use serde::Serialize;
use serde_json::json;

use super::{Quantity, Target, row};
use crate::args::{FULL_SIZE, Name, Work};
use crate::audit::{CONTROLLER, Requests, requests};
use crate::bare;
use crate::controller::{Controller, now};
use crate::cost;
use crate::lab::{Lab, say};
use crate::record::Record;
use crate::stats::{commas, number};
use crate::usage::{Memory, Meter, Shares};

#[derive(Serialize)]
pub(super) struct Restart {
    seconds: f64,
    cpu_seconds: f64,
    pub(super) memory: Memory,
    requests: Requests,
    opens: f64,
    shares: Shares,
}

pub(super) async fn run(lab: &mut Lab) -> Result<Record> {
    let count = lab.settings.objects;
    let namespace = synced(lab, count).await?;
    let mut pairs = Vec::new();
    for round in 0..lab.settings.runs {
        let (lists, restart);
        if round % 2 == 0 {
            lists = bare_lists(lab, &namespace, count)?;
            restart = once(lab, &namespace, count).await?;
        } else {
            restart = once(lab, &namespace, count).await?;
            lists = bare_lists(lab, &namespace, count)?;
        }
        say(&format!(
            "restart, {} objects, pair {}: controller {:.2} s, bare lists {lists:.2} s",
            commas(count),
            round + 1,
            restart.seconds
        ));
        pairs.push((lists, restart));
    }
    let objects = commas(count);
    let limit = pairs
        .last()
        .map(|(_, restart)| restart.shares.text())
        .unwrap_or_default();
    let each = |value: fn(&(f64, Restart)) -> f64| pairs.iter().map(value).collect::<Vec<f64>>();
    let quantity = |metric: &str, unit, decimals| Quantity {
        metric: format!("{objects} unchanged objects: {metric}"),
        unit,
        decimals,
    };
    let target = |text, limit| {
        Some(Target {
            text,
            limit,
            applies: count == FULL_SIZE,
        })
    };
    let rows = vec![
        row(
            quantity("time against the bare lists", " ×", 2),
            &each(|(lists, restart)| restart.seconds / lists),
            target("≤ 1.2 ×", 1.2),
            &limit,
        ),
        row(
            quantity("time", " s", 2),
            &each(|(_, restart)| restart.seconds),
            None,
            "",
        ),
        row(
            quantity("CPU", " s", 2),
            &each(|(_, restart)| restart.cpu_seconds),
            None,
            "decoding the lists",
        ),
        row(
            quantity("opens", "", 0),
            &each(|(_, restart)| restart.opens),
            target("0", 0.0),
            "",
        ),
        row(
            quantity("writes", "", 0),
            &each(|(_, restart)| number(restart.requests.writes())),
            target("0", 0.0),
            "",
        ),
    ];
    Ok(Record {
        name: Name::Restart.text(),
        what: "A controller starts with objects whose Secrets are as it wrote them. Time runs from the start of its process until it \
               has skipped every object. The bare client lists both resources concurrently in pages of 500, and parses nothing."
            .to_owned(),
        environment: lab.environment.clone(),
        rows,
        notes: Vec::new(),
        curves: Vec::new(),
        samples: json!({"pairs": pairs.iter().map(|(lists, restart)| json!({"lists": lists, "controller": restart})).collect::<Vec<_>>()}),
    })
}

/// Returns a namespace with this many synced objects.
pub(super) async fn synced(lab: &mut Lab, count: usize) -> Result<String> {
    if let Some((namespace, found)) = lab.plane(0).await?.synced.clone()
        && found == count
    {
        return Ok(namespace);
    }
    let namespace = cost::populate(lab, count).await?;
    let run = cost::controller(lab, &namespace, count).await?;
    lab.cold_starts.push(run);
    lab.current()?.synced = Some((namespace.clone(), count));
    Ok(namespace)
}

fn bare_lists(lab: &mut Lab, namespace: &str, count: usize) -> Result<f64> {
    let start = now()?;
    let done = lab.bare(Work::List, namespace, 1)?;
    let pages = 2 * count.div_ceil(bare::PAGE);
    ensure!(
        done.objects == pages,
        "the bare client read {} pages instead of {pages}",
        done.objects
    );
    Ok(done.end - start)
}

/// Restarts the controller once, until every object is skipped.
pub(super) async fn once(lab: &mut Lab, namespace: &str, count: usize) -> Result<Restart> {
    let mark = lab.current()?.control.audit_mark()?;
    let controller = Controller::start(lab, &[namespace], &[], &[])?;
    let meter = Meter::start(&lab.processes(&[controller.pid()])?)?;
    // Cheaper to poll than the metrics; nothing is reconciled before that.
    controller.ready(&lab.guard).await?;
    let skipped = ("envelope_secrets_reconcile_total", "outcome=\"skipped\"");
    controller
        .reaches(&lab.guard, Duration::from_millis(20), skipped, count)
        .await?;
    let seconds = now()? - controller.start;
    let shares = meter.shares()?;
    let (cpu_seconds, memory) = (controller.cpu_seconds()?, controller.memory()?);
    let opens = controller.metrics()?.sum("envelope_secrets_opens_total", "");
    controller.stop(&lab.guard)?;
    let requests = requests(&lab.current()?.control, mark, &[namespace], CONTROLLER)?;
    Ok(Restart {
        seconds,
        cpu_seconds,
        memory,
        requests,
        opens,
        shares,
    })
}
