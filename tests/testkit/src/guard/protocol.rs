//! What owner and guard say to each other: one JSON value a line, one reply for each request.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// A process that the guard shall start.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Spec {
    /// The executable file: a path, never a name to look up.
    pub program: PathBuf,
    pub args: Vec<String>,
    /// The whole environment of the process; nothing is inherited.
    pub env: Vec<(String, String)>,
    /// The working directory.
    pub dir: PathBuf,
    /// Where standard output and standard error go, appended; `None`: nowhere.
    pub log: Option<PathBuf>,
}

/// Names one process for as long as its guard lives; a process id could be given away again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Id(pub u32);

/// What is asked of the guard.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Request {
    /// Make a temporary folder, removed when the guard ends.
    Folder {
        prefix: String,
    },
    Start(Spec),
    State(Id),
    /// Send a signal, by its number, to the whole process group.
    Signal {
        id: Id,
        signal: i32,
    },
    /// SIGTERM, and SIGKILL for what is left after `grace_ms`; answered when the process is gone.
    Stop {
        id: Id,
        grace_ms: u64,
    },
}

/// What the guard answers.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Reply {
    Folder(PathBuf),
    Started { id: Id, pid: u32 },
    State(State),
    Failed(String),
}

/// How a process stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum State {
    Running,
    /// Ended, with the exit status or signal in words.
    Ended(String),
}
