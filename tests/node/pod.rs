//! The test images of suite `node`: one static program, compiled by `rustc` alone.
//!
//! `pod pause` holds a pod's namespaces, as Kubernetes' own pause image does. `pod show FILE VARIABLE` prints the content of the file,
//! again whenever it changes, and the value of the environment variable.

use std::{env, fs, thread, time::Duration};

fn main() {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [mode, file, variable] = &arguments[..] else {
        loop {
            thread::park();
        }
    };
    assert_eq!(mode, "show");
    println!("environment: {}", env::var(variable).unwrap_or_default());
    let mut shown = None;
    loop {
        let content = fs::read_to_string(file).unwrap_or_else(|error| error.to_string());
        if shown.as_ref() != Some(&content) {
            println!("file: {content}");
            shown = Some(content);
        }
        thread::sleep(Duration::from_millis(500));
    }
}
