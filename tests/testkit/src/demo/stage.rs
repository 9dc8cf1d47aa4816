//! The demo's shell: a home directory, an environment, and commands that are shown and run.

use std::io::{BufRead as _, BufReader, Read as _, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};

use crate::guard::{Guard, Spec, Started, State};
use crate::until;

/// The variables that commands inherit from the caller. HOME and KUBECONFIG are set by the demo; `ENVELOPE_*` and proxies are removed.
const INHERITED: [&str; 5] = ["LANG", "LC_ALL", "TERM", "TMPDIR", "TZ"];
/// How long the controller may take to start and to shut down.
const START_TIMEOUT: Duration = Duration::from_mins(1);
const STOP_GRACE: Duration = Duration::from_secs(15);

pub(super) struct Cluster {
    pub(super) kubectl: PathBuf,
    pub(super) kubeconfig: PathBuf,
}

pub(super) struct Stage<'a> {
    out: &'a mut dyn Write,
    home: PathBuf,
    environment: Vec<(String, String)>,
    guard: Guard,
}

/// A running controller.
pub(super) struct Controller {
    started: Started,
    /// The loopback port of `/metrics`.
    pub(super) metrics: u16,
}

impl Controller {
    /// Returns the samples of a metric: name with labels, and value.
    pub(super) fn metric(&self, name: &str) -> Result<Vec<(String, f64)>> {
        let (code, text) = get(self.metrics, "/metrics")?;
        ensure!(code == 200, "/metrics returned HTTP status {code}");
        let samples = text
            .lines()
            .filter(|line| line.starts_with(name))
            .filter_map(|line| {
                let (labels, value) = line.rsplit_once(' ')?;
                Some((labels.to_owned(), value.parse().ok()?))
            });
        Ok(samples.collect())
    }
}

impl<'a> Stage<'a> {
    pub(super) fn new(out: &'a mut dyn Write, envelope: &Path, cluster: Option<&Cluster>) -> Result<Self> {
        let guard = Guard::start()?;
        let directory = guard.temporary_directory("envelope-demo-")?;
        let (home, programs) = (directory.join("home"), directory.join("bin"));
        std::fs::create_dir(&home)?;
        std::fs::create_dir(&programs)?;
        let envelope = std::fs::canonicalize(envelope).with_context(|| envelope.display().to_string())?;
        std::os::unix::fs::symlink(envelope, programs.join("envelope"))?;
        let mut environment: Vec<(String, String)> = INHERITED
            .iter()
            .filter_map(|name| Some(((*name).to_owned(), std::env::var(name).ok()?)))
            .collect();
        if let Some(cluster) = cluster {
            std::os::unix::fs::symlink(&cluster.kubectl, programs.join("kubectl"))?;
            environment.push(("KUBECONFIG".to_owned(), cluster.kubeconfig.display().to_string()));
            // A kubectl process that outlives a killed demo must not re-create HOME for its cache after the guard has removed it.
            environment.push(("KUBECACHEDIR".to_owned(), "/dev/null".to_owned()));
        }
        let path = std::env::var("PATH").unwrap_or_default();
        environment.push(("PATH".to_owned(), format!("{}:{path}", programs.display())));
        environment.push(("HOME".to_owned(), home.display().to_string()));
        Ok(Self {
            out,
            home,
            environment,
            guard,
        })
    }

    /// Prints a comment for the user.
    pub(super) fn say(&mut self, text: &str) -> Result<()> {
        writeln!(self.out, "\n# {text}").context("standard output")
    }

    /// Prints a line of output.
    pub(super) fn print(&mut self, text: &str) -> Result<()> {
        writeln!(self.out, "{text}").context("standard output")
    }

    pub(super) fn show_environment(&mut self) -> Result<()> {
        for name in ["HOME", "KUBECONFIG"] {
            if let Some((_, value)) = self.environment.iter().find(|(known, _)| known == name) {
                writeln!(self.out, "$ export {name}={value}")?;
            }
        }
        Ok(())
    }

    /// Shows and sets a variable for the following commands. The value must not need quotes in a shell.
    pub(super) fn export(&mut self, name: &str, value: &str) -> Result<()> {
        self.environment.push((name.to_owned(), value.to_owned()));
        writeln!(self.out, "$ export {name}={value}").context("standard output")
    }

    /// The environment of every command.
    pub(super) fn environment(&self) -> &[(String, String)] {
        &self.environment
    }

    pub(super) fn write(&self, name: &str, text: &str) -> Result<()> {
        std::fs::write(self.home.join(name), text).with_context(|| name.to_owned())
    }

    pub(super) fn read(&self, name: &str) -> Result<String> {
        std::fs::read_to_string(self.home.join(name)).with_context(|| name.to_owned())
    }

    /// Shows and runs a command that must succeed. Returns its output.
    pub(super) fn run(&mut self, line: &str) -> Result<String> {
        let (status, text) = self.shell(line)?;
        ensure!(status.success(), "the command failed with {status}: {line}");
        Ok(text)
    }

    /// Shows and runs a command that must fail with this exit code. Returns its output.
    pub(super) fn run_failing(&mut self, code: i32, line: &str) -> Result<String> {
        let (status, text) = self.shell(line)?;
        ensure!(
            status.code() == Some(code),
            "the command exited with {status} instead of exit code {code}: {line}"
        );
        Ok(text)
    }

    fn shell(&mut self, line: &str) -> Result<(ExitStatus, String)> {
        writeln!(self.out, "$ {line}")?;
        let (output, writer) = std::io::pipe()?;
        let mut child = {
            // `command` owns the write ends of the pipe and must be dropped, otherwise reading below would never reach end of file.
            let mut command = Command::new("/bin/sh");
            command
                .args(["-c", line])
                .current_dir(&self.home)
                .stdin(Stdio::null());
            command
                .env_clear()
                .envs(self.environment.iter().map(|(name, value)| (name, value)));
            command.stdout(writer.try_clone()?).stderr(writer);
            command.spawn().context("cannot start /bin/sh")?
        };
        let mut text = String::new();
        for bytes in BufReader::new(output).split(b'\n') {
            let line = String::from_utf8_lossy(&bytes?).into_owned();
            writeln!(self.out, "{line}")?;
            text.push_str(&line);
            text.push('\n');
        }
        Ok((child.wait()?, text))
    }

    /// Starts the controller in the background and waits until it is ready. Adds the flags for its ports to `command`.
    pub(super) fn start_controller(&mut self, command: &str) -> Result<Controller> {
        let (metrics, probes) = two_ports()?;
        let line = format!("{command} --metrics-addr 127.0.0.1:{metrics} --probe-addr 127.0.0.1:{probes}");
        writeln!(self.out, "$ {line} 2>>controller.log &")?;
        let spec = Spec {
            program: "/bin/sh".into(),
            args: vec!["-c".to_owned(), format!("exec {line}")],
            dir: self.home.clone(),
            env: self.environment.clone(),
            log: Some(self.home.join("controller.log")),
        };
        let started = self.guard.spawn(spec)?;
        until(START_TIMEOUT, "the controller is ready", || {
            if let State::Exited(status) = self.guard.state(started.id)? {
                bail!("the controller exited while starting: {status}");
            }
            Ok(matches!(get(probes, "/readyz"), Ok((200, _))).then_some(()))
        })?;
        Ok(Controller { started, metrics })
    }

    /// Sends SIGTERM to the controller, which must shut down in time and exit with status 0.
    pub(super) fn stop_controller(&mut self, controller: &Controller) -> Result<()> {
        writeln!(self.out, "$ kill {}", controller.started.pid)?;
        let State::Exited(status) = self.guard.stop(controller.started.id, STOP_GRACE)? else {
            bail!("the controller is still running");
        };
        ensure!(
            status.contains("exit status: 0"),
            "the controller did not shut down cleanly: {status}"
        );
        Ok(())
    }

    /// The last 20 lines of the controller's log.
    pub(super) fn controller_log(&self) -> String {
        let log = self.read("controller.log").unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(20)..].join("\n")
    }
}

fn two_ports() -> Result<(u16, u16)> {
    let first = crate::plane::free_port()?;
    loop {
        let second = crate::plane::free_port()?;
        if second != first {
            return Ok((first, second));
        }
    }
}

/// Sends a GET request to the loopback address and returns the status code and body. HTTP/1.0: the response ends when the connection closes.
fn get(port: u16, path: &str) -> Result<(u16, String)> {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    write!(stream, "GET {path} HTTP/1.0\r\nHost: 127.0.0.1\r\n\r\n")?;
    let mut response = String::new();
    stream.read_to_string(&mut response)?;
    let (head, body) = response.split_once("\r\n\r\n").context("not an HTTP response")?;
    let code = head
        .split(' ')
        .nth(1)
        .and_then(|code| code.parse().ok())
        .context("no HTTP status")?;
    Ok((code, body.to_owned()))
}
