//! The program `envelope`: see the library.

#[cfg(unix)]
fn main() -> std::process::ExitCode {
    use envelope_secrets::cli::{self, process};

    process::quiet_panics();
    if let Err(why) = process::harden() {
        warn(&why);
    }
    // Kubernetes clients and KMSs speak TLS with the one provider that is linked; nothing may have chosen another.
    if rustls::crypto::aws_lc_rs::default_provider()
        .install_default()
        .is_err()
    {
        warn("another TLS provider is installed already");
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
