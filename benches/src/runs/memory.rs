//! The controller's memory: alongside foreign Secrets, without them, and with few large objects.

use std::time::Duration;

use anyhow::Result;
use serde_json::json;

use super::restart::{once, synced};
use super::{Quantity, Target, row};
use crate::args::{FULL_SIZE, Name};
use crate::client::{objects, secrets};
use crate::controller::Controller;
use crate::cost;
use crate::lab::{Lab, say};
use crate::record::{Record, Row};
use crate::sealed::{Batch, bodies};
use crate::stats::commas;
use crate::usage::Memory;

/// Objects of [`LARGE_BYTES`]: together more than the memory that the target allows.
const LARGE: usize = 120;
const LARGE_BYTES: usize = 650_000; // sealed and encoded: 0.9 MB

pub(super) async fn run(lab: &mut Lab) -> Result<Record> {
    let own = lab.settings.objects;
    let foreign = own * 3;
    let namespace = synced(lab, own).await?;
    let restarted = once(lab, &namespace, own).await?.memory;
    let cold: Vec<Memory> = lab
        .cold_starts
        .iter()
        .filter(|run| run.objects == own)
        .map(|run| run.memory)
        .collect();

    lab.plane(own + foreign).await?;
    let with_foreign = cost::populate_reserved(lab, own).await?;
    create_foreign(lab, &with_foreign, foreign).await?;
    let cold_with = cost::controller(lab, &with_foreign, own).await?.memory;
    let restarted_with = once(lab, &with_foreign, own).await?.memory;

    let large = if own == FULL_SIZE {
        LARGE
    } else {
        (LARGE * own / FULL_SIZE).max(3)
    };
    let (cold_large, restarted_large) = large_objects(lab, large).await?;
    let samples = json!({
        "without": {"coldStart": cold, "restart": restarted},
        "withForeign": {"coldStart": cold_with, "restart": restarted_with},
        "large": {"coldStart": cold_large, "restart": restarted_large},
    });
    let (own_text, foreign_text) = (commas(own), commas(foreign));
    let with = format!("{own_text} objects, {foreign_text} foreign Secrets");
    let without = format!("{own_text} objects");
    let big = format!("{large} objects of 0.9 MB");
    let peaks: Vec<f64> = cold.iter().map(|memory| memory.peak).collect();
    let full = own == FULL_SIZE;
    let lists = "pages of the lists";
    let opening = "pages of the lists, documents being opened";
    let rows = vec![
        memory_row(
            &with,
            "resident after a restart",
            &[restarted_with.now],
            Some((40, full)),
            "summaries and documents of the objects, and what the allocator keeps",
        ),
        memory_row(
            &with,
            "peak of a restart",
            &[restarted_with.peak],
            Some((56, full)),
            lists,
        ),
        memory_row(
            &with,
            "peak of a cold start",
            &[cold_with.peak],
            Some((56, full)),
            opening,
        ),
        memory_row(&without, "resident after a restart", &[restarted.now], None, ""),
        memory_row(&without, "peak of a restart", &[restarted.peak], None, ""),
        memory_row(&without, "peak of a cold start", &peaks, None, ""),
        memory_row(
            &big,
            "peak of a cold start",
            &[cold_large.peak],
            Some((128, full)),
            opening,
        ),
        memory_row(
            &big,
            "peak of a restart",
            &[restarted_large.peak],
            Some((128, full)),
            lists,
        ),
    ];
    Ok(Record {
        name: Name::Memory.text(),
        what: "Resident memory of the controller's process (VmRSS and VmHWM). Own objects have three small values each; the foreign \
               Secrets are in the same namespace."
            .to_owned(),
        environment: lab.environment.clone(),
        rows,
        notes: Vec::new(),
        curves: Vec::new(),
        samples,
    })
}

/// A row with a target in MiB, and whether it applies.
fn memory_row(what: &str, metric: &str, samples: &[f64], target: Option<(u32, bool)>, limit: &str) -> Row {
    let quantity = Quantity {
        metric: format!("{what}: {metric}"),
        unit: " MiB",
        decimals: 1,
    };
    let text = target.map(|(mib, _)| format!("≤ {mib} MiB")).unwrap_or_default();
    let target = target.map(|(mib, applies)| Target {
        text: &text,
        limit: f64::from(mib),
        applies,
    });
    row(quantity, samples, target, limit)
}

async fn create_foreign(lab: &mut Lab, namespace: &str, count: usize) -> Result<()> {
    let client = lab.current()?.client.clone();
    let secret = |number: usize| {
        json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": format!("foreign-{number}"), "namespace": namespace},
            "data": {"a": "Zm9yZWlnbg==", "b": "Zm9yZWlnbg==", "c": "Zm9yZWlnbg=="}})
        .to_string()
    };
    client
        .create_all(&secrets(namespace), (0..count).map(secret).collect())
        .await
}

/// Measures a cold start and a restart with few large objects.
async fn large_objects(lab: &mut Lab, count: usize) -> Result<(Memory, Memory)> {
    let namespace = lab.plane(count).await?.control.namespace("large")?;
    let client = lab.current()?.client.clone();
    // In parts: the whole stream would be larger than what one command accepts.
    let part = 10;
    for first in (0..count).step_by(part) {
        let batch = Batch {
            prefix: &format!("large-{first}-"),
            bytes: Some(LARGE_BYTES),
            ..Batch::small(&namespace, part.min(count - first))
        };
        let sealed = batch.seal(lab)?;
        client.create_all(&objects(&namespace), bodies(&sealed)).await?;
    }
    let mut memories = Vec::new();
    for _ in 0..2 {
        let controller = Controller::start(lab, &[&namespace], &[], &[])?;
        let synced = ("envelope_secrets_objects", "\"Synced\"");
        let interval = Duration::from_millis(50);
        controller.reaches(&lab.guard, interval, synced, count).await?;
        // On a restart, "Synced" is the state before the objects are reconciled.
        controller
            .reaches(
                &lab.guard,
                interval,
                ("envelope_secrets_reconcile_total", ""),
                count,
            )
            .await?;
        memories.push(controller.memory()?);
        controller.stop(&lab.guard)?;
    }
    say(&format!("memory, {count} large objects: {memories:?}"));
    Ok((memories[0], memories[1]))
}
