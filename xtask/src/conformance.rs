//! Suite `conformance`: Tencent Cloud's own SDKs, from their registries, against the emulator of its KMS and STS, and beside
//! our client. Suite `live` runs against the emulator, too, so that it works when somebody has an account.

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
    run::{cargo, profile_folder, root, run, run_lines, shown},
    testkit::build,
};

pub(crate) fn conformance() -> Result<()> {
    check(&[Need::CCompiler, Need::Python, Need::Node])?;
    let scripts = root().join("tests/conformance");
    let products = root().join("target/conformance");
    let python = products.join("python");
    if is_stale(&python, &scripts.join("requirements.txt"))? {
        println!("installing the Python SDK");
        run(Command::new("python3")
            .args(["-m", "venv", "--clear"])
            .arg(&python))?;
        let mut pip = Command::new(python.join("bin/python"));
        pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"]);
        run(pip.arg("--requirement").arg(scripts.join("requirements.txt")))
            .map_err(|_| Missing::from_registry("the Python SDK"))?;
        is_installed(&python, &scripts.join("requirements.txt"))?;
    }
    let node = products.join("node");
    if is_stale(&node, &scripts.join("package.json"))? {
        println!("installing the Node SDK");
        fs::create_dir_all(&node)?;
        for name in ["package.json", "package-lock.json"] {
            fs::copy(scripts.join(name), node.join(name)).with_context(|| name.to_owned())?;
        }
        let mut npm = Command::new("npm");
        npm.args(["ci", "--silent", "--no-audit", "--no-fund", "--ignore-scripts"]);
        run(npm.current_dir(&node)).map_err(|_| Missing::from_registry("the Node SDK"))?;
        is_installed(&node, &scripts.join("package.json"))?;
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
    let mut sum = Counts::default();
    for mut command in [
        script(&python.join("bin/python"), &scripts.join("python.py")),
        script(Path::new("node"), &scripts.join("node.js")),
    ] {
        command.env("NODE_PATH", node.join("node_modules"));
        command.env("ENVELOPE", profile_folder()?.join("envelope"));
        command.env("EVERY_CALL", profile_folder()?.join("examples/every_call"));
        command.envs(emulator.variables.iter().cloned());
        let mut last = None;
        let done = run_lines(&mut command, |line| last = Counts::read(line));
        // A script that counted its failures has ended with one, too: the count says more.
        let Some(counts) = last else {
            return done.context("it did not come to its end");
        };
        ensure!(counts.compared > 0, "no request was compared");
        sum.passed += counts.passed;
        sum.failed += counts.failed;
        sum.compared += counts.compared;
    }
    println!("\nsuite live, against the emulator:");
    let mut live = live_command();
    uncalled_for(&mut live);
    live.envs(emulator.variables.iter().cloned())
        .env("ENVELOPE_LIVE_CREATE", "1");
    run(&mut live).context("suite live fails against the emulator")?;
    println!("\n{sum}");
    ensure!(sum.passed > 0, "no case ran");
    ensure!(
        sum.failed == 0,
        "an SDK does not accept the emulator, or our client sends something else"
    );
    Ok(())
}

fn script(program: &Path, path: &Path) -> Command {
    let mut command = Command::new(program);
    command.arg(path).env("PYTHONDONTWRITEBYTECODE", "1");
    uncalled_for(&mut command);
    command
}

/// Neither the caller's proxy nor its credentials, endpoints and roles have a place here.
fn uncalled_for(command: &mut Command) {
    for (name, _) in env::vars_os() {
        let text = name.to_string_lossy().to_ascii_uppercase();
        let ours = ["TENCENTCLOUD_", "TKE_", "ENVELOPE_"];
        if text.ends_with("_PROXY") || ours.iter().any(|start| text.starts_with(start)) {
            command.env_remove(&name);
        }
    }
}

/// What a script's last line says, and the suite's: `18 passed, 1 failed, 22 requests compared`.
#[derive(Debug, Default, PartialEq, Eq)]
struct Counts {
    passed: u64,
    failed: u64,
    /// Requests of our client, each beside the SDK's for the same call.
    compared: u64,
}

impl Counts {
    fn read(line: &str) -> Option<Self> {
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

/// Whether something else than what this list names is installed in the folder.
fn is_stale(folder: &Path, list: &Path) -> Result<bool> {
    let wanted = fs::read(list).with_context(|| list.display().to_string())?;
    Ok(fs::read(folder.join("installed")).ok().as_ref() != Some(&wanted))
}

fn is_installed(folder: &Path, list: &Path) -> Result<()> {
    fs::copy(list, folder.join("installed"))?;
    Ok(())
}

/// The emulator as a process of its own; ended when dropped.
struct Emulator {
    child: Child,
    variables: Vec<(String, String)>,
}

impl Emulator {
    fn start() -> Result<Self> {
        let mut command = Command::new(profile_folder()?.join("testkit"));
        let command = command.arg("kms-emulator").stdin(Stdio::null());
        let child = command.stdout(Stdio::piped()).spawn();
        let child = child.with_context(|| format!("cannot start {}", shown(command)))?;
        let mut emulator = Emulator {
            child,
            variables: Vec::new(),
        };
        let printed = emulator.child.stdout.take().context("no standard output")?;
        for line in BufReader::new(printed).lines() {
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
                return Ok(emulator); // the last
            }
        }
        anyhow::bail!("the emulator ended before it was ready")
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
    fn the_closing_line_is_read_whole() {
        let line = "18 passed, 1 failed, 22 requests compared";
        let counts = Counts {
            passed: 18,
            failed: 1,
            compared: 22,
        };
        assert_eq!(counts.to_string(), line);
        assert_eq!(Counts::read(line), Some(counts));
        for other in [
            "",
            "18 passed, 1 failed",
            "18 passed, 1 failed, 22 requests",
            "ok: 1 passed, 0 failed, 2 requests compared",
        ] {
            assert_eq!(Counts::read(other), None, "{other}");
        }
    }
}
