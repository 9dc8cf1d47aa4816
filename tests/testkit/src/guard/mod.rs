//! `testkit guard`: a small process that starts children for its owner and terminates them when the owner is gone.
//!
//! The owner holds the write end of the guard's standard input. However the owner exits (return, panic, Ctrl-C or SIGKILL), the kernel
//! closes that pipe. The guard then sends SIGTERM to the children, SIGKILL after a grace period, and removes the temporary directories
//! that it created. Owner and children are in different process groups, so that Ctrl-C in a terminal reaches only the owner.

mod locate;
mod protocol;
mod server;

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use rustix::process::Signal;

pub use locate::{protocol_hash, testkit_binary};
pub use protocol::{Id, Spec, State};
use protocol::{Reply, Request};
pub use server::{exec, serve};

/// The owner's handle. Dropping it terminates every child and waits until all have exited.
pub struct Guard {
    connection: Mutex<Connection>,
    pid: u32,
}

struct Connection {
    process: Child,
    requests: Option<ChildStdin>,
    replies: BufReader<ChildStdout>,
}

/// A process that the guard started.
#[derive(Clone, Copy, Debug)]
pub struct Started {
    pub id: Id,
    /// The process ID, which is also the ID of its process group.
    pub pid: u32,
}

impl Guard {
    /// Starts the guard process.
    pub fn start() -> Result<Self> {
        let program = testkit_binary()?;
        let mut command = Command::new(&program);
        command.arg("guard").stdin(Stdio::piped()).stdout(Stdio::piped());
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        let mut process = command
            .spawn()
            .with_context(|| format!("cannot start {}", program.display()))?;
        let requests = process.stdin.take();
        let replies = process.stdout.take().context("guard without standard output")?;
        let pid = process.id();
        Ok(Self {
            connection: Mutex::new(Connection {
                process,
                requests,
                replies: BufReader::new(replies),
            }),
            pid,
        })
    }

    /// The guard's own process ID.
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// Creates a temporary directory with mode 0700, which the guard removes when it exits.
    pub fn temporary_directory(&self, prefix: &str) -> Result<PathBuf> {
        match self.request(&Request::TemporaryDirectory {
            prefix: prefix.to_owned(),
        })? {
            Reply::TemporaryDirectory(path) => Ok(path),
            other => bail!("guard: unexpected reply {other:?}"),
        }
    }

    /// Starts a process in a new process group.
    pub fn spawn(&self, spec: Spec) -> Result<Started> {
        match self.request(&Request::Start(spec))? {
            Reply::Started { id, pid } => Ok(Started { id, pid }),
            other => bail!("guard: unexpected reply {other:?}"),
        }
    }

    /// Returns whether a process is running.
    pub fn state(&self, id: Id) -> Result<State> {
        self.request_state(&Request::State(id))
    }

    /// Sends a signal to the process group, unless the process has exited.
    pub fn signal(&self, id: Id, signal: Signal) -> Result<State> {
        self.request_state(&Request::Signal {
            id,
            signal: signal.as_raw(),
        })
    }

    /// Stops a process with SIGTERM, then SIGKILL after `grace`. Returns when it has exited.
    pub fn stop(&self, id: Id, grace: Duration) -> Result<State> {
        let grace_ms = u64::try_from(grace.as_millis())?;
        self.request_state(&Request::Stop { id, grace_ms })
    }

    fn request_state(&self, request: &Request) -> Result<State> {
        match self.request(request)? {
            Reply::State(state) => Ok(state),
            other => bail!("guard: unexpected reply {other:?}"),
        }
    }

    fn request(&self, request: &Request) -> Result<Reply> {
        let mut connection = self.connection.lock().unwrap_or_else(PoisonError::into_inner);
        let mut text = serde_json::to_string(request)?;
        text.push('\n');
        let requests = connection.requests.as_mut().context("the guard was stopped")?;
        requests
            .write_all(text.as_bytes())
            .context("the guard no longer accepts requests")?;
        let mut reply = String::new();
        if connection.replies.read_line(&mut reply)? == 0 {
            bail!("the guard exited without a reply");
        }
        match serde_json::from_str(&reply)? {
            Reply::Failed(message) => bail!(message),
            reply => Ok(reply),
        }
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        let connection = self.connection.get_mut().unwrap_or_else(PoisonError::into_inner);
        drop(connection.requests.take());
        let _ = connection.process.wait();
    }
}
