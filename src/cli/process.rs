//! Hardening of a process that holds keys.

use std::panic::{self, PanicHookInfo};

use rustix::process::{Resource, Rlimit, setrlimit};

/// Disables core dumps and, on Linux, access to this process's memory by debuggers and other processes of the user.
pub fn harden() -> Result<(), String> {
    let none = Rlimit {
        current: Some(0),
        maximum: Some(0),
    };
    setrlimit(Resource::Core, none).map_err(|error| format!("core dumps remain enabled: {error}"))?;
    #[cfg(target_os = "linux")]
    {
        use rustix::process::{DumpableBehavior, set_dumpable_behavior};
        set_dumpable_behavior(DumpableBehavior::NotDumpable)
            .map_err(|error| format!("other processes may read this one's memory: {error}"))?;
    }
    Ok(())
}

/// Makes panics print their location only: their message may contain a secret value.
pub fn hide_panic_messages() {
    panic::set_hook(Box::new(|info| {
        use std::io::Write as _;
        let _ = writeln!(std::io::stderr(), "{}", panic_report(info));
    }));
}

/// Ends the process as the default action of SIGPIPE does: shells show status 141. Rust ignores the signal itself.
#[expect(clippy::exit, reason = "only if the signal does not end the process")]
pub(super) fn end_by_broken_pipe() -> ! {
    let _ = signal_hook::low_level::emulate_default_handler(signal_hook::consts::SIGPIPE);
    std::process::exit(141)
}

fn panic_report(info: &PanicHookInfo<'_>) -> String {
    let place = info
        .location()
        .map_or_else(|| "an unknown place".to_owned(), ToString::to_string);
    format!("error: internal error at {place}; this is a bug")
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};
    use std::thread;

    use super::*;

    #[test]
    fn panic_reports_its_location_but_not_its_message() {
        let reports = Arc::new(Mutex::new(Vec::new()));
        let (here, sink) = (thread::current().id(), Arc::clone(&reports));
        let before = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            if thread::current().id() == here {
                sink.lock().expect("no panic").push(panic_report(info));
            } else {
                before(info);
            }
        }));
        let value = "hunter2";
        assert!(panic::catch_unwind(|| panic!("the value {value}")).is_err());
        let _ = panic::take_hook();
        let reports = reports.lock().expect("no panic");
        let [only] = reports.as_slice() else {
            panic!("one panic")
        };
        assert!(
            only.starts_with("error: internal error at src/cli/process.rs:"),
            "{only}"
        );
        assert!(
            only.ends_with("; this is a bug") && !only.contains(value),
            "{only}"
        );
    }
}
