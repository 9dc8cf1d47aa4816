//! `testkit guard`: a small process that starts children for its owner and ends them when the owner is gone.
//!
//! The owner holds the other end of the guard's standard input. However the owner ends, by return, panic, Ctrl-C or SIGKILL, the kernel
//! closes that pipe; the guard then sends SIGTERM, after a grace SIGKILL, and removes the temporary folders that it made. Owner and
//! children share no process group, so that a terminal's Ctrl-C reaches the owner alone.

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

/// The owner's handle. Dropping it ends every child, and waits for that.
pub struct Guard {
    link: Mutex<Link>,
    pid: u32,
}

struct Link {
    process: Child,
    requests: Option<ChildStdin>,
    replies: BufReader<ChildStdout>,
}

/// A process that the guard started.
#[derive(Clone, Copy, Debug)]
pub struct Started {
    pub id: Id,
    /// The process id, which is also the id of its process group.
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
            link: Mutex::new(Link {
                process,
                requests,
                replies: BufReader::new(replies),
            }),
            pid,
        })
    }

    /// The guard's own process id.
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// A new temporary folder, mode 0700, which the guard removes at its end.
    pub fn folder(&self, prefix: &str) -> Result<PathBuf> {
        match self.ask(&Request::Folder {
            prefix: prefix.to_owned(),
        })? {
            Reply::Folder(path) => Ok(path),
            other => bail!("guard: unexpected reply {other:?}"),
        }
    }

    /// Starts a process in a group of its own.
    pub fn spawn(&self, spec: Spec) -> Result<Started> {
        match self.ask(&Request::Start(spec))? {
            Reply::Started { id, pid } => Ok(Started { id, pid }),
            other => bail!("guard: unexpected reply {other:?}"),
        }
    }

    pub fn state(&self, id: Id) -> Result<State> {
        self.ask_state(&Request::State(id))
    }

    /// Sends a signal to the process group; an ended process is left alone.
    pub fn signal(&self, id: Id, signal: Signal) -> Result<State> {
        self.ask_state(&Request::Signal {
            id,
            signal: signal.as_raw(),
        })
    }

    /// Ends a process: SIGTERM, then SIGKILL after `grace`. Returns when it is gone.
    pub fn stop(&self, id: Id, grace: Duration) -> Result<State> {
        let grace_ms = u64::try_from(grace.as_millis())?;
        self.ask_state(&Request::Stop { id, grace_ms })
    }

    fn ask_state(&self, request: &Request) -> Result<State> {
        match self.ask(request)? {
            Reply::State(state) => Ok(state),
            other => bail!("guard: unexpected reply {other:?}"),
        }
    }

    fn ask(&self, request: &Request) -> Result<Reply> {
        let mut link = self.link.lock().unwrap_or_else(PoisonError::into_inner);
        let mut text = serde_json::to_string(request)?;
        text.push('\n');
        let requests = link.requests.as_mut().context("the guard was ended")?;
        requests
            .write_all(text.as_bytes())
            .context("the guard does not listen any more")?;
        let mut answer = String::new();
        if link.replies.read_line(&mut answer)? == 0 {
            bail!("the guard ended without an answer");
        }
        match serde_json::from_str(&answer)? {
            Reply::Failed(message) => bail!(message),
            reply => Ok(reply),
        }
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        let link = self.link.get_mut().unwrap_or_else(PoisonError::into_inner);
        drop(link.requests.take());
        let _ = link.process.wait();
    }
}
