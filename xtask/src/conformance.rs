//! Suite `conformance`: Tencent Cloud's Python and Node SDKs, from their registries, call the KMS and STS emulator, and their
//! requests are compared with our client's. Suite `live` also runs against the emulator, to keep it working without an account.

use std::{
    env, fmt, fs,
    io::{BufRead as _, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
};

use anyhow::{Context as _, Result, ensure};

use crate::{
    live::live_command,
    prerequisites::{Missing, Need, check},
    run::{cargo, profile_directory, root, run, run_lines, shown},
    testkit::build,
};

pub(crate) fn conformance() -> Result<()> {
    check(&[Need::CCompiler, Need::Python, Need::Node])?;
    let scripts = root().join("tests/conformance");
    let installed = root().join("target/conformance");
    let python = installed.join("python");
    if is_stale(&python, &scripts.join("requirements.txt"))? {
        println!("installing the Python SDK");
        run(Command::new("python3")
            .args(["-m", "venv", "--clear"])
            .arg(&python))?;
        let mut pip = Command::new(python.join("bin/python"));
        pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"]);
        run(pip.arg("--requirement").arg(scripts.join("requirements.txt")))
            .map_err(|_| Missing::not_installable("the Python SDK"))?;
        record_installed(&python, &scripts.join("requirements.txt"))?;
    }
    let node = installed.join("node");
    if is_stale(&node, &scripts.join("package.json"))? {
        println!("installing the Node SDK");
        fs::create_dir_all(&node)?;
        for name in ["package.json", "package-lock.json"] {
            fs::copy(scripts.join(name), node.join(name)).with_context(|| name.to_owned())?;
        }
        let mut npm = Command::new("npm");
        npm.args(["ci", "--silent", "--no-audit", "--no-fund", "--ignore-scripts"]);
        run(npm.current_dir(&node)).map_err(|_| Missing::not_installable("the Node SDK"))?;
        record_installed(&node, &scripts.join("package.json"))?;
    }
    run(&mut cargo([
        "build",
        "--locked",
        "--features",
        "live-tests",
        "--example",
        "every_call",
    ]))?;
    build(&["envelope", "testkit"])?;
    let emulator = Emulator::start()?;
    let mut total = Counts::default();
    for mut command in [
        script(&python.join("bin/python"), &scripts.join("python.py")),
        script(Path::new("node"), &scripts.join("node.js")),
    ] {
        command.env("NODE_PATH", node.join("node_modules"));
        command.env("ENVELOPE", profile_directory()?.join("envelope"));
        command.env("EVERY_CALL", profile_directory()?.join("examples/every_call"));
        command.envs(emulator.variables.iter().cloned());
        let mut last = None;
        let done = run_lines(&mut command, |line| last = Counts::parse(line));
        // A script with failures exits with an error after it has printed its counts, which say more than the exit status.
        let Some(counts) = last else {
            return done.context("the script stopped before its closing line");
        };
        ensure!(counts.compared > 0, "no request was compared");
        total.passed += counts.passed;
        total.failed += counts.failed;
        total.compared += counts.compared;
    }
    println!("\nsuite live, against the emulator:");
    let mut live = live_command();
    remove_callers_settings(&mut live);
    live.envs(emulator.variables.iter().cloned())
        .env("ENVELOPE_LIVE_CREATE", "1");
    run(&mut live).context("suite live failed against the emulator")?;
    println!("\n{total}");
    ensure!(total.passed > 0, "no case ran");
    ensure!(
        total.failed == 0,
        "an SDK rejects the emulator's responses, or our client's requests differ from the SDK's"
    );
    Ok(())
}

fn script(program: &Path, path: &Path) -> Command {
    let mut command = Command::new(program);
    command.arg(path).env("PYTHONDONTWRITEBYTECODE", "1");
    remove_callers_settings(&mut command);
    command
}

/// Removes the caller's proxies, credentials, endpoints and roles from the command's environment.
fn remove_callers_settings(command: &mut Command) {
    for (name, _) in env::vars_os() {
        let upper = name.to_string_lossy().to_ascii_uppercase();
        let prefixes = ["TENCENTCLOUD_", "TKE_", "ENVELOPE_"];
        if upper.ends_with("_PROXY") || prefixes.iter().any(|prefix| upper.starts_with(prefix)) {
            command.env_remove(&name);
        }
    }
}

/// The closing line of a script and of the suite: `18 passed, 1 failed, 22 requests compared`.
#[derive(Debug, Default, PartialEq, Eq)]
struct Counts {
    passed: u64,
    failed: u64,
    /// Requests of our client that were compared with the SDK's request for the same call.
    compared: u64,
}

impl Counts {
    fn parse(line: &str) -> Option<Self> {
        let (passed, rest) = line.split_once(" passed, ")?;
        let (failed, compared) = rest.split_once(" failed, ")?;
        Some(Counts {
            passed: passed.parse().ok()?,
            failed: failed.parse().ok()?,
            compared: compared.strip_suffix(" requests compared")?.parse().ok()?,
        })
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Counts {
            passed,
            failed,
            compared,
        } = self;
        write!(
            f,
            "{passed} passed, {failed} failed, {compared} requests compared"
        )
    }
}

/// Whether the packages installed in the directory differ from this list.
fn is_stale(directory: &Path, list: &Path) -> Result<bool> {
    let wanted = fs::read(list).with_context(|| list.display().to_string())?;
    Ok(fs::read(directory.join("installed")).ok().as_ref() != Some(&wanted))
}

/// Records the list of packages that is now installed, for [`is_stale`].
fn record_installed(directory: &Path, list: &Path) -> Result<()> {
    fs::copy(list, directory.join("installed"))?;
    Ok(())
}

/// The emulator in a separate process, which is killed on drop.
struct Emulator {
    child: Child,
    variables: Vec<(String, String)>,
}

impl Emulator {
    fn start() -> Result<Self> {
        let mut command = Command::new(profile_directory()?.join("testkit"));
        let command = command.arg("kms-emulator").stdin(Stdio::null());
        let child = command.stdout(Stdio::piped()).spawn();
        let child = child.with_context(|| format!("cannot start {}", shown(command)))?;
        let mut emulator = Emulator {
            child,
            variables: Vec::new(),
        };
        let output = emulator.child.stdout.take().context("no standard output")?;
        for line in BufReader::new(output).lines() {
            let line = line?;
            if let Some((_, control)) = line.split_once("; counts: curl ") {
                let control = ("EMULATOR_CONTROL".to_owned(), control.to_owned());
                emulator.variables.push(control);
            }
            let exported = line.strip_prefix("export ").and_then(|line| line.split_once('='));
            let Some((name, value)) = exported else {
                continue;
            };
            emulator.variables.push((name.to_owned(), value.to_owned()));
            if name == "ENVELOPE_KEY" {
                return Ok(emulator); // the last variable that it prints
            }
        }
        anyhow::bail!("the emulator exited before it was ready")
    }
}

impl Drop for Emulator {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn closing_line_is_parsed_as_a_whole() {
        let line = "18 passed, 1 failed, 22 requests compared";
        let counts = Counts {
            passed: 18,
            failed: 1,
            compared: 22,
        };
        assert_eq!(counts.to_string(), line);
        assert_eq!(Counts::parse(line), Some(counts));
        for other in [
            "",
            "18 passed, 1 failed",
            "18 passed, 1 failed, 22 requests",
            "ok: 1 passed, 0 failed, 2 requests compared",
        ] {
            assert_eq!(Counts::parse(other), None, "{other}");
        }
    }
}
