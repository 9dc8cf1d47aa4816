//! The guard's side: starts processes on request and terminates them at end of input.

use std::fs::OpenOptions;
use std::io::{BufRead, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process_group, waitid};
use tempfile::TempDir;

use super::protocol::{Id, Reply, Request, Spec, State};

/// The time between SIGTERM and SIGKILL when the guard shuts down.
const GRACE: Duration = Duration::from_secs(3);

/// Serves requests until end of input, when the owner is gone. Then terminates every child and removes the temporary directories.
///
/// Must run on the main thread: the kernel kills the children when the thread that started them exits.
pub fn serve(input: impl BufRead, mut output: impl Write) -> Result<()> {
    // Now rather than later: after a rebuild, this would return the path of a deleted file.
    let testkit = std::env::current_exe()?;
    let mut guard = Server {
        testkit,
        children: Vec::new(),
        directories: Vec::new(),
    };
    for line in input.lines() {
        let Ok(line) = line else { break };
        let reply = serde_json::from_str(&line)
            .context("invalid request")
            .and_then(|request| guard.handle(request))
            .unwrap_or_else(|error| Reply::Failed(format!("{error:#}")));
        let mut text = serde_json::to_string(&reply)?;
        text.push('\n');
        if output
            .write_all(text.as_bytes())
            .and_then(|()| output.flush())
            .is_err()
        {
            break;
        }
    }
    guard.shut_down()
}

struct Server {
    testkit: PathBuf,
    children: Vec<GuardedChild>,
    directories: Vec<TempDir>,
}

impl Server {
    fn handle(&mut self, request: Request) -> Result<Reply> {
        Ok(match request {
            Request::TemporaryDirectory { prefix } => {
                let directory = tempfile::Builder::new().prefix(&prefix).tempdir()?;
                let path = directory.path().to_owned();
                self.directories.push(directory);
                Reply::TemporaryDirectory(path)
            }
            Request::Start(spec) => {
                let child = GuardedChild::start(&self.testkit, &spec)?;
                let pid = child.pid.as_raw_nonzero().get().unsigned_abs();
                self.children.push(child);
                let id = u32::try_from(self.children.len() - 1)?;
                Reply::Started { id: Id(id), pid }
            }
            Request::State(id) => Reply::State(self.child(id)?.state()),
            Request::Signal { id, signal } => {
                let signal = Signal::from_named_raw(signal).context("no such signal")?;
                let child = self.child(id)?;
                child.signal(signal);
                Reply::State(child.state())
            }
            Request::Stop { id, grace_ms } => {
                let child = self.child(id)?;
                child.signal(Signal::TERM);
                if child.wait(Some(Instant::now() + Duration::from_millis(grace_ms))) == State::Running {
                    child.signal(Signal::KILL);
                }
                Reply::State(child.wait(None))
            }
        })
    }

    fn child(&self, id: Id) -> Result<&GuardedChild> {
        self.children.get(id.0 as usize).context("no such process")
    }

    fn shut_down(self) -> Result<()> {
        for child in &self.children {
            child.signal(Signal::TERM);
        }
        let deadline = Instant::now() + GRACE;
        for child in &self.children {
            child.wait(Some(deadline));
        }
        for child in &self.children {
            child.signal(Signal::KILL);
            child.wait(None);
        }
        self.directories
            .into_iter()
            .try_for_each(|directory| directory.close().context("cannot remove a temporary directory"))
    }
}

/// A child in a separate process group, with a thread that waits for its exit.
struct GuardedChild {
    pid: Pid,
    shared: Arc<(Mutex<State>, Condvar)>,
}

impl GuardedChild {
    fn start(testkit: &Path, spec: &Spec) -> Result<Self> {
        check_executable(&spec.program)?;
        // Through `testkit exec`, which requests a parent death signal before it executes the program. So even SIGKILL of the guard
        // leaves no process behind.
        let mut command = Command::new(testkit);
        command
            .arg("exec")
            .arg(std::process::id().to_string())
            .arg("--")
            .arg(&spec.program)
            .args(&spec.args);
        command
            .env_clear()
            .envs(spec.env.iter().map(|(name, value)| (name, value)));
        let (out, err) = match &spec.log {
            None => (Stdio::null(), Stdio::null()),
            Some(path) => {
                let file = OpenOptions::new().create(true).append(true).open(path);
                let file = file.with_context(|| format!("log file {}", path.display()))?;
                (file.try_clone()?.into(), file.into())
            }
        };
        command
            .current_dir(&spec.dir)
            .stdin(Stdio::null())
            .stdout(out)
            .stderr(err);
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        let child = command
            .spawn()
            .with_context(|| format!("cannot start {}", spec.program.display()))?;
        let pid = Pid::from_child(&child);
        let shared = Arc::new((Mutex::new(State::Running), Condvar::new()));
        let reaped = Arc::clone(&shared);
        std::thread::Builder::new()
            .name(format!("wait {pid:?}"))
            .spawn(move || reap(pid, child, &reaped))?;
        Ok(Self { pid, shared })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.shared.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn state(&self) -> State {
        self.lock().clone()
    }

    /// Sends nothing to a process that has exited: its ID may have been reused.
    fn signal(&self, signal: Signal) {
        let state = self.lock();
        if *state == State::Running {
            let _ = kill_process_group(self.pid, signal);
        }
    }

    fn wait(&self, deadline: Option<Instant>) -> State {
        let mut state = self.lock();
        while *state == State::Running {
            state = match deadline {
                None => self.shared.1.wait(state).unwrap_or_else(PoisonError::into_inner),
                Some(deadline) => {
                    let left = deadline.saturating_duration_since(Instant::now());
                    if left.is_zero() {
                        break;
                    }
                    let waited = self.shared.1.wait_timeout(state, left);
                    waited.unwrap_or_else(PoisonError::into_inner).0
                }
            };
        }
        state.clone()
    }
}

/// Waits for the exit without reaping, so that the ID is not reused before the rest of the process group has been killed.
fn reap(pid: Pid, mut child: Child, shared: &(Mutex<State>, Condvar)) {
    while let Err(error) = waitid(WaitId::Pid(pid), WaitIdOptions::EXITED | WaitIdOptions::NOWAIT) {
        if error != rustix::io::Errno::INTR {
            break;
        }
    }
    let mut state = shared.0.lock().unwrap_or_else(PoisonError::into_inner);
    let _ = kill_process_group(pid, Signal::KILL);
    *state = State::Exited(match child.wait() {
        Ok(status) => status.to_string(),
        Err(error) => format!("unknown status: {error}"),
    });
    shared.1.notify_all();
}

fn check_executable(path: &Path) -> Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    let meta = std::fs::metadata(path).with_context(|| format!("cannot start {}", path.display()))?;
    if !meta.is_file() || meta.permissions().mode() & 0o111 == 0 {
        bail!("cannot start {}: not an executable file", path.display());
    }
    Ok(())
}

/// Replaces this process with `program`, which the kernel kills when `owner`, the parent process, exits. Returns only on failure.
pub fn exec(owner: u32, program: &Path, args: &[String]) -> Result<std::convert::Infallible> {
    #[cfg(target_os = "linux")]
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
    // The owner may have exited before the request to the kernel.
    if std::os::unix::process::parent_id() != owner {
        bail!("the owner is gone");
    }
    let error = std::os::unix::process::CommandExt::exec(Command::new(program).args(args));
    Err(error).with_context(|| format!("cannot run {}", program.display()))
}
