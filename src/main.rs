//! The program `envelope`; everything is in the library.

#[cfg(unix)]
fn main() -> std::process::ExitCode {
    use envelope_secrets::cli::{self, process};

    startup::reserve_closed_stdout();
    process::hide_panic_messages();
    if let Err(why) = process::harden() {
        warn(&why);
    }
    // The clients of Kubernetes and of KMSs share one TLS provider.
    if rustls::crypto::aws_lc_rs::default_provider()
        .install_default()
        .is_err()
    {
        warn("another TLS provider is already installed");
    }
    let argv: Vec<std::ffi::OsString> = std::env::args_os().collect();
    cli::run(&argv).into()
}

#[cfg(unix)]
fn warn(text: &str) {
    use std::io::Write as _;
    let _ = writeln!(std::io::stderr(), "warning: {text}");
}

#[cfg(not(unix))]
fn main() -> std::process::ExitCode {
    use std::io::Write as _;
    let _ = writeln!(
        std::io::stderr(),
        "error: envelope runs on Linux and macOS: it relies on their file permissions\nhelp: use it in WSL"
    );
    std::process::ExitCode::from(2)
}
