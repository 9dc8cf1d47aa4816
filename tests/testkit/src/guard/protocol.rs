//! The protocol between owner and guard: one JSON value per line, one reply per request.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// A process to start.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Spec {
    /// The path of the executable; not searched in `PATH`.
    pub program: PathBuf,
    pub args: Vec<String>,
    /// The complete environment of the process; nothing is inherited.
    pub env: Vec<(String, String)>,
    /// The working directory.
    pub dir: PathBuf,
    /// The file to which standard output and standard error are appended; `None` discards them.
    pub log: Option<PathBuf>,
}

/// Identifies a process for the lifetime of its guard; unlike a process ID, it is never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Id(pub u32);

/// A request from the owner.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Request {
    /// Create a temporary directory, which is removed when the guard exits.
    TemporaryDirectory {
        prefix: String,
    },
    Start(Spec),
    State(Id),
    /// Send a signal, by its number, to the whole process group.
    Signal {
        id: Id,
        signal: i32,
    },
    /// Send SIGTERM, then SIGKILL after `grace_ms`. The reply comes when the process has exited.
    Stop {
        id: Id,
        grace_ms: u64,
    },
}

/// The guard's reply.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Reply {
    TemporaryDirectory(PathBuf),
    Started { id: Id, pid: u32 },
    State(State),
    Failed(String),
}

/// The state of a process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum State {
    Running,
    /// Exited; the text describes the exit status or signal.
    Exited(String),
}
