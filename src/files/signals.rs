//! Signals during a write.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock};

use signal_hook::consts::SIGXFSZ;
use signal_hook::{flag, low_level};

use crate::signals::{self, ENDING, ignored_signals};
use crate::sync::lock;

/// Defers the signals that would end the process while it lives, so that a temporary file is removed before they take effect.
/// Values may overlap; the signals take effect when the last one is dropped.
pub(super) struct Deferred(());

struct Handlers {
    /// Whether a signal has its default effect.
    immediate: Arc<AtomicBool>,
    /// The last deferred signal; 0 without one.
    pending: Arc<AtomicUsize>,
    /// The number of live [`Deferred`] values.
    depth: Mutex<usize>,
}

impl Deferred {
    pub(super) fn begin() -> Self {
        let handlers = handlers();
        let mut depth = lock(&handlers.depth);
        *depth += 1;
        handlers.immediate.store(false, Ordering::SeqCst);
        signals::suspend(true);
        Deferred(())
    }

    /// Reports whether a signal waits: the write should stop.
    #[expect(clippy::unused_self, reason = "signals are deferred only while a value lives")]
    pub(super) fn interrupted(&self) -> bool {
        handlers().pending.load(Ordering::SeqCst) != 0
    }
}

impl Drop for Deferred {
    fn drop(&mut self) {
        let handlers = handlers();
        let mut depth = lock(&handlers.depth);
        *depth -= 1;
        if *depth > 0 {
            return;
        }
        handlers.immediate.store(true, Ordering::SeqCst);
        signals::suspend(false);
        let pending = handlers.pending.swap(0, Ordering::SeqCst);
        if let (1.., Ok(signal)) = (pending, i32::try_from(pending)) {
            // Ends the process as if it had no handler.
            let _ = low_level::emulate_default_handler(signal);
        }
    }
}

/// Installs the handlers once. Signals that the parent has this process ignore (`nohup`) stay ignored.
fn handlers() -> &'static Handlers {
    static HANDLERS: OnceLock<Handlers> = OnceLock::new();
    HANDLERS.get_or_init(|| {
        let handlers = Handlers {
            immediate: Arc::new(AtomicBool::new(true)),
            pending: Arc::new(AtomicUsize::new(0)),
            depth: Mutex::new(0),
        };
        let ignored = ignored_signals();
        for signal in ENDING {
            let number = usize::try_from(signal).unwrap_or_default();
            if ignored & (1 << (number - 1)) != 0 {
                continue;
            }
            // Without a handler a signal ends the process during the write, as it would without this module.
            let _ = flag::register_conditional_default(signal, Arc::clone(&handlers.immediate));
            let _ = flag::register_usize(signal, Arc::clone(&handlers.pending), number);
        }
        // The write that exceeds the limit of a file's size (`ulimit -f`) fails, which is reported.
        let _ = flag::register(SIGXFSZ, Arc::new(AtomicBool::new(false)));
        handlers
    })
}
