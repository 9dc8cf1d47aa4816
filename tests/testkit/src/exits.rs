//! Waits for the exit of processes that are not children of this one.

use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, pidfd_open};

/// Handles of running processes (pidfds), which unlike process IDs are never reused.
pub struct Exits(Vec<(u32, OwnedFd)>);

impl Exits {
    /// Opens handles of processes that are running now.
    pub fn of(pids: &[u32]) -> Result<Self> {
        let open = |pid: u32| {
            let raw = Pid::from_raw(i32::try_from(pid)?).context("not a process ID")?;
            Ok((
                pid,
                pidfd_open(raw, PidfdFlags::empty()).with_context(|| format!("process {pid}"))?,
            ))
        };
        pids.iter().map(|pid| open(*pid)).collect::<Result<_>>().map(Self)
    }

    /// Waits until all of them have exited.
    ///
    /// # Errors
    /// After `timeout`.
    pub fn wait(self, timeout: Duration) -> Result<()> {
        let deadline = Instant::now() + timeout;
        for (pid, handle) in &self.0 {
            let left = deadline.saturating_duration_since(Instant::now());
            let left = Timespec::try_from(left)?;
            let mut polled = [PollFd::new(handle, PollFlags::IN)];
            if poll(&mut polled, Some(&left))? == 0 {
                bail!("process {pid} has not exited within {} s", timeout.as_secs());
            }
        }
        Ok(())
    }
}
