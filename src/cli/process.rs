//! What a process that holds keys does first.

use std::panic::{self, PanicHookInfo};

use rustix::process::{Resource, Rlimit, setrlimit};

/// No core dumps, and on Linux no debugger or other process of the same user that reads this one's memory.
pub fn harden() -> Result<(), String> {
    let none = Rlimit {
        current: Some(0),
        maximum: Some(0),
    };
    setrlimit(Resource::Core, none).map_err(|error| format!("core dumps stay on: {error}"))?;
    #[cfg(target_os = "linux")]
    {
        use rustix::process::{DumpableBehavior, set_dumpable_behavior};
        set_dumpable_behavior(DumpableBehavior::NotDumpable)
            .map_err(|error| format!("other processes may read this one's memory: {error}"))?;
    }
    Ok(())
}

/// A panic says where and nothing else: its message may have been made of a value.
pub fn quiet_panics() {
    panic::set_hook(Box::new(|info| {
        use std::io::Write as _;
        let _ = writeln!(std::io::stderr(), "{}", said(info));
    }));
}

fn said(info: &PanicHookInfo<'_>) -> String {
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
    fn a_panic_says_no_more_than_where() {
        let heard = Arc::new(Mutex::new(Vec::new()));
        let (here, ear) = (thread::current().id(), Arc::clone(&heard));
        let before = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            if thread::current().id() == here {
                ear.lock().expect("no panic").push(said(info));
            } else {
                before(info);
            }
        }));
        let value = "hunter2";
        assert!(panic::catch_unwind(|| panic!("the value {value}")).is_err());
        let _ = panic::take_hook();
        let heard = heard.lock().expect("no panic");
        let [only] = heard.as_slice() else {
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
