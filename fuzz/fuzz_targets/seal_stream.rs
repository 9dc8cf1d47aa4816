#![no_main]

use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::LazyLock;

/// In memory where that exists: a run writes several files.
static DIRECTORY: LazyLock<PathBuf> = LazyLock::new(|| {
    let memory = PathBuf::from("/dev/shm");
    let parent = if memory.is_dir() { memory } else { std::env::temp_dir() };
    tempfile::tempdir_in(parent).expect("a directory").keep()
});

fn run(args: &[&str]) -> i32 {
    let args: Vec<OsString> = args.iter().map(OsString::from).collect();
    i32::from(envelope_secrets::cli::run(&args).code())
}

libfuzzer_sys::fuzz_target!(|data: &[u8]| properties::seal_stream(data, &DIRECTORY, &run));
