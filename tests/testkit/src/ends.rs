//! Waiting for the end of processes that are not our children.

use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, pidfd_open};

/// Handles on running processes: a process id could be given away again, these could not.
pub struct Ends(Vec<(u32, OwnedFd)>);

impl Ends {
    /// Takes hold of processes that are running now.
    pub fn of(pids: &[u32]) -> Result<Self> {
        let open = |pid: u32| {
            let raw = Pid::from_raw(i32::try_from(pid)?).context("no process id")?;
            Ok((
                pid,
                pidfd_open(raw, PidfdFlags::empty()).with_context(|| format!("process {pid}"))?,
            ))
        };
        pids.iter().map(|pid| open(*pid)).collect::<Result<_>>().map(Self)
    }

    /// Waits until all of them have ended, at most for `limit`.
    pub fn wait(self, limit: Duration) -> Result<()> {
        let deadline = Instant::now() + limit;
        for (pid, handle) in &self.0 {
            let left = deadline.saturating_duration_since(Instant::now());
            let left = Timespec::try_from(left)?;
            let mut polled = [PollFd::new(handle, PollFlags::IN)];
            if poll(&mut polled, Some(&left))? == 0 {
                bail!("process {pid} has not ended within {} s", limit.as_secs());
            }
        }
        Ok(())
    }
}
