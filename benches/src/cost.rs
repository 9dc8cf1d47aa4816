//! One cold start: new objects until all are synced, by the controller or by the bare client.

use std::time::Duration;

use anyhow::{Result, ensure};
use serde::{Deserialize, Serialize};

use crate::args::Work;
use crate::audit::{CONTROLLER, Requests, requests};
use crate::client::{AGENT, objects};
use crate::controller::{Controller, now};
use crate::lab::Lab;
use crate::sealed::{Batch, bodies};
use crate::stats::number;
use crate::usage::{Memory, Meter, Shares};

/// A measured cold start.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Run {
    pub(crate) objects: usize,
    /// From the start of the process to the response to its last status write.
    pub(crate) seconds: f64,
    pub(crate) cpu_seconds: f64,
    pub(crate) memory: Memory,
    pub(crate) requests: Requests,
    pub(crate) reconciles: f64,
    pub(crate) opens: f64,
    /// `None` if the controller does not report them.
    pub(crate) parses: Option<f64>,
    pub(crate) shares: Shares,
}

impl Run {
    pub(crate) fn cpu_ms_per_object(&self) -> f64 {
        1_000.0 * self.cpu_seconds / number(self.objects)
    }

    pub(crate) fn ms_per_object(&self) -> f64 {
        1_000.0 * self.seconds / number(self.objects)
    }
}

/// Creates a namespace with this many new objects.
pub(crate) async fn populate(lab: &mut Lab, count: usize) -> Result<String> {
    lab.plane(count).await?;
    populate_reserved(lab, count).await
}

/// Does the same on the current control plane.
pub(crate) async fn populate_reserved(lab: &mut Lab, count: usize) -> Result<String> {
    let namespace = lab.current()?.control.namespace("bench")?;
    let sealed = Batch::small(&namespace, count).seal(lab)?;
    ensure!(
        sealed.len() == count,
        "{} objects were sealed instead of {count}",
        sealed.len()
    );
    let client = lab.current()?.client.clone();
    client.create_all(&objects(&namespace), bodies(&sealed)).await?;
    Ok(namespace)
}

/// Starts the controller for the objects of the namespace, which are new, and stops it when all are synced.
pub(crate) async fn controller(lab: &mut Lab, namespace: &str, count: usize) -> Result<Run> {
    let mark = lab.current()?.control.audit_mark()?;
    let controller = Controller::start(lab, &[namespace], &[], &[])?;
    let meter = Meter::start(&lab.processes(&[controller.pid()])?)?;
    // The exact end is in the audit log; polling more often would only slow it down.
    let interval = Duration::from_millis(if count > 2_000 { 500 } else { 100 });
    controller
        .reaches(
            &lab.guard,
            interval,
            ("envelope_secrets_objects", "\"Synced\""),
            count,
        )
        .await?;
    let shares = meter.shares()?;
    let (cpu_seconds, memory, metrics) = (
        controller.cpu_seconds()?,
        controller.memory()?,
        controller.metrics()?,
    );
    let start = controller.start;
    controller.stop(&lab.guard)?;
    let requests = requests(&lab.current()?.control, mark, &[namespace], CONTROLLER)?;
    Ok(Run {
        objects: count,
        seconds: requests.last_write - start,
        cpu_seconds,
        memory,
        requests,
        reconciles: metrics.sum("envelope_secrets_reconcile_total", ""),
        opens: metrics.sum("envelope_secrets_opens_total", ""),
        parses: metrics.optional("envelope_secrets_document_parses_total", ""),
        shares,
    })
}

/// Lets the bare client send the writes for the objects of the namespace, which are new.
pub(crate) fn bare(lab: &mut Lab, namespace: &str, count: usize, concurrency: usize) -> Result<Run> {
    let mark = lab.current()?.control.audit_mark()?;
    let meter = Meter::start(&lab.processes(&[])?)?;
    let start = now()?;
    let done = lab.bare(Work::Write, namespace, concurrency)?;
    let shares = meter.shares()?;
    ensure!(
        done.objects == count,
        "the bare client found {} objects instead of {count}",
        done.objects
    );
    let requests = requests(&lab.current()?.control, mark, &[namespace], AGENT)?;
    ensure!(
        (requests.secret_writes, requests.status_writes, requests.refused) == (count, count, 0),
        "the bare client did not send the same writes: {requests:?}"
    );
    Ok(Run {
        objects: count,
        seconds: requests.last_write - start,
        cpu_seconds: done.cpu_seconds,
        memory: Memory::default(),
        requests,
        reconciles: 0.0,
        opens: 0.0,
        parses: None,
        shares,
    })
}

/// Returns the concurrency at which the bare client is fastest, measured once with few objects.
pub(crate) async fn best_concurrency(lab: &mut Lab) -> Result<usize> {
    if let Some(known) = lab.plane(0).await?.concurrency {
        return Ok(known);
    }
    let count = (lab.settings.objects / 10).clamp(10, 1_000);
    let mut measured = Vec::new();
    // The first one warms up the API server and is not compared.
    for concurrency in [32, 16, 32, 64] {
        let namespace = populate(lab, count).await?;
        let run = bare(lab, &namespace, count, concurrency)?;
        crate::lab::say(&format!(
            "bare client, {concurrency} objects at a time: {:.2} ms per object",
            run.ms_per_object()
        ));
        measured.push((run.seconds, concurrency));
    }
    let fastest = measured
        .into_iter()
        .skip(1)
        .min_by(|(a, _), (b, _)| a.total_cmp(b));
    let concurrency = fastest.map_or(32, |(_, concurrency)| concurrency);
    lab.current()?.concurrency = Some(concurrency);
    Ok(concurrency)
}
