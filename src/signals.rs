//! Cleanup when a signal ends or stops the process: a terminal without echo, files that must not stay behind.

use std::collections::BTreeMap;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, OnceLock};

use signal_hook::consts::{
    SIGABRT, SIGALRM, SIGHUP, SIGINT, SIGPROF, SIGQUIT, SIGTERM, SIGTSTP, SIGUSR1, SIGUSR2, SIGVTALRM,
    SIGXCPU,
};
use signal_hook::iterator::Signals;
use signal_hook::low_level::emulate_default_handler;

use crate::sync::lock;

/// The signals that end a process by default and that a user, a timer or a limit sends. The others report a fault of the
/// program, cannot be handled, are real-time signals, or report a limit to `write` as well (SIGXFSZ).
pub(crate) const ENDING: [i32; 11] = [
    SIGABRT, SIGALRM, SIGHUP, SIGINT, SIGPROF, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2, SIGVTALRM, SIGXCPU,
];

/// What is about to happen to the process, or has just happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    /// It is about to be terminated.
    Terminate,
    /// It is about to be stopped (Ctrl-Z).
    Stop,
    /// It has been resumed (`fg`).
    Resume,
}

type Action = Box<dyn FnMut(Event) + Send>;

static ACTIONS: Mutex<BTreeMap<u64, Action>> = Mutex::new(BTreeMap::new());

/// Runs an action on each [`Event`] until it is dropped.
#[derive(Debug)]
pub(crate) struct Registration(u64);

/// Registers an action. It runs on a thread of its own, before the default action of [`ENDING`] signals and SIGTSTP; it
/// must not block for long.
pub(crate) fn on_event(action: impl FnMut(Event) + Send + 'static) -> io::Result<Registration> {
    static STARTED: OnceLock<Result<(), io::ErrorKind>> = OnceLock::new();
    (*STARTED.get_or_init(|| start().map_err(|error| error.kind()))).map_err(io::Error::from)?;
    let mut actions = lock(&ACTIONS);
    let id = actions.keys().next_back().map_or(0, |last| last + 1);
    actions.insert(id, Box::new(action));
    Ok(Registration(id))
}

impl Drop for Registration {
    fn drop(&mut self) {
        lock(&ACTIONS).remove(&self.0);
    }
}

/// The thread runs as long as the process: once caught, a signal has its default action only through it.
fn start() -> io::Result<()> {
    let ignored = ignored_signals();
    let mut signals = Signals::new(
        ENDING
            .into_iter()
            .chain([SIGTSTP])
            .filter(|signal| ignored & (1 << (signal - 1)) == 0),
    )?;
    let handle = move || {
        for signal in &mut signals {
            if SUSPENDED.load(Ordering::SeqCst) && signal != SIGTSTP {
                continue;
            }
            // The lock is held until the end, so that no new file or terminal mode escapes the cleanup.
            let mut actions = lock(&ACTIONS);
            let mut run = |event| actions.values_mut().for_each(|action| action(event));
            run(if signal == SIGTSTP {
                Event::Stop
            } else {
                Event::Terminate
            });
            let _ = emulate_default_handler(signal);
            run(Event::Resume);
        }
    };
    std::thread::Builder::new()
        .name("signals".to_owned())
        .spawn(handle)
        .map(|_| ())
}

static SUSPENDED: AtomicBool = AtomicBool::new(false);

/// Leaves the signals that end the process to a write, which removes its temporary file first.
pub(crate) fn suspend(suspended: bool) {
    SUSPENDED.store(suspended, Ordering::SeqCst);
}

/// The mask of signals that the parent has this process ignore (`nohup`), in Linux; they stay ignored. Elsewhere, 0.
pub(crate) fn ignored_signals() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok())
        .unwrap_or_default()
}
