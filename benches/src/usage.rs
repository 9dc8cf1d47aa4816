//! CPU time and memory of processes and of the host, from `/proc`.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};

/// Units of CPU time in `/proc` (`USER_HZ`), which is 100 on every architecture that we support.
const TICKS_PER_SECOND: f64 = 100.0;

/// Returns the CPU time that the process has used, in seconds. The resolution is 10 ms.
pub(crate) fn cpu_seconds(pid: u32) -> Result<f64> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).with_context(|| format!("process {pid}"))?;
    // The name, in parentheses, may contain spaces. utime and stime are the 14th and 15th field.
    let (_, rest) = text.rsplit_once(')').context("/proc/PID/stat")?;
    let ticks = |at: usize| rest.split_whitespace().nth(at)?.parse::<u32>().ok();
    let (user, system) = ticks(11).zip(ticks(12)).context("/proc/PID/stat")?;
    Ok((f64::from(user) + f64::from(system)) / TICKS_PER_SECOND)
}

/// Resident memory of a process, in MiB.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Memory {
    pub(crate) now: f64,
    pub(crate) peak: f64,
}

pub(crate) fn memory(pid: u32) -> Result<Memory> {
    let text = fs::read_to_string(format!("/proc/{pid}/status")).with_context(|| format!("process {pid}"))?;
    let mib = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name))?;
        let kib = line.split_whitespace().next()?.parse::<u32>().ok()?;
        Some(f64::from(kib) / 1024.0)
    };
    let (now, peak) = mib("VmRSS:").zip(mib("VmHWM:")).context("/proc/PID/status")?;
    Ok(Memory { now, peak })
}

/// CPU time since the start of the host, in seconds over all CPUs.
#[derive(Clone, Copy, Debug)]
struct Host {
    total: f64,
    idle: f64,
}

fn host() -> Result<Host> {
    let text = fs::read_to_string("/proc/stat")?;
    let line = text.lines().next().context("/proc/stat")?;
    let fields: Vec<f64> = line
        .split_whitespace()
        .skip(1)
        .take(8) // guest time is part of user time
        .filter_map(|field| field.parse().ok())
        .collect();
    let idle = fields.get(3).copied().unwrap_or_default() + fields.get(4).copied().unwrap_or_default();
    Ok(Host {
        total: fields.iter().sum::<f64>() / TICKS_PER_SECOND,
        idle: idle / TICKS_PER_SECOND,
    })
}

/// Measures how the host's CPU time is divided among processes.
pub(crate) struct Meter {
    host: Host,
    processes: Vec<(u32, f64)>,
}

/// The share of each process in the host's CPU time, in percent, largest first, with `idle` and `other`.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Shares(pub(crate) Vec<(String, f64)>);

impl Meter {
    /// Starts measuring these processes.
    pub(crate) fn start(pids: &[u32]) -> Result<Self> {
        let mut processes = Vec::new();
        for pid in pids {
            processes.push((*pid, cpu_seconds(*pid).unwrap_or_default()));
        }
        Ok(Meter {
            host: host()?,
            processes,
        })
    }

    /// Returns the shares since the start. The CPU time of a process that has exited counts as `other`.
    pub(crate) fn shares(&self) -> Result<Shares> {
        let now = host()?;
        let total = (now.total - self.host.total).max(f64::EPSILON);
        let mut shares = Vec::new();
        let mut known = now.idle - self.host.idle;
        shares.push(("idle".to_owned(), 100.0 * known / total));
        for (pid, before) in &self.processes {
            let Ok(after) = cpu_seconds(*pid) else { continue };
            known += after - before;
            // Read only now: a process that was just started still has the name of the program that started it.
            shares.push((name(*pid), 100.0 * (after - before) / total));
        }
        shares.push(("other".to_owned(), (100.0 * (total - known) / total).max(0.0)));
        shares.sort_by(|(_, a), (_, b)| b.total_cmp(a));
        Ok(Shares(shares))
    }
}

impl Shares {
    /// For example `host CPU: kube-apiserver 61%, etcd 17%, envelope 9%, idle 3%`.
    pub(crate) fn text(&self) -> String {
        let shares = self.0.iter().filter(|(_, share)| *share >= 1.0);
        let shares: Vec<String> = shares
            .map(|(name, share)| format!("{name} {share:.0}%"))
            .collect();
        format!("host CPU: {}", shares.join(", "))
    }
}

fn name(pid: u32) -> String {
    let executable = fs::read_link(format!("/proc/{pid}/exe")).unwrap_or_default();
    let name = Path::new(&executable).file_name().unwrap_or_default();
    name.to_string_lossy().into_owned()
}
