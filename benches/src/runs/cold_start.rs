//! Cold start: new objects until all are synced.

use anyhow::Result;
use serde::Serialize;
use serde_json::json;

use super::{Quantity, Target, row};
use crate::args::{FULL_SIZE, Name};
use crate::cost::{self, Run};
use crate::lab::{Lab, say};
use crate::record::{Record, Row};
use crate::stats::{commas, number};

#[derive(Serialize)]
struct Pair {
    bare: Run,
    controller: Run,
}

pub(super) async fn run(lab: &mut Lab) -> Result<Record> {
    let concurrency = cost::best_concurrency(lab).await?;
    let full = lab.settings.objects;
    let mut rows = Vec::new();
    let mut samples = Vec::new();
    for count in [full / 10, full] {
        let mut pairs = Vec::new();
        for number in 0..lab.settings.pairs(count) {
            let pair = pair(lab, count, concurrency, number % 2 == 0).await?;
            say(&format!(
                "cold start, {} objects, pair {}: controller {:.2} s, bare client {:.2} s, ratio {:.3}, {:.2} ms CPU per object",
                commas(count),
                number + 1,
                pair.controller.seconds,
                pair.bare.seconds,
                pair.controller.seconds / pair.bare.seconds,
                pair.controller.cpu_ms_per_object()
            ));
            pairs.push(pair);
        }
        rows.extend(rows_of(&pairs, count, full == FULL_SIZE));
        samples.push(pairs);
    }
    Ok(Record {
        name: Name::ColdStart.text(),
        what: "A controller starts with new objects of three small values each. Time runs from the start of its process until the \
               response to its last status write. The bare client lists and watches both resources and sends one server-side apply \
               of a Secret and one of a status for each object, with bodies of the same size, from a process of its own."
            .to_owned(),
        environment: lab.environment.clone(),
        rows,
        notes: vec![format!(
            "The bare client works on {concurrency} objects at a time, the fastest of 16, 32 and 64 in this run."
        )],
        curves: Vec::new(),
        samples: json!({"concurrency": concurrency, "pairs": samples}),
    })
}

async fn pair(lab: &mut Lab, count: usize, concurrency: usize, bare_first: bool) -> Result<Pair> {
    // Reserves room for both, so that the control plane is not replaced in between.
    lab.plane(2 * count).await?;
    let first = cost::populate_reserved(lab, count).await?;
    let second = cost::populate_reserved(lab, count).await?;
    let (bare, controller, synced);
    if bare_first {
        bare = cost::bare(lab, &first, count, concurrency)?;
        controller = cost::controller(lab, &second, count).await?;
        synced = second;
    } else {
        controller = cost::controller(lab, &first, count).await?;
        bare = cost::bare(lab, &second, count, concurrency)?;
        synced = first;
    }
    lab.current()?.synced = Some((synced, count));
    lab.cold_starts.push(controller.clone());
    Ok(Pair { bare, controller })
}

fn rows_of(pairs: &[Pair], count: usize, full: bool) -> Vec<Row> {
    let objects = commas(count);
    let each =
        |value: fn(&Run) -> f64| -> Vec<f64> { pairs.iter().map(|pair| value(&pair.controller)).collect() };
    let per_object = |value: fn(&Run) -> f64| -> Vec<f64> {
        pairs
            .iter()
            .map(|pair| value(&pair.controller) / number(count))
            .collect()
    };
    let ratios: Vec<f64> = pairs
        .iter()
        .map(|pair| pair.controller.seconds / pair.bare.seconds)
        .collect();
    let limit = pairs
        .last()
        .map(|pair| pair.controller.shares.text())
        .unwrap_or_default();
    let target = |text, limit| {
        Some(Target {
            text,
            limit,
            applies: full,
        })
    };
    let quantity = |metric: &str, unit, decimals| Quantity {
        metric: format!("{objects} new objects: {metric}"),
        unit,
        decimals,
    };
    let mut rows = vec![
        row(
            quantity("time against the bare client", " ×", 2),
            &ratios,
            target("≤ 1.05 ×", 1.05),
            &limit,
        ),
        row(quantity("time", " s", 2), &each(|run| run.seconds), None, ""),
        row(
            quantity("CPU per object", " ms", 2),
            &each(Run::cpu_ms_per_object),
            target("≤ 0.35 ms", 0.35),
            "the controller's own work",
        ),
        row(
            quantity("CPU per object, bare client", " ms", 2),
            &pairs
                .iter()
                .map(|pair| pair.bare.cpu_ms_per_object())
                .collect::<Vec<_>>(),
            None,
            "HTTP, TLS and JSON of the same requests",
        ),
        row(
            quantity("reconciles per object", "", 2),
            &per_object(|run| run.reconciles),
            target("2", 2.005),
            "",
        ),
        row(
            quantity("opens per object", "", 2),
            &per_object(|run| run.opens),
            target("1", 1.0),
            "",
        ),
        row(
            quantity("requests per object, without events", "", 3),
            &per_object(|run| number(run.requests.for_objects())),
            target("2", 2.0),
            "",
        ),
    ];
    let parses: Vec<f64> = pairs.iter().filter_map(|pair| pair.controller.parses).collect();
    if !parses.is_empty() {
        let parses: Vec<f64> = parses.iter().map(|parses| parses / number(count)).collect();
        rows.push(row(
            quantity("parses per object", "", 2),
            &parses,
            target("2", 2.005),
            "",
        ));
    }
    rows
}
