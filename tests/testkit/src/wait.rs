//! Polling for conditions that send no event.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};

const INTERVAL: Duration = Duration::from_millis(25);

/// Calls `poll` until it returns a value.
///
/// # Errors
/// If `poll` fails, or after `timeout`; that error names `what`.
pub fn until<T>(timeout: Duration, what: &str, mut poll: impl FnMut() -> Result<Option<T>>) -> Result<T> {
    let deadline = Instant::now() + timeout;
    loop {
        if let Some(value) = poll()? {
            return Ok(value);
        }
        if Instant::now() >= deadline {
            bail!("{what}: not within {} s", timeout.as_secs());
        }
        std::thread::sleep(INTERVAL);
    }
}
