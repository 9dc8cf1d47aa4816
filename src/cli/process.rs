//! What a process that holds keys does first.

use std::panic;

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
        let place = info
            .location()
            .map_or_else(|| "an unknown place".to_owned(), ToString::to_string);
        let _ = writeln!(
            std::io::stderr(),
            "error: internal error at {place}; this is a bug"
        );
    }));
}
