//! The dashboard, drawn from the scrapes of a run: `tests/dashboard` evaluates the queries of its panels with Prometheus's engine.

use std::{
    fmt::Write as _,
    fs,
    io::{Read as _, Write as _},
    net::TcpStream,
    path::PathBuf,
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, SystemTime},
};

use anyhow::{Context as _, Result, ensure};

use super::support::{CHART, Suite, success};
use crate::run::{root, target_directory};

/// The interval of the scrapes: short, as the run is.
const INTERVAL: Duration = Duration::from_millis(500);

/// Scrapes a controller until it is dropped or stopped.
pub(super) struct Sampler {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<String>>,
}

impl Sampler {
    /// `pod`: the name of the controller's pod, if it were one.
    pub(super) fn start(address: &str, pod: &'static str) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let (address, stopped) = (address.to_owned(), stop.clone());
        let thread = thread::spawn(move || {
            let mut scrapes = String::new();
            while !stopped.load(Ordering::Relaxed) {
                if let Ok(metrics) = scrape(&address) {
                    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
                    let now = now.unwrap_or_default().as_millis();
                    // Writing to a string cannot fail.
                    let _ = write!(scrapes, "# scrape {now} {pod}\n{metrics}");
                }
                thread::sleep(INTERVAL);
            }
            scrapes
        });
        Self {
            stop,
            thread: Some(thread),
        }
    }

    /// The scrapes so far, in the format that `tests/dashboard` reads.
    pub(super) fn finish(mut self) -> Result<String> {
        self.stop.store(true, Ordering::Relaxed);
        let thread = self.thread.take().context("stopped already")?;
        thread.join().ok().context("the sampler panicked")
    }
}

impl Drop for Sampler {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

/// What a controller serves on `/metrics`.
pub(super) fn scrape(address: &str) -> Result<String> {
    let mut stream = TcpStream::connect(address)?;
    stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
    let mut response = String::new();
    stream.read_to_string(&mut response)?;
    let (head, body) = response.split_once("\r\n\r\n").context("no HTTP response")?;
    ensure!(head.starts_with("HTTP/1.1 200"), "{head}");
    Ok(body.to_owned())
}

/// Draws the dashboard. Every panel must have data.
pub(super) fn check(suite: &mut Suite, scrapes: &str) {
    let drawn = draw(scrapes);
    let name = "every panel of the dashboard has data, with Prometheus's engine on the scrapes of the run";
    match drawn {
        Ok(file) => {
            println!("the dashboard as SVG: {}", file.display());
            suite.record(name, Ok(()));
        }
        Err(error) => suite.record(name, Err(error)),
    }
}

fn draw(scrapes: &str) -> Result<PathBuf> {
    let directory = target_directory().join("dashboard");
    fs::create_dir_all(&directory)?;
    let (samples, image) = (directory.join("scrapes.txt"), directory.join("dashboard.svg"));
    fs::write(&samples, scrapes)?;
    let program = directory.join("dashboard");
    // The flags of testkit's tools: what promtool has compiled is not compiled again.
    let mut go = Command::new("go");
    go.args(["build", "-trimpath", "-buildvcs=false", "-mod=readonly", "-o"])
        .arg(&program)
        .arg(".")
        .current_dir(root().join("tests/dashboard"))
        .envs([("CGO_ENABLED", "0"), ("GOWORK", "off"), ("GOFLAGS", "")]);
    success(&go.output().context("cannot run go")?)?;
    let mut command = Command::new(&program);
    command
        .arg("-dashboard")
        .arg(root().join(CHART).join("files/dashboard.json"))
        .arg("-scrapes")
        .arg(&samples)
        .arg("-output")
        .arg(&image);
    let printed = success(&command.output()?)?;
    print!("{printed}");
    ensure!(printed.contains(" panels, 0 without data;"), "{printed}");
    Ok(image)
}
