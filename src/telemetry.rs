//! Logging to standard error, as text or JSON lines.

use std::io;

use tracing::Subscriber;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;

/// Log format.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum LogFormat {
    /// Human-readable lines.
    #[default]
    Text,
    /// One JSON object per line, with the fields next to `message`.
    Json,
}

/// Minimum log level.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum LogLevel {
    /// Human action is required.
    Error,
    /// Something is wrong.
    Warn,
    /// What the controller does.
    #[default]
    Info,
    /// Why it does so, including the stage and KMS refusals behind an `IntegrityError`.
    Debug,
    /// Everything.
    Trace,
}

impl LogLevel {
    fn as_str(self) -> &'static str {
        match self {
            LogLevel::Error => "error",
            LogLevel::Warn => "warn",
            LogLevel::Info => "info",
            LogLevel::Debug => "debug",
            LogLevel::Trace => "trace",
        }
    }
}

/// Crates that never log, at any level: kube logs whole response bodies that it cannot parse, and repeats request errors
/// that the controller reports.
const SILENT: &[&str] = &["kube_client", "kube_runtime"];
/// Crates that log only from `warn` up: their other lines are about sockets and frames.
const QUIET: &[&str] = &[
    "tower",
    "tower_http",
    "hyper",
    "hyper_util",
    "rustls",
    "h2",
    "axum",
];

/// Returns a subscriber that writes to `writer`.
pub fn subscriber<W>(format: LogFormat, level: LogLevel, writer: W) -> Box<dyn Subscriber + Send + Sync>
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter(level))
        .with_writer(writer)
        .with_target(false);
    match format {
        LogFormat::Text => Box::new(builder.with_ansi(false).finish()),
        LogFormat::Json => Box::new(
            builder
                .json()
                .flatten_event(true)
                .with_current_span(false)
                .finish(),
        ),
    }
}

/// Installs the process-wide subscriber.
///
/// # Errors
/// If one is already installed.
pub fn init(format: LogFormat, level: LogLevel) -> Result<(), tracing::subscriber::SetGlobalDefaultError> {
    tracing::subscriber::set_global_default(subscriber(format, level, io::stderr))
}

fn filter(level: LogLevel) -> EnvFilter {
    let mut directives = vec![level.as_str().to_owned()];
    directives.extend(SILENT.iter().map(|target| format!("{target}=off")));
    let quiet = if level == LogLevel::Error { "error" } else { "warn" };
    directives.extend(QUIET.iter().map(|target| format!("{target}={quiet}")));
    EnvFilter::new(directives.join(","))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{Arc, Mutex};

    #[derive(Clone, Default)]
    struct Buffer(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Buffer {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().expect("no panic").extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn logged(format: LogFormat, level: LogLevel, log: impl FnOnce()) -> String {
        let buffer = Buffer::default();
        let writer = buffer.clone();
        tracing::subscriber::with_default(subscriber(format, level, move || writer.clone()), log);
        String::from_utf8(buffer.0.lock().expect("no panic").clone()).expect("UTF-8")
    }

    #[test]
    fn json_lines_contain_message_and_fields() {
        let text = logged(LogFormat::Json, LogLevel::Info, || {
            tracing::info!(
                namespace = "prod",
                name = "db",
                reason = "Synced",
                "secret written"
            );
            tracing::debug!("not shown");
        });
        let line: serde_json::Value = serde_json::from_str(&text).expect("one JSON object");
        for (field, value) in [
            ("message", "secret written"),
            ("namespace", "prod"),
            ("name", "db"),
            ("reason", "Synced"),
            ("level", "INFO"),
        ] {
            assert_eq!(line[field], value, "{text}");
        }
    }

    #[test]
    fn kube_is_silenced_and_network_crates_log_only_warnings() {
        let text = logged(LogFormat::Text, LogLevel::Trace, || {
            tracing::error!(target: "kube_client::client", "a response body");
            tracing::error!(target: "kube_runtime::watcher", "the same error again");
            tracing::info!(target: "hyper_util::client", "a socket");
            tracing::warn!(target: "hyper_util::client", "a warning");
            tracing::trace!("ours");
        });
        assert!(
            !text.contains("body") && !text.contains("again") && !text.contains("socket"),
            "{text}"
        );
        assert!(text.contains("a warning") && text.contains("ours"), "{text}");
    }
}
